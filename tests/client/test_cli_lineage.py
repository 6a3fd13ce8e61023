"""`lakewarden lineage ingest`: which events of a file are sent, and what is told of them."""

from __future__ import annotations

import json

import pytest

from client.wire import WireServer
from lakewarden import InvalidArgument
from lakewarden._lineage_events import BATCH_BYTES, BATCH_EVENTS, batches, read_events
from lakewarden.cli import lineage as cli_lineage
from lakewarden.cli import main
from lakewarden.v1 import lineage_pb2 as pb
from lakewarden_server.services import lineage_graph, lineage_past

BATCH = "LineageService/RecordOpenLineageBatch"


def answer(recorded, _context):
    """Takes every event but those that are an empty object; one with a 2 it knows."""
    outcomes = [
        pb.LineageEventOutcome(code="KIND_UNKNOWN", message="KIND_UNKNOWN: nothing")
        if event == b"{}"
        else pb.LineageEventOutcome(accepted=True, is_new=b"2" not in event)
        for event in recorded.request.events
    ]
    return pb.RecordOpenLineageBatchResponse(outcomes=outcomes)


def ingest(wire: WireServer, *files: str, options: tuple[str, ...] = ()) -> int:
    wire.answers[BATCH] = answer
    return main(["lineage", "ingest", *files, *options, "--endpoint", wire.endpoint, "-o", "json"])


def test_all_events_of_all_files_are_sent_and_counted(wire, tmp_path, capsys):
    lines, array, single = (tmp_path / name for name in ("lines", "array", "single"))
    lines.write_text('{"a":1}\n\n{"a":2}\n')
    array.write_text('[{"a":3},\n {"a":4}]')
    single.write_text('{\n "a": 5\n}')
    assert ingest(wire, str(lines), str(array), str(single), options=("--strict",)) == 0
    (call,) = wire.calls
    assert [json.loads(event)["a"] for event in call.request.events] == [1, 2, 3, 4, 5]
    assert call.request.strict
    told = json.loads(capsys.readouterr().out)
    assert told == {"recorded": 4, "known": 1, "refused": 0, "facets dropped": 0}


def test_a_refused_event_is_named_and_the_command_fails(wire, tmp_path, capsys):
    file = tmp_path / "events"
    file.write_text('{"a":1}\n{}\n')
    assert ingest(wire, str(file)) == 1
    told = capsys.readouterr()
    assert json.loads(told.out)["refused"] == 1
    assert "event 2: KIND_UNKNOWN" in told.err


def test_a_file_that_is_no_json_is_a_mistake_of_the_line(wire, tmp_path, capsys):
    file = tmp_path / "events"
    file.write_text('{"a":1}\n{"a"\n')
    assert ingest(wire, str(file)) == 2
    assert "line 2" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["ingest", "from-sql"])
def test_a_file_that_is_no_text_is_named(wire, tmp_path, capsys, command):
    path = tmp_path / "binary"
    path.write_bytes(b"\xff\xfe")
    assert main(["lineage", command, str(path), "--endpoint", wire.endpoint]) == 2
    assert f"{path} is no UTF-8" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_named(wire, tmp_path, capsys):
    path = tmp_path / "nowhere" / "drawing.svg"
    line = ["lineage", "show", "a.b.c", "--format", "svg", "--to", str(path), "--endpoint", wire.endpoint]
    assert main(line) == 2
    assert f"{path} cannot be written: No such file or directory" in capsys.readouterr().err


def test_events_go_in_portions_that_fit_a_call():
    many = list(batches(f'{{"a":{number}}}' for number in range(BATCH_EVENTS + 1)))
    assert [len(batch) for batch in many] == [BATCH_EVENTS, 1]
    large = list(batches(["x" * (BATCH_BYTES // 2 + 1)] * 3))
    assert [len(batch) for batch in large] == [1, 1, 1]
    assert list(batches([])) == []


def test_events_are_sent_as_they_were_written():
    assert list(read_events(' [ {"a": 1.50} , {"b":"ä"}] ')) == ['{"a": 1.50}', '{"b":"ä"}']
    assert list(read_events("")) == list(read_events(" []")) == []
    with pytest.raises(InvalidArgument):
        list(read_events("{} nothing"))


def test_the_command_line_asks_for_no_more_than_the_server_gives():
    assert (cli_lineage.NODES_MAX, cli_lineage.STREAM_NODES_MAX) == (
        lineage_graph.NODES_MAX,
        lineage_graph.STREAM_NODES_MAX,
    )
    assert (cli_lineage.DEPTH_DEFAULT, cli_lineage.NODES_DEFAULT, cli_lineage.DAYS_MAX) == (
        lineage_graph.DEPTH_DEFAULT,
        lineage_graph.NODES_DEFAULT,
        lineage_past.DAYS_MAX,
    )
