"""A system table is read in batches of a bounded size, each as the caller's rights are then, and what is asked wrongly is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

import duckdb
from lakewarden import InvalidArgument, NotFound, PermissionDenied
from lakewarden._system_tables import SystemTables
from lakewarden.cli import main
from lakewarden.v1 import system_tables_pb2, system_tables_pb2_grpc
from lakewarden_server.services.system_tables import service
from lakewarden_server.testing import EmbeddedServer, serve

TABLES = "system.information_schema.tables"
COLUMNS = "system.information_schema.columns"
TABLES_MAX = 105
COLUMNS_MAX = 7


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    """More tables than are looked up together, each with a few columns."""
    with serve() as found:
        admin = found.client()
        admin.catalogs.create("main")
        admin.schemas.create("main.s")
        columns = [{"name": f"c{number}", "type_text": "INT"} for number in range(COLUMNS_MAX)]
        for number in range(TABLES_MAX):
            admin.tables.create(f"main.s.t{number:03}", columns=columns, comment="x" * 100)
        yield found


def test_a_big_table_comes_in_batches_that_are_whole_together(server: EmbeddedServer) -> None:
    tables = SystemTables(server.client()._connection)
    for rows in (1, 50, 500):
        _, batches = tables.batches(COLUMNS, batch_rows=rows, columns=["table_name", "column_name"])
        sizes, seen = [], []
        for batch in batches:
            sizes.append(batch.num_rows)
            seen += [(row["table_name"], row["column_name"]) for row in batch.to_pylist()]
            if rows == 1 and len(sizes) == 10:
                break
        wanted = [(f"t{table:03}", f"c{c}") for table in range(TABLES_MAX) for c in range(COLUMNS_MAX)]
        assert seen == wanted[: len(seen)]
        assert max(sizes) == rows
        assert len(seen) == (10 if rows == 1 else TABLES_MAX * COLUMNS_MAX)


def test_a_batch_ends_at_its_bytes_and_at_its_time(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "BATCH_BYTES_MAX", 2_000)
    _, batches = SystemTables(server.client()._connection).batches(TABLES)
    sizes = [batch.num_rows for batch in batches]
    assert sum(sizes) == TABLES_MAX
    assert max(sizes) < 20
    monkeypatch.setattr(service, "BATCH_SECONDS_MAX", 0.0)
    _, batches = SystemTables(server.client()._connection).batches(TABLES)
    assert [batch.num_rows for batch in batches] == [1] * TABLES_MAX + [0]


def test_a_limit_ends_the_reading(server: EmbeddedServer) -> None:
    assert server.client().system_table(TABLES, limit=3).num_rows == 3
    _, batches = SystemTables(server.client()._connection).batches(TABLES, limit=25, batch_rows=10)
    assert [batch.num_rows for batch in batches] == [10, 10, 5]


def test_a_revoke_between_two_batches_ends_what_is_shown(server: EmbeddedServer) -> None:
    admin, reader = server.client(), server.client_as("reader")
    admin.grants.grant("BROWSE", "catalog", "main", "reader@example.com")
    _, batches = SystemTables(reader._connection).batches(TABLES, batch_rows=10)
    assert next(batches).num_rows == 10
    admin.grants.revoke("BROWSE", "catalog", "main", "reader@example.com")
    assert [batch.num_rows for batch in batches] == [0]


def test_a_page_token_is_of_one_reading_and_one_caller(server: EmbeddedServer) -> None:
    admin, reader = server.client(), server.client_as("other")
    stub = system_tables_pb2_grpc.SystemTableServiceStub(admin._connection.open_channel)

    def read(client: object = admin, **fields: object) -> system_tables_pb2.ReadSystemTableResponse:
        request = system_tables_pb2.ReadSystemTableRequest(full_name=TABLES, page_size=10, **fields)  # type: ignore[arg-type]
        return client._connection.call(stub.ReadSystemTable, request)  # type: ignore[attr-defined, no-any-return]

    token = read().next_page_token
    assert read(page_token=token).next_page_token
    for wrong in ({"page_token": token, "columns": ["table_name"]}, {"page_token": token[:-4]}):
        with pytest.raises(InvalidArgument, match="page token"):
            read(**wrong)
    with pytest.raises(InvalidArgument, match="page token"):
        read(reader, page_token=token)


def test_what_is_asked_wrongly_is_refused_with_what_to_ask(server: EmbeddedServer) -> None:
    admin = server.client()
    with pytest.raises(NotFound, match=r"did you mean system\.information_schema\.tables"):
        admin.system_table("system.information_schema.table")
    with pytest.raises(NotFound, match=r"did you mean main\.information_schema\.columns"):
        admin.system_table("main.information_schema.column")
    with pytest.raises(NotFound, match="ListSystemTables"):
        admin.system_table("x")
    with pytest.raises(NotFound):
        admin.system_table("main.information_schema.metastores")
    with pytest.raises(NotFound, match=r"did you mean system\.access\.audit"):
        admin.system_table("system.access.audits")
    for absent in ("system.access.nothing", "main.access.audit", "none.access.audit"):
        with pytest.raises(NotFound, match=f"there is no system table {absent}"):
            admin.system_table(absent)
    with pytest.raises(InvalidArgument, match="no column 'nothing', but table_catalog"):
        admin.system_table(TABLES, columns=["nothing"])
    with pytest.raises(InvalidArgument, match="named twice"):
        admin.system_table(TABLES, columns=["table_name", "table_name"])
    with pytest.raises(InvalidArgument, match="created is no text"):
        admin.system_table(TABLES, equal_to={"created": "2026"})
    with pytest.raises(InvalidArgument, match="no event_time"):
        admin.system_table(TABLES, since=datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(InvalidArgument, match="longer than"):
        admin.system_table(TABLES, equal_to={"table_name": "x" * 2_000})


def test_who_does_not_work_in_the_workspace_reads_nothing(server: EmbeddedServer) -> None:
    server.client().users.create("outside@example.com")
    outside = server.client(server.issue_token("outside@example.com"))
    with pytest.raises(PermissionDenied):
        outside.system_table(TABLES)
    with pytest.raises(InvalidArgument, match="works inside a workspace"):
        server.client(workspace="").system_table(TABLES)


def test_the_names_of_tables_in_any_spelling(server: EmbeddedServer) -> None:
    assert server.client().system_table("SYSTEM.Information_Schema.TABLES", limit=1).num_rows == 1
    assert server.client().system_table("MAIN.information_schema.tables", limit=1).num_rows == 1


@pytest.fixture
def command(server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch) -> EmbeddedServer:
    monkeypatch.setenv("LAKEWARDEN_ENDPOINT", server.endpoint)
    monkeypatch.setenv("LAKEWARDEN_TOKEN", server.admin_token)
    monkeypatch.setenv("LAKEWARDEN_WORKSPACE", server.workspace or "")
    return server


@pytest.mark.parametrize("suffix", ["parquet", "csv", "arrow"])
def test_an_exported_file_is_read_back_whole(command: EmbeddedServer, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"tables.{suffix}"
    assert main(["system-table", "read", TABLES, "--export", str(path)]) == 0
    assert [found.name for found in tmp_path.iterdir()] == [path.name]
    if suffix == "arrow":
        import pyarrow as pa

        with pa.ipc.open_file(path) as file:
            assert file.read_all().num_rows == TABLES_MAX
        return
    found = duckdb.execute(
        f"SELECT count(*), min(table_name), max(table_name), typeof(any_value(created)) FROM '{path}'"
    ).fetchone()
    assert found == (TABLES_MAX, "t000", f"t{TABLES_MAX - 1:03}", "TIMESTAMP WITH TIME ZONE")


def test_the_command_prints_tables_json_and_csv(
    command: EmbeddedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--limit", "2", "--column", "table_name", "--column", "table_type", "--where", "table_schema=s"]
    assert main(["system-table", "read", TABLES, *asked]) == 0
    assert capsys.readouterr().out.split() == [
        "TABLE",
        "NAME",
        "TABLE",
        "TYPE",
        "t000",
        "MANAGED",
        "t001",
        "MANAGED",
    ]
    assert main(["system-table", "read", TABLES, *asked, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)[1] == {"table_name": "t001", "table_type": "MANAGED"}
    assert main(["system-table", "list", "-o", "name"]) == 0
    assert TABLES in capsys.readouterr().out.split()


def test_times_are_printed_and_exported_as_elsewhere_in_utc_with_a_z(
    command: EmbeddedServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    asked = ["system-table", "read", TABLES, "--limit", "1", "--column", "created"]
    spelled = command.client().tables.get("main.s.t000").create_time.ToJsonString()
    assert spelled.endswith("Z")
    assert main([*asked, "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"created": spelled}]
    assert main(asked) == 0
    assert capsys.readouterr().out.splitlines()[1] == spelled
    assert main([*asked, "--format", "csv"]) == 0
    assert capsys.readouterr().out.splitlines()[1].strip('"') == spelled
    assert main([*asked, "--export", str(tmp_path / "times.csv")]) == 0
    assert (tmp_path / "times.csv").read_text().splitlines()[1].strip('"') == spelled


def test_the_command_says_what_is_wrong(
    command: EmbeddedServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["system-table", "read", "main.information_schema.tabels"]) == 3
    assert "did you mean main.information_schema.tables" in capsys.readouterr().err
    assert main(["system-table", "read", TABLES, "--export", str(tmp_path / "x.txt")]) == 2
    assert main(["system-table", "read", TABLES, "--where", "table_name"]) == 2
    assert "COLUMN=VALUE" in capsys.readouterr().err
