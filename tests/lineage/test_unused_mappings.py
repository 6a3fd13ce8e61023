"""What edges said of columns goes once nothing says it any more, and nothing else does, whatever is recorded meanwhile."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from lakewarden_server.entities import LineageContribution, LineageEdge, LineageEdgeVersion, LineageMapping
from lakewarden_server.lineage import unused_mappings
from lakewarden_server.lineage.retention import age
from lakewarden_server.lineage.unused_mappings import forget_mappings
from lakewarden_server.storage import Database
from lakewarden_server.storage.repositories.lineage import LineageStore
from lakewarden_server.storage.repositories.lineage_mappings import LineageMappings, Unused
from lineage.corpus import NOW, columns, dataset, event
from lineage.stored import Lineage

NAMESPACE = "warehouse"
THREADS, ROUNDS = 2, 30


def day(number: float) -> datetime:
    return NOW + timedelta(days=number)


def says(column: str, second: float, run: int, type_: str = "COMPLETE", target: str = "b") -> bytes:
    """A run made a column of `b` of this column of `a`; told again, only what it says last counts."""
    made = dataset(target, NAMESPACE, columnLineage=columns(NAMESPACE, id=[("a", column, "IDENTITY")]))
    about = {"job": f"job of {target}", "inputs": [dataset("a", NAMESPACE)], "outputs": [made]}
    return event(type_, second, run=run, **about)


def mappings(lineage: Lineage) -> set[str]:
    """The columns of `a` that mappings speak of."""
    with lineage.database.reading() as connection:
        rows = list(LineageStore(connection).all(LineageMapping))
    return {use[1][-1] if isinstance(use[1], list) else use[1] for row in rows for use in row.columns}


def lost(lineage: Lineage) -> set[str]:
    """Hashes of what is said somewhere and stands for nothing any more."""
    with lineage.database.reading() as connection:
        store = LineageStore(connection)
        said = {
            row.mapping_hash
            for entity in (LineageEdge, LineageEdgeVersion, LineageContribution)
            for row in store.all(entity)
        }
        return said - {row.hash for row in store.all(LineageMapping)}


@pytest.fixture
def replaced(lineage: Lineage) -> Lineage:
    """One run said another column before it ended, and two runs said what is history and what is so now."""
    lineage.record(says("gone", 1, 1, "RUNNING"))
    lineage.record(says("past", 2, 1))
    lineage.record(says("now", 3, 2))
    return lineage


def test_what_nothing_says_is_marked_one_day_and_deleted_the_next(replaced: Lineage) -> None:
    lineage = replaced
    before, history = lineage.export(), lineage.history()
    assert mappings(lineage) == {"gone", "past", "now"}
    assert forget_mappings(lineage.database, day(0)) == 0
    assert mappings(lineage) == {"gone", "past", "now"}
    assert age(lineage.database, day(1.1)).mappings == 1
    assert mappings(lineage) == {"past", "now"}
    assert (lineage.export(), lineage.history(), lost(lineage)) == (before, history, set())
    assert age(lineage.database, day(2.2)).mappings == 0
    # What comes again is known again.
    lineage.record(says("gone", 4, 3))
    assert mappings(lineage) == {"gone", "past", "now"}


@pytest.mark.parametrize("when", ["after the mark", "after it was found"])
def test_what_is_said_again_stays(replaced: Lineage, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    lineage = replaced
    forget_mappings(lineage.database, day(0))
    if when == "after the mark":
        lineage.record(says("gone", 4, 3))
    else:
        unused = LineageMappings.unused

        def found_then_said(self: LineageMappings, limit: int) -> Unused:
            found = unused(self, limit)
            assert len(found.marked) == 1
            lineage.record(says("gone", 4, 3))
            return found

        monkeypatch.setattr(LineageMappings, "unused", found_then_said)
    assert forget_mappings(lineage.database, day(1.1)) == 0
    monkeypatch.undo()
    assert (mappings(lineage), lost(lineage)) == ({"gone", "past", "now"}, set())
    # When it is unsaid once more it has its time once more.
    lineage.record(says("late", 5, 3))
    with lineage.database.reading() as connection:
        found = LineageMappings(connection).unused(10)
    assert (len(found.marked), len(found.unmarked)) == (0, 1)


def test_one_server_looks_once_a_day_and_goes_in_steps(
    lineage: Lineage, monkeypatch: pytest.MonkeyPatch
) -> None:
    lineage.record(*(says(f"gone {run}", 1, run, "RUNNING") for run in range(5)))
    lineage.record(*(says("now", 2, run) for run in range(5)))
    looks: list[int] = []
    unused = LineageMappings.unused
    monkeypatch.setattr(
        LineageMappings, "unused", lambda self, limit: (looks.append(limit), unused(self, limit))[1]
    )
    monkeypatch.setattr(unused_mappings, "MAPPINGS_DELETED_MAX", 2)
    for time in (0, 0, 0.5):
        forget_mappings(lineage.database, day(time))
    assert len(looks) == 1
    assert [forget_mappings(lineage.database, day(time)) for time in (1.1, 1.2)] == [5, 0]
    assert mappings(lineage) == {"now"}
    monkeypatch.setattr(unused_mappings, "UNUSED_MAX", 3)
    lineage.record(*(says(f"gone {run}", 3, run, "RUNNING", "c") for run in range(5, 10)))
    lineage.record(*(says("now", 4, run, target="c") for run in range(5, 10)))
    assert [forget_mappings(lineage.database, day(time)) for time in (3, 5, 7, 9)] == [0, 3, 0, 2]


def test_nothing_is_lost_while_programs_record(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """They say the same few things again and again, in runs of their own that say something else in the end."""
    monkeypatch.setattr(unused_mappings, "LOOKED_EVERY", timedelta(0))
    lineage, failed = Lineage(database), list[BaseException]()
    over = threading.Event()

    def guarded(act: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                act()
            except BaseException as error:
                failed.append(error)

        return threading.Thread(target=run)

    def program(number: int) -> None:
        chance = random.Random(number)
        for turn in range(ROUNDS):
            run = 1_000 * number + turn
            for second, type_ in ((1, "RUNNING"), (2, "COMPLETE")):
                column = f"column {chance.randrange(4)}"
                lineage.record(says(column, 10 * turn + second, run, type_, f"t{number}"))

    deleted: list[int] = []

    def purge() -> None:
        looks = 0
        while not over.is_set() or looks < 3:
            looks += 1
            deleted.append(forget_mappings(database, day(looks)))
            if lost(lineage):
                raise AssertionError("what is said was deleted")

    programs = [guarded(lambda number=number: program(number)) for number in range(1, THREADS + 1)]
    purging = guarded(purge)
    for thread in (*programs, purging):
        thread.start()
    for thread in programs:
        thread.join(120)
    over.set()
    purging.join(120)
    assert (failed, lost(lineage)) == ([], set())
