"""WatchPolicy: who may watch, what comes when nothing, something or everything is new, and what it refuses."""

from __future__ import annotations

import pytest

from lakewarden import Client, InvalidArgument, LakewardenError
from lakewarden.v1 import authorization_pb2
from lakewarden_policy.wire import decode
from lakewarden_server.services import watching
from lakewarden_server.testing import EmbeddedServer
from replica.restless import engine

Change = authorization_pb2.WatchPolicyResponse


@pytest.fixture(scope="module")
def watcher(server: EmbeddedServer) -> Client:
    """A service principal with QUERY_ENGINE in the workspace."""
    return engine(server)[1]


def reason(client: Client, **request: str) -> str:
    with pytest.raises(LakewardenError) as raised:
        client.authorization.watch_policy(**request)
    return raised.value.reason


def test_first_answer_is_all_then_nothing_then_what_changed(watcher: Client, admin: Client) -> None:
    first = watcher.authorization.watch_policy()
    assert first.change == Change.SNAPSHOT
    assert first.size_bytes == len(first.data)
    assert watcher.revision == first.revision
    again = watcher.authorization.watch_policy(position=first.position)
    assert (again.change, again.data, again.position) == (Change.UNCHANGED, b"", first.position)
    admin.users.create("new@example.com")
    admin.grants.grant("USER", "workspace", "workspace", "new@example.com")
    later = watcher.authorization.watch_policy(position=again.position)
    assert later.change == Change.DELTA
    told = {(part, name): records for part, name, records in decode(later.data)}
    assert "new@example.com" in {found.name for found in told["complete", "principals"]}
    assert [found.privilege for found in told["added", "grants"]] == ["USER"]


def test_a_user_with_the_entitlement_is_refused(server: EmbeddedServer, admin: Client) -> None:
    person = server.client_as("person")
    admin.grants.grant("QUERY ENGINE", "workspace", "workspace", "person@example.com")
    assert reason(person) == "PRIVILEGE_MISSING"
    assert reason(admin) == "PRIVILEGE_MISSING"


def test_a_service_principal_without_the_entitlement_is_refused(
    server: EmbeddedServer, admin: Client
) -> None:
    name = admin.service_principals.create("plain").name
    admin.grants.grant("USER", "workspace", "workspace", name)
    assert reason(server.client(server.issue_token(name))) in {"PRIVILEGE_MISSING", "ACCESS_DENIED"}


def test_an_engine_of_another_workspace_is_refused(watcher: Client, admin: Client) -> None:
    admin.workspaces.create("other", metastore="metastore", omit_catalog=True)
    assert watcher.authorization.watch_policy().change == Change.SNAPSHOT
    # Whether the other one exists is not told: it is refused in the words for one that does not.
    assert [reason(watcher.with_workspace(name)) for name in ("other", "absent")] == ["ACCESS_DENIED"] * 2
    assert reason(watcher.with_workspace("")) == "WORKSPACE_REQUIRED"


def test_nobody_watches_for_another_engine(server: EmbeddedServer) -> None:
    (_, one), (other, _) = engine(server), engine(server)
    request = authorization_pb2.WatchPolicyRequest(engine=other)
    with pytest.raises(LakewardenError) as raised:
        one.authorization._connection.call(one.authorization._stub.WatchPolicy, request)
    assert raised.value.code == "PERMISSION_DENIED"


def test_an_engine_that_lost_the_entitlement_is_refused_at_once(
    server: EmbeddedServer, admin: Client
) -> None:
    name, one = engine(server)
    first = one.authorization.watch_policy()
    admin.grants.revoke("QUERY ENGINE", "workspace", "workspace", name)
    assert reason(one, position=first.position) == "ACCESS_DENIED"


@pytest.mark.parametrize(
    "position", ["x", "a:b:c:d", "a:b:1", "a:b:1:c:d", "a:b:" + "9" * 30 + ":c", "\n:b:1:c", "é:b:1:c"]
)
def test_a_position_that_is_none_is_refused(watcher: Client, position: str) -> None:
    assert reason(watcher, position=position) == "FIELD_INVALID"


def test_a_position_of_elsewhere_gets_everything_anew(watcher: Client) -> None:
    first = watcher.authorization.watch_policy()
    workspace, epoch, revision, nonce = first.position.split(":")
    for position in (
        f"{workspace}:{epoch}:{int(revision) + 1}:{nonce}",
        f"{workspace}:{epoch}:{int(revision) - 1}:other",
        f"{workspace}:{epoch}:{revision}:other",
        f"{workspace}:other:{revision}:{nonce}",
        f"other:{epoch}:{revision}:{nonce}",
    ):
        assert watcher.authorization.watch_policy(position=position).change == Change.SNAPSHOT, position


def test_pages_make_the_whole_and_belong_to_who_asked(
    server: EmbeddedServer, watcher: Client, admin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "PAGE_BYTES_MAX", 1_000)
    first = watcher.authorization.watch_policy()
    data, token = first.data, first.next_page_token
    assert reason(engine(server)[1], page_token=token) == "PAGE_TOKEN_INVALID"
    # What changes meanwhile does not get into the pages that follow.
    admin.users.create("late@example.com")
    while token:
        page = watcher.authorization.watch_policy(position=first.position, page_token=token)
        assert (page.position, page.size_bytes) == (first.position, first.size_bytes)
        data, token = data + page.data, page.next_page_token
    assert len(data) == first.size_bytes > 3_000
    assert len(list(decode(data))) == 11
    with pytest.raises(InvalidArgument):
        watcher.authorization.watch_policy(page_token="forged")
