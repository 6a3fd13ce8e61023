"""Random worlds with what the plain ones lack: isolated catalogs, views over tables and views, grants that expire."""

from __future__ import annotations

import random
from typing import NamedTuple

from lakewarden_policy import (
    Binding,
    Decider,
    Grant,
    Head,
    Membership,
    Policy,
    Principal,
    Reference,
    Securable,
    Snapshot,
)
from policies.worlds import World, make_world

VIEWS_PER_SCHEMA_MAX = 2
NOW = 1_000.0


class Access(NamedTuple):
    """May this principal use this privilege on this object from this workspace?"""

    who: str
    workspace: str | None
    object_id: str
    privilege: str


def rich_world(seed: int, policy: Policy) -> Snapshot:
    """A plain random world, and views, bindings and expiry strewn into it."""
    rng = random.Random(seed)
    world = make_world(rng, policy)
    securables = [
        Securable(identity, o["kind"], o["parent"], o["metastore"], o["name"], o["name"], o["owner"], 1)
        for identity, o in world["objects"].items()
    ]
    views, references = _views(rng, world)
    grants = [Grant(*grant, _expiry(rng)) for grant in world["grants"]]
    grants += [
        Grant(view.id, rng.choice(list(world["principals"])), rng.choice(policy.grantable("VIEW")))
        for view in views
        for _ in range(2)
    ]
    isolated = [o.id for o in securables if o.kind == "CATALOG" and rng.random() < 0.35]
    return Snapshot.build(
        Head("epoch", 1, "nonce"),
        principals=[_principal(name, each) for name, each in world["principals"].items() if name != "account-users"],
        memberships=[Membership(*pair) for pair in world["members"]],
        securables=[*securables, *views],
        grants=grants,
        tokens=[],
        isolated=isolated,
        bindings=[
            Binding(catalog, workspace, rng.choice(("READ_WRITE", "READ_ONLY")))
            for catalog in isolated
            for workspace in ("w0", "w1", "w2")
            if rng.random() < 0.5
        ],
        references=references,
        now=NOW,
    )  # fmt: skip


def accesses(rng: random.Random, decider: Decider, count: int) -> list[Access]:
    """Questions about anything below a metastore, by anybody, with every grantable privilege."""
    snapshot = decider.snapshot
    people = [each.id for each in snapshot.principals.values() if each.kind != "GROUP"]
    objects = [each for each in snapshot.securables.values() if decider.policy.grantable(each.kind)]
    found = []
    for _ in range(count):
        target = rng.choice(objects)
        workspace = rng.choice(("w0", "w0", "w1", "w1", "w2", None))
        found.append(
            Access(
                rng.choice(people), workspace, target.id, rng.choice(decider.policy.grantable(target.kind))
            )
        )
    return found


def _principal(name: str, each: World) -> Principal:
    shown = f"{name}@x.io" if each["kind"] == "USER" else name
    return Principal(name, each["kind"], shown, shown, each["active"])


def _expiry(rng: random.Random) -> float | None:
    return rng.choice((None, None, None, NOW - 1, NOW + 1))


def _views(rng: random.Random, world: World) -> tuple[list[Securable], list[Reference]]:
    """Views of each schema over tables and views made before them, now and then over nothing."""
    views: list[Securable] = []
    references: list[Reference] = []
    names = {"m0": ["a.a.gone"], "m1": ["a.a.gone"]}
    for identity, o in world["objects"].items():
        if o["kind"] == "TABLE":
            names[o["metastore"]].append(identity.partition(".")[2])
    for identity, o in world["objects"].items():
        if o["kind"] != "SCHEMA":
            continue
        for number in range(rng.randrange(VIEWS_PER_SCHEMA_MAX + 1)):
            view = f"{identity}.view{number}"
            owner = rng.choice([None, *world["principals"], *world["principals"]])
            views.append(
                Securable(view, "VIEW", identity, o["metastore"], f"view{number}", f"view{number}", owner, 1)
            )
            for name in rng.sample(names[o["metastore"]], rng.choice((1, 1, 2))):
                references.append(Reference(view, "SELECT", name))
            names[o["metastore"]].append(view.partition(".")[2])
    return views, references
