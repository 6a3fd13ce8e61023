"""Isolated external locations and credentials over RPC: what can be done with them from two workspaces, and what cannot."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lakewarden import Client
from lakewarden_server.testing import EmbeddedServer
from services.errors import fails
from services.places import ROLE, fresh_url

Fresh = Callable[[str], str]
BOB, CAT = "bob@example.com", "cat@example.com"
KINDS = ("external_location", "storage_credential", "service_credential")
COLUMNS = [{"name": "id", "type_text": "BIGINT"}]
OPEN, ISOLATED, WRITES, READS = 1, 2, 1, 2


@pytest.fixture
def away(server: EmbeddedServer) -> str:
    """A second workspace of the same metastore; bob and cat work in both and may create in the metastore."""
    admin = server.client()
    if "away" not in {workspace.name for workspace in admin.workspaces.list()}:
        admin.workspaces.create("away", metastore="metastore", omit_catalog=True)
        for person in (BOB, CAT):
            server.token_of(person)
            admin.grants.grant("USER", "workspace", "away", person)
            admin.grants.grant(
                ["CREATE EXTERNAL LOCATION", "CREATE CONNECTION"], "metastore", "metastore", person
            )
    return "away"


@pytest.fixture
def names(server: EmbeddedServer, fresh: Fresh, away: str) -> dict[str, str]:
    """One of each kind, cat's, with ALL PRIVILEGES on it for bob."""
    admin, names = server.client(), {kind: fresh(kind) for kind in KINDS}
    admin.storage_credentials.create(names["storage_credential"], "aws_iam_role", ROLE)
    admin.service_credentials.create(names["service_credential"], "aws_iam_role", ROLE)
    admin.external_locations.create(names["external_location"], fresh_url(), names["storage_credential"])
    for kind, name in names.items():
        admin.grants.grant("ALL PRIVILEGES", kind, name, BOB)
        resource(admin, kind).set_owner(name, CAT)
    return names


@pytest.fixture
def schema(server: EmbeddedServer, fresh: Fresh) -> str:
    """A schema of an open catalog, in which bob may create."""
    admin, catalog = server.client(), fresh("catalog")
    admin.catalogs.create(catalog)
    admin.grants.grant("ALL PRIVILEGES", "catalog", catalog, BOB)
    return f"{catalog}.default"


def resource(client: Client, kind: str) -> object:
    return getattr(client, f"{kind}s")


def usable(client: Client, kind: str, name: str) -> set[str]:
    asked = {
        "external_location": (
            "READ FILES", "WRITE FILES", "CREATE EXTERNAL TABLE", "CREATE EXTERNAL VOLUME", "CREATE MANAGED STORAGE",
        ),
        "storage_credential": ("CREATE EXTERNAL LOCATION", "CREATE EXTERNAL TABLE"),
        "service_credential": ("ACCESS", "CREATE CONNECTION"),
    }[kind]  # fmt: skip
    return {privilege for privilege in asked if client.authorization.check(privilege, kind, name)}


READING = {"external_location": {"READ FILES"}, "storage_credential": set(), "service_credential": {"ACCESS"}}


@pytest.mark.parametrize("kind", KINDS)
def test_bindings_say_what_can_be_used_from_where(
    server: EmbeddedServer, names: dict[str, str], away: str, kind: str
) -> None:
    name, owner = names[kind], server.client_as(CAT)
    here, there = server.client_as(BOB), server.client_as(BOB, workspace=away)
    everything = usable(here, kind, name)
    assert len(everything) >= 2
    assert usable(there, kind, name) == everything
    answer = owner.workspace_bindings.update(kind, name, isolated=True)
    assert answer.isolation_mode == ISOLATED
    assert [(row.workspace, row.binding_type) for row in answer.bindings] == [("workspace", WRITES)]
    assert owner.workspace_bindings.get(kind, name) == answer
    assert (usable(here, kind, name), usable(there, kind, name)) == (everything, set())
    owner.workspace_bindings.update(kind, name, add={away: "READ_ONLY"})
    assert (usable(here, kind, name), usable(there, kind, name)) == (everything, READING[kind])
    owner.workspace_bindings.update(kind, name, add={away: "READ_WRITE"}, remove=["workspace"])
    assert (usable(here, kind, name), usable(there, kind, name)) == (set(), everything)
    # Bindings count while it is isolated; an open one keeps them for later.
    answer = owner.workspace_bindings.update(kind, name, isolated=False)
    assert (answer.isolation_mode, [row.workspace for row in answer.bindings]) == (OPEN, [away])
    assert (usable(here, kind, name), usable(there, kind, name)) == (everything, everything)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_bound_is_neither_seen_nor_managed_from_there(
    server: EmbeddedServer, names: dict[str, str], away: str, kind: str
) -> None:
    name, owner = names[kind], server.client_as(CAT)
    owner.workspace_bindings.update(kind, name, isolated=True)
    here, there = server.client_as(BOB), server.client_as(BOB, workspace=away)
    assert name in {row.name for row in resource(here, kind).list()}
    assert name not in {row.name for row in resource(there, kind).list()}
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        resource(there, kind).get(name)
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        there.workspace_bindings.get(kind, name)
    with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED"):
        here.workspace_bindings.update(kind, name, isolated=False)
    # Its owner and the metastore admin see it from there, change nothing but its bindings, and repair those.
    for repairer in (server.client_as(CAT, workspace=away), server.client(workspace=away)):
        assert name in {row.name for row in resource(repairer, kind).list()}
        with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED"):
            resource(repairer, kind).update(name, comment="not from here")
        repairer.workspace_bindings.update(kind, name, add=[away])
        assert resource(there, kind).get(name).name == name
        repairer.workspace_bindings.update(kind, name, remove=[away])
        with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
            resource(there, kind).get(name)


