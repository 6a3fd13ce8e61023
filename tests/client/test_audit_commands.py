"""`lakewarden audit` against the real server, and the files it exports."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Timer
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import text

from lakewarden import InvalidArgument
from lakewarden._audit import AuditHead
from lakewarden._audit_export import row_of
from lakewarden.cli import main
from lakewarden.v1 import audit_pb2
from lakewarden_server.core.clock import monotonic
from lakewarden_server.testing import EmbeddedServer

COLUMNS = [
    "account_id", "workspace_id", "version", "event_time", "event_date", "source_ip_address", "user_agent", "session_id",
    "user_identity", "service_name", "action_name", "request_id", "request_params", "response", "audit_level", "event_id",
    "identity_metadata",
]  # fmt: skip
Run = Callable[..., tuple[str, str]]


@pytest.fixture
def run(
    lakewarden_server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run a command line as the admin, check its exit code, and return what it printed on stdout and stderr."""
    monkeypatch.setenv("LAKEWARDEN_ENDPOINT", lakewarden_server.endpoint)
    monkeypatch.setenv("LAKEWARDEN_TOKEN", lakewarden_server.admin_token)
    monkeypatch.setenv("LAKEWARDEN_WORKSPACE", str(lakewarden_server.workspace))

    def run(line: str, *, exits: int = 0) -> tuple[str, str]:
        code = main(shlex.split(line))
        captured = capsys.readouterr()
        assert code == exits, captured.err
        return captured.out, captured.err

    return run


@pytest.fixture
def denied(lakewarden_server: EmbeddedServer) -> EmbeddedServer:
    """The server after Bob was denied something by an engine's question, and the admin did something."""
    admin = lakewarden_server.client()
    lakewarden_server.client_as("bob").authorization.check("CREATE CATALOG", "metastore", "metastore")
    admin.users.create(f"user-{monotonic()}@example.com", display_name="x")
    lakewarden_server.app.decisions.flush()
    return lakewarden_server


def test_list_shows_filtered_records_in_every_format(run: Run, denied: EmbeddedServer) -> None:
    out, _ = run("audit list --actor bob@example.com --outcome denied --since 1h")
    assert out.splitlines()[0].split()[:3] == ["EVENT", "TIME", "ACTOR"]
    assert "CREATE_CATALOG" in out
    rows = json.loads(run("audit list --action user.create --limit 1 -o json")[0])
    assert (rows[0]["outcome"], rows[0]["operation"]) == ("DONE", "user.create")
    assert run("audit list --action user.create --limit 1 -o name")[0].startswith("change/")
    assert run("audit list --since 2099-01-01 -o name")[0] == ""
    assert "no time" in run("audit list --since yesterday", exits=2)[1]


def test_oldest_first_turns_the_list_around(run: Run, denied: EmbeddedServer) -> None:
    forwards = run("audit list --oldest-first -o name")[0].split()
    assert forwards[::-1] == run("audit list -o name")[0].split()


def test_tail_shows_the_last_records_as_lines(run: Run, denied: EmbeddedServer) -> None:
    out, _ = run("audit tail --last 3 --limit 3")
    newest = json.loads(run("audit list --limit 3 -o json")[0])
    assert [line.split()[0] for line in out.splitlines()] == [row["event_time"] for row in newest[::-1]]
    assert len(run("audit tail --last 2 --limit 2 -o jsonl")[0].splitlines()) == 2


def test_tail_shows_what_is_done_while_it_asks_again(run: Run, denied: EmbeddedServer) -> None:
    """With every filter on the command line, and from the second time it asks on."""
    admin, name = denied.client(), f"tailed-{monotonic()}@example.com"
    later = Timer(0.5, lambda: admin.users.create(name))
    later.start()
    out, _ = run(
        "audit tail --last 1 --limit 2 --interval 0.1 --since 1h --until 2099-01-01 --actor admin@example.com --subject '' "
        "--action user.create --type user --outcome done -o jsonl"
    )
    later.join()
    assert [json.loads(line)["object_name"] == name for line in out.splitlines()] == [False, True]


