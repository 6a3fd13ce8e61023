"""What there is: the tables of `information_schema` about objects (semantics 8.4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from lakewarden_policy.kinds import RELATIONS
from lakewarden_policy.records import Securable as Record
from lakewarden_server import entities
from lakewarden_server.entities import Securable
from lakewarden_server.services.definitions import type_name_of
from lakewarden_server.services.securables import full_name
from lakewarden_server.services.system_tables.columns import SYSTEM
from lakewarden_server.services.system_tables.reading import Key, Part, Reading, Row, Source, each
from lakewarden_server.storage.repositories import columns as column_rows
from lakewarden_server.storage.repositories import securables

Kind = TypeVar("Kind", bound=Securable)
Named = Callable[[Reading, Record], Row]
"""Makes the columns that name an object."""

_CLASSES: Final[Mapping[str, type[Securable]]] = {
    "TABLE": entities.Table,
    "VIEW": entities.View,
    "MATERIALIZED_VIEW": entities.MaterializedView,
    "STREAMING_TABLE": entities.StreamingTable,
}
_RELATIONS: Final = tuple(sorted(RELATIONS))
_DEFINED: Final = ("MATERIALIZED_VIEW", "VIEW")
_DECIMAL: Final = re.compile(r"\s*(\d+)\s*(?:,\s*(\d+)\s*)?")
_BITS: Final = {
    "TINYINT": 8, "SMALLINT": 16, "INT": 32, "INTEGER": 32, "BIGINT": 64, "LONG": 64, "FLOAT": 32, "REAL": 32, "DOUBLE": 64,
}  # fmt: skip
_FLOATING: Final = frozenset({"FLOAT", "REAL", "DOUBLE"})


class Name(NamedTuple):
    """A full name of three parts."""

    catalog: str
    schema: str
    name: str

    def columns(self, prefix: str) -> Row:
        """As the columns `<prefix>_catalog`, `<prefix>_schema` and `<prefix>_name`."""
        return {
            f"{prefix}_catalog": self.catalog,
            f"{prefix}_schema": self.schema,
            f"{prefix}_name": self.name,
        }


def name_of(reading: Reading, record: Record) -> Name:
    """The name an object of a schema has today."""
    securables = reading.call.snapshot.securables
    schema = securables[record.parent_id or ""]
    return Name(securables[schema.parent_id or ""].name, schema.name, record.name)


def alone(column: str) -> Named:
    """The name of an object that is in nothing, in that column."""
    return lambda reading, record: {column: record.name}


def schema_of(reading: Reading, record: Record) -> Row:
    """The name a schema has today."""
    catalog = reading.call.snapshot.securables[record.parent_id or ""]
    return {"catalog_name": catalog.name, "schema_name": record.name}


def entities_of(reading: Reading, entity: type[Kind], records: Sequence[Record]) -> dict[str, Kind]:
    """Their rows by id. Raises `SnapshotBehind` when some are gone."""
    found = securables.by_ids(reading.call.uow.session, entity, [record.id for record in records])
    return {row.id: row for row in reading.call.rows(found, expected=len(records))}


def relations_of(reading: Reading, chunk: Mapping[Key, Record]) -> dict[str, Any]:
    """Rows of tables and of whatever is read like one, by id."""
    found: dict[str, Any] = {}
    for kind, entity in _CLASSES.items():
        of_kind = [record for record in chunk.values() if record.kind == kind]
        if of_kind:
            found |= entities_of(reading, entity, of_kind)
    return found


def changed(reading: Reading, row: Any) -> Row:
    """Who made something and changed it last."""
    call = reading.call
    return {
        "comment": row.comment,
        "created": row.create_time,
        "created_by": call.principal_name(row.created_by),
        "last_altered": row.update_time,
        "last_altered_by": call.principal_name(row.updated_by),
    }


def _owner(reading: Reading, row: Any) -> str:
    return reading.call.principal_name(row.owner_id)


@each("CATALOG")
def _catalogs(reading: Reading, chunk: Mapping[Key, Record]) -> Iterator[Part]:
    rows = entities_of(reading, entities.Catalog, list(chunk.values()))
    for key, record in chunk.items():
        row = rows[record.id]
        named = {"catalog_name": row.name, "catalog_owner": _owner(reading, row), "url": row.storage_root}
        yield Part(key, [named | changed(reading, row)])


def _catalog_name(reading: Reading) -> Iterator[Part]:
    """The one catalog the schema belongs to, where the caller sees it."""
    if reading.after:
        return
    if reading.catalog is None:
        yield Part((SYSTEM,), [{"catalog_name": SYSTEM}])
        return
    for chunk in reading.visible("CATALOG"):
        yield from (Part(key, [{"catalog_name": record.name}]) for key, record in chunk)


@each("SCHEMA")
def _schemata(reading: Reading, chunk: Mapping[Key, Record]) -> Iterator[Part]:
    rows = entities_of(reading, entities.Schema, list(chunk.values()))
    for key, record in chunk.items():
        row = rows[record.id]
        about = {"schema_owner": _owner(reading, row), "url": row.storage_root}
        yield Part(key, [schema_of(reading, record) | about | changed(reading, row)])


@each(*_RELATIONS)
def _tables(reading: Reading, chunk: Mapping[Key, Record]) -> Iterator[Part]:
    rows = relations_of(reading, chunk)
    for key, record in chunk.items():
        row, is_table = rows[record.id], record.kind == "TABLE"
        about = {
            "table_type": row.table_type if is_table else record.kind,
            "is_insertable_into": "YES" if is_table else "NO",
            "commit_action": "PRESERVE",
            "table_owner": _owner(reading, row),
            "data_source_format": row.data_source_format if is_table else None,
            "storage_path": row.storage_location if is_table else None,
        }
        yield Part(key, [name_of(reading, record).columns("table") | about | changed(reading, row)])


@each(*_RELATIONS)
def _columns(reading: Reading, chunk: Mapping[Key, Record]) -> Iterator[Part]:
    tables = [record.id for record in chunk.values() if record.kind == "TABLE"]
    columns = column_rows.of_tables(reading.call.uow.session, tables)
    defined = {key: record for key, record in chunk.items() if record.kind != "TABLE"}
    rows = relations_of(reading, defined)
    for key, record in chunk.items():
        name = name_of(reading, record).columns("table")
        if key in defined:
            told = [
                _of_definition(position, column) for position, column in enumerate(rows[record.id].columns)
            ]
        else:
            told = [_of_table(column) for column in columns.get(record.id, ())]
        yield Part(key, [name | column for column in told])


def _of_table(column: Any) -> Row:
    return {
        "column_name": column.name,
        "ordinal_position": column.position,
        "is_nullable": "YES" if column.nullable else "NO",
        "is_updatable": "YES",
        "comment": column.comment,
        **typed(column.type_text),
    }


def _of_definition(position: int, column: Mapping[str, Any]) -> Row:
    """Of a view nobody may have said the types; whether a value can be missing is not known."""
    return {
        "column_name": column["name"],
        "ordinal_position": position,
        "is_updatable": "NO",
        "comment": column["comment"],
        **typed(column["type_text"]),
    }


def typed(type_text: str) -> Row:
    """A type, and of a number its precision: digits of a DECIMAL, else bits."""
    name = type_name_of(type_text)
    row: Row = {"full_data_type": type_text, "data_type": name}
    digits = _DECIMAL.fullmatch(type_text.partition("(")[2].rstrip(") "))
    if name in ("DECIMAL", "NUMERIC", "DEC") and digits:
        row |= {"numeric_precision": int(digits[1]), "numeric_precision_radix": 10}
        row["numeric_scale"] = int(digits[2] or 0)
    elif name in _BITS:
        row |= {"numeric_precision": _BITS[name], "numeric_precision_radix": 2}
        row["numeric_scale"] = None if name in _FLOATING else 0
    return row


@each(*_DEFINED)
def _views(reading: Reading, chunk: Mapping[Key, Record]) -> Iterator[Part]:
    rows = relations_of(reading, chunk)
    shown = {kind: _shows_text(reading, kind, "SELECT") for kind in _DEFINED}
    for key, record in chunk.items():
        definition = rows[record.id].definition if shown[record.kind](record) else None
        about = {
            "view_definition": definition,
            "check_option": "NONE",
            "is_updatable": "NO",
            "is_insertable_into": "NO",
            "is_materialized": "YES" if record.kind == "MATERIALIZED_VIEW" else "NO",
        }
        yield Part(key, [name_of(reading, record).columns("table") | about])


def _shows_text(reading: Reading, kind: str, privilege: str) -> Any:
    """Whether the caller is shown the text of a definition, as `defined.shows_definition` says; of a chunk with what containers share."""
    questions = [reading.access(kind, wanted) for wanted in (privilege, "MANAGE")]
    return lambda record: any(question.also(record) for question in questions)


@each("VOLUME")
def _volumes(reading: Reading, chunk: Mapping[Key, Record]) -> Iterator[Part]:
    rows = entities_of(reading, entities.Volume, list(chunk.values()))
    for key, record in chunk.items():
        row = rows[record.id]
        about = {
            "volume_type": row.volume_type,
            "volume_owner": _owner(reading, row),
            "storage_location": row.storage_location,
        }
        yield Part(key, [name_of(reading, record).columns("volume") | about | changed(reading, row)])


@each("FUNCTION")
def _routines(reading: Reading, chunk: Mapping[Key, Record]) -> Iterator[Part]:
    rows = entities_of(reading, entities.Function, list(chunk.values()))
    shows = _shows_text(reading, "FUNCTION", "EXECUTE")
    for key, record in chunk.items():
        row, name = rows[record.id], name_of(reading, record)
        about = {
            **name.columns("specific"),
            **name.columns("routine"),
            "routine_owner": _owner(reading, row),
            "routine_type": "FUNCTION",
            "routine_body": "SQL",
            "routine_definition": row.definition if shows(record) else None,
            **typed(row.return_type_text),
        }
        yield Part(key, [about | changed(reading, row)])


def _metastores(reading: Reading) -> Iterator[Part]:
    """The one the workspace is attached to."""
    call = reading.call
    metastore_id = call.metastore_id or ""
    if reading.after or not call.decider.visible(call.caller.id, call.workspace_id, metastore_id):
        return
    row = call.row(entities.Metastore, metastore_id)
    named = {
        "metastore_id": row.id,
        "metastore_name": full_name(row, call),
        "metastore_owner": _owner(reading, row),
        "region": row.region,
    }
    yield Part((row.name_key,), [named | changed(reading, row)])


SOURCES: Final[dict[str, Source]] = {
    "information_schema_catalog_name": _catalog_name,
    "catalogs": _catalogs,
    "schemata": _schemata,
    "tables": _tables,
    "columns": _columns,
    "views": _views,
    "volumes": _volumes,
    "routines": _routines,
    "metastores": _metastores,
}
