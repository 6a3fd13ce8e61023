"""Random worlds for the judges, as plain data: nothing of ours is imported, so that no mistake is shared.

{"principals": {id: {kind, active}}, "members": [(group, member)], "deleted": {id: object, with recreated_as},
 "objects": {id: {kind, name, parent, metastore, owner, isolation?, bindings?, references?, read_only?, credential?}},
 "grants": [(object, holder, privilege, until or None)]}
"""

from __future__ import annotations

import random
from typing import Any

from policies.reference_matrix import BINDABLE, IN_METASTORE, MATRIX, RELATIONS

World = dict[str, Any]

USERS, SERVICES, GROUPS = 12, 3, 9
LETTERS = "abc"
# The clock of the worlds: when grants end, and when questions are asked.
ENDS = range(1, 10)
TIMES = (2, 5, 8)
WORKSPACES = ("w0", "w1", "w2", "w3")


def system_groups(workspaces: tuple[str, ...]) -> tuple[str, ...]:
    """The groups each workspace has of itself."""
    return tuple(f"{place}:{role}" for place in workspaces for role in ("users", "admins"))


SYSTEM_GROUPS = system_groups(WORKSPACES)
# What is granted more often than anything else would, so that enough questions get past the gates.
OFTEN = {
    "CATALOG": ["USE_CATALOG"] * 5 + ["BROWSE"] * 4 + ["USE_SCHEMA", "ALL_PRIVILEGES", "MANAGE"] * 2,
    "SCHEMA": ["USE_SCHEMA"] * 5 + ["ALL_PRIVILEGES", "MANAGE", "SELECT"],
    "TABLE": ["SELECT"] * 3,
    "VIEW": ["SELECT"] * 4,
    "MATERIALIZED_VIEW": ["REFRESH"] * 6,
    "FUNCTION": ["EXECUTE"] * 3,
    "EXTERNAL_LOCATION": ["READ_FILES"] * 3,
}
DEFINED = ("VIEW", "MATERIALIZED_VIEW", "STREAMING_TABLE", "FUNCTION")
GRANTS_ABOUT = {
    "WORKSPACE": 5,
    "CATALOG": 9,
    "SCHEMA": 6,
    "METASTORE": 25,
    "VIEW": 5,
    "MATERIALIZED_VIEW": 5,
    "FUNCTION": 5,
}


def make_world(rng: random.Random) -> World:
    """Groups five deep, owners at every level, all kinds, bindings, definitions over each other, used names, expiring grants."""
    world: World = {"principals": {}, "members": [], "objects": {}, "deleted": {}, "grants": []}
    add_principals(rng, world, WORKSPACES)
    for number, metastore in enumerate(("m0", "m1")):
        _add_metastore(rng, world, metastore, catalogs=3 - number)
    for workspace, metastore in zip(WORKSPACES, ("m0", "m1", rng.choice(("m0", None)), "m0"), strict=True):
        world["objects"][workspace] = {
            "kind": "WORKSPACE", "name": workspace, "parent": "account", "metastore": metastore,
            "owner": _somebody(rng, world) if rng.random() < 0.5 else None,
        }  # fmt: skip
    _add_grants(rng, world)
    _add_references(rng, world)
    _move_names(rng, world)
    _add_read_only(rng, world)
    _add_roles(rng, world)
    # A privilege is granted once, with or without an end.
    once = {grant[:3]: grant for grant in world["grants"]}
    world["grants"] = sorted(once.values(), key=repr)
    return world


def by_name(world: World) -> World:
    """The world of an engine that keys by name: what a deleted object had comes back with its name."""
    deleted = world["deleted"]
    grants = {(deleted.get(o, {}).get("recreated_as", o), *rest) for o, *rest in world["grants"]}
    return {**world, "grants": sorted(grants, key=repr)}


def full_name(world: World, obj: str) -> str:
    """The dotted name of something in a schema."""
    parts = []
    while world["objects"][obj]["kind"] != "METASTORE":
        parts.append(world["objects"][obj]["name"])
        obj = world["objects"][obj]["parent"]
    return ".".join(reversed(parts))


def follow_names(before: World, after: World) -> None:
    """Lets the definitions of the renamed world ``after`` name, by its new name, what they named before."""
    now_called = {
        (thing["metastore"], full_name(before, obj)): full_name(after, obj)
        for obj, thing in before["objects"].items()
        if thing["kind"] in (*RELATIONS, "FUNCTION")
    }
    for thing in after["objects"].values():
        if "references" in thing:
            thing["references"] = [
                (sort, now_called.get((thing["metastore"], name), name)) for sort, name in thing["references"]
            ]