def test_tail_from_a_time_to_a_time_shows_no_more_and_ends(run: Run, denied: EmbeddedServer) -> None:
    everything = run("audit list --oldest-first -o name")[0].split()
    assert run("audit tail --since 2001-01-01 --until 2001-01-02 -o name")[0] == ""
    assert run("audit tail --last 1000 --until 11s -o name")[0].split() == [
        name for name in everything if name in run("audit list --until 11s -o name")[0]
    ]
    assert run("audit tail --since 2099-01-01 --until 2001-01-01 -o name")[0] == ""


def test_head_can_be_kept_and_verified_against(run: Run, denied: EmbeddedServer) -> None:
    kept = run("audit head -o name")[0].strip()
    assert AuditHead.parse(kept) == denied.client().audit.head()
    assert f"head {kept}" in run(f"audit verify --head {kept}")[1]
    assert "is no head" in run("audit verify --head 12", exits=2)[1]


def test_verify_finds_an_edited_record_and_exits_with_1(run: Run, denied: EmbeddedServer) -> None:
    def spoil(outcome: str) -> None:
        with denied.app.database.transaction(deadline=monotonic() + 10) as connection:
            connection.execute(text(f"UPDATE audit_log SET outcome = '{outcome}' WHERE sequence = 2"))
            connection.commit()

    assert run("audit verify")[0] == ""
    assert json.loads(run("audit verify -o json")[0]) == []
    spoil("FORGED")
    try:
        out, err = run("audit verify -o json", exits=1)
    finally:
        spoil("DONE")
    assert json.loads(out) == [{"sequence": 2, "problem": "the record does not match its hash"}]
    assert "broken in 1 place\n" in err
    run("audit verify")


def test_replay_finds_a_verdict_that_was_changed_and_exits_with_1(run: Run, denied: EmbeddedServer) -> None:
    def spoil(old: str, new: str) -> None:
        with denied.app.database.transaction(deadline=monotonic() + 10) as connection:
            connection.execute(
                text(
                    f"UPDATE decision_log SET outcome = '{new}' WHERE outcome = '{old}' AND privilege IS NOT NULL"
                )
            )
            connection.commit()

    assert "0 came out otherwise" in run("audit replay --since 1h")[1]
    spoil("DENIED", "ALLOWED")
    try:
        rows = json.loads(run("audit replay -o json", exits=1)[0])
    finally:
        spoil("ALLOWED", "DENIED")
    assert {row["problem"] for row in rows} == {"logged as ALLOWED, decided again it is DENIED"}


def test_replay_after_listing_what_does_not_exist_finds_nothing(run: Run, denied: EmbeddedServer) -> None:
    run("ls nope", exits=3)
    run("explain admin@example.com SELECT catalog nope", exits=3)
    denied.app.decisions.flush()
    assert "schema.list" in run("audit list --action schema.list --outcome denied")[0]
    assert "0 came out otherwise" in run("audit replay")[1]


def test_exported_lines_and_parquet_hold_the_same_rows(
    run: Run, denied: EmbeddedServer, tmp_path: Path
) -> None:
    lines, parquet = tmp_path / "audit.jsonl", tmp_path / "audit.parquet"
    until = datetime.now(UTC).isoformat()
    assert "records in" in run(f"audit export --output {lines} --until {until}")[1]
    run(f"audit export --format parquet --output {parquet} --until {until}")
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    table = pq.read_table(parquet)
    assert table.column_names == COLUMNS
    assert [list(row) for row in rows] == [COLUMNS] * len(rows)
    read = table.to_pylist()
    assert [row["event_id"] for row in rows] == [row["event_id"] for row in read]
    assert [row["event_id"] for row in rows] == run(f"audit list --oldest-first --until {until} -o name")[
        0
    ].split()
    for line, row in zip(rows, read, strict=True):
        assert datetime.fromisoformat(line["event_time"]) == row["event_time"]
        assert date.fromisoformat(line["event_date"]) == row["event_date"]
        assert line["request_params"] == dict(row["request_params"])
        plain = ("event_time", "event_date", "request_params")
        assert {k: v for k, v in line.items() if k not in plain} == {
            k: v for k, v in row.items() if k not in plain
        }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit.jsonl", "audit.parquet"]


