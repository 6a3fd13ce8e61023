"""Cedar, by its Python binding cedarpy, over the same rows: what the decisions of another engine cost in a Python process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import cedarpy

from bench.decisions import decide
from bench.figures import Figure, median_of
from bench.stock import SMALL, cpu_microseconds
from bench.worlds import METASTORE, WORKSPACE, Question, Size, World, ask, make_world
from lakewarden_policy import Decider, load_policy

ROUNDS = 5
CEDAR_QUESTIONS = 20
OUR_QUESTIONS = 500


class Atom(NamedTuple):
    """May this principal do this act on this object?"""

    subject_id: str
    object_id: str
    act: str


class CedarEngine:
    """A policy for each grant, groups and containers as parents; policies and entities parsed once, as whoever cares for speed does."""

    def __init__(self, world: World) -> None:
        self._policies = cedarpy.PolicySet.from_str("\n".join(_policies(world)))
        self._entities = cedarpy.Entities.from_json_str(json.dumps([*_entities(world)]))

    def allows(self, atom: Atom) -> bool:
        """What Cedar says."""
        request = {
            "principal": {"type": "Principal", "id": atom.subject_id},
            "action": {"type": "Action", "id": atom.act.partition(":")[2]},
            "resource": {"type": "Securable", "id": atom.object_id},
            "context": {},
        }
        return bool(cedarpy.is_authorized(request, self._policies, self._entities).allowed)


def cedar_figures(size: Size = SMALL, rounds: int = ROUNDS) -> list[Figure]:
    """Cedar is asked for the one atom that decides, without the workspace rule; ours is timed whole, from names. That favours Cedar."""
    world = make_world(size)
    decider = Decider(load_policy(), world.snapshot())
    cedar = CedarEngine(world)
    cedar_rounds, our_rounds, allowed = [], [], 0
    for number in range(rounds):
        questions = ask(world, CEDAR_QUESTIONS + OUR_QUESTIONS, seed=number)
        atoms = [deciding_atom(decider, question) for question in questions[:CEDAR_QUESTIONS]]
        allowed += sum(agreed(cedar, decider, atom) for atom in atoms)
        cedar_rounds.append(cpu_microseconds(cedar.allows, atoms))
        our_rounds.append(
            cpu_microseconds(lambda question: decide(decider, question), questions[CEDAR_QUESTIONS:])
        )
    return [
        Figure(
            "cedar_vs_ours_at_10k",
            median_of(cedar_rounds) / median_of(our_rounds),
            {
                "cedar_cpu_us": median_of(cedar_rounds),
                "ours_cpu_us": median_of(our_rounds),
                "policies": len(world.grants),
                "allowed_share": allowed / (rounds * CEDAR_QUESTIONS),
                "rounds": rounds,
            },
        )
    ]


def deciding_atom(decider: Decider, question: Question) -> Atom:
    """The table's own atom of a yes, the missing one of a no."""
    subject = decider.snapshot.principal_named(question.user)
    table = decider.snapshot.resolve("TABLE", question.table, METASTORE)
    if subject is None or table is None:
        raise AssertionError(f"the world has no {question}")
    decision = decider.privilege(subject.id, WORKSPACE, table.id, "SELECT")
    if decision.allowed:
        return Atom(subject.id, table.id, "TABLE:SELECT")
    missing = decision.missing[0]
    return Atom(subject.id, missing.object_id or "", missing.act)


def agreed(cedar: CedarEngine, decider: Decider, atom: Atom) -> bool:
    """The answer of both. Raises AssertionError where they differ: the comparison would be of nothing."""
    ours = decider.atom(atom.subject_id, WORKSPACE, atom.object_id, atom.act) is not None
    if cedar.allows(atom) is not ours:
        raise AssertionError(f"Cedar and ours disagree about {atom}")
    return ours


def _policies(world: World) -> Iterator[str]:
    for grant in world.grants:
        principal, action, resource = map(
            json.dumps, (grant.principal_id, grant.privilege, grant.securable_id)
        )
        yield f"permit(principal in Principal::{principal}, action == Action::{action}, resource in Securable::{resource});"


def _entities(world: World) -> Iterator[dict[str, Any]]:
    above: dict[str, list[str]] = {}
    for membership in world.memberships:
        above.setdefault(membership.member_id, []).append(membership.group_id)
    for principal in world.principals:
        yield _entity("Principal", principal.id, above.get(principal.id, []))
    for securable in world.securables:
        yield _entity("Securable", securable.id, [securable.parent_id] if securable.parent_id else [])


def _entity(kind: str, identity: str, parents: list[str]) -> dict[str, Any]:
    return {
        "uid": {"type": kind, "id": identity},
        "attrs": {},
        "parents": [{"type": kind, "id": parent} for parent in parents],
    }
