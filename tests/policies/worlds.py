"""Random worlds and questions for the judges, as plain data, and their translation into a Snapshot."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

from lakewarden_policy import Grant, Head, Membership, Policy, Principal, Securable, Snapshot

World = dict[str, Any]

USERS, SERVICES, GROUPS = 12, 3, 9
LETTERS = "abc"
CHILD_KIND = {"METASTORE": "CATALOG", "CATALOG": "SCHEMA", "SCHEMA": "TABLE"}
VERBS = ("get", "update", "delete", "grant", "grants_all")
SELECTORS = {
    "CATALOG": ("", "name", "owner"),
    "SCHEMA": ("", "name", "owner"),
    "TABLE": ("", "name", "owner", "columns", "properties"),
    "METASTORE": ("", "name", "owner"),
    "WORKSPACE": ("", "name", "metastore", "owner"),
}


class Question(NamedTuple):
    """One question to every judge; the operation ``<noun>.use`` asks for the privilege named by the selector."""

    who: str
    workspace: str | None
    operation: str
    selector: str
    objects: dict[str, str]


def make_world(rng: random.Random, policy: Policy) -> World:
    """A world with nested groups, owners at every level, two metastores, three workspaces and recreated names."""
    world: World = {"principals": {}, "members": [], "objects": {}, "deleted": {}, "grants": []}
    _add_principals(rng, world)
    _add_objects(rng, world)
    _add_grants(rng, world, policy)
    return world


def _add_principals(rng: random.Random, world: World) -> None:
    principals = world["principals"]
    for number in range(USERS):
        principals[f"u{number}"] = {"kind": "USER", "active": number != 0}
    for number in range(SERVICES):
        principals[f"p{number}"] = {"kind": "SERVICE_PRINCIPAL", "active": True}
    for number in range(GROUPS):
        principals[f"g{number}"] = {"kind": "GROUP", "active": True}
        # Parents have lower numbers, so there is no cycle; the last groups nest up to four deep.
        if number and rng.random() < 0.7:
            world["members"].append((f"g{rng.randrange(number)}", f"g{number}"))
    for member in [name for name, principal in principals.items() if principal["kind"] != "GROUP"]:
        for group in rng.sample(range(GROUPS), rng.choice((0, 1, 1, 2))):
            world["members"].append((f"g{group}", member))
    principals["account-users"] = {"kind": "GROUP", "active": True}


def _owner(rng: random.Random, world: World) -> str | None:
    return rng.choice([None, *world["principals"]]) if rng.random() < 0.8 else None


def _add_objects(rng: random.Random, world: World) -> None:
    objects = world["objects"]
    for number in range(2):
        metastore = f"m{number}"
        owner = rng.choice([None, f"g{rng.randrange(GROUPS)}", f"u{rng.randrange(USERS)}"])
        objects[metastore] = {
            "kind": "METASTORE", "name": metastore, "parent": "account", "metastore": metastore, "owner": owner
        }  # fmt: skip
        for catalog in LETTERS[: rng.choice((2, 3))]:
            _add_tree(rng, world, "CATALOG", catalog, metastore, metastore)
    for workspace, metastore in (("w0", "m0"), ("w1", "m1"), ("w2", rng.choice(("m0", None)))):
        objects[workspace] = {
            "kind": "WORKSPACE", "name": workspace, "parent": "account", "metastore": metastore,
            "owner": _owner(rng, world) if rng.random() < 0.5 else None,
        }  # fmt: skip


def _add_tree(rng: random.Random, world: World, kind: str, name: str, parent: str, metastore: str) -> None:
    identity = f"{parent}.{name}"
    living = {
        "kind": kind,
        "name": name,
        "parent": parent,
        "metastore": metastore,
        "owner": _owner(rng, world),
    }
    if rng.random() < 0.3:
        # The name was used before: the former object's grants and owner must not come back with it.
        world["deleted"][identity + "#old"] = {
            **living,
            "owner": _owner(rng, world),
            "recreated_as": identity,
        }
    world["objects"][identity] = living
    below = CHILD_KIND.get(kind)
    if below:
        for letter in LETTERS[: rng.choice((1, 2, 3))]:
            _add_tree(rng, world, below, letter, identity, metastore)


def _add_grants(rng: random.Random, world: World, policy: Policy) -> None:
    grants, principals = world["grants"], list(world["principals"])
    for identity, thing in (*world["objects"].items(), *world["deleted"].items()):
        privileges = policy.grantable(thing["kind"])
        often = {
            "CATALOG": ["USE_CATALOG"] * 4 + ["BROWSE"] * 4,
            "SCHEMA": ["USE_SCHEMA"] * 5,
            "TABLE": ["SELECT"],
        }.get(thing["kind"], [])
        count = {"WORKSPACE": 7, "CATALOG": 8, "SCHEMA": 5, "TABLE": 3, "METASTORE": 3}[thing["kind"]]
        for _ in range(rng.randrange(count + 3)):
            grants.append((identity, rng.choice(principals), rng.choice([*privileges, *often])))
    # Most people work somewhere and many may enter; otherwise nearly every answer would be no for the same reason.
    for workspace in ("w0", "w1"):
        grants += [(workspace, who, "USER") for who in principals[:-1] if rng.random() < 0.5]
    for identity, thing in world["objects"].items():
        gate = {"CATALOG": "USE_CATALOG", "SCHEMA": "USE_SCHEMA"}.get(thing["kind"])
        if gate and rng.random() < 0.5:
            grants.append((identity, "account-users" if rng.random() < 0.4 else f"g{rng.randrange(3)}", gate))
    grants.append(("account", rng.choice(principals[:-1]), "ADMIN"))
    world["grants"] = sorted(set(grants))


def snapshot_of(world: World, kind: type[Snapshot] = Snapshot) -> Snapshot:
    """The world as the engine sees it: deleted objects are gone, their grants are still in the list."""
    return kind.build(
        Head("epoch", 1, "nonce"),
        principals=[
            Principal(
                identity,
                principal["kind"],
                _principal_name(identity),
                _principal_name(identity),
                principal["active"],
            )
            for identity, principal in world["principals"].items()
            if identity != "account-users"
        ],
        memberships=[Membership(group, member) for group, member in world["members"]],
        securables=[
            Securable(identity, o["kind"], o["parent"], o["metastore"], o["name"], o["name"], o["owner"], 1)
            for identity, o in world["objects"].items()
        ],
        grants=[Grant(*grant) for grant in world["grants"]],
        tokens=[],
    )


def _principal_name(identity: str) -> str:
    return f"{identity}@x.io" if identity.startswith("u") else identity


def make_question(rng: random.Random, world: World, policy: Policy) -> Question:
    """A question somebody might just be allowed: built from a stored right more often than from nothing."""
    rights = [
        *world["grants"],
        *((o, thing["owner"], "OWNER") for o, thing in world["objects"].items() if thing["owner"]),
    ]
    place, holder, _ = rng.choice(rights)
    place = world["deleted"].get(place, {}).get("recreated_as", place)
    if rng.random() < 0.15:
        return _question_about_identities(rng, world, place)
    if place == "account":
        place = rng.choice(list(world["objects"]))
    who = _member_of(rng, world, holder) if rng.random() < 0.75 else _anybody(rng, world)
    return _question_about_object(rng, world, policy, who, _below(rng, world, place))


def _question_about_object(
    rng: random.Random, world: World, policy: Policy, who: str, place: str
) -> Question:
    thing = world["objects"][place]
    kind, noun = thing["kind"], thing["kind"].lower()
    workspace = _workspace(rng, world, who, thing)
    chance = rng.random()
    if chance < 0.12 and kind in CHILD_KIND:
        child = CHILD_KIND[kind].lower()
        return Question(who, workspace, f"{child}.{rng.choice(('create', 'miss'))}", "", {"parent": place})
    if chance < 0.5 and kind in ("CATALOG", "SCHEMA", "TABLE"):
        privileges = [
            *policy.grantable(kind),
            *["BROWSE", "BROWSE", "BROWSE"],
            *(["SELECT", "MODIFY", "MANAGE"] * 3),
        ]
        return Question(who, workspace, f"{noun}.use", rng.choice(privileges), {"self": place})
    verb = rng.choice((*VERBS, "get", "get"))
    selector = ""
    if verb == "update":
        selector = rng.choice(SELECTORS[kind])
    elif verb == "grant":
        selector = rng.choice(policy.grantable(kind))
    return Question(who, workspace, f"{noun}.{verb}", selector, {"self": place})


def _question_about_identities(rng: random.Random, world: World, place: str) -> Question:
    who, other = _anybody(rng, world), rng.choice(list(world["principals"]))
    admins = [holder for obj, holder, _ in world["grants"] if obj == "account"]
    if rng.random() < 0.5:
        who = _member_of(rng, world, rng.choice(admins))
    subject = who if rng.random() < 0.4 else other
    noun = world["principals"][subject]["kind"].lower()
    workspace = rng.choice(["w0", "w1", "w2"])
    return rng.choice(
        (
            Question(
                who, None, "token." + rng.choice(("create", "list", "delete")), "", {"subject": subject}
            ),
            Question(who, None, "authorization.check", "", {"subject": subject, "workspace": workspace}),
            Question(
                who,
                None,
                f"{noun}.{rng.choice(('get', 'update', 'delete', 'create', 'miss'))}",
                "",
                {"self": subject},
            ),
            Question(who, None, "account.grant", "ADMIN", {}),
        )
    )


def _anybody(rng: random.Random, world: World) -> str:
    return rng.choice(
        [name for name, principal in world["principals"].items() if principal["kind"] != "GROUP"]
    )


def _member_of(rng: random.Random, world: World, holder: str) -> str:
    """Somebody who has the holder's rights, directly or through nested groups."""
    if holder == "account-users":
        return _anybody(rng, world)
    members = [member for group, member in world["members"] if group == holder]
    if members:
        return _member_of(rng, world, rng.choice(members))
    return _anybody(rng, world) if world["principals"][holder]["kind"] == "GROUP" else holder


def _below(rng: random.Random, world: World, place: str) -> str:
    """The place or, more often than not, something inside it."""
    while world["objects"][place]["kind"] in CHILD_KIND and rng.random() < 0.6:
        children = [o for o, thing in world["objects"].items() if thing["parent"] == place]
        if not children:
            break
        place = rng.choice(children)
    return place


def _workspace(rng: random.Random, world: World, who: str, thing: dict[str, Any]) -> str | None:
    chance = rng.random()
    if chance < 0.06:
        return None
    if chance < 0.2:
        return rng.choice(["w0", "w1", "w2"])
    return {"m0": "w0", "m1": "w1"}.get(thing["metastore"], "w0")
