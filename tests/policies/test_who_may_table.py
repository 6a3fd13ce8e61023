"""Who may what, as a table to be read beside section 3.3 of the semantics: `who_may.csv`, held against both judges.

Each column is somebody with one right and nothing else; the last but one names the single privileges that suffice, for
somebody who holds the gates. A dash stands where nobody can have the right on such an object.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lakewarden_policy import Decider, load_policy
from policies.calls import Question
from policies.reference import Reference
from policies.reference_matrix import BINDABLE, CREATE, IN_SCHEMA, MATRIX
from policies.snapshots import ask, snapshot_of
from policies.worlds import DEFINED, World

TABLE = Path(__file__).with_name("who_may.csv")
ROWS = list(csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines()))
ROLES = list(ROWS[0])[2:-2]
LAST = "single privileges"
NEAR, READING, FAR = "near", "reading", "far"
STRANGER = "stranger"


class Role(NamedTuple):
    """What one column stands for: groups, grants on the object's chain, and the workspace the call comes from."""

    groups: tuple[str, ...] = ()
    grants: tuple[tuple[str, str], ...] = ()
    workspace: str = NEAR
    works: bool = True


MANAGING = (("self", "MANAGE"),)
HOLDERS: dict[str, Role] = {
    "owner": Role(("owners", "insiders")),
    "owner outside the gates": Role(("owners",)),
    "owner who may create": Role(("owners", "insiders"), (("parent", "CREATE"),)),
    "owner of the schema": Role(("schema owners", "insiders")),
    "owner of the catalog": Role(("catalog owners",)),
    "MANAGE": Role(("insiders",), MANAGING),
    "MANAGE outside the gates": Role((), MANAGING),
    "MANAGE on the catalog": Role(("insiders",), (("catalog", "MANAGE"),)),
    "BROWSE on the catalog": Role((), (("catalog", "BROWSE"),)),
    "metastore admin": Role(("metastore admins",)),
    "workspace admin": Role((), ((NEAR, "ADMIN"),)),
    "account admin": Role((), (("account", "ADMIN"),)),
    "insider": Role(("insiders",)),
    STRANGER: Role(),
    "owner not assigned": Role(("owners", "insiders"), works=False),
    "owner, unbound": Role(("owners", "insiders"), workspace=FAR),
    "MANAGE, unbound": Role(("insiders",), MANAGING, workspace=FAR),
    "metastore admin, unbound": Role(("metastore admins",), workspace=FAR),
    "owner, read-only": Role(("owners", "insiders"), workspace=READING),
    "MANAGE, read-only": Role(("insiders",), MANAGING, workspace=READING),
    "metastore admin, read-only": Role(("metastore admins",), workspace=READING),
}


def place(kind: str, name: str) -> str:
    """The id a role speaks of: the object, its parent or its catalog."""
    if name == "parent":
        return "s" if kind in IN_SCHEMA else "c" if kind == "SCHEMA" else "m"
    return {"self": "x", "catalog": "x" if kind == "CATALOG" else "c"}.get(name, name)


def world_of(kind: str) -> World:
    """A metastore with an isolated catalog, and one object ``x`` of the kind in the place where such objects stand."""
    bound = {"isolation": "ISOLATED", "bindings": {NEAR: "READ_WRITE", READING: "READ_ONLY"}}
    objects: dict[str, dict[str, Any]] = {
        "m": {"kind": "METASTORE", "parent": "account", "owner": "metastore admins"},
        "c": {"kind": "CATALOG", "parent": "m", "owner": "catalog owners", **bound},
        "s": {"kind": "SCHEMA", "parent": "c", "owner": "schema owners"},
        "x": {"kind": kind, "parent": place(kind, "parent"), "owner": "owners"},
    }
    objects["x"] |= bound if kind in BINDABLE else {"references": []} if kind in DEFINED else {}
    for workspace in (NEAR, READING, FAR):
        objects[workspace] = {"kind": "WORKSPACE", "parent": "account", "owner": None}
    for obj, thing in objects.items():
        thing |= {"name": obj, "metastore": "m"}
    gates = {
        "c": "USE_CATALOG",
        "s": "USE_SCHEMA",
        "x": {"CATALOG": "USE_CATALOG", "SCHEMA": "USE_SCHEMA"}.get(kind),
    }
    world: World = {
        "objects": objects,
        "deleted": {},
        "members": [],
        "principals": {"account-users": _group()},
    }
    world["grants"] = [(obj, "insiders", gate, None) for obj, gate in gates.items() if gate]
    singles = {
        privilege: Role(("insiders",), (("self", privilege),)) for privilege in MATRIX[kind] - {"MANAGE"}
    }
    for who, role in (HOLDERS | singles).items():
        _add(world, kind, who, role)
    return world


def _group() -> dict[str, Any]:
    return {"kind": "GROUP", "active": True}


def _add(world: World, kind: str, who: str, role: Role) -> None:
    world["principals"][who] = {"kind": "USER", "active": True}
    world["principals"] |= {group: _group() for group in role.groups}
    world["members"] += [(group, who) for group in role.groups]
    if role.works:
        world["grants"] += [(workspace, who, "USER", None) for workspace in (NEAR, READING, FAR)]
    for name, privilege in role.grants:
        wanted = CREATE[kind][0] if privilege == "CREATE" else privilege
        if wanted in MATRIX.get(world["objects"].get(place(kind, name), {}).get("kind", "ACCOUNT"), ()):
            world["grants"].append((place(kind, name), who, wanted, None))


def question_of(kind: str, operation: str, who: str) -> Question:
    """The call a cell stands for."""
    verb, _, rest = operation.partition(" ")
    objects: dict[str, Any] = {"self": "x"}
    if rest.startswith("owner to"):
        objects["grantee"] = who if rest.endswith("oneself") else STRANGER
        rest = "owner"
    workspace = HOLDERS[who].workspace if who in HOLDERS else NEAR
    return Question(who, workspace, f"{kind.lower()}.{verb}", rest, objects, 0)


CELLS = [(kind, row) for row in ROWS for kind in row["kinds"].split()]


@pytest.mark.parametrize(("kind", "row"), CELLS, ids=[f"{row['operation']}-{kind}" for kind, row in CELLS])
def test_exactly_those_of_the_table_may(kind: str, row: dict[str, str]) -> None:
    world = world_of(kind)
    engine, reference = Decider(load_policy(), snapshot_of(world)), Reference(world)
    expected = {who for who in ROLES if row[who] == "yes"} | set(row[LAST].split())
    asked = [who for who in ROLES if row[who] != "-"] + sorted(MATRIX[kind] - {"MANAGE"})
    questions = {who: question_of(kind, row["operation"], who) for who in asked}
    assert {who for who, question in questions.items() if ask(engine, question).allowed} == expected
    assert {who for who, question in questions.items() if reference.allows(*question[:5])} == expected


def test_table_has_a_role_for_every_column_and_speaks_of_every_kind() -> None:
    assert list(HOLDERS) == ROLES
    elsewhere = {"METASTORE", "WORKSPACE", "ACCOUNT", "DELETED_TABLE", "GROUP", "SERVICE_PRINCIPAL"}
    everything = MATRIX.keys() - elsewhere
    for operation in ("get", "delete", "grants_all"):
        assert {kind for kind, row in CELLS if row["operation"] == operation} == everything
