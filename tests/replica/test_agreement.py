"""A replica decides as the server does, whatever changes and however it hears of it: as changes or all anew."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

import lakewarden.replica
from lakewarden._replica_state import changed_state, read_state
from lakewarden.v1 import authorization_pb2
from lakewarden_policy import Reference, RowFilter, Securable, Snapshot
from lakewarden_policy.slices import WorkspaceSlice
from lakewarden_policy.wire import encode_delta, encode_slice
from lakewarden_server.authz import feed
from lakewarden_server.services import watching
from policies.small import SECURABLES, small_world
from replica.restless import CHANGES, Watched, watched
from storage import random_changes
from storage.dialects import ON_SQLITE

HERE, MAIN = (next(found for found in SECURABLES if found.id == key) for key in ("w", "c"))


def drift(found: Watched, *, steps: int, per_step: int) -> tuple[int, int]:
    """So many revisions, compared after one to three each."""
    asked = allowed = 0
    while asked < steps * per_step:
        for _ in range(found.rng.choice((1, 1, 1, 3))):
            found.walk.step()
        more, yes = found.compare(per_step)
        asked, allowed = asked + more, allowed + yes
    return asked, allowed


def count_changes(found: Watched, monkeypatch: pytest.MonkeyPatch) -> dict[int, int]:
    """How often the replica was told what: by the numbers of `WatchPolicyResponse.Change`."""
    told: dict[int, int] = {}
    inner = found.replica._watch

    def watch(position: str, page_token: str = "") -> Any:
        response = inner(position, page_token)
        told[response.change] = told.get(response.change, 0) + 1
        return response

    monkeypatch.setattr(found.replica, "_watch", watch)
    return told


@pytest.mark.timeout(120)
def test_decisions_are_the_servers_under_continual_change(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with watched(1, database_url) as found:
        told = count_changes(found, monkeypatch)
        asked, allowed = drift(found, steps=70, per_step=80)
        assert asked >= 5_000
        assert allowed >= 100, "a run in which hardly anything is allowed shows nothing"
        assert told[authorization_pb2.WatchPolicyResponse.DELTA] >= 20, told


def test_roles_on_principals_are_the_servers_to_answer_about() -> None:
    with watched(7) as found:
        admin = found.server.client()
        admin.groups.create("crew")
        found.replica.refresh()
        verdict = found.replica.check("MANAGER", "group", "crew", subject="admin@example.com")
        assert (verdict.allowed, verdict.reason) == (
            False,
            "roles on principals are not told: ask the server",
        )
        assert admin.authorization.check("MANAGER", "group", "crew")


@ON_SQLITE
def test_a_border_that_moves_is_sent_anew(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a workspace knows at all hangs on its metastore: detached it knows nothing, attached again all of it."""
    with watched(2, database_url) as found:
        told = count_changes(found, monkeypatch)
        drift(found, steps=5, per_step=20)
        found.attach(found.metastore_id)
        found.compare(20)
        sent = told[authorization_pb2.WatchPolicyResponse.SNAPSHOT]
        for number, metastore_id in enumerate((None, found.metastore_id, None), start=1):
            found.attach(metastore_id)
            found.compare(80)
            assert told[authorization_pb2.WatchPolicyResponse.SNAPSHOT] == sent + number


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_decisions_are_the_servers_for_long(dialect: str, make_database_url: Callable[[str], str]) -> None:
    total, yes, done = 0, 0, set()
    for seed in range(10, 20):
        with watched(seed, make_database_url(dialect)) as found:
            asked, allowed = drift(found, steps=60, per_step=100)
            total, yes, done = total + asked, yes + allowed, done | found.walk.done
    assert total >= 50_000
    assert yes >= total // 50
    assert done == {change.__name__ for change in (*random_changes.CHANGES, *CHANGES)}


def follow(found: Watched, *, steps: int) -> None:
    """Each revision as a change and all anew, compared map by map: nothing waits to come out."""
    later = lakewarden.replica.PolicyReplica(found.client)
    for _ in range(steps):
        found.walk.step()
        found.replica.refresh()
        later._held = None
        later.refresh()
        held, anew = found.replica._held, later._held
        assert held is not None
        assert anew is not None
        now = max(held.read_time, anew.read_time)
        brought, sent = held.decider.snapshot.at(now), anew.decider.snapshot.at(now)
        assert brought.facts() == sent.facts()
        assert brought.digest() == sent.digest()


@ON_SQLITE
def test_a_state_brought_forward_is_the_one_sent_anew(database_url: str) -> None:
    with watched(3, database_url) as found:
        follow(found, steps=60)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(30, 36))
@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_a_state_brought_forward_for_long_is_the_one_sent_anew(
    dialect: str, seed: int, make_database_url: Callable[[str], str]
) -> None:
    with watched(seed, make_database_url(dialect)) as found:
        follow(found, steps=150)


