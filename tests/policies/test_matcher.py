"""The model's text decides: what the index relies on must be in it, and what it adds is obeyed."""

from __future__ import annotations

import pytest

from lakewarden_policy import Decider, Policy, PolicyError, load_policy, policy_texts
from policies.small import small_world


def with_model(before: str, after: str) -> Policy:
    """The shipped policy with one text of model.conf replaced."""
    model, privileges, operations, levels = policy_texts()
    assert before in model
    return Policy(model.replace(before, after), privileges, operations, levels)


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("m = g(r.sub, p.sub) && ", "m = ", "does not demand g"),
        (" && reachable(r.sub, r.ws, r.obj, r.act)", "", "does not demand reachable"),
        ("m = g(r.sub, p.sub)", "m = g(p.sub, r.sub)", "does not demand g"),
        ("r.obj == p.obj && g3(p.act, r.act) || ", "", "does not tell"),
        ("&& g4(p.act, r.act)", "", "does not tell"),
        ("|| r.obj != p.obj", "|| r.act == p.act || r.obj != p.obj", "does not tell"),
        ("&& g2(r.obj, p.obj)", "&& r.obj == p.obj", "does not tell"),
        ("m = g(r.sub, p.sub)", "m = r.sub == p.sub || g(r.sub, p.sub)", "does not demand"),
        ("m = g(r.sub, p.sub)", "m = keyMatch(r.sub, p.sub) && g(r.sub, p.sub)", "may not call"),
        ("m = g(r.sub, p.sub)", "m = r.sub.name == p.sub && g(r.sub, p.sub)", "may not use"),
        ("m = g(r.sub, p.sub)", 'm = r.sub == "root" && g(r.sub, p.sub)', "may not use Constant"),
        ("m = g(r.sub, p.sub)", "m = r.sub == secret && g(r.sub, p.sub)", "unknown secret"),
        ("some(where (p.eft == allow))", "!some(where (p.eft == deny))", "effect"),
        ("r = sub, ws, obj, act", "r = sub, obj, act", "written for"),
        ("p = sub, obj, act", "p = sub, obj, act, eft", "written for"),
    ],
)
def test_model_the_index_cannot_rely_on_is_refused(before: str, after: str, problem: str) -> None:
    with pytest.raises(PolicyError, match=problem):
        with_model(before, after)


def test_narrowing_conjunct_of_the_text_is_obeyed() -> None:
    """Control: were the index deciding alone, a conjunct more would change nothing."""
    snapshot = small_world()
    question = ("bob", "w", "t1", "SELECT")
    assert Decider(load_policy(), snapshot).privilege(*question).allowed
    narrowed = with_model("m = g(r.sub, p.sub)", "m = r.sub == p.sub && g(r.sub, p.sub)")
    assert not Decider(narrowed, snapshot).privilege(*question).allowed
