"""Small tangled worlds for questions: owners at every level, nested groups, isolated catalogs, views over views, expiring grants."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

from lakewarden_policy import (
    ACCOUNT_USERS_ID,
    Binding,
    Decider,
    Grant,
    Head,
    Location,
    Membership,
    Policy,
    Principal,
    Reference,
    Securable,
    Snapshot,
    load_policy,
)

USERS, GROUPS = 10, 6
WORKSPACES = ("w0", "w1", "w2")
NOW = 1_000.0
GATES = {"CATALOG": "USE_CATALOG", "SCHEMA": "USE_SCHEMA"}


class Access(NamedTuple):
    """May this principal use this privilege on this object from this workspace?"""

    who: str
    workspace: str | None
    object_id: str
    privilege: str


def tangled_world(seed: int) -> Snapshot:
    """A snapshot of two metastores and three workspaces, one of them attached to nothing now and then."""
    rng = random.Random(seed)
    principals = list(_principals())
    ids = [*(each.id for each in principals), ACCOUNT_USERS_ID]
    securables = list(_securables(rng, ids))
    references = list(_references(rng, securables))
    isolated = [each.id for each in securables if each.kind == "CATALOG" and rng.random() < 0.35]
    return Snapshot.build(
        Head("epoch", 1, "nonce"),
        principals=principals,
        memberships=list(_memberships(rng, principals)),
        securables=securables,
        grants=list(_grants(rng, load_policy(), securables, ids)),
        tokens=[],
        isolated=isolated,
        bindings=[
            Binding(catalog, workspace, rng.choice(("READ_WRITE", "READ_ONLY")))
            for catalog in isolated
            for workspace in WORKSPACES
            if rng.random() < 0.5
        ],
        locations=list(_locations(rng, securables)),
        read_only_credentials=[each.id for each in securables if each.id == "m0.key"],
        references=references,
        now=NOW,
    )


def accesses(rng: random.Random, decider: Decider, count: int) -> Iterator[Access]:
    """Questions by anybody about anything privileges are granted on."""
    snapshot, policy = decider.snapshot, decider.policy
    people = [each.id for each in snapshot.principals.values() if each.kind != "GROUP"]
    objects = [each for each in snapshot.securables.values() if policy.grantable(each.kind)]
    for _ in range(count):
        target = rng.choice(objects)
        workspace = rng.choice((*WORKSPACES, *WORKSPACES, None))
        yield Access(rng.choice(people), workspace, target.id, rng.choice(policy.grantable(target.kind)))


def _principals() -> Iterator[Principal]:
    for number in range(USERS):
        yield Principal(f"u{number}", "USER", f"u{number}@x.io", f"u{number}@x.io", number != 0)
    yield Principal("p0", "SERVICE_PRINCIPAL", "p0", "p0", True)
    for number in range(GROUPS):
        yield Principal(f"g{number}", "GROUP", f"g{number}", f"g{number}", True)


def _memberships(rng: random.Random, principals: list[Principal]) -> Iterator[Membership]:
    for number in range(1, GROUPS):
        # Upwards to lower numbers only, so there is no cycle.
        if rng.random() < 0.7:
            yield Membership(f"g{rng.randrange(number)}", f"g{number}")
    for each in principals:
        if each.kind != "GROUP":
            yield from (
                Membership(f"g{at}", each.id) for at in rng.sample(range(GROUPS), rng.choice((0, 1, 2)))
            )


def _securables(rng: random.Random, principals: list[str]) -> Iterator[Securable]:
    def owner() -> str | None:
        return rng.choice([None, *principals])

    for number in range(2):
        metastore = f"m{number}"
        yield Securable(metastore, "METASTORE", "account", None, metastore, metastore, owner(), 1)
        for catalog in "ab":
            place = f"{metastore}.{catalog}"
            yield Securable(place, "CATALOG", metastore, metastore, catalog, catalog, owner(), 1)
            for schema in "ab"[: rng.choice((1, 2))]:
                inside = f"{place}.{schema}"
                yield Securable(inside, "SCHEMA", place, metastore, schema, schema, owner(), 1)
                for name in ("t0", "t1", "v0", "v1"):
                    kind = "TABLE" if name[0] == "t" else "VIEW"
                    yield Securable(f"{inside}.{name}", kind, inside, metastore, name, name, owner(), 1)
        for kind, name in (("STORAGE_CREDENTIAL", "key"), ("EXTERNAL_LOCATION", "lake")):
            yield Securable(f"{metastore}.{name}", kind, metastore, metastore, name, name, owner(), 1)
    for workspace, metastore_id in zip(WORKSPACES, ("m0", "m1", rng.choice(("m0", None))), strict=True):
        yield Securable(workspace, "WORKSPACE", "account", metastore_id, workspace, workspace, owner(), 1)


def _locations(rng: random.Random, securables: list[Securable]) -> Iterator[Location]:
    """One reached with a read-only credential, one that is read-only itself now and then."""
    for each in securables:
        if each.kind == "EXTERNAL_LOCATION":
            read_only = each.metastore_id == "m1" and rng.random() < 0.5
            yield Location(each.id, f"s3://{each.id}", f"{each.metastore_id}.key", read_only)


def _references(rng: random.Random, securables: list[Securable]) -> Iterator[Reference]:
    """What views read: tables and any view of the metastore, so that some end in themselves and some in nothing."""
    for view in securables:
        if view.kind == "VIEW":
            relations = [
                each.id.partition(".")[2]
                for each in securables
                if each.kind in ("TABLE", "VIEW") and each.metastore_id == view.metastore_id
            ]
            for name in rng.sample([*relations, *relations, "a.a.gone"], rng.choice((0, 1, 2))):
                yield Reference(view.id, "SELECT", name)


def _grants(
    rng: random.Random, policy: Policy, securables: list[Securable], principals: list[str]
) -> Iterator[Grant]:
    for each in securables:
        privileges = policy.grantable(each.kind)
        for _ in range(rng.randrange(6)):
            expiry = rng.choice((None, None, None, NOW - 1, NOW + 1))
            yield Grant(each.id, rng.choice(principals), rng.choice(privileges), expiry)
        # Enough people must get through the gates, or every answer would be no for the same reason.
        if each.kind in GATES and rng.random() < 0.6:
            yield Grant(each.id, rng.choice((ACCOUNT_USERS_ID, "g0", "g1")), GATES[each.kind])
        if each.kind == "WORKSPACE":
            yield from (Grant(each.id, who, "USER") for who in principals[:-1] if rng.random() < 0.5)
    yield Grant("account", rng.choice(principals[:-1]), "ADMIN")