def test_answers_in_many_pages_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PAGE_BYTES_MAX", 500)
    with watched(4) as found:
        told = count_changes(found, monkeypatch)
        drift(found, steps=8, per_step=60)
        assert sum(told.values()) > 50


def test_pages_that_are_not_kept_any_more_are_fetched_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PAGE_BYTES_MAX", 2_000)
    with watched(5) as found:
        feeding = found.server.app.follower.feed
        inner = feeding.page
        lost = iter([True])
        monkeypatch.setattr(feeding, "page", lambda *key: None if next(lost, False) else inner(*key))
        found.compare(100)
        assert next(lost, None) is None


def test_only_so_many_answers_are_kept_and_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    with watched(6) as found:
        feeding = found.server.app.follower.feed
        for _ in range(feed.ANSWERS_KEPT_MAX + 5):
            found.walk.step()
            found.replica.refresh()
        assert len(feeding._answers) == feed.ANSWERS_KEPT_MAX
        monkeypatch.setattr(feed, "ANSWER_SECONDS_KEPT", 0.0)
        (key, *_) = [answer.key for answer in feeding._answers.values()]
        assert feeding.page(found.walk.workspace_id, key) is None


def test_replica_that_skips_changes_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: it says it is at the head and is not."""

    def skipped(held: Snapshot, head: Any, data: bytes, now: float) -> Snapshot:
        return held.changed(head, {}, {}, now=now)

    monkeypatch.setattr(lakewarden.replica, "changed_state", skipped)
    with watched(1) as found, pytest.raises(AssertionError):
        drift(found, steps=70, per_step=80)


def test_slice_that_forgets_a_list_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the judge: grants that are taken back and stay in the replica are noticed."""
    from lakewarden_policy import slices

    inner = slices.WorkspaceSlice.delta

    def forgetful(self: Any, removed: Any, added: Any) -> Any:
        found = inner(self, removed, added)
        if found is not None:
            found.removed.pop("grants", None)
        return found

    monkeypatch.setattr(slices.WorkspaceSlice, "delta", forgetful)
    with watched(3) as found, pytest.raises(AssertionError):
        follow(found, steps=60)


def test_questions_are_different_each_time() -> None:
    with watched(8) as found:
        assert len(set(found.questions(200))) > 50
        assert found.rng.random() != random.Random(8).random()


def test_one_of_two_references_that_say_the_same_may_go() -> None:
    """The replica keeps the other: a reference that is lost is a right of the owner that nobody asks about."""
    twice = Reference("t1", "SELECT", "main.sales.parts")
    before = small_world(references=(twice, twice))
    head = before.head._replace(revision=2)
    after = before.changed(head, {"references": [twice]}, {}, now=0)
    held = read_state(before.head, encode_slice(WorkspaceSlice(before, "w").lists()), 0)
    delta = WorkspaceSlice(after, "w").delta({"references": [twice]}, {})
    assert delta is not None
    later = changed_state(held, head, encode_delta(delta), 0)
    assert list(later.references["t1"]) == list(after.references["t1"]) == [twice]


@pytest.mark.parametrize(
    ("removed", "added"),
    [
        # What a view says of it had no name here, or has none any more.
        ({}, {"securables": [Securable("d", "CATALOG", "m", "m", "other", "other", None, 2)]}),
        ({"securables": [MAIN]}, {"securables": [MAIN._replace(name="first", name_key="first")]}),
        ({}, {"isolated": ["c"]}),
        ({"securables": [HERE]}, {"securables": [HERE._replace(metastore_id=None)]}),
    ],
    ids=["catalog that a reference is into", "catalog renamed", "catalog isolated", "workspace detached"],
)
def test_a_change_that_moves_the_border_is_never_told_as_one(
    removed: dict[str, Any], added: dict[str, Any]
) -> None:
    """Else objects that the change does not touch would stay as they were: named, hidden or shown."""
    before = small_world(references=(Reference("t1", "SELECT", "other.sales.parts"),))
    after = before.changed(before.head._replace(revision=2), removed, added, now=0)
    assert WorkspaceSlice(after, "w").delta(removed, added) is None


def test_what_hangs_on_an_object_comes_and_goes_with_it_untold() -> None:
    """A dropped table keeps its filter in the database, so that the change that restores it tells of the table alone."""
    table = next(found for found in SECURABLES if found.id == "t1")
    whole = small_world(row_filters=(RowFilter("t1", "f", ()),))
    head = whole.head._replace(revision=2)
    dropped = whole.changed(head, {"securables": [table]}, {}, now=0)
    gone = WorkspaceSlice(dropped, "w").delta({"securables": [table]}, {})
    assert gone is not None
    assert gone.removed["row_filters"] == [RowFilter("t1", "f", ())]
    restored = dropped.changed(head._replace(revision=3), {}, {"securables": [table]}, now=0)
    come = WorkspaceSlice(restored, "w").delta({}, {"securables": [table]})
    assert come is not None
    assert come.added["row_filters"] == [RowFilter("t1", "f", ())]
