"""Who was granted what, and what guards tables: the tables of `information_schema` about privileges, filters and masks (semantics 8.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from lakewarden_policy import ACCOUNT_ID
from lakewarden_policy.effective import listed_privileges
from lakewarden_policy.kinds import RELATIONS
from lakewarden_policy.records import Securable as Record
from lakewarden_server.entities import Grant
from lakewarden_server.services import row_policies
from lakewarden_server.services.grants import is_expired, sees_all
from lakewarden_server.services.system_tables.information_schema import Named, alone, name_of, schema_of
from lakewarden_server.services.system_tables.reading import Key, Part, Reading, Row, Source, each
from lakewarden_server.storage.repositories import columns as column_rows
from lakewarden_server.storage.repositories import grants, table_policies

DIRECT: Final = "NONE"
"""`inherited_from` of a grant on the object itself."""
NOT_GRANTABLE: Final = "NO"
_RELATIONS: Final = tuple(sorted(RELATIONS))


def _three(*prefixes: str) -> Named:
    def named(reading: Reading, record: Record) -> Row:
        name = name_of(reading, record)
        return {column: value for prefix in prefixes for column, value in name.columns(prefix).items()}

    return named


def _privileges(named: Named, *kinds: str) -> Source:
    """Direct grants on each object and those that what it is in passes down to it."""

    def parts(reading: Reading, chunk: Mapping[Key, Record]) -> Iterator[Part]:
        granting = _Granting(reading, chunk)
        for key, record in chunk.items():
            name = named(reading, record)
            yield Part(key, [name | row for row in granting.rows(record)])

    return each(*kinds)(parts)


class _Granting:
    """The grants on the objects of a chunk and on their containers, as far as the caller is shown them (`grants.sees_all`)."""

    def __init__(self, reading: Reading, chunk: Mapping[Key, Record]) -> None:
        self._call = reading.call
        snapshot = reading.call.snapshot
        self._places = {record.id: (record.id, *snapshot.ancestors(record.id)) for record in chunk.values()}
        wanted = {place for places in self._places.values() for place in places if place != ACCOUNT_ID}
        self._grants = grants.of_securables(reading.call.uow.session, sorted(wanted))
        self._shown: dict[str, list[Grant]] = {}
        self._listed: dict[str, frozenset[str]] = {}

    def rows(self, record: Record) -> Iterator[Row]:
        """One for each grant, those on the object itself first."""
        for place in self._places[record.id]:
            kind = self._call.snapshot.securables[place].kind
            for grant in self._shown_on(place):
                if place == record.id or self._passes_down(kind, record.kind, grant.privilege):
                    yield {
                        "grantor": self._call.principal_name(grant.granted_by),
                        "grantee": self._call.principal_name(grant.principal_id),
                        "privilege_type": grant.privilege,
                        "is_grantable": NOT_GRANTABLE,
                        "inherited_from": DIRECT if place == record.id else kind,
                    }

    def _shown_on(self, place: str) -> list[Grant]:
        shown = self._shown.get(place)
        if shown is None:
            call = self._call
            principals = call.snapshot.principals
            living = [
                grant
                for grant in self._grants.get(place, ())
                if grant.principal_id in principals and not is_expired(grant, call)
            ]
            if living and not sees_all(call, place):
                own = call.snapshot.closure(call.caller.id)
                living = [grant for grant in living if grant.principal_id in own]
            shown = self._shown[place] = living
        return shown

    def _passes_down(self, container: str, kind: str, privilege: str) -> bool:
        """Whether a privilege on a container is one of the objects in it under the same name."""
        policy = self._call.decider.policy
        if kind not in self._listed:
            self._listed[kind] = frozenset(listed_privileges(policy, kind))
        return privilege in self._listed[kind] and f"{kind}:{privilege}" in policy.inside.get(
            f"{container}:{privilege}", frozenset()
        )


def _metastore_privileges(reading: Reading) -> Iterator[Part]:
    call = reading.call
    record = call.snapshot.securables.get(call.metastore_id or "")
    if (
        reading.after
        or record is None
        or not call.decider.visible(call.caller.id, call.workspace_id, record.id)
    ):
        return
    key = (record.name_key,)
    yield Part(
        key, [{"metastore_id": record.id} | row for row in _Granting(reading, {key: record}).rows(record)]
    )


@each(*_RELATIONS)
def _row_filters(reading: Reading, chunk: Mapping[Key, Record]) -> Iterator[Part]:
    """That a table has a filter, with its function for who may see that."""
    ids = [record.id for record in chunk.values()]
    filters = table_policies.filters_of(reading.call.uow.session, ids)
    for key, record in chunk.items():
        if record.id in filters:
            shown = row_policies.filter_message(filters[record.id], reading.call)
            about = {"filter_name": shown.function, "target_columns": ", ".join(shown.columns)}
            yield Part(key, [name_of(reading, record).columns("table") | about])


@each(*_RELATIONS)
def _column_masks(reading: Reading, chunk: Mapping[Key, Record]) -> Iterator[Part]:
    session = reading.call.uow.session
    ids = [record.id for record in chunk.values()]
    masks = table_policies.masks_of(session, ids)
    columns = column_rows.of_tables(session, sorted({table for table, _ in masks}))
    for key, record in chunk.items():
        name = name_of(reading, record).columns("table")
        rows = []
        for column in columns.get(record.id, ()):
            mask = masks.get((record.id, column.name_key))
            if mask is not None:
                shown = row_policies.mask_message(mask, reading.call)
                about = {"mask_name": shown.function, "using_columns": ", ".join(shown.using_columns)}
                rows.append({**name, "column_name": column.name, **about})
        yield Part(key, rows)


_NAMED_ALONE: Final = ("EXTERNAL_LOCATION", "STORAGE_CREDENTIAL", "CONNECTION")

SOURCES: Final[dict[str, Source]] = {
    "catalog_privileges": _privileges(alone("catalog_name"), "CATALOG"),
    "schema_privileges": _privileges(schema_of, "SCHEMA"),
    "table_privileges": _privileges(_three("table"), *_RELATIONS),
    "volume_privileges": _privileges(_three("volume"), "VOLUME"),
    "routine_privileges": _privileges(_three("specific", "routine"), "FUNCTION"),
    "metastore_privileges": _metastore_privileges,
    **{
        f"{kind.lower()}_privileges": _privileges(alone(f"{kind.lower()}_name"), kind)
        for kind in _NAMED_ALONE
    },
    "row_filters": _row_filters,
    "column_masks": _column_masks,
}
