"""Personal access tokens: shown once, limited, expiring, revoked at once; and the bootstrap token that makes the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from lakewarden import Client
from lakewarden_server.app import App
from lakewarden_server.authn.keys import create_key_file
from lakewarden_server.authn.tokens import TokenKind, mint
from lakewarden_server.bootstrap import bootstrap
from lakewarden_server.config import Settings
from lakewarden_server.core.errors import FailedPrecondition
from lakewarden_server.storage import create_database
from lakewarden_server.testing import EmbeddedServer, serve
from services.errors import fails

DAY = 86_400


@pytest.fixture
def user(server: EmbeddedServer, fresh: Callable[[str], str]) -> Client:
    """A user of this test's own, whose own token lives 400 days."""
    name = f"{fresh('user')}@example.com"
    server.client_as(name)
    return server.client(server.issue_token(name, lifetime=timedelta(days=400)))


def test_token_lives_from_create_to_delete(both: EmbeddedServer) -> None:
    admin = both.client()
    made = admin.tokens.create(comment="laptop", lifetime_seconds=60)
    assert made.token_value.startswith(f"lwpat_{made.token.id}_")
    assert (made.token.principal, made.token.comment, made.token.workspace) == (
        "admin@example.com",
        "laptop",
        "",
    )
    assert made.token.expire_time.ToSeconds() - made.token.create_time.ToSeconds() == 60
    holder = both.client(made.token_value)
    assert holder.session.get().token_id == made.token.id
    assert made.token in list(admin.tokens.list())
    admin.tokens.delete(made.token.id)
    with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
        holder.session.get()
    assert made.token not in list(admin.tokens.list())
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        admin.tokens.delete(made.token.id)


def test_token_expires_by_the_databases_clock(server: EmbeddedServer, user: Client) -> None:
    name = user.session.get().principal
    live, dead = (server.issue_token(name, lifetime=timedelta(seconds=seconds)) for seconds in (60, 0))
    assert server.client(live).session.get().principal == name
    with fails("TOKEN_EXPIRED", "UNAUTHENTICATED"):
        server.client(dead).session.get()
    assert len(list(user.tokens.list())) == 3, "the client_as token, the long one and the live one"


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda text: text[:-1] + ("a" if text[-1] != "a" else "b"), "TOKEN_CHECKSUM_WRONG"),
        (lambda text: text[:40] + ("Z" if text[40] != "Z" else "Y") + text[41:], "TOKEN_CHECKSUM_WRONG"),
        (lambda text: text[:-1], "TOKEN_MALFORMED"),
        (lambda text: text + "x", "TOKEN_MALFORMED"),
        (lambda text: text.replace("lwpat", "lwxyz"), "TOKEN_MALFORMED"),
        (lambda text: text.replace("lwpat", "LWPAT"), "TOKEN_MALFORMED"),
        (lambda _: mint(TokenKind.PAT).render(), "TOKEN_INVALID"),
        (lambda _: mint(TokenKind.BOOTSTRAP).render(), "TOKEN_INVALID"),
    ],
)
def test_spoiled_token_is_refused_with_its_reason(
    server: EmbeddedServer, spoil: Callable[[str], str], reason: str
) -> None:
    with fails(reason, "UNAUTHENTICATED") as failure:
        server.client(spoil(server.admin_token)).session.get()
    assert server.admin_token[30:60] not in str(failure.error)


@pytest.mark.parametrize("lifetime", [-1, 365 * DAY + 1, 10**12])
def test_lifetime_out_of_bounds_is_refused(user: Client, lifetime: int) -> None:
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="lifetime_seconds"):
        user.tokens.create(lifetime_seconds=lifetime)


def test_lifetimes_default_to_90_days_and_reach_365(user: Client) -> None:
    def lived(seconds: int) -> int:
        token = user.tokens.create(lifetime_seconds=seconds).token
        return token.expire_time.ToSeconds() - token.create_time.ToSeconds()

    assert (lived(0), lived(365 * DAY), lived(1)) == (90 * DAY, 365 * DAY, 1)


def test_token_outlives_not_the_token_that_made_it(server: EmbeddedServer, user: Client) -> None:
    short = server.client(user.tokens.create(lifetime_seconds=1_000).token_value)
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="token of this call"):
        short.tokens.create(lifetime_seconds=2_000)
    child = short.tokens.create().token
    assert child.expire_time.ToSeconds() <= short.session.get().token_expire_time.ToSeconds()


def test_at_most_twenty_live_tokens(user: Client) -> None:
    held = [
        user.tokens.create(lifetime_seconds=600).token.id for _ in range(20 - len(list(user.tokens.list())))
    ]
    with fails("QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED", saying="20"):
        user.tokens.create()
    user.tokens.delete(held[0])
    assert user.tokens.create().token_value


def test_admin_mints_for_service_principals(server: EmbeddedServer, user: Client) -> None:
    admin = server.client()
    engine = admin.service_principals.create("engine").name
    made = admin.tokens.create(principal=engine)
    holder = server.client(made.token_value)
    assert holder.session.get().principal == engine
    assert [token.id for token in admin.tokens.list(principal=engine)] == [made.token.id]
    for call in (user.tokens.create, lambda principal: list(user.tokens.list(principal=principal))):
        with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
            call(principal=engine)
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        user.tokens.delete(made.token.id, principal=engine)
    admin.tokens.delete(made.token.id, principal=engine)
    with fails("TOKEN_INVALID"):
        holder.session.get()


