"""A replica denies when it cannot know: before it is whole, when it is stale, refused, of another history or of other rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from lakewarden import (
    Client,
    FailedPrecondition,
    InvalidArgument,
    LakewardenError,
    PermissionDenied,
    Unavailable,
)
from lakewarden.replica import PolicyReplica, seconds
from lakewarden.v1 import authorization_pb2
from lakewarden_server.services import watching
from lakewarden_server.testing import EmbeddedServer, declare_filled, serve
from replica.restless import engine

TABLE = "main.sales.orders"
BOB = "bob@example.com"
Break = Callable[[Any], Any]


class Clock:
    """A clock the test moves."""

    def __init__(self) -> None:
        self.now = seconds()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    """A server where Bob may SELECT from one table."""
    with serve() as server:
        admin = server.client()
        admin.catalogs.create("main")
        admin.schemas.create("main.sales")
        admin.tables.create(TABLE, [{"name": "id", "type_text": "BIGINT"}])
        server.client_as("bob")
        admin.grants.grant(["USE CATALOG", "USE SCHEMA"], "catalog", "main", BOB)
        admin.grants.grant("SELECT", "table", TABLE, BOB)
        yield server


@pytest.fixture
def client(server: EmbeddedServer) -> Client:
    return engine(server)[1]


def may(replica: PolicyReplica) -> bool:
    return bool(replica.check("SELECT", "table", TABLE, subject=BOB))


def deny_after_the_bound(replica: PolicyReplica, server: EmbeddedServer, clock: Clock) -> None:
    """The link is cut: what was fresh answers until its bound and not longer."""
    replica.refresh()
    assert may(replica)
    server.app.rpc.stop(0)
    clock.now += 4.9
    assert may(replica)
    with pytest.raises(LakewardenError):
        replica.refresh()
    assert may(replica), "a server that cannot be reached takes nothing back before the bound"
    clock.now += 0.2
    assert not may(replica)
    assert "stale" in replica.check("SELECT", "table", TABLE, subject=BOB).reason
    assert not replica.ready


def test_cut_link_denies_after_the_bound(server: EmbeddedServer, client: Client) -> None:
    clock = Clock()
    deny_after_the_bound(PolicyReplica(client, clock=clock), server, clock)


def test_replica_that_ignores_staleness_is_caught(server: EmbeddedServer, client: Client) -> None:
    """The control."""
    clock = Clock()
    replica = PolicyReplica(client, clock=clock)
    replica.max_staleness_seconds = float("inf")
    with pytest.raises(AssertionError):
        deny_after_the_bound(replica, server, clock)


def test_cut_link_denies_by_the_real_clock_too(server: EmbeddedServer, client: Client) -> None:
    with PolicyReplica(client.with_timeout(0.5), max_staleness_seconds=2, poll_seconds=0.1) as replica:
        assert replica.wait(20)
        assert may(replica)
        server.app.rpc.stop(0)
        deadline = seconds() + 20
        while (verdict := replica.check("SELECT", "table", TABLE, subject=BOB)) and seconds() < deadline:
            assert verdict.age_seconds <= 2
        assert not verdict
        assert "stale" in verdict.reason
        assert isinstance(replica.last_error, LakewardenError)


def test_followed_replica_learns_of_a_revoke(server: EmbeddedServer, client: Client) -> None:
    with PolicyReplica(client, poll_seconds=0.05) as replica:
        assert replica.wait(10)
        assert may(replica)
        server.client().grants.revoke("SELECT", "table", TABLE, BOB)
        deadline = seconds() + 5
        while may(replica) and seconds() < deadline:
            pass
        assert not may(replica)
        # Denied for the revoke, not for having become stale.
        assert replica.ready


def test_nothing_is_allowed_before_all_is_there(
    server: EmbeddedServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "PAGE_BYTES_MAX", 700)
    replica, seen = PolicyReplica(client), []
    assert not may(replica)
    assert replica.revision == ""
    inner = replica._watch

    def watch(position: str, page_token: str = "") -> Any:
        seen.append(may(replica))
        return inner(position, page_token)

    monkeypatch.setattr(replica, "_watch", watch)
    replica.refresh()
    assert len(seen) > 4
    assert seen == [False] * len(seen)
    assert may(replica)


def cut_short(response: Any) -> None:
    response.data = response.data[: len(response.data) // 2]


def cut_short_and_sealed(response: Any) -> None:
    cut_short(response)
    response.size_bytes = len(response.data)


def emptied(response: Any) -> None:
    response.data, response.size_bytes = b"", 0


def other_policy(response: Any) -> None:
    response.policy_digest = "0" * 64


def no_position(response: Any) -> None:
    response.position = "1"


def without_a_list(response: Any) -> None:
    from lakewarden_policy import wire

    parts = [part for part in wire.decode(response.data) if part.name != "isolated"]
    response.data = wire._encode((part.part, part.name, part.records) for part in parts)
    response.size_bytes = len(response.data)


def unknown_change(response: Any) -> None:
    response.change = 7


def called_a_change(response: Any) -> None:
    response.change = authorization_pb2.WatchPolicyResponse.DELTA


@pytest.mark.parametrize(
    "spoil",
    [
        cut_short,
        cut_short_and_sealed,
        emptied,
        other_policy,
        no_position,
        without_a_list,
        unknown_change,
        called_a_change,
    ],
)
@pytest.mark.parametrize("had_a_state", [False, True])
def test_an_answer_that_is_not_whole_denies(
    server: EmbeddedServer, client: Client, monkeypatch: pytest.MonkeyPatch, spoil: Break, had_a_state: bool
) -> None:
    replica = PolicyReplica(client)
    if had_a_state:
        replica.refresh()
        assert may(replica)
        declare_filled(server.app.database)
    inner = replica._watch

    def watch(position: str, page_token: str = "") -> Any:
        response = inner(position, page_token)
        spoil(response)
        return response

    monkeypatch.setattr(replica, "_watch", watch)
    with pytest.raises(FailedPrecondition):
        replica.refresh()
    assert not may(replica)
    monkeypatch.undo()
    replica.refresh()
    assert may(replica)


def test_another_history_denies_until_it_is_loaded(
    server: EmbeddedServer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "PAGE_BYTES_MAX", 700)
    replica, seen = PolicyReplica(client), []
    replica.refresh()
    before = replica.revision
    declare_filled(server.app.database)
    inner = replica._watch

    def watch(position: str, page_token: str = "") -> Any:
        if page_token:
            seen.append(may(replica))
        return inner(position, page_token)

    monkeypatch.setattr(replica, "_watch", watch)
    replica.refresh()
    assert seen
    assert not any(seen)
    assert may(replica)
    assert replica.revision.partition(":")[0] != before.partition(":")[0]


def test_a_refused_engine_forgets_at_once(server: EmbeddedServer, client: Client) -> None:
    name, client = engine(server)
    replica = PolicyReplica(client)
    replica.refresh()
    assert may(replica)
    server.client().grants.revoke("QUERY ENGINE", "workspace", "workspace", name)
    with pytest.raises(PermissionDenied):
        replica.refresh()
    assert not may(replica)


def test_grants_end_by_the_servers_clock_without_a_word_from_it(
    server: EmbeddedServer, client: Client
) -> None:
    admin, clock = server.client(), Clock()
    admin.grants.revoke("SELECT", "table", TABLE, BOB)
    admin.grants.grant("SELECT", "table", TABLE, BOB, expire_time=datetime.now(UTC) + timedelta(seconds=60))
    replica = PolicyReplica(client, clock=clock, max_staleness_seconds=1_000)
    replica.refresh()
    assert may(replica)
    clock.now += 50
    assert may(replica)
    clock.now += 11
    assert not may(replica)
    # A confirmation that nothing changed does not bring it back.
    replica._assign(
        replica._held,
        replica._held.decider,  # type: ignore[union-attr]
        SimpleNamespace(  # type: ignore[arg-type]
            change=authorization_pb2.WatchPolicyResponse.UNCHANGED,
            position=replica._held.position.text,  # type: ignore[union-attr]
            workspace_id=replica._held.workspace_id,  # type: ignore[union-attr]
            principal_id="",
            read_time=authorization_pb2.WatchPolicyResponse().read_time,
        ),
        clock.now,
    )
    assert not may(replica)


def test_a_clock_that_goes_back_denies(server: EmbeddedServer, client: Client) -> None:
    clock = Clock()
    replica = PolicyReplica(client, clock=clock)
    replica.refresh()
    clock.now -= 1
    assert not may(replica)


def test_a_closed_replica_denies(server: EmbeddedServer, client: Client) -> None:
    with PolicyReplica(client) as replica:
        assert replica.wait(10)
    assert not may(replica)


def test_what_is_no_privilege_is_an_error_and_no_answer(server: EmbeddedServer, client: Client) -> None:
    replica = PolicyReplica(client)
    replica.refresh()
    for privilege, kind in (("SELCT", "table"), ("CREATE SCHEMA", "table"), ("SELECT", "tabel")):
        with pytest.raises(InvalidArgument):
            replica.check(privilege, kind, TABLE, subject=BOB)
    for name in ("", "main", "main.sales.orders.x", "main..orders"):
        assert not replica.check("SELECT", "table", name, subject=BOB)
    assert not replica.check("SELECT", "table", TABLE, subject="")
    with pytest.raises(InvalidArgument):
        PolicyReplica(client, max_staleness_seconds=1, poll_seconds=1)


def test_what_has_a_filter_below_is_said_to_be_guarded(server: EmbeddedServer, client: Client) -> None:
    admin, replica = server.client(), PolicyReplica(client)
    admin.views.create("main.sales.seen", f"SELECT id FROM {TABLE}")
    admin.grants.grant("SELECT", "view", "main.sales.seen", BOB)
    replica.refresh()
    asked = (("table", TABLE), ("view", "main.sales.seen"))
    assert [replica.check("SELECT", kind, name, subject=BOB)[::4] for kind, name in asked] == [
        (True, False)
    ] * 2
    admin.functions.create("main.sales.mine", ["x BIGINT"], "BOOLEAN", "x > 1")
    admin.tables.set_row_filter(TABLE, "main.sales.mine", ["id"])
    replica.refresh()
    assert [replica.check("SELECT", kind, name, subject=BOB)[::4] for kind, name in asked] == [
        (True, True)
    ] * 2


def test_a_restored_table_is_as_guarded_as_before(server: EmbeddedServer, client: Client) -> None:
    """Its filter stays in the database while it is dropped, and the change that brings it back does not tell of it."""
    admin, before, between = server.client(), PolicyReplica(client), PolicyReplica(client)
    admin.functions.create("main.sales.mine", ["x BIGINT"], "BOOLEAN", "x > 1")
    admin.tables.set_row_filter(TABLE, "main.sales.mine", ["id"])
    before.refresh()
    table = admin.tables.get(TABLE)
    admin.tables.delete(TABLE)
    between.refresh()
    admin.tables.undelete(TABLE, table_id=table.id)
    for replica in (before, between):
        replica.refresh()
        verdict = replica.check("SELECT", "table", TABLE, subject=BOB)
        assert (verdict.allowed, verdict.guarded) == (True, True)


def test_an_unreachable_server_is_unavailable(server: EmbeddedServer, client: Client) -> None:
    server.app.rpc.stop(0)
    with pytest.raises(Unavailable):
        PolicyReplica(client.with_timeout(0.5)).refresh()


def test_objects_of_the_workspace_are_the_servers_to_decide(server: EmbeddedServer, client: Client) -> None:
    server.client().workspace_objects.create("job", "7", owner=BOB)
    with PolicyReplica(client) as replica:
        replica.wait(10)
        replica.refresh()
        assert client.authorization.check("IS_OWNER", "job", "7", subject=BOB)
        verdict = replica.check("IS_OWNER", "job", "7", subject=BOB)
        assert not verdict
        assert "ask the server" in verdict.reason
        assert may(replica)
        with pytest.raises(InvalidArgument):
            replica.check("SELECT", "job", "7", subject=BOB)
