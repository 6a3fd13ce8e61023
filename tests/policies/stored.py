"""A random world written into a running server's database, past the services: who owns what is drawn, not created."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Table, delete, insert

from lakewarden_policy import ACCOUNT_ID, ACCOUNT_USERS_ID, KINDS, load_policy
from lakewarden_server import entities
from lakewarden_server.core.clock import monotonic
from lakewarden_server.storage.unit_of_work import WriteUnit
from lakewarden_server.testing import ADMIN, EmbeddedServer, declare_filled
from policies.snapshots import SORTS, name_of
from policies.worlds import SYSTEM_GROUPS, WORKSPACES, World

NOBODY = "nobody"
ENGINE = "engine"
FILL_SECONDS = 60.0

DEFINITION = {"definition": "SELECT 1", "full_text": "SELECT 1", "dialect": "duckdb", "columns": []}
FUNCTION = {"parameters": [], "return_type_text": "INTEGER", "definition": "1"}
# The detail table of a kind, its values, and which of the world's things it holds besides.
DETAILS: dict[str, tuple[type[entities.Base], dict[str, Any], dict[str, str]]] = {
    "CATALOG": (entities.Catalog, {}, {}),
    "SCHEMA": (entities.Schema, {}, {}),
    "TABLE": (entities.Table, {}, {}),
    "VIEW": (entities.View, DEFINITION, {}),
    "MATERIALIZED_VIEW": (entities.MaterializedView, DEFINITION, {}),
    "STREAMING_TABLE": (entities.StreamingTable, DEFINITION, {}),
    "FUNCTION": (entities.Function, FUNCTION, {}),
    "STORAGE_CREDENTIAL": (
        entities.StorageCredential,
        {"identity_type": "aws_iam_role", "identity": {}},
        {"read_only": "read_only"},
    ),
    "EXTERNAL_LOCATION": (
        entities.ExternalLocation,
        {},
        {"url": "id", "credential_id": "credential", "read_only": "read_only"},
    ),
}

Rows = Iterator[tuple[type[entities.Base], list[dict[str, Any]]]]


def storable(world: World) -> World:
    """The world as a database can hold it: everything has an owner, if only an empty group; an engine asks."""
    objects = {
        obj: {**thing, "owner": thing["owner"] or NOBODY}
        for obj, thing in world["objects"].items()
        if thing["kind"] != "DELETED_TABLE"
    }
    principals = world["principals"] | {
        NOBODY: {"kind": "GROUP", "active": True},
        ENGINE: {"kind": "SERVICE_PRINCIPAL", "active": True},
    }
    asking = [(workspace, ENGINE, "QUERY_ENGINE", None) for workspace in WORKSPACES]
    return {**world, "objects": objects, "principals": principals, "grants": [*world["grants"], *asking]}


def fill(server: EmbeddedServer, world: World, *, now: float) -> None:
    """Writes a `storable` world under one revision; what ends at the time ``now`` of the world has ended, by the day."""
    with _revision(server) as (uow, stamp):
        made = {name: stamp[name] for name in ("create_time", "revision")}
        for entity, each in (
            *_principals(world, stamp), *_securables(world, stamp), *_details(world),
            *_references(world, stamp), *_grants(world, made, stamp["created_by"], now),
        ):  # fmt: skip
            _insert(uow, entity, each)


def refer(server: EmbeddedServer, world: World) -> None:
    """Lets every definition name what it names in this world, as if its owner had rewritten it."""
    with _revision(server) as (uow, stamp):
        uow.connection.execute(delete(entities.SecurableReference))
        for entity, each in _references(world, stamp):
            _insert(uow, entity, each)


@contextmanager
def _revision(server: EmbeddedServer) -> Iterator[tuple[WriteUnit, dict[str, Any]]]:
    """A write past the services, with who made it and when."""
    admin = server.app.follower.at_head().snapshot.principal_named(ADMIN)
    assert admin is not None
    with server.app.database.write(
        deadline=monotonic() + FILL_SECONDS,
        request_id="",
        actor_id=admin.id,
        policy_digest=load_policy().digest,
    ) as uow:
        made = {"create_time": uow.time, "revision": uow.head.revision}
        yield uow, {**made, "created_by": admin.id, "update_time": uow.time, "updated_by": admin.id}
        uow.commit()
    declare_filled(server.app.database)


def _insert(uow: WriteUnit, entity: type[entities.Base], rows: list[dict[str, Any]]) -> None:
    table = entity.__table__
    assert isinstance(table, Table)
    uow.connection.execute(insert(table), rows)


def _principals(world: World, stamp: dict[str, Any]) -> Rows:
    yield entities.Principal, [
        {
            "id": who, "kind": principal["kind"], "name": name_of(who), "name_key": name_of(who),
            "active": principal["active"], "display_name": "", "system": who in SYSTEM_GROUPS, **stamp,
        }
        for who, principal in world["principals"].items()
        if who != ACCOUNT_USERS_ID
    ]  # fmt: skip
    made = {name: stamp[name] for name in ("create_time", "created_by", "revision")}
    yield (
        entities.GroupMember,
        [{"group_id": group, "member_id": member, **made} for group, member in world["members"]],
    )


def _securables(world: World, stamp: dict[str, Any]) -> Rows:
    def row(obj: str, thing: dict[str, Any], deleted: datetime | None) -> dict[str, Any]:
        return {
            "id": obj, "kind": thing["kind"], "namespace": KINDS[thing["kind"]].namespace, "parent_id": thing["parent"],
            "metastore_id": thing["metastore"] if thing["kind"] != "METASTORE" else None, "name": thing["name"],
            "name_key": thing["name"], "owner_id": thing["owner"], "isolation_mode": thing.get("isolation", "OPEN"),
            "comment": "", "properties": {}, "deleted_time": deleted, **stamp,
        }  # fmt: skip

    living = [row(obj, thing, None) for obj, thing in world["objects"].items()]
    # What was deleted is still there, with its grants and its owner.
    dead = [row(obj, thing, stamp["create_time"]) for obj, thing in _tombstones(world).items()]
    yield entities.Securable, living + dead
    yield (
        entities.WorkspaceBinding,
        [
            {"securable_id": obj, "workspace_id": workspace, "type": binding, "revision": stamp["revision"]}
            for obj, thing in world["objects"].items()
            for workspace, binding in thing.get("bindings", {}).items()
        ],
    )


def _details(world: World) -> Rows:
    """What is stored of one kind alone."""
    for kind, (entity, values, named) in DETAILS.items():
        rows = [
            {
                "id": obj,
                **values,
                **{column: {"id": f"gs://{obj}", **thing}[name] for column, name in named.items()},
            }
            for obj, thing in world["objects"].items()
            if thing["kind"] == kind
        ]
        if rows:
            yield entity, rows


def _references(world: World, stamp: dict[str, Any]) -> Rows:
    yield entities.SecurableReference, [
        {
            "object_id": obj, "position": position, "privilege": SORTS[sort], "full_name": name,
            "revision": stamp["revision"],
        }
        for obj, thing in world["objects"].items()
        for position, (sort, name) in enumerate(thing.get("references", ()))
    ]  # fmt: skip


def _tombstones(world: World) -> dict[str, Any]:
    return {
        obj: thing
        for obj, thing in world["deleted"].items()
        if thing["kind"] not in ("TABLE", "DELETED_TABLE")
    }


def _grants(world: World, made: dict[str, Any], grantor: str, now: float) -> Rows:
    stored = {ACCOUNT_ID, *world["objects"], *world["principals"], *_tombstones(world)}
    yield entities.Grant, [
        {
            "securable_id": obj, "principal_id": holder, "privilege": privilege, "granted_by": grantor, "reason": "",
            "expire_time": None if until is None else made["create_time"] + timedelta(days=until - now), **made,
        }
        for obj, holder, privilege, until in world["grants"]
        if obj in stored
    ]  # fmt: skip
