"""Short ways to write to a database in storage tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.ids import new_id
from lakewarden_server.entities import Base, Catalog, Grant, Metastore, Principal, Schema, Table
from lakewarden_server.storage import AuditRecord, Database, WriteUnit

ACTOR = "actor-1"
POLICY_DIGEST = "policy-digest"


@contextmanager
def writing(
    database: Database, *, seconds: float = 20.0, request_id: str = "request-1"
) -> Iterator[WriteUnit]:
    """A write unit of work of a fixed actor; the test commits."""
    with database.write(
        deadline=monotonic() + seconds, request_id=request_id, actor_id=ACTOR, policy_digest=POLICY_DIGEST
    ) as uow:
        yield uow


def committed(database: Database, *entities: Any) -> int:
    """Adds entities in one committed transaction and returns its revision."""
    with writing(database) as uow:
        uow.session.add_all(entities)
        uow.audit(record(object_id=getattr(entities[0], "id", "")))
        uow.commit()
        return uow.revision


def record(**values: Any) -> AuditRecord:
    """An audit record with defaults."""
    defaults: dict[str, Any] = {
        "actor_id": ACTOR,
        "actor_name": "ann@example.com",
        "request_id": "request-1",
        "method": "CreateCatalog",
        "operation": "catalog.create",
        "object_kind": "CATALOG",
        "object_id": "",
        "object_name": "main",
        "outcome": "OK",
    }
    return AuditRecord(**{**defaults, **values})


def user(name: str, **values: Any) -> Principal:
    """A user of that email."""
    return Principal(**{"id": new_id(), "kind": "USER", "name": name, "name_key": name.casefold(), **values})


def metastore(owner: Principal, name: str = "metastore") -> Metastore:
    """A metastore under the account."""
    identity = new_id()
    return Metastore(
        id=identity, parent_id="account", metastore_id=identity, name=name, name_key=name, owner_id=owner.id
    )


def catalog(parent: Metastore, name: str, **values: Any) -> Catalog:
    """A catalog of a metastore."""
    return Catalog(**{**_child(parent, name), **values})


def schema(parent: Catalog, name: str, **values: Any) -> Schema:
    """A schema of a catalog."""
    return Schema(**{**_child(parent, name), **values})


def table(parent: Schema, name: str, **values: Any) -> Table:
    """A table of a schema."""
    return Table(**{**_child(parent, name), **values})


def grant(securable: Any, principal: Principal, privilege: str = "SELECT") -> Grant:
    """A direct grant."""
    return Grant(securable_id=securable.id, principal_id=principal.id, privilege=privilege, granted_by=ACTOR)


def _child(parent: Any, name: str) -> dict[str, Any]:
    return {
        "id": new_id(),
        "parent_id": parent.id,
        "metastore_id": parent.metastore_id,
        "name": name,
        "name_key": name.casefold(),
        "owner_id": parent.owner_id,
    }


def dump(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, to compare two states of a database as a whole."""
    with database.read() as uow:
        return {
            table.name: sorted((tuple(row) for row in uow.connection.execute(table.select())), key=repr)
            for table in Base.metadata.sorted_tables
        }
