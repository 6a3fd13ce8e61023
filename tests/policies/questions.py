"""Random questions to the judges about a random world: built from a stored right more often than from nothing."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

from policies.reference_matrix import BINDABLE, IN_METASTORE, IN_SCHEMA, MATRIX, NOT_IN_ALL, RELATIONS
from policies.worlds import TIMES, WORKSPACES, World

VERBS = ("get", "get", "get", "update", "update", "delete", "grant", "grant", "grants_all")
SELECTORS = {
    "TABLE": ("", "name", "owner", "columns", "properties"),
    "VIEW": ("", "name", "owner", "definition", "definition"),
    "MATERIALIZED_VIEW": ("", "name", "owner", "definition"),
    "STREAMING_TABLE": ("", "name", "owner", "definition"),
    "FUNCTION": ("", "name", "owner", "definition"),
    "EXTERNAL_LOCATION": ("", "name", "owner", "credential"),
    "CONNECTION": ("", "name", "owner", "credential"),
    "WORKSPACE": ("", "name", "metastore", "owner"),
}
# What only one kind knows, asked as often as anything else about it.
RARE = {
    "TABLE": ("set_policy", "drop_policy"),
    "MATERIALIZED_VIEW": ("refresh",),
    "REGISTERED_MODEL": ("create_version",),
    "SHARE": ("grant_recipient",) * 4,
    "DELETED_TABLE": ("restore",) * 20,
}
DEFINED = ("VIEW", "MATERIALIZED_VIEW", "STREAMING_TABLE")
MANAGED = ("CATALOG", "SCHEMA", *IN_SCHEMA, *IN_METASTORE)
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


def make_question(rng: random.Random, world: World) -> Question:
    """A question somebody might just be allowed."""
    makers, weights = zip(*MAKERS.items(), strict=True)
    question = None
    while question is None:
        question = rng.choices(makers, weights)[0](rng, world)
    return question


def elsewhere(rng: random.Random, question: Question) -> Question:
    """The same question from another workspace, or from none."""
    return question._replace(workspace=rng.choice((None, None, *WORKSPACES)))


def _about_a_right(rng: random.Random, world: World) -> Question:
    """A holder of something, about that or what is below it."""
    place, holder, _ = _right(rng, world)
    if place == "account":
        place = rng.choice(list(world["objects"]))
    who = _member_of(rng, world, holder) if rng.random() < 0.8 else _anybody(rng, world)
    return _question_about_object(rng, world, who, _below(rng, world, place))


def _right(
    rng: random.Random, world: World, wanted: Callable[[Any], bool] = lambda right: True
) -> tuple[str, str, str]:
    """An object, a holder and a privilege: a grant or an ownership; of a deleted object, what stands there now."""
    rights = [
        *((o, holder, privilege) for o, holder, privilege, _ in world["grants"]),
        *((o, thing["owner"], "OWNER") for o, thing in world["objects"].items() if thing["owner"]),
    ]
    place, holder, privilege = rng.choice([right for right in rights if wanted(right)] or rights)
    return world["deleted"].get(place, {}).get("recreated_as", place), holder, privilege


def _question_about_object(rng: random.Random, world: World, who: str, place: str) -> Question:
    thing = world["objects"][place]
    kind, noun = thing["kind"], thing["kind"].lower()
    workspace, now = _workspace(rng, thing), rng.choice(TIMES)
    chance = rng.random()
    if chance < 0.15 and (kind in ("METASTORE", "CATALOG", "SCHEMA")):
        return _question_about_child(rng, world, who, place)
    if chance < 0.5 and kind not in ("RECIPIENT", "PROVIDER", "SHARE", "WORKSPACE", "DELETED_TABLE"):
        privileges = sorted(MATRIX[kind] - {"ALL_PRIVILEGES"})
        often = [p for p in ("BROWSE", "MANAGE", "SELECT", "MODIFY", "WRITE_FILES") if p in MATRIX[kind]] * 2
        browsed = ["BROWSE"] * 2 if kind == "SCHEMA" or kind in IN_SCHEMA else []
        privilege = rng.choice([*privileges, *often, *browsed])
        return Question(who, workspace, f"{noun}.use", privilege, {"self": place}, now)
    if kind in BINDABLE and chance < 0.62:
        return Question(who, workspace, f"{noun}.bind", "", {"self": place}, now)
    verb, selector = rng.choice((*VERBS, *RARE.get(kind, ()))), ""
    if kind == "DELETED_TABLE":
        verb = "restore"
    if verb == "update":
        selector = rng.choice(SELECTORS.get(kind, ("", "name", "owner")))
    elif verb == "grant":
        selector = rng.choice(sorted(MATRIX[kind]) or [""])
        verb = verb if selector else "get"
    objects = {"self": place, **_bound(rng, world, who, thing, verb, selector)}
    return Question(who, workspace, f"{noun}.{verb}", selector, objects, now)


def _bound(
    rng: random.Random, world: World, who: str, thing: dict[str, Any], verb: str, selector: str
) -> dict[str, Any]:
    """What the operation names beside its object."""
    metastore = thing["metastore"]
    if selector == "owner" and thing["kind"] != "WORKSPACE":
        near = [group for group, member in world["members"] if member == who]
        return {"grantee": rng.choice([who, *near, rng.choice(list(world["principals"]))])}
    if selector == "definition" and thing["kind"] in DEFINED:
        return {"references": _references(rng, world, metastore)}
    if selector == "credential":
        kind = "STORAGE_CREDENTIAL" if thing["kind"] == "EXTERNAL_LOCATION" else "SERVICE_CREDENTIAL"
        return {"credential": rng.choice(_of_kind(world, kind, metastore))}
    if verb == "grant_recipient":
        return {"recipient": rng.choice(_of_kind(world, "RECIPIENT", metastore))}
    if verb == "set_policy":
        return {"function": rng.choice(_of_kind(world, "FUNCTION", metastore))}
    return {}


def _references(rng: random.Random, world: World, metastore: str) -> tuple[str, ...]:
    """What a new definition names; the caller has often a right to it."""
    named = [o for kind in (*RELATIONS, "FUNCTION") for o in _of_kind(world, kind, metastore)]
    return tuple(rng.sample(named, rng.choice((0, 1, 1, 2))))


def _question_about_child(rng: random.Random, world: World, who: str, place: str) -> Question:
    thing, objects = world["objects"][place], dict[str, Any](parent=place)
    below = {"METASTORE": IN_METASTORE, "CATALOG": ("SCHEMA",), "SCHEMA": IN_SCHEMA}[thing["kind"]]
    kind, verb = rng.choice(below), rng.choice(("create", "create", "miss"))
    for name in CREATED_WITH.get(kind, ()) if verb == "create" else ():
        wanted = {
            "location": "EXTERNAL_LOCATION",
            "connection": "CONNECTION",
            "credential": "STORAGE_CREDENTIAL" if kind == "EXTERNAL_LOCATION" else "SERVICE_CREDENTIAL",
        }[name]
        if rng.random() < 0.4 or kind == "EXTERNAL_LOCATION":
            objects[name] = rng.choice(_of_kind(world, wanted, thing["metastore"]))
    if kind in DEFINED and verb == "create":
        objects["references"] = _references(rng, world, thing["metastore"])
    return Question(who, _workspace(rng, thing), f"{kind.lower()}.{verb}", "", objects, rng.choice(TIMES))


def _about_a_view(rng: random.Random, world: World) -> Question | None:
    """Somebody with a right to a view reads it."""
    views = {o for o, thing in world["objects"].items() if thing.get("references")}
    readers = ("SELECT", "ALL_PRIVILEGES", "OWNER")
    right = _right(rng, world, lambda right: right[0] in views and right[2] in readers)
    return _use(rng, world, right[1], right[0], "SELECT") if right[0] in views else None


def _about_an_ending(rng: random.Random, world: World) -> Question | None:
    """A privilege that was granted until some time."""
    ending = [grant for grant in world["grants"] if grant[3] is not None and grant[0] in world["objects"]]
    place, holder, privilege, _ = rng.choice(ending)
    if world["objects"][place]["kind"] == "WORKSPACE" or privilege == "ALL_PRIVILEGES":
        return None
    return _use(rng, world, holder, place, privilege)


def _about_all_privileges(rng: random.Random, world: World) -> Question | None:
    """What a holder of ALL PRIVILEGES may do with it: anything but what it does not cover."""
    place, holder, _ = _right(rng, world, lambda right: right[2] == "ALL_PRIVILEGES")
    place = _below(rng, world, place)
    names = MATRIX[world["objects"][place]["kind"]]
    covered, outside = sorted(names - {"ALL_PRIVILEGES"}), sorted(NOT_IN_ALL & names)
    return _use(rng, world, holder, place, rng.choice([*outside * 3, *covered])) if covered else None


def _about_browsing(rng: random.Random, world: World) -> Question | None:
    """Somebody with BROWSE looks at something inside."""
    place, holder, _ = _right(rng, world, lambda right: right[2] == "BROWSE")
    place = _below(rng, world, place)
    kind = world["objects"][place]["kind"]
    if kind == "DELETED_TABLE" or rng.random() < 0.5:
        return _use(rng, world, holder, place, "BROWSE") if kind != "DELETED_TABLE" else None
    return _use(rng, world, holder, place, "")._replace(operation=f"{kind.lower()}.get")


def _about_management(rng: random.Random, world: World) -> Question | None:
    """A metastore admin or a holder of MANAGE changes something."""
    metastores = {o for o, thing in world["objects"].items() if thing["kind"] == "METASTORE"}
    place, holder, _ = _right(
        rng, world, lambda right: right[2] == "MANAGE" or (right[0] in metastores and right[2] == "OWNER")
    )
    place = _below(rng, world, place)
    kind = world["objects"][place]["kind"]
    operation = f"{kind.lower()}.{rng.choice(('delete', 'grants_all', 'get'))}"
    return _use(rng, world, holder, place, "")._replace(operation=operation) if kind in MANAGED else None


def _about_bindings(rng: random.Random, world: World) -> Question | None:
    """The owner or a manager of something isolated looks at it or binds it, from anywhere."""
    shut = {o for o, thing in world["objects"].items() if thing.get("isolation") == "ISOLATED"}
    place, holder, _ = _right(rng, world, lambda right: right[0] in shut and right[2] in ("OWNER", "MANAGE"))
    if place not in shut:
        return None
    thing = world["objects"][place]
    operation = f"{thing['kind'].lower()}.{rng.choice(('bind', 'bind', 'get', 'delete'))}"
    unbound = [workspace for workspace in WORKSPACES if workspace not in thing["bindings"]]
    workspace = rng.choice([*WORKSPACES, *unbound * 3])
    return _use(rng, world, holder, place, "")._replace(operation=operation, workspace=workspace)


def _about_a_former(rng: random.Random, world: World) -> Question | None:
    """A right to something deleted, asked of what has its name now."""
    former = [grant for grant in world["grants"] if grant[0] in world["deleted"]]
    place, holder, privilege, _ = rng.choice(former)
    place = world["deleted"][place]["recreated_as"]
    return None if privilege == "ALL_PRIVILEGES" else _use(rng, world, holder, place, privilege)


def _use(rng: random.Random, world: World, holder: str, place: str, privilege: str) -> Question:
    """May somebody with the holder's rights use the privilege?"""
    thing = world["objects"][place]
    operation = f"{thing['kind'].lower()}.use"
    who, workspace = _member_of(rng, world, holder), _workspace(rng, thing)
    return Question(who, workspace, operation, privilege, {"self": place}, rng.choice(TIMES))


