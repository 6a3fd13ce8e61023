"""Random walks through a world: limited principals grant, transfer, edit groups, rename, delete, recreate and bind.

A step is a question to the judges and what it does to the world when it is allowed; nothing of ours is imported.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from typing import NamedTuple

from policies.calls import Question
from policies.reference import Reference
from policies.reference_matrix import BINDABLE, CREATE, IN_SCHEMA, MATRIX, RELATIONS, RUN_BY
from policies.worlds import DEFINED, WORKSPACES, World, full_name

NOW = 5
OUTSIDER = "outsider"
SYSTEM = ("account-users", *(f"{place}:users" for place in WORKSPACES))
HOME = {"m0": "w0", "m1": "w1"}


class Step(NamedTuple):
    """What an actor tries: ``named`` gain something by it, ``moves_names`` may change what views refer to."""

    move: str
    question: Question
    apply: Callable[[World], None]
    named: frozenset[str] = frozenset()
    moves_names: bool = False
    created: str | None = None
    widened: str | None = None


def begin(world: World) -> World:
    """The world with somebody in it whom nobody ever granted anything but work in two workspaces."""
    changed = copy.deepcopy(world)
    changed["principals"][OUTSIDER] = {"kind": "USER", "active": True}
    # Whatever everybody has, the outsider would have; so everybody has nothing.
    changed["grants"] = [grant for grant in changed["grants"] if grant[1] not in SYSTEM]
    changed["grants"] += [(place, OUTSIDER, "USER", None) for place in ("w0", "w1")]
    # Some may create in half of all catalogs; else hardly anybody could rename, since a new name is a new place.
    catalogs = [obj for obj, thing in changed["objects"].items() if thing["kind"] == "CATALOG"]
    for catalog in catalogs[::2]:
        add_grant(changed, (catalog, "g0", "ALL_PRIVILEGES", None))
    for thing in changed["objects"].values():
        if thing.get("owner") in SYSTEM:
            thing["owner"] = None
    return changed


def add_grant(world: World, grant: tuple[str, str, str, None]) -> None:
    """Grants without an end, in place of the same grant with one."""
    world["grants"] = [*(other for other in world["grants"] if other[:3] != grant[:3]), grant]


class Walk:
    """Chooses steps; most actors have some right to what they touch, some are the outsider."""

    def __init__(self, rng: random.Random, world: World) -> None:
        self.rng, self.world, self.serial = rng, world, 0
        self.dropped: dict[str, str] | None = None
        self.moves = (
            self.grant, self.grant, self.revoke, self.transfer, self.edit_group, self.rename, self.create,
            self.delete, self.bind, self.define, self.define, self.staff,
        )  # fmt: skip

    def step(self, reference: Reference) -> Step:
        """The next attempt; what was deleted is created anew more often than not."""
        recreates = self.dropped is not None and self.rng.random() < 0.6
        while True:
            step = self.create(reference) if recreates else self.rng.choice(self.moves)(reference)
            if step is not None:
                return step

    def somebody(self) -> str:
        """Anybody who may be given something."""
        people = [who for who in self.world["principals"] if who not in SYSTEM and ":" not in who]
        return self.rng.choice([*people, OUTSIDER])

    def actor(self, reference: Reference, obj: str) -> str:
        """Somebody limited: no admin of the metastore or the account; mostly one with a right here or above."""
        people = [
            who
            for who, principal in self.world["principals"].items()
            if principal["kind"] != "GROUP" and not reference.account_admin(who)
            and not any(reference.owns(who, metastore) for metastore in HOME)
        ]  # fmt: skip
        places = [obj, *reference.containers(obj)]
        able = [
            who
            for who in people
            if any(reference.owns(who, place) or reference.granted(who, place, "MANAGE") for place in places)
        ]
        return self.rng.choice(able if able and self.rng.random() < 0.75 else [*people, OUTSIDER, OUTSIDER])

    def ask(
        self, reference: Reference, obj: str, operation: str, selector: str = "", **bound: object
    ) -> Question:
        """A question of a limited actor at the object's home."""
        thing = self.world["objects"][obj]
        workspace = HOME[thing["metastore"]] if self.rng.random() < 0.9 else self.rng.choice(WORKSPACES)
        objects = {"self": obj, **bound} if "parent" not in bound else dict(bound)
        return Question(self.actor(reference, obj), workspace, operation, selector, objects, NOW)

    def some(self, *kinds: str) -> str | None:
        found = [obj for obj, thing in self.world["objects"].items() if thing["kind"] in kinds]
        return self.rng.choice(found) if found else None

    def noun(self, obj: str) -> str:
        return self.world["objects"][obj]["kind"].lower()

    # --- moves ---
    def grant(self, reference: Reference) -> Step | None:
        obj = self.some("CATALOG", "SCHEMA", *IN_SCHEMA, "EXTERNAL_LOCATION", "STORAGE_CREDENTIAL")
        privilege = self.rng.choice(sorted(MATRIX[self.world["objects"][obj]["kind"]]))
        holder = self.somebody()
        question = self.ask(reference, obj, f"{self.noun(obj)}.grant", privilege)
        added = (obj, holder, privilege, None)
        return Step("grant", question, lambda world: add_grant(world, added), frozenset({holder}))

    def revoke(self, reference: Reference) -> Step | None:
        grant = self.rng.choice(self.world["grants"])
        if grant[0] not in self.world["objects"] or self.world["objects"][grant[0]]["kind"] in (
            "METASTORE",
            "WORKSPACE",
        ):
            return None
        question = self.ask(reference, grant[0], f"{self.noun(grant[0])}.grant", grant[2])
        return Step("revoke", question, lambda world: world["grants"].remove(grant))

    def transfer(self, reference: Reference) -> Step | None:
        obj, holder = self.some("CATALOG", "SCHEMA", *IN_SCHEMA), self.somebody()
        question = self.ask(reference, obj, f"{self.noun(obj)}.update", "owner")
        if self.rng.random() < 0.5:
            holder = self.rng.choice(sorted(reference.everyone(question.who) - set(SYSTEM)))
        question.objects["grantee"] = holder
        return Step(
            "transfer",
            question,
            lambda world: world["objects"][obj].update(owner=holder),
            frozenset({holder}),
        )

    def edit_group(self, reference: Reference) -> Step | None:
        """Groups belong to account admins, the one kind of admin who takes part in a walk."""
        group = self.rng.choice([who for who in self.world["principals"] if who.startswith("g")])
        member = self.somebody()
        if group in reference.everyone(member) or member in reference.everyone(group):
            return None
        admins = [
            who for who in self.world["principals"] if reference.account_admin(who) and reference.alive(who)
            and reference.principals[who]["kind"] != "GROUP"
        ]  # fmt: skip
        actor = self.rng.choice(admins if admins and self.rng.random() < 0.4 else [self.somebody()])
        if self.world["principals"][actor]["kind"] == "GROUP":
            return None
        question = Question(actor, None, "group.update", "", {"self": group}, NOW)
        return Step(
            "edit a group",
            question,
            lambda world: world["members"].append((group, member)),
            frozenset({member}),
        )

    def rename(self, reference: Reference) -> Step | None:
        obj = self.some("CATALOG", "SCHEMA", *IN_SCHEMA)
        parent = self.world["objects"][obj]["parent"]
        name = self.rng.choice(["a", "b", "c", f"n{self.serial}"])
        if self.taken(parent, name):
            return None
        question = self.ask(reference, obj, f"{self.noun(obj)}.update", "name")
        return Step(
            "rename", question, lambda world: world["objects"][obj].update(name=name), moves_names=True
        )

    def create(self, reference: Reference) -> Step | None:
        dropped, self.dropped = self.dropped, None
        kind = dropped["kind"] if dropped else self.rng.choice(("SCHEMA", *IN_SCHEMA))
        parent = dropped["parent"] if dropped else self.some("CATALOG" if kind == "SCHEMA" else "SCHEMA")
        name = dropped["name"] if dropped else f"n{self.serial}"
        if parent not in self.world["objects"] or self.taken(parent, name):
            return None
        self.serial += 1
        obj, metastore = f"new{self.serial}", self.world["objects"][parent]["metastore"]
        references = self.references(metastore) if kind in RUN_BY else ()
        question = self.ask(reference, parent, f"{kind.lower()}.create", parent=parent)
        if kind in DEFINED:
            question.objects["references"] = references
        able = [
            who
            for who in reference.principals
            if any(reference.granted(who, parent, p) for p in CREATE[kind])
        ]
        able = [
            who
            for who in able
            if reference.principals[who]["kind"] != "GROUP" and not reference.account_admin(who)
        ]
        if able and self.rng.random() < 0.5:
            question = question._replace(who=self.rng.choice(able))
        thing = {"kind": kind, "name": name, "parent": parent, "metastore": metastore, "owner": question.who}
        if kind in DEFINED:
            thing["references"] = [self.reference_to(other) for other in references]
        return Step(
            "recreate" if dropped else "create", question,
            lambda world: world["objects"].update({obj: thing}),
            frozenset({question.who}), moves_names=True, created=obj,
        )  # fmt: skip

    def delete(self, reference: Reference) -> Step | None:
        obj = self.some(*IN_SCHEMA) if self.rng.random() < 0.9 else self.some("SCHEMA")
        thing = self.world["objects"][obj]

        def apply(world: World) -> None:
            gone = {obj, *(o for o, t in world["objects"].items() if t["parent"] == obj)}
            # The grants stay where they are, as in a store that forgets to clean up.
            world["objects"] = {o: t for o, t in world["objects"].items() if o not in gone}
            self.dropped = thing

        question = self.ask(reference, obj, f"{self.noun(obj)}.delete")
        return Step("delete", question, apply, moves_names=True)

    def bind(self, reference: Reference) -> Step | None:
        obj = self.some(*BINDABLE)
        bindings = {
            place: self.rng.choice(("READ_WRITE", "READ_ONLY")) for place in self.rng.sample(WORKSPACES, 3)
        }
        changed = {"isolation": self.rng.choice(("ISOLATED", "OPEN")), "bindings": bindings}
        question = self.ask(reference, obj, f"{self.noun(obj)}.bind")
        return Step("bind", question, lambda world: world["objects"][obj].update(changed), widened=obj)

    def define(self, reference: Reference) -> Step | None:
        defined = self.some(*RUN_BY)
        if defined is None:
            return None
        references = self.references(self.world["objects"][defined]["metastore"])
        named = [self.reference_to(other) for other in references]
        question = self.ask(
            reference, defined, f"{self.noun(defined)}.update", "definition", references=references
        )
        owners = [who for who in reference.principals if reference.owns(who, defined)]
        owners = [who for who in owners if reference.principals[who]["kind"] != "GROUP"]
        if owners and self.rng.random() < 0.8:
            question = question._replace(who=self.rng.choice(owners))
        return Step(
            "define",
            question,
            lambda world: world["objects"][defined].update(references=named),
            moves_names=True,
        )

    def staff(self, reference: Reference) -> Step | None:
        """Workspace admins let people in."""
        workspace, holder = self.rng.choice(("w0", "w1", "w3")), self.somebody()
        able = [who for who in reference.principals if reference.runs(who, workspace)]
        able = [who for who in able if reference.principals[who]["kind"] != "GROUP"]
        actor = self.rng.choice(able) if able and self.rng.random() < 0.6 else OUTSIDER
        question = Question(actor, workspace, "workspace.grant", "USER", {"self": workspace}, NOW)
        added = (workspace, holder, "USER", None)
        return Step("staff", question, lambda world: add_grant(world, added), frozenset({holder}))

    def taken(self, parent: str, name: str) -> bool:
        things = self.world["objects"].values()
        return any((thing["parent"], thing["name"]) == (parent, name) for thing in things)

    def references(self, metastore: str) -> tuple[str, ...]:
        named = [
            obj
            for obj, thing in self.world["objects"].items()
            if thing["kind"] in (*RELATIONS, "FUNCTION") and thing["metastore"] == metastore
        ]
        return tuple(self.rng.sample(named, min(len(named), self.rng.choice((0, 1, 1)))))

    def reference_to(self, obj: str) -> tuple[str, str]:
        sort = "FUNCTION" if self.world["objects"][obj]["kind"] == "FUNCTION" else "RELATION"
        return sort, full_name(self.world, obj)
