"""The kinds of object this release governs, as one table; read by names, snapshot and the policy files' parsers."""

from __future__ import annotations

from typing import Final, NamedTuple

ACCOUNT_ID: Final = "account"
"""Id of the one ACCOUNT object; every chain of containers ends in it."""

ACCOUNT_USERS_ID: Final = "account-users"
"""Id of the system group every user and service principal belongs to (semantics 5.1)."""

ACCOUNT_USERS_NAME: Final = "account users"


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
    # Views will share this namespace, so that a view can never shadow a table (DESIGN 6).
    Kind("TABLE", ("SCHEMA",), "table", 3),
)

KINDS: Final[dict[str, Kind]] = {kind.name: kind for kind in _TABLE}

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


def levels_above(kind: str, container: str) -> int:
    """The most levels an object of kind ``container`` can stand above one of ``kind``; 0 for the kind itself."""
    if kind == container:
        return 0
    paths = [parent for parent in KINDS[kind].parents if container in ancestor_kinds(parent) | {parent}]
    return 1 + max(levels_above(parent, container) for parent in paths)