def _question_about_identities(rng: random.Random, world: World) -> Question:
    who, other = _anybody(rng, world), rng.choice(list(world["principals"]))
    admins = [holder for obj, holder, *_ in world["grants"] if obj == "account"]
    if rng.random() < 0.4:
        who = _member_of(rng, world, rng.choice(admins))
    subject = who if rng.random() < 0.4 else other
    noun, workspace, now = (
        world["principals"][subject]["kind"].lower(),
        rng.choice(WORKSPACES),
        rng.choice(TIMES),
    )
    token, verb = (
        rng.choice(("create", "list", "delete")),
        rng.choice(("get", "update", "delete", "create", "miss")),
    )
    return rng.choice(
        (
            Question(who, None, f"token.{token}", "", {"subject": subject}, now),
            Question(who, None, "authorization.check", "", {"subject": subject, "workspace": workspace}, now),
            Question(who, None, f"{noun}.{verb}", "", {"self": subject}, now),
            Question(who, None, "account.grant", "ADMIN", {}, now),
        )
    )


def _of_kind(world: World, kind: str, metastore: str) -> list[str]:
    return [
        o for o, thing in world["objects"].items() if (thing["kind"], thing["metastore"]) == (kind, metastore)
    ]


def _anybody(rng: random.Random, world: World) -> str:
    return rng.choice(
        [name for name, principal in world["principals"].items() if principal["kind"] != "GROUP"]
    )