def test_external_tables_and_volumes_are_created_from_where_the_location_is_bound_for_writing(
    server: EmbeddedServer, names: dict[str, str], away: str, schema: str, fresh: Fresh
) -> None:
    name, owner = names["external_location"], server.client_as(CAT)
    url = owner.external_locations.get(name).url
    here, there = server.client_as(BOB), server.client_as(BOB, workspace=away)
    catalog = schema.partition(".")[0]

    def creations(client: Client) -> list[Callable[[], object]]:
        table, volume, inside = fresh("t"), fresh("v"), fresh("s")
        return [
            lambda: client.tables.create(f"{schema}.{table}", COLUMNS, storage_location=f"{url}/{table}"),
            lambda: client.volumes.create(f"{schema}.{volume}", storage_location=f"{url}/{volume}"),
            lambda: client.schemas.create(f"{catalog}.{inside}", storage_root=f"{url}/{inside}"),
        ]

    owner.workspace_bindings.update("external_location", name, isolated=True)
    for create in creations(here):
        create()
    for create in creations(there):
        # From there it is answered like a place under no location at all.
        with fails("ACCESS_DENIED", "PERMISSION_DENIED", saying="external location covering"):
            create()
    owner.workspace_bindings.update("external_location", name, add={away: "READ_ONLY"})
    for create in creations(there):
        with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED", saying="reading only"):
            create()
    owner.workspace_bindings.update("external_location", name, add={away: "READ_WRITE"})
    for create in creations(there):
        create()


@pytest.mark.parametrize("kind", ["storage_credential", "service_credential"])
def test_credential_is_built_upon_from_where_it_is_bound_for_writing(
    server: EmbeddedServer, names: dict[str, str], away: str, fresh: Fresh, kind: str
) -> None:
    name, owner = names[kind], server.client_as(CAT)
    there = server.client_as(BOB, workspace=away)

    def create() -> object:
        if kind == "storage_credential":
            return there.external_locations.create(fresh("place"), fresh_url(), name)
        return there.connections.create(fresh("connection"), "HTTP", options={"host": "h"}, credential=name)

    create()
    owner.workspace_bindings.update(kind, name, isolated=True)
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        create()
    owner.workspace_bindings.update(kind, name, add={away: "READ_ONLY"})
    with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED", saying="reading only"):
        create()
    owner.workspace_bindings.update(kind, name, add={away: "READ_WRITE"})
    create()


def test_location_is_not_shut_by_the_bindings_of_its_credential(
    server: EmbeddedServer, names: dict[str, str], away: str
) -> None:
    """Who uses a location does not use its credential: that is what locations are for."""
    owner, there = server.client_as(CAT), server.client_as(BOB, workspace=away)
    owner.workspace_bindings.update("storage_credential", names["storage_credential"], isolated=True)
    assert "WRITE FILES" in usable(there, "external_location", names["external_location"])


def test_table_is_created_by_a_right_on_the_credential_of_its_location(
    server: EmbeddedServer, names: dict[str, str], away: str, schema: str, fresh: Fresh
) -> None:
    admin, owner, dan = server.client(), server.client_as(CAT), server.client_as("dan")
    place, key = names["external_location"], names["storage_credential"]
    url = owner.external_locations.get(place).url
    admin.grants.grant("ALL PRIVILEGES", "catalog", schema.partition(".")[0], "dan@example.com")

    def create() -> object:
        name = fresh("t")
        return dan.tables.create(f"{schema}.{name}", COLUMNS, storage_location=f"{url}/{name}")

    with fails("ACCESS_DENIED", "PERMISSION_DENIED", saying="external location covering"):
        create()
    owner.grants.grant("CREATE EXTERNAL TABLE", "storage_credential", key, "dan@example.com")
    create()
    # A volume takes the location alone (semantics 2.1), and a credential opens no location that is shut.
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        dan.volumes.create(f"{schema}.v", storage_location=f"{url}/v")
    owner.external_locations.update(place, read_only=True)
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        create()
    owner.external_locations.update(place, read_only=False)
    owner.workspace_bindings.update("external_location", place, isolated=True, remove=["workspace"])
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        create()
    owner.workspace_bindings.update("external_location", place, isolated=False)
    dropped = fresh("t")
    dan.tables.create(f"{schema}.{dropped}", COLUMNS, storage_location=f"{url}/{dropped}")
    dan.tables.delete(f"{schema}.{dropped}")
    owner.workspace_bindings.update("storage_credential", key, isolated=True, remove=["workspace"])
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        dan.tables.undelete(f"{schema}.{dropped}")
    owner.workspace_bindings.update("storage_credential", key, isolated=False)
    dan.tables.undelete(f"{schema}.{dropped}")
