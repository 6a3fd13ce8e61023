"""What a caller sees is kept for its next question, within bounds, and by whoever of its questions needs it first."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from lakewarden_policy import Decider
from lakewarden_server.lineage import visibility
from lakewarden_server.lineage.follower import LineageFollower
from lakewarden_server.lineage.roster import Roster
from lakewarden_server.lineage.visibility import SIGHTS_MAX, Sight, Sights
from lineage.test_recorder import in_threads
from lineage.test_visibility import kind_of, sight_of, state_of, worlds
from policies.worlds import WORKSPACES


def test_what_a_caller_sees_is_kept_for_its_next_question_until_the_decider_or_an_asset_is_another_one() -> (
    None
):
    _chance, decider, nodes = next(worlds(1))
    follower, state = LineageFollower(), state_of(nodes, [])
    whose = ("u0", WORKSPACES[0], "m0")
    asked = (state, *whose)
    sights = follower.sights(state, decider)
    assert sights.of(*asked) is follower.sights(state._replace(sequence=2), decider).of(*asked)
    others = [("u1", *whose[1:]), (whose[0], WORKSPACES[1], whose[2]), (*whose[:2], "m1")]
    assert all(sights.of(state, *other) is not sights.of(*asked) for other in others)
    later = Decider(decider.policy, decider.snapshot)
    assert follower.sights(state, later).of(*asked) is not sights.of(*asked)
    sights = follower.sights(state, later)
    assert follower.sights(state_of(dict(nodes), []), later) is not sights


def test_of_so_many_callers_and_no_more_is_kept_what_they_see() -> None:
    _chance, decider, nodes = next(worlds(1))
    state = state_of(nodes, [])
    sights = LineageFollower().sights(state, decider)
    first, *_, last = [sights.of(state, f"u{number}", None, "m0") for number in range(SIGHTS_MAX + 1)]
    assert sights.of(state, f"u{SIGHTS_MAX}", None, "m0") is last
    assert sights.of(state, "u0", None, "m0") is not first


def test_nobody_finds_what_is_decided_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """A question of the same caller may be answered meanwhile: what is still open would be hidden from it."""
    _chance, decider, nodes = next(worlds(1))
    sight = sight_of(decider, "u0", WORKSPACES[0], "m0", state_of(nodes, []))
    found: list[set[int]] = []
    monkeypatch.setattr(Sight, "_sees", lambda self, _asset: bool(found.append(set(self._known.tolist()))))
    sight(np.array(sorted(nodes), dtype=np.int32))
    assert found
    assert set().union(*found) == {0}


def test_another_question_of_a_caller_does_not_wait_for_one_about_very_much(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _chance, decider, nodes = next(worlds(1))
    sight = sight_of(decider, "u0", WORKSPACES[0], "m0", state_of(nodes, []))
    decided: list[int] = []

    def slow(_self: Sight, asset: int) -> bool:
        decided.append(asset)
        time.sleep(0.01)
        return False

    monkeypatch.setattr(visibility, "DECIDED_TOGETHER", 2)
    monkeypatch.setattr(Sight, "_sees", slow)
    monkeypatch.setattr(Sight, "_verdict", lambda _self, _group: visibility._OPEN)
    assets = np.array(sorted(nodes), dtype=np.int32)
    large = threading.Thread(target=sight, args=(assets,))
    large.start()
    while not decided:
        time.sleep(0.001)
    sight.sees(int(assets[-1]))
    before = len(decided)
    large.join()
    assert before <= 5
    assert len(decided) == len(assets) + 1


def test_questions_that_come_at_once_share_what_their_caller_sees_and_drive_out_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _chance, decider, nodes = next(worlds(1))
    state = state_of(nodes, [])
    sights = Sights(decider, Roster(state, decider.snapshot))
    monkeypatch.setattr(visibility, "SIGHTS_MAX", 2)
    other = sights.of(state, "u1", None, "m0")
    found: list[Sight] = []
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait()
        found.append(sights.of(state, "u0", None, "m0"))

    in_threads(ask for _ in range(8))
    assert len(set(map(id, found))) == 1
    assert sights.of(state, "u1", None, "m0") is other


def test_of_so_many_containers_is_remembered_what_they_have_in_common(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _chance, decider, nodes = next(worlds(1))
    state = state_of(nodes, [])
    whole = sight_of(decider, "u0", WORKSPACES[0], "m0", state)
    monkeypatch.setattr(visibility, "CONTAINERS_KEPT_MAX", 3)
    bounded = sight_of(decider, "u0", WORKSPACES[0], "m0", state)
    securables = decider.snapshot.securables
    containers = {
        (securables[node.securable_id].parent_id, kind_of(decider, node))
        for node in nodes.values()
        if node.securable_id
    }
    assert len(containers) > 6
    for asset in sorted(nodes):
        assert bounded.sees(asset) == whole.sees(asset)
        assert len(bounded._siblings) <= 3
