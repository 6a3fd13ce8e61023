"""Columns of a table: given explicitly, as an Arrow schema, or as the text of a CREATE TABLE in several dialects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from lakewarden import Client
from lakewarden.v1 import tables_pb2, tables_pb2_grpc
from lakewarden_server.testing import EmbeddedServer
from services.errors import fails

Fresh = Callable[[str], str]


@pytest.fixture(scope="module")
def home(server: EmbeddedServer) -> str:
    admin = server.client()
    admin.catalogs.create("c")
    admin.schemas.create("c.s")
    return "c.s."


def _shapes(table: tables_pb2.Table) -> list[tuple[int, str, str, str, bool]]:
    return [(c.position, c.name, c.type_text, c.type_name, c.required) for c in table.columns]


def test_explicit_columns_keep_order_case_and_comment(both: EmbeddedServer, fresh: Fresh) -> None:
    admin, catalog = both.client(), fresh("catalog")
    admin.catalogs.create(catalog)
    made = admin.tables.create(
        f"{catalog}.default.t",
        [
            {"name": "Id", "type_text": "bigint", "required": True},
            {"name": "the price", "type_text": "decimal(15,2)", "comment": "in EUR"},
        ],
    )
    assert _shapes(made) == [
        (0, "Id", "bigint", "BIGINT", True),
        (1, "the price", "decimal(15,2)", "DECIMAL", False),
    ]
    assert made.columns[1].comment == "in EUR"
    assert admin.tables.get(f"{catalog}.default.t") == made


def test_arrow_schema_becomes_columns(admin: Client, home: str, fresh: Fresh) -> None:
    schema = pa.schema(
        [
            pa.field("id", pa.int64(), nullable=False, metadata={"comment": "key"}),
            pa.field("price", pa.decimal128(15, 2)),
            pa.field("tags", pa.list_(pa.string())),
            pa.field("place", pa.struct([("x", pa.float64()), ("y", pa.map_(pa.string(), pa.date32()))])),
            pa.field("at", pa.timestamp("us", tz="UTC")),
            pa.field("local", pa.timestamp("us")),
            pa.field("code", pa.dictionary(pa.int8(), pa.string())),
        ]
    )
    made = admin.tables.create(home + fresh("t"), arrow_schema=schema)
    assert [(name, text, required) for _, name, text, _, required in _shapes(made)] == [
        ("id", "BIGINT", True),
        ("price", "DECIMAL(15,2)", False),
        ("tags", "ARRAY<STRING>", False),
        ("place", "STRUCT<x: DOUBLE, y: MAP<STRING, DATE>>", False),
        ("at", "TIMESTAMP", False),
        ("local", "TIMESTAMP_NTZ", False),
        ("code", "STRING", False),
    ]
    assert made.columns[0].comment == "key"


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("", "CREATE TABLE x (id BIGINT NOT NULL, name VARCHAR, price DECIMAL(15,2))"),
        (
            "duckdb",
            "create or replace table a.b.x (id BIGINT primary key, name VARCHAR, price DECIMAL(15,2));",
        ),
        ("spark", "CREATE TABLE x (id BIGINT NOT NULL, name STRING, price DECIMAL(15,2)) USING DELTA"),
        ("trino", "CREATE TABLE x (id bigint NOT NULL, name varchar, price decimal(15,2))"),
        ("postgres", "CREATE TABLE IF NOT EXISTS x (id int8 NOT NULL, name text, price numeric(15,2))"),
        ("snowflake", "CREATE TABLE x (id BIGINT NOT NULL, name VARCHAR, price NUMBER(15,2))"),
        ("bigquery", "CREATE TABLE x (id INT64 NOT NULL, name STRING, price NUMERIC(15,2))"),
        ("mysql", "CREATE TABLE `x` (`id` BIGINT NOT NULL, `name` TEXT NULL, `price` DECIMAL(15,2))"),
        ("SQLITE", "CREATE TABLE x (id BIGINT NOT NULL, name TEXT, price DECIMAL(15,2)) -- the end"),
    ],
)
def test_create_statement_becomes_columns(
    admin: Client, home: str, fresh: Fresh, dialect: str, text: str
) -> None:
    made = admin.tables.create(home + fresh("t"), create_statement=text, dialect=dialect)
    assert [(c.name, c.required) for c in made.columns] == [("id", True), ("name", False), ("price", False)]
    assert "15" in made.columns[2].type_text


HOSTILE = {
    "deep parentheses": "CREATE TABLE x (a INT DEFAULT " + "(" * 10_000 + "1" + ")" * 10_000 + ")",
    "deep type": "CREATE TABLE x (a " + "STRUCT<b " * 5_000 + "INT" + ">" * 5_000 + ")",
    "deep brackets": "CREATE TABLE x (a INT DEFAULT " + "[" * 10_000 + "]" * 10_000 + ")",
    "unclosed": "CREATE TABLE x (" + "(" * 90,
    "two statements": "CREATE TABLE x (a INT); CREATE TABLE y (b INT)",
    "hidden second statement": "CREATE TABLE x (a INT); DROP TABLE y",
    "not a create": "SELECT 1",
    "drop": "DROP TABLE x",
    "create view": "CREATE VIEW x (a) AS SELECT 1",
    "create schema": "CREATE SCHEMA x",
    "as select": "CREATE TABLE x AS SELECT 1 AS a",
    "no columns": "CREATE TABLE x",
    "column without type": "CREATE TABLE x (a)",
    "one column without type": "CREATE TABLE x (a INT, b)",
    "quoted column without type": 'CREATE TABLE x (a INT, "b c", CHECK (a > 1))',
    "duplicate columns": "CREATE TABLE x (a INT, A TEXT)",
    "empty": "",
    "blank": " ; ",
    "comment": "-- CREATE TABLE x (a INT)",
    "no sql": "\u202e nonsense (",
    "long": "CREATE TABLE x (a INT) --" + "x" * 262_144,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_statement_is_refused_and_nothing_is_stored(
    admin: Client, home: str, fresh: Fresh, kind: str
) -> None:
    name = home + fresh("t")
    with fails("DEFINITION_INVALID", "INVALID_ARGUMENT"):
        admin.tables.create(name, create_statement=HOSTILE[kind])
    with fails("OBJECT_NOT_FOUND"):
        admin.tables.get(name)


@pytest.mark.parametrize(
    "columns",
    [
        [{"name": "a", "type_text": "INT"}, {"name": "A", "type_text": "INT"}],
        [{"name": "straße", "type_text": "INT"}, {"name": "STRASSE", "type_text": "INT"}],
        [{"name": "", "type_text": "INT"}],
        [{"name": "x" * 256, "type_text": "INT"}],
        [{"name": "a\nb", "type_text": "INT"}],
        [{"name": "a\u200bb", "type_text": "INT"}],
        [{"name": "a", "type_text": ""}],
        [{"name": "a", "type_text": "  "}],
        [{"name": "a", "type_text": "x" * 4_097}],
        [{"name": f"c{number}", "type_text": "INT"} for number in range(4_097)],
    ],
    ids=[
        "case",
        "folding",
        "empty",
        "long",
        "newline",
        "invisible",
        "untyped",
        "blank type",
        "long type",
        "many",
    ],
)
def test_wrong_columns_are_refused(
    admin: Client, home: str, fresh: Fresh, columns: list[dict[str, Any]]
) -> None:
    with fails("DEFINITION_INVALID", "INVALID_ARGUMENT"):
        admin.tables.create(home + fresh("t"), columns)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"garbage",
        b"\xff" * 1_000,
        b"\x00" * 64,
        pa.schema([("a", pa.int32())]).serialize().to_pybytes()[:40],
    ],
)
def test_bytes_that_are_no_arrow_schema_are_refused(
    admin: Client, home: str, fresh: Fresh, text: bytes
) -> None:
    with fails("DEFINITION_INVALID", "INVALID_ARGUMENT"):
        admin.tables.create(home + fresh("t"), arrow_schema=text)


def test_arrow_type_without_sql_is_refused(admin: Client, home: str, fresh: Fresh) -> None:
    with fails("DEFINITION_INVALID", "INVALID_ARGUMENT", saying="duration"):
        admin.tables.create(home + fresh("t"), arrow_schema=pa.schema([("a", pa.duration("s"))]))


def test_unknown_dialect_is_refused(admin: Client, home: str, fresh: Fresh) -> None:
    with fails("DEFINITION_INVALID", "INVALID_ARGUMENT", saying="klingon"):
        admin.tables.create(home + fresh("t"), create_statement="CREATE TABLE x (a INT)", dialect="klingon")


def test_two_definitions_are_refused_by_the_server_too(server: EmbeddedServer, home: str) -> None:
    """The client refuses them by itself; another client may not."""
    import grpc

    request = tables_pb2.CreateTableRequest(
        parent=home.rstrip("."),
        table={"name": "t", "columns": [{"name": "a", "type_text": "INT"}]},
        create_statement="CREATE TABLE x (a INT)",
    )
    metadata = (("authorization", f"Bearer {server.admin_token}"), ("lakewarden-workspace", "workspace"))
    with grpc.insecure_channel(server.endpoint) as channel, pytest.raises(grpc.RpcError, match="not both"):
        tables_pb2_grpc.TableServiceStub(channel).CreateTable(request, metadata=metadata, timeout=20)


def test_columns_are_replaced_as_a_whole(both: EmbeddedServer, fresh: Fresh) -> None:
    admin, catalog = both.client(), fresh("catalog")
    admin.catalogs.create(catalog)
    name = f"{catalog}.default.t"
    made = admin.tables.create(name, [{"name": "a", "type_text": "INT"}, {"name": "b", "type_text": "INT"}])
    after = admin.tables.update(name, columns=[{"name": "B", "type_text": "TEXT"}])
    assert _shapes(after) == [(0, "B", "TEXT", "TEXT", False)]
    assert (after.id, admin.tables.get(name)) == (made.id, after)
    assert after.etag != made.etag
    with fails("DEFINITION_INVALID"):
        admin.tables.update(name, columns=[{"name": "a", "type_text": "INT"}] * 2)
    assert admin.tables.get(name) == after
    assert list(admin.tables.update(name, columns=[]).columns) == []


def test_list_leaves_columns_out_when_asked(admin: Client, home: str, fresh: Fresh) -> None:
    name = fresh("t")
    admin.tables.create(home + name, [{"name": "a", "type_text": "INT"}])
    full = {table.name: len(table.columns) for table in admin.tables.list("c.s")}
    bare = {table.name: len(table.columns) for table in admin.tables.list("c.s", omit_columns=True)}
    assert (full[name], bare[name]) == (1, 0)


def test_external_table_and_unknown_format_are_refused(admin: Client, home: str, fresh: Fresh) -> None:
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="PARQUET"):
        admin.tables.create(home + fresh("t"), data_source_format="floppy")
    assert admin.tables.create(home + fresh("t")).data_source_format == "DELTA"
    assert (
        admin.tables.create(home + fresh("t"), data_source_format="iceberg").data_source_format == "ICEBERG"
    )
