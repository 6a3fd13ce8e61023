"""Calls of one operation in a random world: where from, with which selector, and what they name beside their object."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

from policies.reference_matrix import BINDABLE, IN_METASTORE, IN_SCHEMA, MATRIX, RELATIONS
from policies.worlds import DEFINED, TIMES, WORKSPACES, World

TOLD = ("effective", "explain")
VERBS = ("get", "get", "get", "update", "update", "delete", "grant", "grant", "grants_all", *TOLD)
CHANGES = ("get", "update", "update", "update", "delete", "grant", "grants_all", *TOLD)
SELECTORS = {
    "CATALOG": ("", "name", "owner"),
    "SCHEMA": ("", "name", "owner"),
    "TABLE": ("", "name", "owner", "columns", "properties"),
    "VIEW": ("", "name", "owner", "definition", "definition"),
    "MATERIALIZED_VIEW": ("", "name", "owner", "definition"),
    "STREAMING_TABLE": ("", "name", "owner", "definition"),
    "FUNCTION": ("", "name", "owner", "definition"),
    "EXTERNAL_LOCATION": ("", "name", "owner", "credential"),
    "CONNECTION": ("", "name", "owner", "credential"),
    "SHARE": ("", "name", "owner", "objects"),
    "WORKSPACE": ("", "name", "metastore", "owner"),
}
# What only some kinds know, asked as often as anything else about it.
RARE = dict.fromkeys(BINDABLE, ("bind", "bind")) | {
    "CATALOG": ("bind", "bind", "tag"),
    "SCHEMA": ("tag",),
    "TABLE": ("set_policy", "drop_policy", "tag"),
    "VIEW": ("tag",),
    "MATERIALIZED_VIEW": ("refresh", "tag"),
    "STREAMING_TABLE": ("tag",),
    "VOLUME": ("tag",),
    "REGISTERED_MODEL": ("create_version", "update_version", "tag"),
    "SHARE": ("grant_recipient",) * 2,
    "WORKSPACE": ("tokens",),
}
MANAGED = ("CATALOG", "SCHEMA", *IN_SCHEMA, *IN_METASTORE)
CONTAINED = {"METASTORE": IN_METASTORE, "CATALOG": ("SCHEMA",), "SCHEMA": IN_SCHEMA}
CREATED_WITH = {
    "CATALOG": ("location", "connection"),
    "SCHEMA": ("location",),
    "TABLE": ("location",),
    "VOLUME": ("location",),
    "EXTERNAL_LOCATION": ("credential",),
    "CONNECTION": ("credential",),
}


class Question(NamedTuple):
    """One question to every judge; the operation ``<noun>.use`` asks for the privilege named by the selector."""

    who: str
    workspace: str | None
    operation: str
    selector: str
    objects: dict[str, Any]
    now: int


def use(rng: random.Random, world: World, who: str, place: str, privilege: str) -> Question:
    """May somebody use the privilege?"""
    thing = world["objects"][place]
    operation = f"{thing['kind'].lower()}.use"
    return Question(who, workspace_for(rng, thing), operation, privilege, {"self": place}, rng.choice(TIMES))


def call_on(
    rng: random.Random, world: World, who: str, place: str, *, verbs: tuple[str, ...] = VERBS
) -> Question:
    """One of the operations, and of those that only this kind knows, on an existing object."""
    thing = world["objects"][place]
    kind, selector = thing["kind"], ""
    verb = rng.choice((*verbs, *RARE.get(kind, ())))
    if kind == "DELETED_TABLE":
        verb = rng.choice(("restore", "restore", "get"))
        selector = rng.choice(("", "location")) if verb == "restore" else ""
    if verb == "update":
        selector = rng.choice(SELECTORS.get(kind, ("", "name", "owner")))
    elif verb == "update_version":
        selector = rng.choice(("", "status"))
    elif verb == "grant":
        external = [name for name in sorted(MATRIX[kind]) if name.startswith("EXTERNAL_USE")] * 3
        selector = rng.choice([*sorted(MATRIX[kind]), *external] or [""])
    objects = {"self": place, **_bound(rng, world, who, thing, verb, selector)}
    operation = f"{kind.lower()}.{verb}"
    return Question(who, workspace_for(rng, thing), operation, selector, objects, rng.choice(TIMES))


def call_in(rng: random.Random, world: World, who: str, place: str, *, kind: str | None = None) -> Question:
    """The creation of something in a container, or the search for something that is not there."""
    thing, objects = world["objects"][place], dict[str, Any](parent=place)
    verb = rng.choice(("create", "create", "miss"))
    kind = kind or rng.choice(CONTAINED[thing["kind"]])
    if thing["kind"] == "SCHEMA" and rng.random() < 0.05:
        kind, verb = "DELETED_TABLE", "miss"
    for name in CREATED_WITH.get(kind, ()) if verb == "create" else ():
        wanted = {
            "location": "EXTERNAL_LOCATION",
            "connection": "CONNECTION",
            "credential": "STORAGE_CREDENTIAL" if kind == "EXTERNAL_LOCATION" else "SERVICE_CREDENTIAL",
        }[name]
        if rng.random() < 0.4 or kind == "EXTERNAL_LOCATION":
            there = of_kind(world, wanted, thing["metastore"])
            held = {o for o, holder, *_ in world["grants"] if holder == who}
            likely = [o for o in there if o in held or world["objects"][o]["owner"] == who]
            objects[name] = rng.choice(likely or there)
    if kind in DEFINED and verb == "create":
        objects["references"] = _references(rng, world, thing["metastore"])
    operation = f"{kind.lower()}.{verb}"
    return Question(who, workspace_for(rng, thing), operation, "", objects, rng.choice(TIMES))


def _bound(
    rng: random.Random, world: World, who: str, thing: dict[str, Any], verb: str, selector: str
) -> dict[str, Any]:
    """What the operation names beside its object."""
    metastore = thing["metastore"]
    if verb in TOLD:
        return about(rng, world, who)
    if selector == "owner" and thing["kind"] != "WORKSPACE":
        near = [group for group, member in world["members"] if member == who]
        return {"grantee": rng.choice([who, *near, rng.choice(list(world["principals"]))])}
    if selector == "objects":
        relations = [o for kind in RELATIONS for o in of_kind(world, kind, metastore)]
        read = {o for o, holder, privilege, _ in world["grants"] if privilege == "SELECT" and holder == who}
        likely = [o for o in relations if o in read or world["objects"][o]["owner"] == who]
        return {"references": (rng.choice(likely or relations),)}
    if selector == "definition" and thing["kind"] in DEFINED:
        return {"references": _references(rng, world, metastore)}
    if selector == "credential":
        kind = "STORAGE_CREDENTIAL" if thing["kind"] == "EXTERNAL_LOCATION" else "SERVICE_CREDENTIAL"
        return {"credential": rng.choice(of_kind(world, kind, metastore))}
    if selector == "location":
        return {"location": rng.choice(of_kind(world, "EXTERNAL_LOCATION", metastore))}
    if verb == "grant_recipient":
        return {"recipient": rng.choice(of_kind(world, "RECIPIENT", metastore))}
    if verb == "set_policy":
        return {"function": rng.choice(of_kind(world, "FUNCTION", metastore))}
    return {}


def about(rng: random.Random, world: World, who: str) -> dict[str, Any]:
    """Whom a question is about, often oneself, and the workspace whose query engine may ask."""
    subject = who if rng.random() < 0.3 else rng.choice(list(world["principals"]))
    return {"subject": subject, "workspace": rng.choice(WORKSPACES)}


def _references(rng: random.Random, world: World, metastore: str) -> tuple[str, ...]:
    """What a new definition names."""
    named = [o for kind in (*RELATIONS, "FUNCTION") for o in of_kind(world, kind, metastore)]
    return tuple(rng.sample(named, rng.choice((0, 1, 1, 2))))


def of_kind(world: World, kind: str, metastore: str) -> list[str]:
    """The living objects of a kind."""
    return [
        o for o, thing in world["objects"].items() if (thing["kind"], thing["metastore"]) == (kind, metastore)
    ]


def workspace_for(rng: random.Random, thing: dict[str, Any]) -> str | None:
    """Mostly the workspace at home in the object's metastore."""
    chance = rng.random()
    if chance < 0.02:
        return None
    if chance < 0.2:
        return rng.choice(WORKSPACES)
    return {"m0": "w0", "m1": "w1"}.get(thing["metastore"], "w0")
