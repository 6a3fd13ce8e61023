"""The kinds of object this release governs, as one table; read by names, snapshot and the policy files' parsers."""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

ACCOUNT_ID: Final = "account"
"""Id of the one ACCOUNT object; every chain of containers ends in it."""

ACCOUNT_USERS_ID: Final = "account-users"
"""Id of the system group every user and service principal belongs to (semantics 5.1)."""

ACCOUNT_USERS_NAME: Final = "account users"

ID_PREFIX: Final = "id/"
"""Begins a principal's id where a name is asked for; no email, group name or application id reads so."""


class Kind(NamedTuple):
    """One kind: where its objects live, which names they compete for, and how many parts a full name has."""

    name: str
    parents: tuple[str, ...]
    namespace: str
    name_parts: int
    is_principal: bool = False

    @property
    def label(self) -> str:
        """The kind as words for a person: ``service principal``."""
        return self.name.lower().replace("_", " ")


_TABLE: Final = (
    Kind("ACCOUNT", (), "account", 1),
    Kind("METASTORE", ("ACCOUNT",), "metastore", 1),
    Kind("WORKSPACE", ("ACCOUNT",), "workspace", 1),
    Kind("USER", ("ACCOUNT",), "principal", 1, is_principal=True),
    Kind("GROUP", ("ACCOUNT",), "principal", 1, is_principal=True),
    Kind("SERVICE_PRINCIPAL", ("ACCOUNT",), "principal", 1, is_principal=True),
    Kind("CATALOG", ("METASTORE",), "catalog", 1),
    Kind("SCHEMA", ("CATALOG",), "schema", 2),
    # Tables and views share a namespace, functions and models another: no view ever shadows a table (DESIGN 6).
    Kind("TABLE", ("SCHEMA",), "table", 3),
    Kind("VIEW", ("SCHEMA",), "table", 3),
    Kind("MATERIALIZED_VIEW", ("SCHEMA",), "table", 3),
    Kind("STREAMING_TABLE", ("SCHEMA",), "table", 3),
    Kind("VOLUME", ("SCHEMA",), "volume", 3),
    Kind("FUNCTION", ("SCHEMA",), "function", 3),
    Kind("REGISTERED_MODEL", ("SCHEMA",), "function", 3),
    # A deleted table keeps its row until it is purged; its name key is its id, since several may have had one name.
    Kind("DELETED_TABLE", ("SCHEMA",), "deleted table", 3),
    Kind("STORAGE_CREDENTIAL", ("METASTORE",), "credential", 1),
    Kind("SERVICE_CREDENTIAL", ("METASTORE",), "credential", 1),
    Kind("EXTERNAL_LOCATION", ("METASTORE",), "external location", 1),
    Kind("CONNECTION", ("METASTORE",), "connection", 1),
    Kind("SHARE", ("METASTORE",), "share", 1),
    Kind("RECIPIENT", ("METASTORE",), "recipient", 1),
    Kind("PROVIDER", ("METASTORE",), "provider", 1),
    Kind("EXTERNAL_METADATA", ("METASTORE",), "external metadata", 1),
    # Objects of a workspace are named by the ids their engine gave them, unique in the workspace whatever folder they lie in.
    *(Kind(name, ("WORKSPACE",), name.lower(), 1) for name in (
        "CLUSTER", "CLUSTER_POLICY", "INSTANCE_POOL", "JOB", "PIPELINE", "WAREHOUSE", "LEGACY_DASHBOARD", "LEGACY_ALERT",
        "WORKSPACE_MODEL", "SERVING_ENDPOINT", "VECTOR_SEARCH_ENDPOINT", "APP", "DATABASE_INSTANCE", "DATABASE_PROJECT",
        "KNOWLEDGE_ASSISTANT", "SUPERVISOR_AGENT", "SECRET_SCOPE", "PASSWORDS",
    )),
    # One namespace, so that a parent is named by its id alone.
    Kind("DIRECTORY", ("WORKSPACE", "DIRECTORY", "REPO"), "folder", 1),
    Kind("REPO", ("WORKSPACE", "DIRECTORY"), "folder", 1),
    *(Kind(name, ("WORKSPACE", "DIRECTORY", "REPO"), name.lower(), 1) for name in (
        "NOTEBOOK", "FILE", "DASHBOARD", "QUERY", "ALERT", "GENIE_SPACE", "EXPERIMENT",
    )),
)  # fmt: skip

