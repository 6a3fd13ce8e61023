"""Explanations that are true: what they say to do makes it allowed, nothing of it is superfluous, and whom they name can do it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from lakewarden_policy import Decider, Unreached, load_policy
from lakewarden_policy.givers import operation_of
from lakewarden_policy.questions import Answer, explain_access
from lakewarden_policy.remedies import Action, with_remedies
from policies.tangled import Access, accesses, tangled_world

DENIALS = 1_000
WORLDS = 20


@pytest.fixture(scope="module")
def denials() -> list[tuple[Decider, Access, Answer]]:
    """A thousand random denials, explained."""
    found = []
    for seed in range(WORLDS):
        decider = Decider(load_policy(), tangled_world(seed))
        asked = (
            access
            for access in accesses(random.Random(seed), decider, 10_000)
            if not decider.privilege(*access).allowed
        )
        found += [
            (decider, access, explain_access(decider, *access))
            for access, _ in zip(asked, range(DENIALS // WORLDS), strict=False)
        ]
    return found


Explained = list[tuple[Decider, Access, Answer]]


def _fixable(denials: Explained) -> Iterator[tuple[Decider, Access, Answer]]:
    return (denial for denial in denials if denial[2].fixes)


def _after(decider: Decider, answer: Answer, *, without: int | None = None) -> Decider:
    remedies = [fix.remedy for at, fix in enumerate(answer.fixes) if at != without]
    return Decider(decider.policy, with_remedies(decider.snapshot, remedies))


def test_fixes_make_it_allowed(denials: Explained) -> None:
    assert len(denials) == DENIALS
    assert all(not answer.allowed for _, _, answer in denials)
    for decider, access, answer in _fixable(denials):
        assert _after(decider, answer).privilege(*access).allowed, (access, answer)


def test_no_fix_is_superfluous(denials: Explained) -> None:
    """Rights only grow with what is given, so that no smaller set can do when none with one less does."""
    for decider, access, answer in _fixable(denials):
        for at in range(len(answer.fixes)):
            assert not _after(decider, answer, without=at).privilege(*access).allowed, (access, answer)


def test_those_who_are_named_can_do_it(denials: Explained) -> None:
    named = 0
    for decider, _access, answer in _fixable(denials):
        state = decider
        for at, fix in enumerate(answer.fixes):
            operation, selector, objects = operation_of(state, fix.remedy)
            for giver in fix.givers:
                decision = state.operation(
                    giver.member_id, giver.workspace_id, operation, objects, selector=selector
                )
                assert decision.allowed, (fix, giver)
                assert giver.principal_id in state.snapshot.closure(giver.member_id)
                named += 1
            remedies = [each.remedy for each in answer.fixes[: at + 1]]
            state = Decider(decider.policy, with_remedies(decider.snapshot, remedies))
    assert named > DENIALS


def test_what_has_no_fix_says_why(denials: Explained) -> None:
    for _, access, answer in denials:
        if not answer.fixes:
            hopeless = [each for each in answer.obstacles if each.remedy is None]
            assert hopeless or answer.broken, (access, answer)


def test_every_kind_of_reason_and_remedy_occurs(denials: Explained) -> None:
    """The control: a world without isolation or views would prove little."""
    reasons = Counter(each.reason for _, _, answer in denials for each in answer.obstacles)
    actions = Counter(fix.remedy.action for _, _, answer in denials for fix in answer.fixes)
    assert set(actions) == set(Action)
    assert set(reasons) == {
        Unreached.INACTIVE_SUBJECT, Unreached.NO_WORKSPACE, Unreached.NOT_ASSIGNED, Unreached.NOT_ATTACHED,
        Unreached.NOT_BOUND, Unreached.READ_ONLY, Unreached.READ_ONLY_PLACE,
    }  # fmt: skip
    assert any(answer.broken for _, _, answer in denials)
    owners = [
        need for _, access, answer in denials for need in answer.missing if need.subject_id != access.who
    ]
    assert owners
