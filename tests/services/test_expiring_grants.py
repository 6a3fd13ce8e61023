"""Grants that end: by the database's clock, without anybody changing anything, and shown as over."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from lakewarden import Client, InvalidArgument
from lakewarden_server.testing import EmbeddedServer
from services.errors import fails

Fresh = Callable[[str], str]
BOB = "bob@example.com"
SHORT = timedelta(seconds=2)
WAIT_SECONDS_MAX = 60.0


@pytest.fixture
def catalog(both: EmbeddedServer, fresh: Fresh) -> str:
    """A catalog bob may see nothing of."""
    both.token_of(BOB)
    name = fresh("catalog")
    both.client().catalogs.create(name)
    return name


def later(span: timedelta) -> datetime:
    return datetime.now(UTC) + span


def wait_until_denied(client: Client, catalog: str) -> None:
    """Until the answer is no: nobody writes meanwhile, so only the clock can have changed it."""
    give_up = time.monotonic() + WAIT_SECONDS_MAX
    while client.authorization.check("USE CATALOG", "catalog", catalog):
        assert time.monotonic() < give_up, "the grant does not end"
        time.sleep(0.05)


def test_grant_ends_by_itself_and_shows_as_expired(both: EmbeddedServer, catalog: str) -> None:
    admin, bob = both.client(), both.client_as(BOB)
    admin.grants.grant("USE CATALOG", "catalog", catalog, BOB, expire_time=later(SHORT), reason="ticket 17")
    revision = bob.revision
    wait_until_denied(bob, catalog)
    assert bob.revision >= revision
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        bob.catalogs.get(catalog)
    assert catalog not in {row.name for row in bob.catalogs.list()}
    (row,) = admin.grants.list("catalog", catalog)
    assert list(row.privileges) == []
    (grant,) = row.grants
    assert (grant.privilege, grant.expired, grant.reason) == ("USE_CATALOG", True, "ticket 17")
    assert grant.granted_by == "admin@example.com"
    admin.grants.grant("USE CATALOG", "catalog", catalog, BOB)
    assert bob.authorization.check("USE CATALOG", "catalog", catalog)
    admin.grants.revoke("USE CATALOG", "catalog", catalog, BOB)
    assert list(admin.grants.list("catalog", catalog)) == []


def test_expired_grant_ends_for_writers_too(both: EmbeddedServer, catalog: str) -> None:
    admin, bob = both.client(), both.client_as(BOB)
    admin.grants.grant("USE CATALOG", "catalog", catalog, BOB)
    admin.grants.grant("CREATE SCHEMA", "catalog", catalog, BOB, expire_time=later(SHORT))
    give_up = time.monotonic() + WAIT_SECONDS_MAX
    while bob.authorization.check("CREATE SCHEMA", "catalog", catalog):
        assert time.monotonic() < give_up
        time.sleep(0.05)
    with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED"):
        bob.schemas.create(f"{catalog}.late")


def test_later_end_replaces_the_earlier_one(both: EmbeddedServer, catalog: str) -> None:
    admin = both.client()
    first, second = later(timedelta(days=1)), later(timedelta(days=2))
    for end in (first, second):
        (row,) = admin.grants.grant("USE CATALOG", "catalog", catalog, BOB, expire_time=end, reason="x")
    assert row.grants[0].expire_time.ToDatetime(UTC) == second
    (row,) = admin.grants.grant("USE CATALOG", "catalog", catalog, BOB)
    assert not row.grants[0].HasField("expire_time")
    assert row.grants[0].reason == ""


@pytest.mark.parametrize("span", [timedelta(0), timedelta(days=-1)])
def test_end_that_is_over_is_refused(both: EmbeddedServer, catalog: str, span: timedelta) -> None:
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="over already"):
        both.client().grants.grant("USE CATALOG", "catalog", catalog, BOB, expire_time=later(span))
    assert list(both.client().grants.list("catalog", catalog)) == []


def test_admins_are_not_appointed_for_a_time(both: EmbeddedServer) -> None:
    both.token_of(BOB)
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="does not end"):
        both.client().grants.grant("ADMIN", "account", "account", BOB, expire_time=later(SHORT))


def test_time_without_a_zone_is_refused_before_it_is_sent(both: EmbeddedServer, catalog: str) -> None:
    with pytest.raises(InvalidArgument):
        both.client().grants.grant("USE CATALOG", "catalog", catalog, BOB, expire_time=datetime(2040, 1, 1))


def test_reason_has_a_limit(both: EmbeddedServer, catalog: str) -> None:
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="reason"):
        both.client().grants.grant("USE CATALOG", "catalog", catalog, BOB, reason="x" * 1_001)