def _member_of(rng: random.Random, world: World, holder: str) -> str:
    """Somebody who has the holder's rights, directly or through nested groups."""
    if holder == "account-users":
        return _anybody(rng, world)
    members = [member for group, member in world["members"] if group == holder]
    workspace, _, role = holder.partition(":")
    if role:
        roles = ("USER", "ADMIN") if role == "users" else ("ADMIN",)
        members = [
            who
            for obj, who, name, _ in world["grants"]
            if obj == workspace and name in roles and who != holder
        ]
        members = [who for who in members if ":" not in who]
    if members:
        return _member_of(rng, world, rng.choice(members))
    return _anybody(rng, world) if world["principals"][holder]["kind"] == "GROUP" else holder


def _below(rng: random.Random, world: World, place: str) -> str:
    """The place or, more often than not, something inside it."""
    while world["objects"][place]["kind"] in ("METASTORE", "CATALOG", "SCHEMA") and rng.random() < 0.65:
        children = [o for o, thing in world["objects"].items() if thing["parent"] == place]
        if not children:
            break
        place = rng.choice(children)
    return place


def _workspace(rng: random.Random, thing: dict[str, Any]) -> str | None:
    chance = rng.random()
    if chance < 0.02:
        return None
    if chance < 0.2:
        return rng.choice(WORKSPACES)
    return {"m0": "w0", "m1": "w1"}.get(thing["metastore"], "w0")


# How often each kind of question is asked, so that every kind of rule decides often enough.
MAKERS: dict[Callable[[random.Random, World], Question | None], float] = {
    _about_a_right: 0.40,
    _about_a_view: 0.14,
    _about_an_ending: 0.05,
    _about_all_privileges: 0.12,
    _about_browsing: 0.06,
    _about_management: 0.08,
    _about_bindings: 0.11,
    _about_a_former: 0.05,
    _question_about_identities: 0.08,
}
