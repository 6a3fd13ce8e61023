"""What every mapped class shares: naming of constraints, column types that behave alike on both databases,
and the mark that sends a class to the change log.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, LargeBinary, MetaData, Text, inspect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.orm.attributes import flag_modified
from sqlalchemy.types import TypeDecorator

from lakewarden_server.core.errors import Internal, Reason


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time: `timestamptz` on PostgreSQL, fixed-width text on SQLite, so that both sort and compare."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuses a naive time: guessing its zone would shift expiries."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise Internal(Reason.INTERNAL_ERROR, "a time without a zone reached the storage")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """SQLite returns a naive time, PostgreSQL one in the session's zone; both leave here in UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


KeyText = Text().with_variant(Text(collation="C"), "postgresql")
"""Text ordered by code point on both databases; SQLite's default collation is binary already."""

JsonObject = JSON(none_as_null=True)
"""JSON kept as text: PostgreSQL's JSONB would reorder keys and is only worth it where SQL looks inside."""

NAMING_CONVENTION = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}

DEFERRED: dict[str, Any] = {"deferrable": True, "initially": "DEFERRED"}
"""Foreign keys are checked at COMMIT: one flush may then write parents and children in any order."""


class Base(DeclarativeBase):
    """The declarative base: one metadata with named constraints, so that migrations can address them."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text(),
        bytes: LargeBinary(),
        datetime: UtcDateTime(),
    }


class ChangeLogged:
    """Marks an entity whose every change is stamped with its revision and written to the change log."""

    revision: Mapped[int] = mapped_column(BigInteger)

    def change_kind(self) -> str:
        """The `kind` its change-log rows carry."""
        raise NotImplementedError

    def change_id(self) -> str:
        """The `object_id` its change-log rows carry: its primary key, joined by `/` when it has several parts."""
        return "/".join(str(part) for part in inspect(self).mapper.primary_key_from_instance(self))


class Stamped(ChangeLogged):
    """Adds who made and last changed the entity; the unit of work fills these in, services never do."""

    create_time: Mapped[datetime]
    created_by: Mapped[str]
    update_time: Mapped[datetime]
    updated_by: Mapped[str]


def touch(entity: ChangeLogged) -> None:
    """Makes an entity a new revision although none of its own columns changed: what belongs to it did."""
    flag_modified(entity, "revision")


def json_value(value: Any) -> Any:
    """One column value as JSON: times in ISO 8601 UTC with microseconds, bytes in hexadecimal."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, bytes):
        return value.hex()
    return value


def state(entity: Base) -> dict[str, Any]:
    """All columns of an entity, those of its detail table included, as a JSON-able dict keyed by attribute."""
    return {
        attribute.key: json_value(getattr(entity, attribute.key))
        for attribute in inspect(entity).mapper.column_attrs
    }