def test_check_answers_as_of_a_revision_and_of_a_time(run: Run, denied: EmbeddedServer) -> None:
    admin = denied.client()
    question = "check bob@example.com 'CREATE CATALOG' metastore metastore"
    admin.session.get()
    before = admin.revision
    admin.grants.grant("CREATE CATALOG", "metastore", "metastore", "bob@example.com")
    admin.session.get()
    run(f"{question} --as-of {before}", exits=1)
    assert "ALLOW" in run(f"{question} --as-of {admin.revision.rpartition(':')[2]}")[0]
    assert "ALLOW" in run(f"{question} --as-of 0s")[0]
    assert "HISTORY_UNAVAILABLE" in run(f"{question} --as-of 2001-01-01", exits=5)[1]
    assert "no time" in run(f"{question} --as-of once", exits=2)[1]
    admin.grants.revoke("CREATE CATALOG", "metastore", "metastore", "bob@example.com")


def test_file_that_cannot_be_written_is_a_wrong_argument(run: Run, tmp_path: Path) -> None:
    assert "cannot be written" in run(f"audit export --output {tmp_path}/no/such", exits=2)[1]


def test_row_says_who_ran_as_whom_and_how_it_ended() -> None:
    record = audit_pb2.AuditRecord(
        event_id="decision/1", actor="engine", subject="bob@example.com", workspace_id="w", request_id="r",
        method="lakewarden.v1.AuthorizationService/BatchCheck", operation="authorization.check", object_kind="TABLE",
        object_id="t", object_name="a.b.c", privilege="SELECT", outcome="DENIED", reason="no USE SCHEMA", revision=7,
    )  # fmt: skip
    record.event_time.FromDatetime(datetime(2026, 11, 26, 23, 59, 59, 5, UTC))
    row: dict[str, Any] = row_of(record)
    assert (row["event_time"], row["event_date"]) == ("2026-11-26T23:59:59.000005Z", "2026-11-26")
    assert row["user_identity"] == {"email": "engine", "subject_name": "bob@example.com"}
    assert row["identity_metadata"] == {
        "run_by": "engine",
        "run_as": "bob@example.com",
        "acting_resource": None,
    }
    assert (row["action_name"], row["audit_level"], row["workspace_id"]) == (
        "batchCheck",
        "WORKSPACE_LEVEL",
        "w",
    )
    assert row["response"] == {"status_code": 403, "error_message": "no USE SCHEMA", "result": "DENIED"}
    assert row["request_params"]["full_name_arg"] == "a.b.c"
    unplaced = row_of(audit_pb2.AuditRecord(method="lakewarden-server init", outcome="DONE"))
    assert (unplaced["workspace_id"], unplaced["audit_level"]) == ("0", "ACCOUNT_LEVEL")
    assert (unplaced["action_name"], unplaced["response"]["status_code"]) == ("lakewarden-server init", 200)


def test_parquet_without_pyarrow_says_which_extra_to_install(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; sys.modules['pyarrow'] = None\n"
        "from lakewarden._audit_export import export\n"
        f"export([], pathlib.Path({str(tmp_path / 'x')!r}), file_format='parquet')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "pip install 'lakewarden[audit]'" in done.stderr
    assert "ConfigurationError" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_time_without_a_zone_and_unknown_outcome_are_refused_before_anything_is_sent(
    denied: EmbeddedServer,
) -> None:
    audit = denied.client().audit
    with pytest.raises(InvalidArgument, match=r"no time zone: .*aware datetime"):
        list(audit.list(since=datetime(2026, 11, 26)))
    for ask in (audit.list, audit.follow):
        with pytest.raises(InvalidArgument, match=r"'7d' is no time: .*aware datetime"):
            next(ask(since="7d"))
    with pytest.raises(InvalidArgument, match="aware datetime"):
        audit.replay(since="7d")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="DONE, ALLOWED, DENIED"):
        list(audit.list(outcome="MAYBE"))
