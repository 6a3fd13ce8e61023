"""IP access lists (semantics 5.7): from where the account and its workspaces are called, over real connections from two addresses."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx2
import pytest

from lakewarden import Client, LakewardenError
from lakewarden_policy.networks import Admissions
from lakewarden_server.core.peers import peer_at
from lakewarden_server.testing import EmbeddedServer, serve
from services.errors import fails
from services.relays import relayed

HERE = "127.0.0.1"
THERE = "127.0.0.2"
OFFICE = ["203.0.113.0/24", "2001:db8::/32"]
Away = Callable[..., Client]


@pytest.fixture
def server() -> Iterator[EmbeddedServer]:
    with serve(http=True) as server:
        yield server


@pytest.fixture
def admin(server: EmbeddedServer) -> Client:
    return server.client()


@pytest.fixture
def away(server: EmbeddedServer) -> Iterator[Away]:
    """Makes clients that call from `THERE`."""
    made: list[Client] = []
    with relayed(server.endpoint, THERE) as endpoint:

        def client(token: str = "", workspace: str = "workspace") -> Client:
            made.append(Client(endpoint, token=token or server.admin_token, workspace=workspace))
            return made[-1]

        yield client
        for one in made:
            one.close()


def test_list_is_made_read_changed_and_deleted(admin: Client) -> None:
    lists = admin.ip_access_lists
    made = lists.create("office", "ALLOW", [*OFFICE, "::ffff:198.51.100.7", "203.0.113.0/24"])
    assert made.ip_addresses == [*OFFICE, "198.51.100.7"]
    assert (made.enabled, made.label, made.created_by) == (True, "office", "admin@example.com")
    assert admin.ip_access_lists.get(made.id) == made
    changed = lists.update(made.id, label="home", list_type="BLOCK", enabled=False, etag=made.etag)
    assert (changed.label, changed.enabled, changed.ip_addresses) == ("home", False, made.ip_addresses)
    with fails("ETAG_MISMATCH", "ABORTED"):
        lists.update(made.id, ip_addresses=["10.0.0.0/8"], etag=made.etag)
    assert list(lists.list(page_size=1)) == [changed]
    lists.delete(made.id, etag=changed.etag)
    assert list(lists.list()) == []
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        lists.get(made.id)


def test_lists_of_a_workspace_are_its_own(server: EmbeddedServer, admin: Client) -> None:
    lists = admin.ip_access_lists
    made = lists.create("w", "BLOCK", OFFICE, workspace="workspace", enabled=False)
    assert (made.workspace, made.enabled) == ("workspace", False)
    assert (list(lists.list()), list(lists.list(workspace="workspace"))) == ([], [made])
    for attempt in (
        lambda: lists.get(made.id),
        lambda: lists.update(made.id, enabled=True),
        lambda: lists.delete(made.id),
    ):
        with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
            attempt()
    # The calling workspace does not stand for one that was named and is not there.
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        lists.create("w", "BLOCK", OFFICE, workspace="nowhere")
    ann = server.client_as("ann").ip_access_lists
    admin.grants.grant("ADMIN", "workspace", "workspace", "ann@example.com")
    assert ann.get(made.id, workspace="workspace") == made
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        ann.create("w", "BLOCK", OFFICE, workspace="nowhere")
    with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED"):
        ann.create("w", "BLOCK", OFFICE)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"label": " "}, "label"),
        ({"label": "x" * 256}, "label"),
        ({"list_type": "IP_ACCESS_LIST_TYPE_UNSPECIFIED"}, "list_type"),
        ({"ip_addresses": []}, "ip_addresses"),
        ({"ip_addresses": ["10.0.0.1/8"]}, "ip_addresses"),
        ({"ip_addresses": ["10.0.0.0/255.0.0.0"]}, "ip_addresses"),
        ({"ip_addresses": ["example.com"]}, "ip_addresses"),
        ({"ip_addresses": ["fe80::1%eth0"]}, "ip_addresses"),
        ({"ip_addresses": ["010.0.0.1"]}, "ip_addresses"),
        ({"ip_addresses": ["10.0.0.0/33"]}, "ip_addresses"),
        ({"ip_addresses": [""]}, "ip_addresses"),
    ],
)
def test_list_that_says_nothing_or_two_things_is_refused(
    admin: Client, changed: dict[str, object], field: str
) -> None:
    whole = {"label": "x", "list_type": "BLOCK", "ip_addresses": OFFICE, **changed}
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying=field):
        admin.ip_access_lists.create(**whole)  # type: ignore[arg-type]
    assert list(admin.ip_access_lists.list()) == []


def test_a_scope_has_at_most_a_thousand_addresses_and_a_hundred_lists(admin: Client) -> None:
    lists = admin.ip_access_lists
    lists.create("many", "BLOCK", [f"10.0.{n // 256}.{n % 256}" for n in range(999)])
    made = lists.create("last", "BLOCK", ["10.1.0.0"])
    with fails("QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED", saying="1000"):
        lists.create("too many", "BLOCK", ["10.1.0.1"])
    with fails("QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED", saying="1000"):
        lists.update(made.id, ip_addresses=["10.1.0.0", "10.1.0.1"])
    for number in range(100):
        lists.create(str(number), "BLOCK", ["10.1.0.0"], workspace="workspace")
    with fails("QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED", saying="100 lists"):
        lists.create("another", "BLOCK", ["10.1.0.0"], workspace="workspace")


REFUSALS: dict[str, list[tuple[str, list[str]]]] = {
    "in no ALLOW list": [("ALLOW", [HERE])],
    "in a BLOCK list": [("BLOCK", [THERE])],
    "BLOCK wins over ALLOW": [("ALLOW", ["127.0.0.0/8"]), ("BLOCK", ["127.0.0.2/31"])],
    "BLOCK as IPv6": [("BLOCK", ["::ffff:127.0.0.2"])],
}
ADMISSIONS: dict[str, list[tuple[str, list[str]]]] = {
    "no list": [],
    "BLOCK of others": [("BLOCK", OFFICE)],
    "in one of two ALLOW lists": [("ALLOW", [HERE, *OFFICE]), ("ALLOW", ["127.0.0.2/32"])],
}


@pytest.mark.parametrize("scope", ["", "workspace"])
@pytest.mark.parametrize("case", REFUSALS)
def test_call_from_elsewhere_is_refused(admin: Client, away: Away, scope: str, case: str) -> None:
    caller = away()
    for list_type, addresses in REFUSALS[case]:
        admin.ip_access_lists.create(case, list_type, addresses, workspace=scope)
    assert caller.session.get().principal == "admin@example.com", "nothing counts until it is enforced"
    admin.ip_access_lists.enforce(workspace=scope)
    assert admin.ip_access_lists.is_enforced(workspace=scope)
    with fails("IP_NOT_ALLOWED", "PERMISSION_DENIED", saying=THERE):
        caller.session.get()
    with fails("IP_NOT_ALLOWED", "PERMISSION_DENIED", saying=THERE):
        caller.catalogs.create("never")
    assert not any(catalog.name == "never" for catalog in admin.catalogs.list())
    admin.ip_access_lists.enforce(enforced=False, workspace=scope)
    assert caller.session.get().principal == "admin@example.com"


@pytest.mark.parametrize("case", ADMISSIONS)
def test_call_from_elsewhere_is_admitted(admin: Client, away: Away, case: str) -> None:
    for list_type, addresses in ADMISSIONS[case]:
        admin.ip_access_lists.create(case, list_type, addresses)
    admin.ip_access_lists.enforce()
    assert away().session.get().principal == "admin@example.com"


def test_disabled_list_does_not_count(admin: Client, away: Away) -> None:
    made = admin.ip_access_lists.create("b", "BLOCK", [THERE], enabled=False)
    admin.ip_access_lists.enforce()
    caller = away()
    caller.session.get()
    admin.ip_access_lists.update(made.id, enabled=True)
    with fails("IP_NOT_ALLOWED", "PERMISSION_DENIED"):
        caller.session.get()
    admin.ip_access_lists.delete(made.id)
    caller.session.get()


def test_workspaces_list_holds_for_calls_from_it_only(
    server: EmbeddedServer, admin: Client, away: Away
) -> None:
    admin.workspaces.create("other", metastore="metastore")
    admin.ip_access_lists.create("b", "BLOCK", [THERE], workspace="workspace")
    admin.ip_access_lists.enforce(workspace="workspace")
    away(workspace="").session.get()
    away(workspace="other").session.get()
    limited = admin.tokens.create(workspace="workspace").token_value
    for caller in (away(), away(limited, workspace="")):
        with fails("IP_NOT_ALLOWED", "PERMISSION_DENIED"):
            caller.session.get()


def test_what_is_done_to_a_workspace_comes_from_where_its_lists_admit(
    server: EmbeddedServer, admin: Client, away: Away
) -> None:
    ann = server.token_of("ann")
    for user in ("ann", "bob"):
        server.client_as(user)
    admin.grants.grant("ADMIN", "workspace", "workspace", "ann@example.com")
    admin.workspaces.create("other", metastore="metastore")
    admin.grants.grant("ADMIN", "workspace", "other", "ann@example.com")
    admin.ip_access_lists.create("b", "BLOCK", [THERE], workspace="workspace")
    admin.ip_access_lists.enforce(workspace="workspace")
    for caller in (away(ann, workspace=""), away(ann, workspace="other")):
        for attempt in (
            lambda caller=caller: caller.ip_access_lists.enforce(enforced=False, workspace="workspace"),
            lambda caller=caller: list(caller.ip_access_lists.list(workspace="workspace")),
            lambda caller=caller: caller.grants.grant("ADMIN", "workspace", "workspace", "bob@example.com"),
            lambda caller=caller: caller.workspaces.get("workspace"),
        ):
            with fails("IP_NOT_ALLOWED", "PERMISSION_DENIED"):
                attempt()
        # What is another workspace's it does not hold for.
        caller.grants.grant("ADMIN", "workspace", "other", "bob@example.com")
    # To whom it is not allowed anyway it is refused as if there were no list.
    admin.users.create("eve@example.com")
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        away(server.issue_token("eve@example.com"), workspace="").workspaces.get("workspace")
    server.client(ann, workspace="").workspaces.get("workspace")
    # The account's admins are held by the account's lists: one of them mends a workspace that refuses all of its own.
    away(workspace="").ip_access_lists.enforce(enforced=False, workspace="workspace")
    away(ann, workspace="").workspaces.get("workspace")


def test_http_is_admitted_by_the_same_lists(server: EmbeddedServer, admin: Client) -> None:
    name = admin.service_principals.create("spark").name
    secret = admin.service_principals.create_secret(name).secret_value
    form = {"grant_type": "client_credentials", "client_id": name, "client_secret": secret}
    shown = {
        "Authorization": f"Bearer {server.admin_token}",
        "X-Forwarded-For": HERE,
        "x-databricks-workspace-id": "workspace",
        "Forwarded": f"for={HERE}",
    }
    with relayed(server.http_url.removeprefix("http://"), THERE) as there:

        def statuses(base: str) -> tuple[int, int, int]:
            traded = httpx2.post(f"{base}/oidc/v1/token", data=form)
            read = [httpx2.get(base + path, headers=shown) for path in ("/scim/v2/Me", "/api/2.0/token/list")]
            return traded.status_code, read[0].status_code, read[1].status_code

        assert statuses(f"http://{there}") == (200, 200, 200)
        admin.ip_access_lists.create("b", "BLOCK", [THERE])
        admin.ip_access_lists.enforce()
        assert statuses(f"http://{there}") == (401, 403, 403)
        assert statuses(server.http_url) == (200, 200, 200)


def test_nobody_locks_himself_out(admin: Client) -> None:
    """Each change is refused whole, with the address the server saw."""
    lists = admin.ip_access_lists

    def refused(attempt: Callable[[], object]) -> None:
        before = list(lists.list())
        with fails("CALLER_LOCKED_OUT", "FAILED_PRECONDITION", saying=HERE):
            attempt()
        assert list(lists.list()) == before

    block = lists.create("b", "BLOCK", ["127.0.0.0/8"])
    refused(lists.enforce)
    assert not lists.is_enforced()
    lists.update(block.id, enabled=False)
    lists.enforce()
    refused(lambda: lists.update(block.id, enabled=True))
    refused(lambda: lists.create("a", "ALLOW", OFFICE))
    mine = lists.create("mine", "ALLOW", [HERE])
    office = lists.create("office", "ALLOW", OFFICE)
    refused(lambda: lists.delete(mine.id))
    refused(lambda: lists.update(mine.id, ip_addresses=[THERE]))
    refused(lambda: lists.update(mine.id, list_type="BLOCK"))
    refused(lambda: lists.update(mine.id, enabled=False))
    lists.delete(office.id)
    lists.delete(mine.id)
    assert list(lists.list()) == [lists.get(block.id)]


def test_lists_tell_a_stranger_of_no_workspace(server: EmbeddedServer, admin: Client, away: Away) -> None:
    stranger = away(server.token_of("stranger@example.com"), workspace="hidden")
    admin.workspaces.create("hidden", metastore="metastore")

    def answer(workspace: str) -> tuple[str, str]:
        with pytest.raises(LakewardenError) as failed:
            stranger.with_workspace(workspace).catalogs.create("x")
        return failed.value.reason, failed.value.message

    before = answer("hidden")
    admin.ip_access_lists.create("b", "BLOCK", [THERE], workspace="hidden")
    admin.ip_access_lists.enforce(workspace="hidden")
    assert answer("hidden") == before == answer("missing")
    assert stranger.with_workspace("hidden").session.get() == stranger.with_workspace("missing").session.get()
    admin.grants.grant("USER", "workspace", "hidden", "stranger@example.com")
    assert answer("hidden")[0] == "IP_NOT_ALLOWED"


def test_refusals_are_logged_with_their_reason(server: EmbeddedServer, admin: Client, away: Away) -> None:
    admin.ip_access_lists.create("b", "BLOCK", [THERE])
    admin.ip_access_lists.enforce()
    with fails("IP_NOT_ALLOWED", "PERMISSION_DENIED"):
        away(server.token_of("bob@example.com")).catalogs.create("never")
    server.app.decisions.flush()
    (record,) = [
        found
        for found in admin.audit.list(actor="bob@example.com")
        if found.method.endswith("/CreateCatalog")
    ]
    assert record.reason == "IP_NOT_ALLOWED"
    (made,) = [found for found in admin.audit.list() if found.method.endswith("/CreateIpAccessList")]
    assert THERE in str(made)


def test_lists_end_with_their_workspace(server: EmbeddedServer, admin: Client) -> None:
    admin.workspaces.create("brief", metastore="metastore")
    admin.ip_access_lists.create("b", "BLOCK", [THERE], workspace="brief")
    admin.ip_access_lists.enforce(workspace="brief")
    admin.workspaces.delete("brief")
    maps = server.app.follower.at_head().snapshot.maps
    assert (len(maps["ip_access_lists"]), len(maps["ip_access_enforced"])) == (0, 0)


def test_unknown_address_is_refused_wherever_lists_are(server: EmbeddedServer, admin: Client) -> None:
    admin.ip_access_lists.create("b", "BLOCK", OFFICE)
    admin.ip_access_lists.enforce()
    admissions = server.app.follower.at_head().snapshot.ip_admissions
    assert admissions.refuses("account", peer_at("nonsense").address)
    assert not admissions.refuses("account", peer_at(THERE).address)


def test_control_without_the_check_the_call_goes_through(
    monkeypatch: pytest.MonkeyPatch, admin: Client, away: Away
) -> None:
    admin.ip_access_lists.create("b", "BLOCK", [THERE])
    admin.ip_access_lists.enforce()
    monkeypatch.setattr(Admissions, "refuses", lambda *_: False)
    assert away().session.get().principal == "admin@example.com"
