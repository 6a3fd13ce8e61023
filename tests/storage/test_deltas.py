"""A state brought forward by the change log is the state read anew, whatever happened and however many revisions at once."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import text

from lakewarden_policy import ACCOUNT_USERS_ID, KINDS, Decider, Snapshot, load_policy
from lakewarden_server.authz.follower import Follower
from lakewarden_server.core.clock import monotonic
from lakewarden_server.entities import FederationPolicy, Principal, SecurableReference
from lakewarden_server.storage import Database, deltas, load_snapshot
from lakewarden_server.storage.snapshot import SOURCES
from storage.dialects import ON_SQLITE
from storage.random_changes import CHANGES, Walk
from storage.worlds import committed, user, writing

STEPS = 80
Forward = Callable[[Database, Snapshot], Snapshot | None]


def anew(database: Database) -> Snapshot:
    with database.read() as uow:
        return load_snapshot(uow.connection, head=uow.head, now=uow.time)


def forward(database: Database, held: Snapshot) -> Snapshot | None:
    """What is held at the head, as the follower brings it there."""
    with database.read() as uow:
        delta = deltas.between(uow.connection, held.head, uow.head)
        if delta is None:
            return None
        return held.changed(uow.head, delta.removed, delta.added, now=uow.time.timestamp())


def asked(snapshot: Snapshot) -> Iterator[Any]:
    """Everything a snapshot works out when asked, asked of everything in it."""
    people = sorted(snapshot.principals)
    for person in people:
        yield person, snapshot.closures[person], sorted(snapshot.members_of(person))
    for place in sorted(snapshot.securables):
        parent = snapshot.securables[place].parent_id
        yield place, snapshot.ancestors(place), dict(snapshot.kin[parent])
        for kind in KINDS:
            held = snapshot.children_held(place, kind, frozenset((*people[::2], ACCOUNT_USERS_ID)))
            yield place, kind, snapshot.children(place, kind), held


def assert_same(held: Snapshot, database: Database) -> None:
    expected = anew(database).at(held_time(database))
    held = held.at(held_time(database))
    assert held.facts() == expected.facts()
    assert held.digest() == expected.digest()
    assert list(asked(held)) == list(asked(expected))


def held_time(database: Database) -> float:
    return database.head()[1].timestamp()


def drift(database: Database, seed: int, bring: Forward, *, steps: int = STEPS) -> set[str]:
    """Walks a database at random, bringing one snapshot along; the kinds of change that were made."""
    walk, rng = Walk(database, seed), random.Random(seed)
    held = anew(database)
    for _ in range(steps):
        walk.step()
        if rng.random() < 0.4:
            continue
        later = bring(database, held)
        assert later is not None
        held = later
        assert_same(held, database)
    return walk.done


@pytest.mark.parametrize("seed", [1, 2])
def test_brought_forward_is_read_anew(database: Database, seed: int) -> None:
    done = drift(database, seed, forward)
    if seed == 1:
        assert done == {change.__name__ for change in CHANGES}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, 24))
def test_brought_forward_is_read_anew_for_long(database: Database, seed: int) -> None:
    drift(database, seed, forward, steps=300)


def follow_apart(database: Database, seed: int, *, steps: int) -> None:
    """Walks a database at random; three replicas look each time, now and then and hardly ever, and must hold what it holds."""
    walk, rng = Walk(database, seed), random.Random(seed)
    followers = {chance: Follower(database, load_policy()) for chance in (1.0, 0.3, 0.05)}
    for step in range(steps):
        walk.step()
        looking = [found for chance, found in followers.items() if step == steps - 1 or rng.random() < chance]
        held = [follower.at_head().snapshot for follower in looking]
        assert len({snapshot.at(held_time(database)).digest() for snapshot in held}) == 1
        assert_same(held[0], database)
    assert all(follower.deltas and follower.rebuilds == 1 for follower in followers.values())


def test_every_replica_holds_what_the_database_holds(database: Database) -> None:
    follow_apart(database, 21, steps=40)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(22, 32))
def test_every_replica_holds_what_the_database_holds_for_long(database: Database, seed: int) -> None:
    follow_apart(database, seed, steps=300)


@ON_SQLITE
@pytest.mark.parametrize("name", [*SOURCES, "deleted"])
def test_control_a_list_left_out_of_the_deltas_is_seen(database: Database, name: str) -> None:
    def without(database: Database, held: Snapshot) -> Snapshot | None:
        with database.read() as uow:
            delta = deltas.between(uow.connection, held.head, uow.head)
            assert delta is not None
            delta.removed.pop(name, None)
            delta.added.pop(name, None)
            return held.changed(uow.head, delta.removed, delta.added, now=uow.time.timestamp())

    with pytest.raises((AssertionError, KeyError)):
        # This seed shows each of them within 43 steps; others need up to 142.
        drift(database, 2, without)


@ON_SQLITE
def test_control_a_cache_kept_too_long_is_seen(database: Database) -> None:
    def stale(database: Database, held: Snapshot) -> Snapshot | None:
        later = forward(database, held)
        assert later is not None
        later.closures = held.closures
        return later

    with pytest.raises(AssertionError):
        drift(database, 1, stale)


@ON_SQLITE
def test_decisions_on_a_state_brought_forward_are_those_on_one_read_anew(database: Database) -> None:
    """The decider keeps what it found out about people and places from state to state."""
    walk, rng, policy = Walk(database, 7), random.Random(7), load_policy()
    held = Decider(policy, anew(database))
    for _ in range(40):
        walk.step()
        later = forward(database, held.snapshot)
        assert later is not None
        held = Decider(policy, later, before=held)
        expected = Decider(policy, anew(database))
        workspaces = [*later.children("account", "WORKSPACE"), None]
        for _ in range(60):
            question = (
                rng.choice(sorted(later.principals)), rng.choice(workspaces), rng.choice(sorted(later.securables)),
                rng.choice(("SELECT", "USE_SCHEMA", "MODIFY", "MANAGE", "USER")),
            )  # fmt: skip
            assert held.privilege(*question) == expected.privilege(*question), question


def test_a_missing_revision_or_another_history_is_no_delta(database: Database) -> None:
    walk = Walk(database, 5)
    held = anew(database)
    for _ in range(5):
        walk.step()
    head = anew(database).head
    with database.transaction(deadline=monotonic() + 10) as connection:
        connection.execute(text(f"UPDATE change_log SET nonce = 'other' WHERE revision = {head.revision}"))
        assert deltas.between(connection, held.head, head) is None
    with database.transaction(deadline=monotonic() + 10) as connection:
        connection.execute(text(f"DELETE FROM change_log WHERE revision = {head.revision - 2}"))
        assert deltas.between(connection, held.head, head) is None
    assert forward(database, held) is not None
    # The state held before is of a history that lost its tail and went on otherwise.
    lost = copy.copy(held)
    lost.head = held.head._replace(nonce="lost")
    assert forward(database, lost) is None


def test_too_many_changes_are_no_delta(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    walk = Walk(database, 6)
    held = anew(database)
    for _ in range(8):
        walk.step()
    monkeypatch.setattr(deltas, "DELTA_ROWS_MAX", 3)
    assert forward(database, held) is None


def test_one_of_two_rows_that_say_the_same_may_go(database: Database) -> None:
    """The other still holds: a reference that is lost is a right of the owner that nobody asks about."""
    walk = Walk(database, 10)
    with writing(database) as uow:
        place = walk.live(uow, "TABLE").id
        for position in (0, 1):
            uow.session.add(
                SecurableReference(object_id=place, position=position, privilege="SELECT", full_name="a.b.c")
            )
        uow.commit()
    held = anew(database)
    with writing(database) as uow:
        uow.session.delete(uow.session.get_one(SecurableReference, (place, 1)))
        uow.commit()
    later = forward(database, held)
    assert later is not None
    assert [reference.full_name for reference in later.references[place]] == ["a.b.c"]
    assert_same(later, database)


@ON_SQLITE
def test_what_is_gone_leaves_nothing_behind(database: Database) -> None:
    """A process that follows a thousand dropped schemas holds what it would after reading the state anew."""
    walk = Walk(database, 9)
    held = anew(database)
    for _ in range(120):
        walk.step()
        later = forward(database, held)
        assert later is not None
        held = later
        list(asked(held))
    remembered = {place for place, _ in (*held._children, *held._holders)} | set(held.maps["changes"])
    assert remembered - {None} <= set(held.securables)


@ON_SQLITE
def test_what_a_delta_leaves_alone_is_shared(database: Database) -> None:
    """A change costs what it changes: the holders and names of everything else are the very same objects."""
    walk = Walk(database, 8)
    for _ in range(30):
        walk.step()
    held = anew(database)
    before = held.facts()
    walk.step()
    later = forward(database, held)
    assert later is not None
    assert held.facts() == before, "the state held before was altered"
    same = [key for key in held.held if later.held.get(key) is held.held[key]]
    assert len(same) >= len(held.held) - 10


def test_federation_policies_and_activations_are_brought_forward(database: Database) -> None:
    ann = user("ann@example.com")
    committed(database, ann)
    held = anew(database)
    with writing(database) as uow:
        policy = FederationPolicy(
            id="p", principal_id=None, issuer="i", audiences=["a", "b"], subject_claim="sub", subject="", jwks="{}",
            create_time=uow.time, created_by="",
        )  # fmt: skip
        uow.session.add(policy)
        uow.session.get_one(Principal, ann.id).activation += 1
        uow.session.flush()
        uow.commit()
    later = forward(database, held)
    assert later is not None
    assert_same(later, database)
    assert later.federation_policies["p"].audiences == ("a", "b")
    assert later.principals[ann.id].activation == 1
    with writing(database) as uow:
        uow.session.delete(uow.session.get_one(FederationPolicy, "p"))
        uow.session.flush()
        uow.commit()
    last = forward(database, later)
    assert last is not None
    assert dict(last.federation_policies) == {}
