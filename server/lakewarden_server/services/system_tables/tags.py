"""What is tagged: the tables of `information_schema` about tags (semantics 7.2, 8.4), told to whoever sees the object."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from lakewarden_policy.kinds import RELATIONS
from lakewarden_policy.records import Securable as Record
from lakewarden_server.entities import Securable, Tag
from lakewarden_server.services.system_tables.information_schema import Named, alone, name_of, schema_of
from lakewarden_server.services.system_tables.reading import Key, Part, Reading, Row, Source, each
from lakewarden_server.services.tags import column_names
from lakewarden_server.storage.repositories import tags as tag_rows

_RELATIONS: Final = tuple(sorted(RELATIONS))


def _in_schema(column: str) -> Named:
    """Names of an object of a schema, its own in that column."""

    def named(reading: Reading, record: Record) -> Row:
        name = name_of(reading, record)
        return {"catalog_name": name.catalog, "schema_name": name.schema, column: name.name}

    return named


_table: Final = _in_schema("table_name")


def _pair(tag: Tag) -> Row:
    return {"tag_name": tag.key, "tag_value": tag.value}


def _tags(named: Named, *kinds: str) -> Source:
    """The tags of each object itself."""

    def parts(reading: Reading, chunk: Mapping[Key, Record]) -> Iterator[Part]:
        tags = tag_rows.of_objects(reading.call.uow.session, [record.id for record in chunk.values()])
        for key, record in chunk.items():
            of_object = tags.get(record.id, ())
            yield Part(key, [named(reading, record) | _pair(tag) for tag in of_object])

    return each(*kinds)(parts)


@each(*_RELATIONS)
def _column_tags(reading: Reading, chunk: Mapping[Key, Record]) -> Iterator[Part]:
    ids = [record.id for record in chunk.values()]
    tagged = tag_rows.with_tagged_columns(reading.call.uow.session, ids)
    for key, record in chunk.items():
        yield Part(key, _of_columns(reading, record) if record.id in tagged else ())


def _of_columns(reading: Reading, record: Record) -> Iterator[Row]:
    """One relation at a time: its columns may have ten thousand tags."""
    tags = tag_rows.of_columns(reading.call.uow.session, record.id)
    relation = reading.call.row(Securable, record.id)
    names = column_names(reading.call, relation, {tag.column_key for tag in tags})
    name = _table(reading, record)
    yield from (name | {"column_name": names[tag.column_key]} | _pair(tag) for tag in tags)


SOURCES: Final[dict[str, Source]] = {
    "catalog_tags": _tags(alone("catalog_name"), "CATALOG"),
    "schema_tags": _tags(schema_of, "SCHEMA"),
    "table_tags": _tags(_table, *_RELATIONS),
    "column_tags": _column_tags,
    "volume_tags": _tags(_in_schema("volume_name"), "VOLUME"),
}