def add_principals(rng: random.Random, world: World, workspaces: tuple[str, ...]) -> None:
    """People, service principals and nested groups, and the groups of the workspaces."""
    principals = world["principals"]
    for number in range(USERS):
        principals[f"u{number}"] = {"kind": "USER", "active": number != 0}
    for number in range(SERVICES):
        principals[f"p{number}"] = {"kind": "SERVICE_PRINCIPAL", "active": True}
    for number in range(GROUPS):
        principals[f"g{number}"] = {"kind": "GROUP", "active": True}
        # Parents have lower numbers, so there is no cycle; g4 is five deep, others hang anywhere.
        if 0 < number < 5:
            world["members"].append((f"g{number - 1}", f"g{number}"))
        elif number and rng.random() < 0.7:
            world["members"].append((f"g{rng.randrange(number)}", f"g{number}"))
    for member in [name for name, principal in principals.items() if principal["kind"] != "GROUP"]:
        for group in rng.sample(range(GROUPS), rng.choice((0, 0, 1, 1, 2))):
            world["members"].append((f"g{group}", member))
    for group in ("account-users", *system_groups(workspaces)):
        principals[group] = {"kind": "GROUP", "active": True}


def _somebody(rng: random.Random, world: World) -> str:
    """A principal of any kind; people and their groups more often than the system's."""
    return rng.choice([*list(world["principals"])[: USERS + SERVICES + GROUPS] * 2, *world["principals"]])


def _owner(rng: random.Random, world: World) -> str | None:
    return _somebody(rng, world) if rng.random() < 0.75 else None


def _add_metastore(rng: random.Random, world: World, metastore: str, *, catalogs: int) -> None:
    owner = rng.choice([None, f"g{rng.randrange(GROUPS)}", f"u{rng.randrange(1, USERS)}"])
    world["objects"][metastore] = {
        "kind": "METASTORE", "name": metastore, "parent": "account", "metastore": metastore, "owner": owner
    }  # fmt: skip
    for catalog in LETTERS[:catalogs]:
        identity = _add_object(rng, world, "CATALOG", catalog, metastore, metastore)
        for schema in LETTERS[: rng.choice((1, 2, 2))]:
            _fill_schema(
                rng, world, _add_object(rng, world, "SCHEMA", schema, identity, metastore), metastore
            )
    for kind in (*IN_METASTORE[1:], "EXTERNAL_LOCATION"):
        name = f"{kind.lower()}_{rng.choice(LETTERS)}"
        _add_object(rng, world, kind, name, metastore, metastore)


def _fill_schema(rng: random.Random, world: World, schema: str, metastore: str) -> None:
    for letter in LETTERS[: rng.choice((2, 3))]:
        kind = rng.choice(("TABLE", "TABLE", "VIEW", "VIEW", "MATERIALIZED_VIEW", *RELATIONS))
        _add_object(rng, world, kind, letter, schema, metastore)
    for letter in rng.sample(LETTERS, rng.choice((1, 2))):
        _add_object(rng, world, "FUNCTION", f"function_{letter}", schema, metastore)
    for kind in ("VOLUME", "REGISTERED_MODEL"):
        if rng.random() < 0.6:
            _add_object(rng, world, kind, f"{kind.lower()}_{rng.choice(LETTERS)}", schema, metastore)
    if rng.random() < 0.4:
        _add_object(rng, world, "DELETED_TABLE", "dropped", schema, metastore)


def _add_object(rng: random.Random, world: World, kind: str, name: str, parent: str, metastore: str) -> str:
    identity = f"{parent}.{name}"
    living = {
        "kind": kind,
        "name": name,
        "parent": parent,
        "metastore": metastore,
        "owner": _owner(rng, world),
    }
    if kind in DEFINED:
        living["references"] = []
    if kind in BINDABLE:
        living["isolation"] = "ISOLATED" if rng.random() < 0.4 else "OPEN"
        # An open one may keep bindings from before; they must not count.
        living["bindings"] = {
            place: rng.choice(("READ_WRITE", "READ_WRITE", "READ_ONLY", "READ_ONLY", "READ_ONLY"))
            for place in WORKSPACES
            if rng.random() < 0.6
        }
    if rng.random() < 0.3:
        # The name was used before: the former object's grants and owner must not come back with it.
        former = {"owner": _owner(rng, world), "recreated_as": identity}
        world["deleted"][identity + "#old"] = {**living, **former}
    world["objects"][identity] = living
    return identity


def _add_grants(rng: random.Random, world: World) -> None:
    grants = world["grants"]
    for identity, thing in (*world["objects"].items(), *world["deleted"].items()):
        privileges = sorted(MATRIX[thing["kind"]])
        if privileges:
            for _ in range(rng.randrange(GRANTS_ABOUT.get(thing["kind"], 3) + 3)):
                privilege = rng.choice([*privileges, *OFTEN.get(thing["kind"], [])])
                grants.append((identity, _somebody(rng, world), privilege, _until(rng)))
    # Most people work somewhere and many may enter; otherwise nearly every answer would be no for the same reason.
    people = list(world["principals"])[: USERS + SERVICES + GROUPS]
    for workspace in WORKSPACES:
        grants += [(workspace, who, "USER", _until(rng)) for who in people if rng.random() < 0.55]
    for identity, thing in world["objects"].items():
        gate = {"CATALOG": "USE_CATALOG", "SCHEMA": "USE_SCHEMA"}.get(thing["kind"])
        if gate and rng.random() < 0.8:
            holder = (
                "account-users"
                if rng.random() < 0.5
                else rng.choice([f"g{rng.randrange(3)}", *SYSTEM_GROUPS])
            )
            grants.append((identity, holder, gate, _until(rng)))
    grants.append(("account", rng.choice(people), "ADMIN", None))
    # Every question that is put to a server travels with a token.
    grants += [(workspace, "account-users", "USE_TOKENS", None) for workspace in WORKSPACES]


