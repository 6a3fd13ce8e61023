"""Rotation, last use, idle tokens, and what the admins of a workspace see and end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from lakewarden import Client, PermissionDenied
from lakewarden_policy import load_policy
from lakewarden_server.authn.tokens import TokenKind, mint
from lakewarden_server.core.clock import monotonic
from lakewarden_server.services.tokens import token_row
from lakewarden_server.storage import token_uses
from lakewarden_server.testing import EmbeddedServer
from services.errors import fails

Fresh = Callable[[str], str]
DAY = 86_400


@pytest.fixture
def person(both: EmbeddedServer, fresh: Fresh) -> Client:
    """Somebody of this test's own, with a token that lives 400 days."""
    name = f"{fresh('person')}@example.com"
    both.client_as(name)
    return both.client(both.issue_token(name, lifetime=timedelta(days=400)))


def test_session_tells_what_a_token_is_limited_to_and_the_groups_its_owner_is_in_directly(
    both: EmbeddedServer, person: Client, fresh: Fresh
) -> None:
    admin, me = both.client(), person.session.get()
    inner, outer = fresh("inner"), fresh("outer")
    for group, member in ((inner, me.principal), (outer, inner)):
        admin.groups.create(group)
        admin.groups.update_members(group, add=[member])
    limited = both.client(person.tokens.create(workspace="workspace").token_value, workspace="")
    told = limited.session.get()
    assert (me.token_workspace, told.token_workspace, told.workspace) == ("", "workspace", "workspace")
    assert [(group.name, group.id) for group in told.direct_groups] == [(inner, admin.groups.get(inner).id)]
    assert {inner, outer} <= set(told.groups)


def test_rotated_token_works_on_for_the_overlap_and_the_new_one_takes_its_place(
    both: EmbeddedServer, person: Client
) -> None:
    old = person.tokens.create(comment="job", lifetime_seconds=30 * DAY, workspace="workspace")
    made = person.tokens.rotate(old.token.id, lifetime_seconds=60 * DAY, overlap_seconds=3_600)
    assert (made.token.comment, made.token.workspace) == ("job", "workspace")
    assert made.token.id != old.token.id
    assert made.token.expire_time.ToSeconds() - made.token.create_time.ToSeconds() == 60 * DAY
    for value in (old.token_value, made.token_value):
        assert both.client(value).session.get().principal == made.token.principal
    left = {token.id: token for token in person.tokens.list()}[old.token.id]
    assert left.expire_time.ToSeconds() == made.token.create_time.ToSeconds() + 3_600
    # The end of a token never moves away.
    person.tokens.rotate(old.token.id, overlap_seconds=DAY)
    again = {token.id: token for token in person.tokens.list()}[old.token.id]
    assert again.expire_time == left.expire_time


def test_rotated_token_without_overlap_ends_at_once(both: EmbeddedServer, person: Client) -> None:
    old = person.tokens.create()
    held = both.client(old.token_value)
    made = held.tokens.rotate(old.token.id)
    with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
        held.session.get()
    assert both.client(made.token_value).session.get().token_id == made.token.id
    # It lives no longer than the token it was made with.
    assert made.token.expire_time.ToSeconds() <= old.token.expire_time.ToSeconds()
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        person.tokens.rotate(old.token.id)


@pytest.mark.parametrize("overlap", [-1, DAY + 1])
def test_overlap_out_of_bounds_is_refused(person: Client, overlap: int) -> None:
    made = person.tokens.create().token
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="overlap_seconds"):
        person.tokens.rotate(made.id, overlap_seconds=overlap)
    assert made.id in [token.id for token in person.tokens.list()]


def test_nobody_rotates_the_tokens_of_a_person_but_the_person(both: EmbeddedServer, person: Client) -> None:
    """Else an account admin had a lasting token of somebody else."""
    admin, made = both.client(), person.tokens.create().token
    for attempt in (
        lambda: admin.tokens.rotate(made.id, principal=made.principal),
        lambda: both.client_as("stranger").tokens.rotate(made.id, principal=made.principal),
    ):
        with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
            attempt()
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        admin.tokens.rotate(made.id)


def test_full_quota_leaves_room_to_rotate(person: Client) -> None:
    while len(list(person.tokens.list())) < 20:
        last = person.tokens.create().token
    with fails("QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED"):
        person.tokens.create()
    made = person.tokens.rotate(last.id, overlap_seconds=60)
    with fails("QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED"):
        person.tokens.rotate(made.token.id, overlap_seconds=60)


def test_admins_of_a_workspace_list_and_end_the_tokens_limited_to_it(
    both: EmbeddedServer, fresh: Fresh, person: Client
) -> None:
    admin, place, runner = both.client(), fresh("annex"), fresh("runner")
    admin.workspaces.create(place)
    head = both.client_as(runner, workspace=place)
    name = person.session.get().principal
    admin.grants.grant("USER", "workspace", place, name)
    admin.grants.grant("ADMIN", "workspace", place, f"{runner}@example.com")
    limited = person.tokens.create(workspace=place)
    elsewhere = person.tokens.create(workspace="workspace").token
    anywhere = person.tokens.create().token
    (shown,) = head.tokens.list_of_workspace(place)
    assert (shown.id, shown.principal) == (limited.token.id, name)
    for hidden in (elsewhere, anywhere):
        with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
            head.tokens.delete_of_workspace(place, hidden.id)
    for stranger in (person, both.client_as("stranger")):
        with pytest.raises(PermissionDenied):
            list(stranger.tokens.list_of_workspace(place))
        with pytest.raises(PermissionDenied):
            stranger.tokens.delete_of_workspace(place, limited.token.id)
    with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED"):
        list(head.tokens.list_of_workspace("workspace"))
    head.tokens.delete_of_workspace(place, limited.token.id)
    with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
        both.client(limited.token_value, workspace=place).session.get()
    assert list(head.tokens.list_of_workspace(place)) == []


