"""What links and renames lead to is found in as many statements for a long chain of names as for a short one."""

from __future__ import annotations

import random
from typing import Any

import pytest
from sqlalchemy import event as listening

from lakewarden_server.entities import LineageName
from lakewarden_server.storage import Database
from lakewarden_server.storage.repositories import prepared
from lakewarden_server.storage.repositories.lineage import LineageStore
from lineage.corpus import dataset, event, lifecycle, symlinks
from lineage.stored import Lineage

DB = "postgres://db"
CHAIN = 300


def linked(name: str, other: str, run: int) -> bytes:
    return event(
        second=run, run=run, inputs=["source"], outputs=[dataset(name, symlinks=symlinks((DB, other)))]
    )


def statements_of(lineage: Lineage, body: bytes) -> int:
    """How many statements recording an event takes, those of SQLAlchemy and those that go to the driver itself."""
    engine, found, to_driver = lineage.database.engines.writer, [], prepared._run

    def count(*_told: object) -> None:
        found.append(1)

    def counted(*given: Any) -> list[Any]:
        count()
        return to_driver(*given)

    listening.listen(engine, "before_cursor_execute", count)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(prepared, "_run", counted)
            lineage.record(body)
    finally:
        listening.remove(engine, "before_cursor_execute", count)
    return len(found)


def test_the_length_of_a_chain_of_names_costs_no_statements(database: Database) -> None:
    lineage = Lineage(database)
    lineage.record(linked("n0001", "n0000", 1), linked("n0002", "n0001", 2))
    short = statements_of(lineage, linked("n0003", "n0002", 3))
    lineage.record(*(linked(f"n{n:04}", f"n{n - 1:04}", n) for n in range(4, CHAIN)))
    long = statements_of(lineage, linked(f"n{CHAIN:04}", f"n{CHAIN - 1:04}", CHAIN))
    assert long < short + 20
    assert lineage.meaning("n0000") == lineage.meaning(f"n{CHAIN:04}")


def test_names_are_connected_by_links_and_renames_either_way_and_by_nothing_else(database: Database) -> None:
    lineage, chance = Lineage(database), random.Random(20261127)
    names = [f"t{number}" for number in range(40)]
    group = {name: {name} for name in names}
    for run in range(1, 31):
        one, other = chance.sample(names, 2)
        if run % 3:
            lineage.record(linked(one, other, run))
        else:
            moved = dataset(other, lifecycleStateChange=lifecycle("RENAME", (DB, one)))
            lineage.record(event(second=run, run=run, outputs=[moved]))
        together = group[one] | group[other]
        group |= dict.fromkeys(together, together)
    lineage.record(event(second=99, run=99, inputs=names))
    with database.reading() as connection:
        store = LineageStore(connection)
        ids = {row.name: row.id for row in store.all(LineageName) if row.name in group}
        found = {name: store.connected([name_id]) for name, name_id in ids.items()}
    assert {
        name: {other for other in names if ids[other] in reached} for name, reached in found.items()
    } == group
