"""Random worlds of workspaces full of objects, and questions about them, as plain data: nothing of ours is imported.

Like those of `worlds.py`, but an object tells its ``workspace`` instead of a metastore, and folders nest.
"""

from __future__ import annotations

import random
from typing import Any, NamedTuple

from policies.reference_objects import BELOW, FOLDERED, FOLDERS, LEVELS, OWNED
from policies.worlds import TIMES, World, add_principals

WORKSPACES = ("w0", "w1", "w2")
DEPTH = 6
VERBS = (
    "get",
    "get",
    "update",
    "update.owner",
    "update.owner",
    "delete",
    "grant",
    "grants_all",
    "effective",
    "explain",
)


class ObjectQuestion(NamedTuple):
    """May somebody, from a workspace, use a level of an object, or do an operation on it at this time?"""

    who: str
    workspace: str | None
    operation: str
    level: str
    objects: dict[str, str]
    now: int


def make_object_world(rng: random.Random) -> World:
    """Three workspaces with folders six deep, objects of every kind in them and beside them, levels on all of it."""
    world: World = {"principals": {}, "members": [], "objects": {}, "deleted": {}, "grants": []}
    add_principals(rng, world, WORKSPACES)
    for workspace in WORKSPACES:
        world["objects"][workspace] = {
            "kind": "WORKSPACE", "name": workspace, "parent": "account", "metastore": None, "workspace": None,
            "owner": _somebody(rng, world) if rng.random() < 0.3 else None,
        }  # fmt: skip
        _fill(rng, world, workspace)
    _assign(rng, world)
    # A level is granted once, with or without an end.
    world["grants"] = sorted({grant[:3]: grant for grant in world["grants"]}.values(), key=repr)
    return world


def _fill(rng: random.Random, world: World, workspace: str) -> None:
    places = [workspace]
    for number in range(DEPTH * 2):
        parent = places[-1] if rng.random() < 0.5 else rng.choice(places)
        in_repo = parent != workspace and world["objects"][parent]["kind"] == "REPO"
        kind = "DIRECTORY" if in_repo else rng.choice((*FOLDERS, "DIRECTORY"))
        places.append(_add(rng, world, kind, f"{number}", parent, workspace))
    for kind in LEVELS:
        for number in range(2):
            if kind not in FOLDERS:
                parent = rng.choice(places) if kind in FOLDERED else workspace
                _add(rng, world, kind, f"{number}", parent, workspace)


def _add(rng: random.Random, world: World, kind: str, name: str, parent: str, workspace: str) -> str:
    identity = f"{workspace}/{kind.lower()}-{name}"
    owner = _person(rng, world) if kind in OWNED else f"{workspace}:admins"
    world["objects"][identity] = {
        "kind": kind, "name": f"{kind.lower()}-{name}", "parent": parent, "metastore": None, "workspace": workspace,
        "owner": owner,
    }  # fmt: skip
    for _ in range(rng.choice((0, 1, 1, 2)) if kind not in FOLDERS else rng.choice((0, 0, 1))):
        levels = sorted(set(LEVELS[kind]) - {"IS_OWNER"})
        until = rng.randrange(1, 10) if rng.random() < 0.3 else None
        world["grants"].append((identity, _somebody(rng, world), rng.choice(levels), until))
    return identity


def _assign(rng: random.Random, world: World) -> None:
    people = [who for who in world["principals"] if ":" not in who and who != "account-users"]
    for workspace in WORKSPACES:
        world["grants"] += [(workspace, who, "USER", None) for who in people if rng.random() < 0.5]
        world["grants"] += [(workspace, rng.choice(people), "ADMIN", rng.choice((None, 5))) for _ in range(2)]
        world["grants"] += [(workspace, rng.choice(people), "QUERY_ENGINE", None) for _ in range(2)]
    world["grants"].append(("account", rng.choice(people), "ADMIN", None))


def _somebody(rng: random.Random, world: World) -> str:
    return rng.choice(list(world["principals"]))


def _person(rng: random.Random, world: World) -> str:
    return rng.choice([name for name, each in world["principals"].items() if each["kind"] != "GROUP"])


def make_object_question(rng: random.Random, world: World) -> ObjectQuestion:
    """A question somebody might just be allowed: about an object on which, or above which, there is a grant."""
    objects = world["objects"]
    # The kind is drawn first now and then: what is not in folders has few grants.
    kind = rng.choice(list(LEVELS)) if rng.random() < 0.4 else ""
    near = [grant for grant in world["grants"] if objects.get(grant[0], {}).get("kind") == kind]
    place, holder, granted, _ = rng.choice(near or world["grants"])
    if rng.random() < 0.15:
        holder, place = rng.choice(
            [(thing["owner"], o) for o, thing in objects.items() if thing["owner"] and thing["workspace"]]
        )
    inside = [o for o, thing in objects.items() if thing["workspace"] and place in (o, *_above(world, o))]
    obj = rng.choice(inside or [o for o, thing in objects.items() if thing["workspace"]])
    home, kind = objects[obj]["workspace"], objects[obj]["kind"]
    who = _member(rng, world, holder) if rng.random() < 0.85 else _person(rng, world)
    workspace = home if rng.random() < 0.9 else rng.choice((*WORKSPACES, None))
    now = rng.choice(TIMES)
    bound = {"workspace": workspace} if workspace else {}
    chance = rng.random()
    if chance < 0.55:
        near = [granted, *BELOW[kind].get(granted, ())] if granted in LEVELS[kind] else []
        level = rng.choice(near) if near and rng.random() < 0.5 else rng.choice(LEVELS[kind])
        return ObjectQuestion(who, workspace, f"{kind.lower()}.use", level, {"self": obj, **bound}, now)
    if chance < 0.62:
        noun, verb = rng.choice(
            (
                (kind.lower(), "create"),
                (kind.lower(), "create"),
                ("workspace_object", "list"),
                ("permission_level", "list"),
            )
        )
        return ObjectQuestion(who, workspace, f"{noun}.{verb}", "", bound, now)
    if chance < 0.68:
        return ObjectQuestion(who, workspace, f"{kind.lower()}.miss", "", {"parent": home, **bound}, now)
    subject = who if rng.random() < 0.3 else _somebody(rng, world)
    verb, _, selector = rng.choice(VERBS).partition(".")
    names = {"self": obj, "subject": subject, **bound}
    return ObjectQuestion(who, workspace, f"{kind.lower()}.{verb}", selector, names, now)


def _above(world: World, obj: str) -> list[str]:
    found, parent = [], world["objects"][obj]["parent"]
    while parent in world["objects"]:
        found.append(parent)
        parent = world["objects"][parent]["parent"]
    return found


def _member(rng: random.Random, world: World, holder: Any) -> str:
    """Somebody who may have the holder's rights."""
    members = [member for group, member in world["members"] if group == holder]
    if members:
        return _member(rng, world, rng.choice(members))
    return holder if world["principals"][holder]["kind"] != "GROUP" else _person(rng, world)
