from __future__ import annotations

import json
from typing import Any

import click
import pytest
import yaml
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from lakewarden.cli._output import write_record, write_records
from lakewarden.cli._plain import to_plain
from lakewarden.cli._terminal import printable, width
from lakewarden.cli._yaml import to_yaml
from lakewarden.v1 import catalogs_pb2, tables_pb2, tokens_pb2

# What YAML 1.1 and 1.2 would read as something else than the string it is, and characters they want escaped.
NASTY = [
    "no",
    "Yes",
    "null",
    "~",
    "1",
    "1e3",
    "0x1F",
    "2026-01-01",
    "- a",
    "a: b",
    "#",
    "",
    " ",
    "\n",
    "é😀",
    "\x7f\x85\u2028\ufeff",
    '"\\',
]

TEXT = st.text(st.characters(exclude_categories=("Cs",)))
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(PLAIN)
def test_yaml_reads_back_as_what_was_written(value: Any) -> None:
    assert yaml.safe_load(to_yaml(value)) == value


@pytest.mark.parametrize("text", NASTY)
def test_awkward_text_stays_text_as_yaml_key_and_value(text: str) -> None:
    assert yaml.safe_load(to_yaml({text: [text, {"k": text}]})) == {text: [text, {"k": text}]}


def test_every_field_is_there_and_int64_is_a_number() -> None:
    plain = to_plain(tokens_pb2.CreateTokenRequest(lifetime_seconds=2**53 + 1))
    assert plain == {"principal": "", "comment": "", "lifetime_seconds": 2**53 + 1, "workspace": ""}


def test_times_enums_maps_and_unset_messages() -> None:
    table = tables_pb2.Table(
        table_type=tables_pb2.MANAGED,
        properties={"b": "2", "a": "1"},
        create_time=Timestamp(seconds=1, nanos=500_000_000),
        columns=[tables_pb2.Column(name="id")],
    )
    plain = to_plain(table)
    assert plain["table_type"] == "MANAGED"
    assert list(plain["properties"].items()) == [("a", "1"), ("b", "2")]
    assert (plain["create_time"], plain["update_time"]) == ("1970-01-01T00:00:01.500Z", None)
    assert plain["columns"][0]["name"] == "id"


def test_enum_value_of_a_newer_server_is_shown_as_its_number() -> None:
    table = tables_pb2.Table.FromString(bytes([0x80, 0x01, 99]))
    assert to_plain(table)["table_type"] == 99


ROWS = [{"full_name": "a", "comment": "x" * 300, "n": 1}, {"full_name": "bb", "comment": "", "n": None}]


def test_table_is_aligned_and_cuts_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    write_records(ROWS, ("full_name", "comment"), output="table", name="full_name")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["FULL", "NAME", "COMMENT"]
    assert lines[1] == f"a          {'x' * 300}"
    assert lines[2] == "bb"


@pytest.mark.parametrize(
    ("output", "read"),
    [
        ("json", json.loads),
        ("yaml", yaml.safe_load),
        ("jsonl", lambda text: [json.loads(line) for line in text.splitlines()]),
    ],
)
def test_machine_formats_carry_everything(capsys: pytest.CaptureFixture[str], output: str, read: Any) -> None:
    write_records(iter(ROWS), ("full_name",), output=output, name="full_name")
    assert read(capsys.readouterr().out) == ROWS


@pytest.mark.parametrize(
    ("output", "text"), [("json", "[]\n"), ("yaml", "[]\n"), ("jsonl", ""), ("name", "")]
)
def test_nothing_found_is_still_well_formed(
    capsys: pytest.CaptureFixture[str], output: str, text: str
) -> None:
    write_records([], ("full_name",), output=output, name="full_name")
    assert capsys.readouterr().out == text


def test_name_format_prints_bare_names(capsys: pytest.CaptureFixture[str]) -> None:
    write_records(ROWS, (), output="name", name="full_name")
    write_record(ROWS[0], output="name", name="full_name")
    assert capsys.readouterr().out == "a\nbb\na\n"


def test_record_leaves_empty_fields_out_and_shows_inner_rows_as_a_table(
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = tables_pb2.Table(
        full_name="a.b.c", columns=[tables_pb2.Column(name="id", type_text="INT", required=True)]
    )
    write_record(to_plain(table), output="table", name="full_name")
    out = capsys.readouterr().out
    assert "comment" not in out
    assert "columns:\nNAME  POSITION  TYPE TEXT  REQUIRED\nid    0         INT        true\n" in out


def test_text_from_the_server_cannot_act_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    evil = catalogs_pb2.Catalog(full_name="c", comment="\x1b[2J\u202eevil\nnext")
    write_record(to_plain(evil), output="table", name="full_name")
    write_records([to_plain(evil)], ("comment",), output="table", name="full_name")
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "\\x1b[2J\\u202eevil\\nnext" in out


def test_width_counts_what_the_terminal_shows() -> None:
    assert width("ab") == 2
    assert width("表") == 2
    assert width("e\u0301") == 1
    assert printable("表 é") == "表 é"


def test_name_format_of_what_has_no_name_is_wrong_usage() -> None:
    with pytest.raises(click.UsageError, match="choose another -o"):
        write_record({"count": 3}, output="name", name="full_name")
    with pytest.raises(click.UsageError, match="choose another -o"):
        write_records([{"count": 3}], ("count",), output="name", name="full_name")
