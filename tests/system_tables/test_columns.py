"""Each system table has exactly the documented columns in the documented order, whoever reads it and whatever there is."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest

from lakewarden._system_tables import SystemColumn
from lakewarden_server.testing import EmbeddedServer, serve
from system_tables.documented import DOCUMENTED


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedServer]:
    with serve() as found:
        yield found


def _documented(name: str) -> list[str]:
    return DOCUMENTED[name].split(", ")


def test_there_are_the_documented_tables_and_no_others(server: EmbeddedServer) -> None:
    listed = {
        table.full_name: [column.name for column in table.columns]
        for table in server.client().system_tables()
    }
    assert listed == {name: _documented(name) for name in DOCUMENTED}


@pytest.mark.parametrize("name", sorted(DOCUMENTED))
def test_a_table_without_rows_has_its_columns(server: EmbeddedServer, name: str) -> None:
    # The audit is for admins; each of them reads it.
    client = server.client() if name.endswith("audit") else server.client_as("nobody")
    found = client.system_table(name, limit=1)
    assert found.schema.names == _documented(name)


def test_types_are_those_arrow_has_for_it(server: EmbeddedServer) -> None:
    schema = server.client().system_table("system.information_schema.columns", limit=1).schema
    assert schema.field("ordinal_position").type == pa.int32()
    assert schema.field("character_maximum_length").type == pa.int64()
    tables = server.client().system_table("system.information_schema.tables").schema
    assert tables.field("created").type == pa.timestamp("us", tz="UTC")
    assert tables.field("table_name").type == pa.string()
    lineage = {column.name: column.type_text for column in _listed(server, "system.access.table_lineage")}
    assert (lineage["event_time"], lineage["event_date"]) == ("TIMESTAMP", "DATE")
    assert lineage["entity_metadata"] == (
        "STRUCT<job_info: STRUCT<job_id: STRING, job_run_id: STRING>, dashboard_id: STRING, legacy_dashboard_id: STRING,"
        " notebook_id: STRING, sql_query_id: STRING, dlt_pipeline_info: STRUCT<dlt_pipeline_id: STRING, dlt_update_id: STRING>>"
    )
    audit = {column.name: column.type_text for column in _listed(server, "system.access.audit")}
    assert audit["user_identity"] == "STRUCT<email: STRING, subject_name: STRING>"
    assert audit["request_params"] == "MAP<STRING, STRING>"
    assert audit["response"] == "STRUCT<status_code: INT, error_message: STRING, result: STRING>"


def _listed(server: EmbeddedServer, name: str) -> tuple[SystemColumn, ...]:
    return next(table.columns for table in server.client().system_tables() if table.full_name == name)
