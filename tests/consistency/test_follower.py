"""What a follower does at its edges: grants that end one after the other, a write larger than a delta, another history met late."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import text

from consistency.cluster import Cluster
from lakewarden import DeadlineExceeded, Unavailable
from lakewarden_server.authz import past as past_module
from lakewarden_server.core.clock import monotonic
from lakewarden_server.storage import deltas

SECONDS = 10.0
PEOPLE = ("ann@example.com", "ben@example.com")


def test_grants_that_end_one_after_the_other_end_for_whoever_holds_the_state_of_before(
    cluster: Cluster,
) -> None:
    """A bounded call brings the state it was confirmed with, though others have moved on; it must not wait for itself."""
    admin, follower = cluster.admin(), cluster.server.app.follower
    admin.catalogs.create("main")
    now = follower.at_head().now
    for number, person in enumerate(PEOPLE):
        cluster.client_as(person)
        end = now + timedelta(hours=1 + number)
        admin.grants.grant("USE CATALOG", "catalog", "main", person, expire_time=end)
    held = follower.at_head().decider
    ids = [held.snapshot.principal_named(person).id for person in PEOPLE]  # type: ignore[union-attr]
    found: list[list[bool]] = []

    def ask() -> None:
        for hours in (1, 2, 2):
            later = follower.without_expired(held, now + timedelta(hours=hours, seconds=1)).snapshot
            (catalog,) = (each.id for each in later.securables.values() if each.kind == "CATALOG")
            found.append([identity in later.held.get(catalog, {}) for identity in ids])

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(SECONDS)
    assert not thread.is_alive(), "it waits for itself"
    assert found == [[False, True], [False, False], [False, False]]


def test_a_write_of_more_rows_than_a_delta_holds_is_judged_by_the_whole_state(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = cluster.admin()
    admin.catalogs.create("main")
    cluster.client_as("ann")
    for privilege in ("USE CATALOG", "USE SCHEMA", "SELECT", "MODIFY", "BROWSE"):
        admin.grants.grant(privilege, "catalog", "main", PEOPLE[0])
    monkeypatch.setattr(deltas, "DELTA_ROWS_MAX", 3)
    admin.users.delete(PEOPLE[0])
    assert PEOPLE[0] not in [user.name for user in admin.users.list()]


def test_a_read_that_meets_another_history_of_the_same_height_is_refused(cluster: Cluster) -> None:
    cluster.admin().catalogs.create("main")
    database, endpoint = cluster.add_hooked()
    admin = cluster.admin(endpoint)
    assert [catalog.name for catalog in admin.catalogs.list()] == ["main"]

    def lose_the_tail() -> None:
        with cluster.server.app.database.transaction(deadline=monotonic() + SECONDS) as connection:
            connection.execute(text("UPDATE authz_head SET nonce = 'another'"))
            connection.commit()

    database.once("before_read", lose_the_tail)
    with pytest.raises(Unavailable):
        list(admin.catalogs.list())


def test_a_question_about_the_past_waits_for_others_no_longer_than_its_deadline(cluster: Cluster) -> None:
    admin, past = cluster.admin(), cluster.server.app.follower.past
    revision = admin.catalogs.create("main").name and int(admin.revision.rpartition(":")[2])
    assert isinstance(past, past_module.Past)
    with past._lock, pytest.raises(DeadlineExceeded):
        admin.with_timeout(0.5).authorization.check("BROWSE", "catalog", "main", as_of=revision)
    admin.authorization.check("BROWSE", "catalog", "main", as_of=revision)