KINDS: Final[dict[str, Kind]] = {kind.name: kind for kind in _TABLE}

RELATIONS: Final = frozenset({"TABLE", "VIEW", "MATERIALIZED_VIEW", "STREAMING_TABLE"})
"""What a FROM clause may name; they share one namespace."""

BINDABLE: Final = frozenset({"CATALOG", "EXTERNAL_LOCATION", "STORAGE_CREDENTIAL", "SERVICE_CREDENTIAL"})
"""What can be isolated and bound to workspaces (semantics 4)."""

CONTAINER_KINDS: Final = frozenset(parent for kind in KINDS.values() for parent in kind.parents)
"""What other objects lie in."""

PRINCIPAL_KINDS: Final = frozenset(kind.name for kind in KINDS.values() if kind.is_principal)

IMPLICIT_PRIVILEGES: Final = frozenset({"OWNER", "SELF"})
"""Held because of what somebody is, never by a stored grant."""

ACCOUNT_ADMIN: Final = "ACCOUNT:ADMIN"
"""What an account admin holds; the last active holder is never removed."""

METASTORE_BROWSE: Final = "METASTORE:BROWSE"
"""Held by ``account users`` on every metastore; the workspace rule decides who can use it."""


def name_steps(kind: str) -> tuple[str, ...]:
    """The kinds the parts of a full name of ``kind`` stand for: CATALOG, SCHEMA, TABLE for a table."""
    above = name_steps(KINDS[kind].parents[0]) if KINDS[kind].name_parts > 1 else ()
    return (*above, kind)


@cache
def ancestor_kinds(kind: str) -> frozenset[str]:
    """Every kind a container of ``kind`` may have, at any level."""
    found: set[str] = set()
    waiting = list(KINDS[kind].parents)
    while waiting:
        parent = waiting.pop()
        if parent not in found:
            found.add(parent)
            waiting.extend(KINDS[parent].parents)
    return frozenset(found)


IN_WORKSPACE: Final = frozenset(kind for kind in KINDS if "WORKSPACE" in ancestor_kinds(kind))
"""The kinds of objects that belong to one workspace and whose permission levels are in `permission_levels.csv`."""

FOLDERS: Final = frozenset(kind for kind in KINDS if kind in ancestor_kinds(kind))
"""What can lie in its own kind, at any depth."""

CONTAINERS_MAX: Final = 64
"""Containers of one object, the account included; below, nothing is passed down, so that no chain is endless."""


@cache
def levels_above(kind: str, container: str) -> int:
    """The most levels an object of kind ``container`` can stand above one of ``kind``; 0 for the kind itself."""
    if not FOLDERS.isdisjoint(ancestor_kinds(kind)):
        return CONTAINERS_MAX
    if kind == container:
        return 0
    paths = [parent for parent in KINDS[kind].parents if container in ancestor_kinds(parent) | {parent}]
    return 1 + max(levels_above(parent, container) for parent in paths)


WORKSPACE_GROUPS: Final[dict[str, frozenset[str]]] = {
    "users": frozenset({"WORKSPACE:USER", "WORKSPACE:ADMIN", "WORKSPACE:OWNER"}),
    "admins": frozenset({"WORKSPACE:ADMIN", "WORKSPACE:OWNER"}),
}
"""The system groups of each workspace (semantics 5.1) and what makes a principal belong to them."""


def workspace_group_id(workspace_id: str, role: str) -> str:
    """Id of a workspace's system group ``users`` or ``admins``."""
    return f"{workspace_id}:{role}"


def is_workspace_group(principal_id: str) -> bool:
    """Whether it is a workspace's system group ``users`` or ``admins``."""
    return principal_id.rpartition(":")[2] in WORKSPACE_GROUPS


def is_system_group(principal_id: str) -> bool:
    """Whether the server alone keeps the members of a group."""
    return principal_id == ACCOUNT_USERS_ID or is_workspace_group(principal_id)
