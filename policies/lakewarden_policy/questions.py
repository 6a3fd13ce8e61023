"""The whole answer about one access: the proof of a yes; for a no everything missing and the smallest fix (DESIGN 5.5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lakewarden_policy.decide import Decider
from lakewarden_policy.effective import Source, source_of
from lakewarden_policy.givers import Giver, givers_of
from lakewarden_policy.needs import Broken, Need, needs_of, proof_of
from lakewarden_policy.remedies import Action, Obstacle, Remedy, plan_remedies, with_remedies


class Step(NamedTuple):
    """One act the answer needs, and the row that proves it; None where it is missing."""

    need: Need
    source: Source | None


class Fix(NamedTuple):
    """A change that is needed, and who can make it."""

    remedy: Remedy
    givers: tuple[Giver, ...]


class Answer(NamedTuple):
    """Why a privilege may or may not be used. ``fixes`` are to be made in their order; none where no change suffices."""

    allowed: bool
    steps: tuple[Step, ...]
    obstacles: tuple[Obstacle, ...]
    missing: tuple[Need, ...]
    broken: tuple[Broken, ...]
    fixes: tuple[Fix, ...]


def explain_access(
    decider: Decider, subject_id: str, workspace_id: str | None, object_id: str, privilege: str
) -> Answer:
    """Decide about a privilege (stored spelling) of an existing object's kind, and say all there is to say."""
    needed = needs_of(decider, subject_id, object_id, privilege)
    steps = tuple(Step(need, _source(decider, workspace_id, need)) for need in needed.needs)
    if decider.privilege(subject_id, workspace_id, object_id, privilege).allowed:
        return Answer(True, steps, (), (), (), ())
    plan = plan_remedies(decider, workspace_id, needed)
    fixes = _with_givers(decider, workspace_id, sorted(plan.fixes, key=_turn))
    return Answer(False, steps, plan.obstacles, plan.missing, needed.broken, fixes)


def _with_givers(decider: Decider, workspace_id: str | None, remedies: Sequence[Remedy]) -> tuple[Fix, ...]:
    """Each remedy with those who can do it once the workspace's part before it is done.

    Who can grant inside a catalog may reach it only then. Grants to somebody else make nobody a giver, so they are not tried.
    """
    fixes, state = list[Fix](), decider
    for at, remedy in enumerate(remedies):
        fixes.append(Fix(remedy, givers_of(state, workspace_id, remedy)))
        if remedy.action is not Action.GRANT:
            state = Decider(decider.policy, with_remedies(decider.snapshot, remedies[: at + 1]))
    return tuple(fixes)


def _turn(remedy: Remedy) -> int:
    """In which order changes are made: the workspace's before grants, which may only be reached through it."""
    return list(Action).index(remedy.action)


def _source(decider: Decider, workspace_id: str | None, need: Need) -> Source | None:
    row = proof_of(decider, need, workspace_id)
    return source_of(decider, need.subject_id, row) if row else None
