"""What is written is TOML that Python reads back as the same values; places are found in any TOML."""

from __future__ import annotations

import tomllib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakewarden.governance.lines import find_tables
from lakewarden.governance.toml import write_tables

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    ['"', '""', '"""', '""""""', '\n"', 'a\n""', 'a\n"""', "\\\n", "\r\n", "\n\n", "'''\n", '\\"\n\\"']
)
TIMES = st.datetimes(timezones=st.just(UTC), min_value=datetime(1970, 1, 1), max_value=datetime(2200, 1, 1))
SCALARS = TEXTS | st.booleans() | st.integers(-(2**53), 2**53) | TIMES
INLINE = st.dictionaries(TEXTS, TEXTS, max_size=3)
VALUES = SCALARS | st.lists(TEXTS, max_size=12) | INLINE | st.lists(INLINE, max_size=3)
TABLES = st.dictionaries(TEXTS, VALUES, max_size=5)


@given(TABLES, st.lists(TABLES, min_size=1, max_size=4))
def test_values_come_back(head: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    head.pop("row", None)
    text = write_tables(head, [("row", row) for row in rows])
    assert tomllib.loads(text) == {**head, "row": rows}
    assert [table.name for table in find_tables(text)] == ["", *["row"] * len(rows)]


def test_one_form() -> None:
    long = [f"PRIVILEGE_{number}" for number in range(12)]
    text = write_tables(
        {"format": 1},
        [
            ("scope", {"account": True}),
            ("user", {"name": "a", "display name": "b\\\t", "pairs": {"k": "v"}}),
            ("user", {"short": ["x", "y"], "long": long, "rows": [{"name": "id"}], "none": []}),
            ("user", {"time": datetime(2027, 1, 1, 2, 30, tzinfo=timezone(timedelta(hours=2)))}),
            ("user", {"time": datetime(2027, 1, 1, microsecond=500_000, tzinfo=UTC)}),
        ],
        single=["scope"],
    )
    lines = "".join(f'  "{name}",\n' for name in long)
    assert text == (
        'format = 1\n\n[scope]\naccount = true\n\n[[user]]\nname = "a"\n"display name" = "b\\\\\\u0009"\n'
        f'pairs = {{k = "v"}}\n\n[[user]]\nshort = ["x", "y"]\nlong = [\n{lines}]\n'
        'rows = [\n  {name = "id"},\n]\nnone = []\n\n[[user]]\ntime = 2027-01-01T00:30:00Z\n\n'
        "[[user]]\ntime = 2027-01-01T00:00:00.5Z\n"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1\nb = 2\n", [("", 1, {"a": 1, "b": 2})]),
        ("# [[x]]\n[[x]] # c\n\na = '''\n[[y]]\n'''\nb = 1", [("", 1, {}), ("x", 2, {"a": 4, "b": 7})]),
        ('[[x]]\na = [\n "]", # ]\n]\nb = {c = "}"}\n', [("", 1, {}), ("x", 1, {"a": 2, "b": 5})]),
        ('[[ "x" ]]\n"a" = "\\"\\n"\n\'b\' = \'\\\'\n', [("", 1, {}), ("x", 1, {"a": 2, "b": 3})]),
        ("[[x]]\r\na = 1\r\n[[x]]\r\na = 2", [("", 1, {}), ("x", 1, {"a": 2}), ("x", 3, {"a": 4})]),
        ('a = """\n""\\"""" \nb = 1\n', [("", 1, {"a": 1, "b": 3})]),
    ],
)
def test_lines_of_tables_and_keys(text: str, expected: list[tuple[str, int, dict[str, int]]]) -> None:
    tomllib.loads(text)
    assert [(table.name, table.line, table.keys) for table in find_tables(text)] == expected