def _add_roles(rng: random.Random, world: World) -> None:
    """Managers of groups, managers and users of programs: grants on principals."""
    for identity, principal in list(world["principals"].items())[: USERS + SERVICES + GROUPS]:
        roles = sorted(MATRIX.get(principal["kind"], ()))
        for _ in range(rng.choice((0, 1, 2)) if roles else 0):
            world["grants"].append((identity, _somebody(rng, world), rng.choice(roles), _until(rng)))


def _until(rng: random.Random) -> int | None:
    return rng.choice(ENDS) if rng.random() < 0.25 else None


def _add_read_only(rng: random.Random, world: World) -> None:
    """Credentials and locations that may not be written, the latter by themselves or because of their credential."""
    objects = world["objects"]
    credentials = {o: thing for o, thing in objects.items() if thing["kind"] == "STORAGE_CREDENTIAL"}
    for thing in credentials.values():
        thing["read_only"] = rng.random() < 0.4
    for thing in objects.values():
        if thing["kind"] == "EXTERNAL_LOCATION":
            near = [
                o for o, credential in credentials.items() if credential["metastore"] == thing["metastore"]
            ]
            thing["read_only"], thing["credential"] = rng.random() < 0.4, rng.choice(near)


def _add_references(rng: random.Random, world: World) -> None:
    """Definitions over anything that has a name, now and then over nothing or themselves; their owners may mostly use it."""
    for defined, thing in world["objects"].items():
        if thing["kind"] not in DEFINED:
            continue
        near = {
            o: t for o, t in world["objects"].items() if t["metastore"] == thing["metastore"] and o != defined
        }
        relations = [o for o, t in near.items() if t["kind"] in RELATIONS]
        tables = [o for o in relations if near[o]["kind"] == "TABLE"]
        functions = [o for o, t in near.items() if t["kind"] == "FUNCTION"]
        wanted = rng.sample(relations, min(rng.choice((0, 1, 1, 1, 2)), len(relations)))
        # Mostly of plain tables: nesting makes a no of any one missing right.
        wanted = [rng.choice(tables) if tables and rng.random() < 0.4 else relation for relation in wanted]
        wanted += rng.sample(functions, min(rng.choice((0, 0, 0, 1)), len(functions)))
        if rng.random() < 0.03:
            wanted.append(defined)
        references = [_reference(world, obj) for obj in wanted]
        if rng.random() < 0.05:
            references.append(("RELATION", f"{rng.choice(LETTERS)}.{rng.choice(LETTERS)}.gone"))
        thing["references"] = references
        if thing["owner"] is None and rng.random() < 0.8:
            thing["owner"] = _somebody(rng, world)
        for obj in wanted if thing["owner"] else []:
            _let_in(rng, world, thing["owner"], obj)


def _move_names(rng: random.Random, world: World) -> None:
    """What was referred to has another name since, or gave its own to something else, which is now meant."""
    for schema in [obj for obj, thing in world["objects"].items() if thing["kind"] == "SCHEMA"]:
        inside = [thing for thing in world["objects"].values() if thing["parent"] == schema]
        for kinds in (RELATIONS, ("FUNCTION",)):
            alike = [thing for thing in inside if thing["kind"] in kinds]
            if len(alike) > 1 and rng.random() < 0.2:
                one, other = rng.sample(alike, 2)
                one["name"], other["name"] = other["name"], one["name"]
            elif rng.random() < 0.1:
                rng.choice(alike)["name"] += "_renamed"


def _reference(world: World, obj: str) -> tuple[str, str]:
    sort = "FUNCTION" if world["objects"][obj]["kind"] == "FUNCTION" else "RELATION"
    return sort, full_name(world, obj)


def _let_in(rng: random.Random, world: World, owner: str, obj: str) -> None:
    """Most of what the owner of a definition needs on one thing it refers to."""
    leaf = "EXECUTE" if world["objects"][obj]["kind"] == "FUNCTION" else "SELECT"
    schema = world["objects"][obj]["parent"]
    catalog = world["objects"][schema]["parent"]
    for place, privilege in ((obj, leaf), (schema, "USE_SCHEMA"), (catalog, "USE_CATALOG")):
        if rng.random() < 0.9:
            world["grants"].append((place, owner, privilege, _until(rng) if rng.random() < 0.5 else None))
    home = {"m0": "w0", "m1": "w1"}[world["objects"][obj]["metastore"]]
    if owner not in SYSTEM_GROUPS:
        world["grants"].append((home, owner, "USER", None))