def test_last_use_is_told_to_the_minute_and_only_moves_forward(both: EmbeddedServer, person: Client) -> None:
    made = person.tokens.create()
    assert not made.token.HasField("last_used_time")
    both.client(made.token_value).session.get()
    both.app.uses.flush()
    (used,) = [token for token in person.tokens.list() if token.id == made.token.id]
    seconds = used.last_used_time.ToSeconds() - used.create_time.ToSeconds()
    assert 0 <= seconds < 60
    before = used.last_used_time.ToDatetime(UTC)
    with both.app.database.transaction(deadline=monotonic() + 10) as connection:
        token_uses.note(connection, {made.token.id: before - timedelta(days=1)})
        connection.commit()
    (same,) = [token for token in person.tokens.list() if token.id == made.token.id]
    assert same.last_used_time == used.last_used_time


def test_use_costs_no_revision(both: EmbeddedServer, person: Client) -> None:
    before = person.session.get().revision
    both.app.uses.flush()
    assert person.session.get().revision == before


def _old(server: EmbeddedServer, principal: str, *, age: timedelta, used: timedelta | None) -> str:
    """A token as one made `age` ago and last used `used` ago would be stored; returns its text."""
    text = mint(TokenKind.PAT)
    found = server.app.follower.at_head().snapshot.principal_named(principal)
    with server.app.database.write(
        deadline=monotonic() + 10, request_id="", actor_id=found.id, policy_digest=load_policy().digest
    ) as uow:
        made = uow.time - age
        row = token_row(server.app.keys, text, principal_id=found.id, now=made, lifetime=timedelta(days=365))
        uow.session.add(row)
        if used is not None:
            token_uses.note(uow.connection, {text.id: uow.time - used})
        uow.commit()
    return text.render()


def test_token_nobody_used_for_ninety_days_is_revoked(both: EmbeddedServer, person: Client) -> None:
    name = person.session.get().principal
    days = timedelta(days=1)
    idle = _old(both, name, age=100 * days, used=None)
    lapsed = _old(both, name, age=200 * days, used=91 * days)
    busy = _old(both, name, age=200 * days, used=89 * days)
    young = _old(both, name, age=89 * days, used=None)
    digest = load_policy().digest
    assert token_uses.retire(both.app.database, policy_digest=digest) == 2
    for dead in (idle, lapsed):
        with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
            both.client(dead).session.get()
    for alive in (busy, young):
        assert both.client(alive).session.get().principal == name
    revision = person.session.get().revision
    assert token_uses.retire(both.app.database, policy_digest=digest) == 0
    assert person.session.get().revision == revision
    (record,) = [row for row in both.client().audit.list() if row.operation == "token.retire"][:1]
    assert record.actor == "lakewarden"


def test_uses_that_cannot_be_written_now_are_kept(both: EmbeddedServer, person: Client) -> None:
    """A lock that another writer holds: what was noted waits for the next time, newer notes are not undone."""
    made = person.tokens.create()
    uses = both.app.uses
    uses.flush()
    early, late = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    uses.note(made.token.id, early)
    with both.app.database.transaction(deadline=monotonic() + 30) as connection:
        token_uses.note(connection, {made.token.id: early - timedelta(days=1)})
        uses.flush()
    uses.note(made.token.id, late)
    uses.flush()
    (shown,) = [token for token in person.tokens.list() if token.id == made.token.id]
    assert shown.last_used_time.ToDatetime(UTC) == late


def test_tokens_stop_where_their_use_is_taken_away_and_work_again_where_it_is_given(
    both: EmbeddedServer, fresh: Fresh
) -> None:
    admin, place, name = both.client(), fresh("annex"), fresh("worker")
    admin.workspaces.create(place)
    email, everybody = f"{name}@example.com", f"{place} users"
    worker = both.client_as(name, workspace=place)
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        # Not assigned: the workspace is like one that does not exist, whatever may be used there.
        worker.workspaces.get(place)
    admin.grants.grant("USER", "workspace", place, email)
    limited = both.client(worker.with_workspace("").tokens.create(workspace=place).token_value, workspace="")
    assert worker.workspaces.get(place).name == place
    admin.grants.revoke(["USE TOKENS"], "workspace", place, everybody)
    for client in (worker, limited):
        with fails("TOKENS_DENIED", "PERMISSION_DENIED", saying=place):
            client.workspaces.list().__next__()
        with fails("TOKENS_DENIED", "PERMISSION_DENIED"):
            client.session.get()
    # Elsewhere, and for the account, it is another question.
    assert worker.with_workspace("").session.get().principal == email
    admin.grants.grant(["USE TOKENS"], "workspace", place, email)
    assert worker.workspaces.get(place).name == place
    assert limited.session.get().workspace == place
    admin.grants.revoke(["USE TOKENS"], "workspace", place, email)
    admin.grants.grant("ADMIN", "workspace", place, email)
    assert worker.grants.grant(["USE TOKENS"], "workspace", place, everybody)[0].principal == everybody
