"""The command line against a server that answers as told: usage, exit codes, safety, profiles."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import grpc
import pytest
from click.testing import CliRunner

from client.wire import WireServer, fail
from lakewarden._config import Profile, ProfileFile, write_profiles
from lakewarden.cli import main
from lakewarden.cli._application import COMMANDS, root
from lakewarden.cli.tables import column_of
from lakewarden.v1 import authorization_pb2, catalogs_pb2, tables_pb2, volumes_pb2

Captured = pytest.CaptureFixture[str]


def _commands(command: click.Command, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command and group with its path."""
    found = [path]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            found += _commands(child, (*path, name))
    return found


@pytest.mark.parametrize("path", _commands(root), ids=" ".join)
def test_every_help_has_a_sentence_and_an_example(path: tuple[str, ...], capsys: Captured) -> None:
    assert main([*path, "--help"]) == 0
    out = capsys.readouterr().out
    example = out.partition("Example:\n")[2]
    assert example.strip().startswith(("lakewarden", 'eval "$(lakewarden'))
    assert (
        " ".join(path) in example
        or not path
        or "grant" in path
        or path[-1:] == ("profile",)
        or len(path) == 1
    )


def test_short_help_in_the_list_has_its_command() -> None:
    context = click.Context(root)
    assert [name for name in COMMANDS if root.get_command(context, name) is None] == []