def test_admin_hands_a_person_a_token_that_works_once(server: EmbeddedServer) -> None:
    """A lasting token is only ever in the hands of the person it speaks for."""
    admin = server.client()
    name = admin.users.create("newcomer@example.com").name
    with fails("FIELD_INVALID", saying="lifetime_seconds"):
        admin.tokens.create(principal=name, lifetime_seconds=DAY + 1)
    handed = admin.tokens.create(principal=name)
    assert handed.token_value.startswith("lwboot_")
    assert handed.token.expire_time.ToSeconds() - handed.token.create_time.ToSeconds() <= DAY
    person = server.client(handed.token_value)
    for refused in (person.session.get, lambda: person.tokens.create(principal="admin@example.com")):
        with fails("BOOTSTRAP_TOKEN_RESTRICTED", "PERMISSION_DENIED"):
            refused()
    lasting = person.tokens.create()
    assert server.client(lasting.token_value).session.get().principal == name
    with fails("TOKEN_INVALID"):
        person.tokens.create()
    with fails("ACCESS_DENIED"):
        server.client(lasting.token_value).tokens.create(principal="admin@example.com")


def test_nobody_deletes_anothers_token_as_ones_own(server: EmbeddedServer, user: Client) -> None:
    victim = server.client().session.get().token_id
    with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
        user.tokens.delete(victim)
    assert server.client().session.get().token_id == victim


def test_token_limited_to_a_workspace_works_nowhere_else(server: EmbeddedServer) -> None:
    admin = server.client()
    admin.workspaces.create("annex", metastore="metastore")
    made = admin.tokens.create(workspace="annex")
    assert made.token.workspace == "annex"
    limited = server.client(made.token_value, workspace="annex")
    assert limited.session.get().workspace == "annex"
    for elsewhere in ("workspace", "atlantis"):
        with fails("WORKSPACE_DENIED", "PERMISSION_DENIED"):
            limited.with_workspace(elsewhere).session.get()
    assert server.client(made.token_value, workspace="").session.get().workspace == "annex"
    assert limited.tokens.create().token.workspace == "annex"
    with fails("WORKSPACE_DENIED", "PERMISSION_DENIED"):
        limited.tokens.create(workspace="workspace")
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="atlantis"):
        admin.tokens.create(workspace="atlantis")


def test_limits_of_the_comment(user: Client) -> None:
    with fails("FIELD_INVALID", "INVALID_ARGUMENT"):
        user.tokens.create(comment="x" * 4_097)


@pytest.fixture
def first_run(make_database_url: Callable[[str], str], tmp_path: Path) -> Iterator[tuple[App, str]]:
    """A server just set up, and its bootstrap token."""
    database = create_database(make_database_url("sqlite"))
    keys = create_key_file(tmp_path / "key")
    token = bootstrap(database, keys, admin="first@example.com").token
    settings = Settings("", tmp_path / "key", tmp_path, listen="127.0.0.1:0", grace_seconds=1)
    app = App(settings, database=database, keys=keys)
    app.start()
    yield app, token
    app.stop()


def test_bootstrap_token_does_one_thing_once(first_run: tuple[App, str]) -> None:
    app, token = first_run
    with Client(f"127.0.0.1:{app.port}", token=token) as boot:
        for call in (boot.session.get, lambda: list(boot.users.list()), lambda: boot.users.create("a@b.c")):
            with fails("BOOTSTRAP_TOKEN_RESTRICTED", "PERMISSION_DENIED"):
                call()
        made = boot.tokens.create(lifetime_seconds=30 * DAY)
        with fails("TOKEN_INVALID", "UNAUTHENTICATED"):
            boot.tokens.create()
        with boot.as_token(made.token_value) as admin:
            assert admin.session.get().principal == "first@example.com"
            assert [found.id for found in admin.tokens.list()] == [made.token.id]
            assert admin.users.create("second@example.com").created_by == "first@example.com"


def test_database_is_set_up_once(first_run: tuple[App, str]) -> None:
    app, _ = first_run
    with pytest.raises(FailedPrecondition, match="already") as raised:
        bootstrap(app.database, app.keys, admin="other@example.com")
    assert raised.value.reason == "ALREADY_INITIALIZED"


def test_token_of_another_server_is_worthless(server: EmbeddedServer) -> None:
    with serve(workspace=False) as other, fails("TOKEN_INVALID", "UNAUTHENTICATED"):
        server.client(other.admin_token).session.get()


def test_one_time_token_is_not_for_an_admin_nor_from_a_short_lived_token(server: EmbeddedServer) -> None:
    """Else a stolen minute of an admin's token would become a year of anybody's."""
    admin = server.client()
    person = admin.users.create("careful@example.com").name
    brief = server.client(admin.tokens.create(lifetime_seconds=DAY - 1).token_value)
    with fails("FIELD_INVALID", saying="within a day"):
        brief.tokens.create(principal=person)
    second = admin.users.create("second-admin@example.com").name
    admin.grants.grant("ADMIN", "account", "account", second)
    with fails("ACCESS_DENIED", "PERMISSION_DENIED", saying="recover"):
        admin.tokens.create(principal=second)


def test_limited_token_neither_sees_nor_ends_unlimited_ones(server: EmbeddedServer, user: Client) -> None:
    unlimited = user.tokens.create().token.id
    limited = user.tokens.create(workspace="workspace")
    holder = server.client(limited.token_value)
    assert [token.id for token in holder.tokens.list()] == [limited.token.id]
    with fails("OBJECT_NOT_FOUND"):
        holder.tokens.delete(unlimited)
    with fails("WORKSPACE_DENIED", "PERMISSION_DENIED"):
        holder.users.list(limit=1).__next__()
    holder.tokens.delete(limited.token.id)
    assert unlimited in [token.id for token in user.tokens.list()]
