"""Views, functions, row filters and column masks in files: made in the order of what they name, changed call by call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from governance.conftest import Run
from lakewarden import Client
from lakewarden_server.testing import EmbeddedServer, serve

Write = Callable[..., Path]
NOTHING = "nothing to do\n"
TABLE = (
    '[[table]]\nfull_name = "main.hr.people"\ncolumns = [{name = "id", type_text = "INT"}, '
    '{name = "ssn", type_text = "VARCHAR"}, {name = "region", type_text = "VARCHAR"}]\n'
)
POLICIES = (
    'row_filter = {function = "main.hr.mine", columns = ["region"]}\n'
    'column_masks = [{column = "ssn", function = "main.hr.masked", using_columns = ["region"]}]\n'
)
FUNCTIONS = (
    '[[function]]\nfull_name = "main.hr.mine"\nparameters = [{name = "r", type_text = "VARCHAR"}]\n'
    'return_type_text = "BOOLEAN"\ndefinition = "r = current_user()"\n'
    '[[function]]\nfull_name = "main.hr.masked"\nreturn_type_text = "VARCHAR"\ndefinition = "left(s, 3)"\n'
    'parameters = [{name = "s", type_text = "VARCHAR"}, {name = "r", type_text = "VARCHAR"}]\n'
)
VIEWS = (
    '[[view]]\nfull_name = "main.hr.a"\ndefinition = "SELECT id FROM b"\n'
    '[[view]]\nfull_name = "main.hr.b"\ndefinition = "SELECT id FROM main.hr.people"\n'
)
SCHEMA = '[[catalog]]\nfull_name = "main"\n[[schema]]\nfull_name = "main.hr"\n'
ALL = SCHEMA + TABLE + POLICIES + FUNCTIONS + VIEWS


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    """A server of this test's own."""
    with serve() as server:
        yield server


@pytest.fixture
def admin(server: EmbeddedServer) -> Client:
    """Its admin, who owns whatever it applies."""
    return server.client()


def titles(out: str) -> list[str]:
    return [line for line in out.splitlines()[:-1] if not line.startswith(" ")]


def test_what_is_named_is_made_first_and_policies_when_all_is_there(
    run: Run, server: EmbeddedServer, admin: Client, write: Write
) -> None:
    write(ALL)
    assert titles(run(server, "apply governance.toml").out) == [
        "+ create catalog main",
        "+ create schema main.hr",
        "+ create table main.hr.people",
        "+ create view main.hr.b",
        "+ create view main.hr.a",
        "+ create function main.hr.masked",
        "+ create function main.hr.mine",
        "~ update table main.hr.people",
        "~ update table main.hr.people",
    ]
    table = admin.tables.get("main.hr.people")
    assert (table.row_filter.function, list(table.row_filter.columns)) == ("main.hr.mine", ["region"])
    (mask,) = [column.mask for column in table.columns if column.HasField("mask")]
    assert (mask.function, list(mask.using_columns)) == ("main.hr.masked", ["region"])
    assert run(server, "diff governance.toml").out == NOTHING
    text = run(server, "export").out
    assert POLICIES.splitlines()[0] in text
    assert 'definition = "SELECT id FROM b"\ndialect = "duckdb"\n' in text


def test_a_definition_changes_with_what_belongs_to_it(
    run: Run, server: EmbeddedServer, admin: Client, write: Write
) -> None:
    write(ALL)
    run(server, "apply governance.toml")
    write(
        ALL.replace("SELECT id FROM main", "SELECT region AS id FROM main").replace(
            "left(s, 3)", "left(s, 1)"
        )
    )
    shown = run(server, "apply governance.toml").out
    assert titles(shown) == ["~ update view main.hr.b", "~ update function main.hr.masked"]
    assert '    definition: "left(s, 3)" → "left(s, 1)"' in shown
    assert run(server, "diff governance.toml").out == NOTHING
    assert admin.views.get("main.hr.b").definition.startswith("SELECT region")


def test_masks_change_one_by_one_and_go_with_their_line(
    run: Run, server: EmbeddedServer, admin: Client, write: Write
) -> None:
    two = POLICIES.replace("}]", '}, {column = "region", function = "main.hr.twice"}]')
    twice = FUNCTIONS.partition('[[function]]\nfull_name = "main.hr.masked')[0].replace("mine", "twice")
    twice = twice.replace("BOOLEAN", "VARCHAR").replace("r = current_user()", "upper(r)")
    write(SCHEMA + TABLE + two + FUNCTIONS + twice)
    run(server, "apply governance.toml")
    assert run(server, "diff governance.toml").out == NOTHING
    write(
        SCHEMA
        + TABLE
        + POLICIES.replace(', using_columns = ["region"]', "").replace("masked", "Twice")
        + FUNCTIONS
        + twice
    )
    shown = run(server, "apply governance.toml").out
    assert titles(shown) == ["~ update table main.hr.people"] * 2
    assert (
        '    column_masks: {"column": "region", "function": "main.hr.twice"} → {"column": "region"}' in shown
    )
    assert run(server, "diff governance.toml").out == NOTHING
    write(SCHEMA + TABLE + FUNCTIONS + twice)
    run(server, "apply governance.toml")
    table = admin.tables.get("main.hr.people")
    assert not table.HasField("row_filter")
    assert not any(column.HasField("mask") for column in table.columns)


def test_prune_takes_what_names_others_first(
    run: Run, server: EmbeddedServer, admin: Client, write: Write
) -> None:
    empty = write(run(server, "export").out, "empty.toml")
    write(ALL)
    run(server, "apply governance.toml")
    shown = titles(run(server, "apply empty.toml --prune --yes").out)
    assert shown.index("- delete view main.hr.a") < shown.index("- delete view main.hr.b")
    assert shown.index("- delete table main.hr.people") < shown.index("- delete function main.hr.mine")
    assert shown.index("- delete function main.hr.mine") < shown.index("- delete schema main.hr")
    assert run(server, "export").out == empty.read_text()