@pytest.mark.parametrize(
    "line",
    [
        "catlog list",
        "catalog",
        "catalog gt main",
        "catalog get",
        "catalog get a b",
        "catalog get main --nope",
        "grant SELECT tabel a.b.c bob",
        "grant SELECT,, table a.b.c bob",
        "grant SELECT table a.b.c bob --for 0s",
        "grants update table a.b.c --json nonsense",
        'grants update table a.b.c --json {"change":[]}',
        'grants update table a.b.c --json {"changes":[{"principal":"p","addd":["SELECT"]}]}',
        'grants update table a.b.c --json {"changes":[{"principal":"p"}]}',
        "grants update table a.b.c --json @/does/not/exist",
        "table create a.b.c",
        "table create a.b.c --column id",
        "table create a.b.c --column x_INT --from-sql -",
        "table create a.b.c --column x_INT --dialect spark",
        "table create a.b.c --from-arrow /does/not/exist",
        "table create b.c --column x_INT",
        "table list a.b --limit 0",
        "catalog create main --property novalue",
        "catalog create main --property a=1 --property a=2",
        "catalog update main",
        "ls a.b.c.d",
        "ls a..b",
        "tree --depth 9",
        "token create --lifetime soon",
        "catalog list -o xml",
        "catalog list --timeout 0",
        "catalog list --timeout 31",
        "catalog list --endpoint http://x",
        "catalog list --profile absent",
        "completion powershell",
        "profile set p",
        "profile use absent",
        "login --token-stdin",
        "catalog delete main",
        "token revoke t",
        "workspace detach w",
        "check EMPTY SELECT table a.b.c",
        "workspace attach w EMPTY",
        "group add g a EMPTY",
    ],
)
def test_wrong_use_exits_with_2_says_what_and_sends_nothing(
    wire: WireServer, capsys: Captured, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.setenv("LAKEWARDEN_ENDPOINT", wire.endpoint)
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert main([word.replace("x_INT", "x INT").replace("EMPTY", "") for word in line.split()]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(("Error: ", "Usage: "))
    assert captured.out == ""
    assert "Traceback" not in captured.err
    assert not wire.calls


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [
        ("INVALID_ARGUMENT", 2),
        ("NOT_FOUND", 3),
        ("UNAUTHENTICATED", 4),
        ("PERMISSION_DENIED", 4),
        ("ALREADY_EXISTS", 5),
        ("FAILED_PRECONDITION", 5),
        ("ABORTED", 5),
        ("RESOURCE_EXHAUSTED", 6),
        ("DEADLINE_EXCEEDED", 6),
        ("UNAVAILABLE", 6),
        ("INTERNAL", 70),
        ("UNKNOWN", 70),
        ("UNIMPLEMENTED", 70),
    ],
)
def test_each_error_has_its_exit_code_and_one_line(
    wire: WireServer, capsys: Captured, code: str, exit_code: int
) -> None:
    wire.answers["CatalogService/GetCatalog"] = fail(
        grpc.StatusCode[code], "what, which", reason="WHY", request_id="r1"
    )
    assert main(["catalog", "get", "main", "--endpoint", wire.endpoint]) == exit_code
    captured = capsys.readouterr()
    assert captured.err.splitlines()[0] == f"Error: what, which [{code}/WHY] (request_id=r1)"
    assert captured.out == ""


@pytest.mark.parametrize(("allowed", "exit_code", "word"), [(True, 0, "ALLOW"), (False, 1, "DENY")])
def test_check_answers_by_its_exit_code_too(
    wire: WireServer, capsys: Captured, allowed: bool, exit_code: int, word: str
) -> None:
    verdict = authorization_pb2.Verdict(
        allowed=allowed, reason="" if allowed else "no USE SCHEMA", fixes=[] if allowed else ["GRANT …"]
    )
    reply = authorization_pb2.CheckResponse(verdict=verdict, revision="e:1")
    wire.answers["AuthorizationService/Check"] = lambda *_: reply
    line = ["check", "bob@x.io", "SELECT", "table", "a.b.c", "--endpoint", wire.endpoint]
    assert main(line) == exit_code
    out = capsys.readouterr().out
    assert out.startswith(f"{word} SELECT on table a.b.c for bob@x.io\n")
    assert ("  fix: GRANT …" in out) is not allowed
    assert main([*line, "-o", "json"]) == exit_code
    assert json.loads(capsys.readouterr().out)["allowed"] is allowed
    assert main([*line, "-o", "name"]) == exit_code
    assert capsys.readouterr().out == f"{word}\n"


def test_global_options_stand_before_or_after_and_the_later_wins(wire: WireServer) -> None:
    assert main(["--endpoint", wire.endpoint, "--workspace", "one", "catalog", "get", "main"]) == 0
    assert (
        main(
            [
                "--workspace",
                "one",
                "catalog",
                "--endpoint",
                wire.endpoint,
                "get",
                "main",
                "--workspace",
                "two",
            ]
        )
        == 0
    )
    assert [call.metadata["lakewarden-workspace"] for call in wire.calls] == ["one", "two"]


def test_token_on_the_command_line_is_used_and_warned_about_but_not_repeated(
    wire: WireServer, capsys: Captured
) -> None:
    assert main(["catalog", "get", "main", "--endpoint", wire.endpoint, "--token", "lwpat_secret"]) == 0
    captured = capsys.readouterr()
    assert wire.calls[0].metadata["authorization"] == "Bearer lwpat_secret"
    assert "Warning" in captured.err
    assert "lwpat_secret" not in captured.out + captured.err


def test_token_over_plain_text_is_refused(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKEWARDEN_TOKEN", "lwpat_secret")
    write_profiles(
        ProfileFile(current="p", profiles={"p": Profile(endpoint="lake.example.com:1", insecure=True)})
    )
    assert main(["catalog", "list", "--endpoint", "lake.example.com", "--timeout", "0.2"]) == 6
    assert "lwpat_secret" not in capsys.readouterr().err


def test_bug_is_told_without_a_traceback(
    wire: WireServer, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lakewarden._securables import Catalogs

    def broken(*_: object, **__: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr(Catalogs, "list", broken)
    assert main(["catalog", "list", "--endpoint", wire.endpoint]) == 70
    err = capsys.readouterr().err
    assert err.startswith("Error: this is a bug: KeyError: 'x' [INTERNAL]")
    assert "Traceback" not in err


def test_interrupt_exits_with_130_quietly(
    wire: WireServer, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lakewarden._securables import Catalogs

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Catalogs, "list", interrupted)
    assert main(["catalog", "list", "--endpoint", wire.endpoint]) == 130
    assert capsys.readouterr().err.strip() == ""


def test_reader_that_goes_away_is_no_error(wire: WireServer) -> None:
    rows = [catalogs_pb2.Catalog(full_name=f"c{number}" * 50) for number in range(1000)]
    wire.answers["CatalogService/ListCatalogs"] = lambda *_: catalogs_pb2.ListCatalogsResponse(catalogs=rows)
    command = f"{sys.executable} -m lakewarden.cli catalog list -o jsonl --endpoint {wire.endpoint}"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{command} | head -1"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1


def test_full_disk_is_told(wire: WireServer) -> None:
    rows = [catalogs_pb2.Catalog(full_name="c")]
    wire.answers["CatalogService/ListCatalogs"] = lambda *_: catalogs_pb2.ListCatalogsResponse(catalogs=rows)
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "lakewarden.cli", "catalog", "list", "--endpoint", wire.endpoint],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.stderr.startswith("Error: cannot write the output: No space left on device")
    assert done.returncode == 74


def test_limit_stops_the_list(wire: WireServer, capsys: Captured) -> None:
    rows = [catalogs_pb2.Catalog(full_name=f"c{number}") for number in range(3)]
    page = catalogs_pb2.ListCatalogsResponse(catalogs=rows, next_page_token="more")
    wire.answers["CatalogService/ListCatalogs"] = lambda *_: page
    assert main(["catalog", "list", "-o", "name", "--limit", "5", "--endpoint", wire.endpoint]) == 0
    assert capsys.readouterr().out.split() == ["c0", "c1", "c2", "c0", "c1"]


def test_delete_asks_at_a_terminal_and_no_means_no(wire: WireServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lakewarden.cli._invocation.is_interactive", lambda: True)
    line = ["catalog", "delete", "main", "--force", "--endpoint", wire.endpoint]
    refused = CliRunner().invoke(root, line, input="n\n")
    assert refused.exit_code == 1
    assert "and everything inside?" in refused.output
    assert not wire.calls
    assert CliRunner().invoke(root, line, input="y\n").exit_code == 0
    assert wire.calls[0].request.force is True


def test_quiet_leaves_the_notes_out(wire: WireServer, capsys: Captured) -> None:
    line = ["catalog", "delete", "main", "--yes", "--endpoint", wire.endpoint]
    assert main(line) == 0
    assert "deleted catalog main" in capsys.readouterr().err
    assert main([*line, "-q"]) == 0
    assert capsys.readouterr().err == ""


def test_update_of_properties_merges_under_the_etag(wire: WireServer) -> None:
    current = catalogs_pb2.Catalog(full_name="main", properties={"a": "1", "b": "2"}, etag="e7")
    wire.answers["CatalogService/GetCatalog"] = lambda *_: current
    line = "catalog update main --property c=3=4 --remove-property a --endpoint"
    assert main([*line.split(), wire.endpoint]) == 0
    sent = wire.calls[1].request
    assert (dict(sent.catalog.properties), sent.catalog.etag) == ({"b": "2", "c": "3=4"}, "e7")
    assert list(sent.update_mask.paths) == ["properties"]


@pytest.mark.parametrize(
    ("text", "name", "type_text", "required"),
    [
        ("id BIGINT", "id", "BIGINT", False),
        ("  id   BIGINT  not   null ", "id", "BIGINT", True),
        ("price DECIMAL(15, 2) NOT NULL", "price", "DECIMAL(15, 2)", True),
        ('"order ""id""" STRUCT<a: INT>', 'order "id"', "STRUCT<a: INT>", False),
        ("`odd name` DOUBLE PRECISION", "odd name", "DOUBLE PRECISION", False),
    ],
)
def test_column_is_read(text: str, name: str, type_text: str, required: bool) -> None:
    assert column_of(text) == {"name": name, "type_text": type_text, "required": required}


@pytest.mark.parametrize("text", ["", "id", "id NOT NULL", '"" INT', '"open INT'])
def test_column_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        column_of(text)


@pytest.mark.parametrize("kind", ["parquet", "file", "stream"])
def test_table_from_an_arrow_file(wire: WireServer, tmp_path: Path, kind: str) -> None:
    import pyarrow
    from pyarrow import parquet

    schema, path = pyarrow.schema([pyarrow.field("id", pyarrow.int64())]), tmp_path / "any.name"
    if kind == "parquet":
        parquet.write_table(schema.empty_table(), path)
    else:
        writer = pyarrow.ipc.new_file if kind == "file" else pyarrow.ipc.new_stream
        with writer(path, schema) as opened:
            opened.write_table(schema.empty_table())
    assert main(["table", "create", "a.b.c", "--from-arrow", str(path), "--endpoint", wire.endpoint]) == 0
    sent = pyarrow.ipc.read_schema(pyarrow.py_buffer(wire.calls[0].request.arrow_schema))
    assert sent.field("id").type == pyarrow.int64()


def test_file_that_is_no_arrow_file_is_a_usage_error(
    wire: WireServer, tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "x").write_text("hello, this is text")
    assert (
        main(["table", "create", "a.b.c", "--from-arrow", str(tmp_path / "x"), "--endpoint", wire.endpoint])
        == 2
    )
    assert "no Arrow or Parquet file" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_is_printed(shell: str, capsys: Captured) -> None:
    assert main(["completion", shell]) == 0
    assert "_LAKEWARDEN_COMPLETE" in capsys.readouterr().out


def _complete(wire: WireServer, words: str) -> list[str]:
    """What a bash completion of the words would offer; the words end with the incomplete one."""
    environment = {
        **os.environ,
        "_LAKEWARDEN_COMPLETE": "bash_complete",
        "COMP_WORDS": f"lakewarden {words}",
        "COMP_CWORD": str(len(words.split(" "))),
        "LAKEWARDEN_ENDPOINT": wire.endpoint,
    }
    done = subprocess.run(
        [sys.executable, "-m", "lakewarden.cli"], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.split()]


def test_object_names_are_completed_from_the_server(wire: WireServer) -> None:
    rows = [catalogs_pb2.Catalog(full_name=name) for name in ("main", "market", "other")]
    wire.answers["CatalogService/ListCatalogs"] = lambda *_: catalogs_pb2.ListCatalogsResponse(catalogs=rows)
    assert _complete(wire, "catalog get ma") == ["main", "market"]
    assert "catalog" in _complete(wire, "cat")


def test_names_below_a_schema_are_completed_by_what_the_command_is_about(wire: WireServer) -> None:
    volumes = [volumes_pb2.Volume(full_name=f"main.sales.{name}") for name in ("raw", "ready")]
    tables = [tables_pb2.Table(full_name="main.sales.refunds")]
    wire.answers["VolumeService/ListVolumes"] = lambda *_: volumes_pb2.ListVolumesResponse(volumes=volumes)
    wire.answers["TableService/ListTables"] = lambda *_: tables_pb2.ListTablesResponse(tables=tables)
    assert _complete(wire, "volume get main.sales.ra") == ["main.sales.raw"]
    assert _complete(wire, "grant SELECT volume main.sales.r") == ["main.sales.raw", "main.sales.ready"]
    assert _complete(wire, "table get main.sales.r") == ["main.sales.refunds"]
    assert _complete(wire, "ls main.sales.r") == ["main.sales.refunds"]


def test_completion_of_a_server_that_refuses_is_empty(wire: WireServer) -> None:
    wire.answers["CatalogService/ListCatalogs"] = fail(grpc.StatusCode.UNAUTHENTICATED, "no")
    assert _complete(wire, "ls ma") == []
