"""What is read-only takes no files, whoever asks: external locations by themselves and by the credential that reaches them."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from lakewarden import Client
from lakewarden_server.testing import EmbeddedServer
from services.errors import fails
from services.places import ROLE, fresh_url

Fresh = Callable[[str], str]
BOB = "bob@example.com"
WRITING = ("WRITE FILES", "CREATE EXTERNAL TABLE", "CREATE EXTERNAL VOLUME", "CREATE MANAGED STORAGE")
READING = ("READ FILES", "BROWSE")
COLUMNS = [{"name": "id", "type_text": "BIGINT"}]


@pytest.fixture
def admin(both: EmbeddedServer) -> Client:
    return both.client()


@pytest.fixture
def bob(both: EmbeddedServer) -> Client:
    return both.client_as("bob")


@pytest.fixture
def key(admin: Client, fresh: Fresh) -> str:
    name = fresh("key")
    admin.storage_credentials.create(name, "aws_iam_role", ROLE)
    return name


@pytest.fixture
def place(admin: Client, bob: Client, key: str, fresh: Fresh) -> str:
    """A location bob holds ALL PRIVILEGES on."""
    name = fresh("place")
    admin.external_locations.create(name, fresh_url(), key)
    admin.grants.grant("ALL PRIVILEGES", "external_location", name, BOB)
    return name


@pytest.fixture
def schema(admin: Client, bob: Client, fresh: Fresh) -> str:
    """A schema bob may create in."""
    name = fresh("catalog")
    admin.catalogs.create(name)
    admin.grants.grant("ALL PRIVILEGES", "catalog", name, BOB)
    return f"{name}.default"


def allowed(client: Client, place: str) -> set[str]:
    names = (*WRITING, *READING)
    return {name for name in names if client.authorization.check(name, "external_location", place)}


@pytest.fixture(params=["location", "credential"])
def shut(request: pytest.FixtureRequest, admin: Client, place: str, key: str) -> Callable[[bool], None]:
    """Makes the place read-only or writable again, by itself or by its credential."""

    def change(read_only: bool) -> None:
        if request.param == "location":
            admin.external_locations.update(place, read_only=read_only)
        else:
            admin.storage_credentials.update(key, read_only=read_only)

    return change


def test_read_only_place_is_written_by_nobody(
    admin: Client, bob: Client, place: str, shut: Callable[[bool], None]
) -> None:
    assert allowed(bob, place) == allowed(admin, place) == {*WRITING, *READING}
    shut(True)
    assert allowed(bob, place) == allowed(admin, place) == set(READING)
    writing = SimpleNamespace(full_name=place, privilege="WRITE FILES", securable_type="EXTERNAL_LOCATION")
    plan = bob.authorization.authorize_plan([writing])
    assert not plan.allowed
    assert "read-only" in plan.denials[0].reason
    # Nothing but the files is shut: its owner still manages it.
    admin.grants.grant("WRITE FILES", "external_location", place, "account users")
    shut(False)
    assert allowed(bob, place) == {*WRITING, *READING}


def test_operations_that_write_to_a_read_only_place_are_refused(
    bob: Client, admin: Client, place: str, schema: str, shut: Callable[[bool], None], fresh: Fresh
) -> None:
    url, catalog = admin.external_locations.get(place).url, schema.partition(".")[0]
    admin.grants.grant("CREATE CATALOG", "metastore", "metastore", BOB)
    shut(True)
    for attempt in (
        lambda: bob.tables.create(f"{schema}.t", COLUMNS, storage_location=f"{url}/t"),
        lambda: bob.volumes.create(f"{schema}.v", storage_location=f"{url}/v"),
        lambda: bob.schemas.create(f"{catalog}.stored", storage_root=f"{url}/s"),
        lambda: bob.catalogs.create(fresh("stored"), storage_root=f"{url}/c"),
    ):
        with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED", saying="read-only"):
            attempt()
    shut(False)
    bob.tables.create(f"{schema}.t", COLUMNS, storage_location=f"{url}/t")
    bob.volumes.create(f"{schema}.v", storage_location=f"{url}/v")


def test_table_comes_back_only_to_a_place_that_may_be_written(
    bob: Client, admin: Client, place: str, schema: str, shut: Callable[[bool], None]
) -> None:
    url = admin.external_locations.get(place).url
    bob.tables.create(f"{schema}.t", COLUMNS, storage_location=f"{url}/t")
    bob.tables.delete(f"{schema}.t")
    shut(True)
    with fails("ACCESS_DENIED", "PERMISSION_DENIED", saying="external location covering"):
        bob.tables.undelete(f"{schema}.t")
    shut(False)
    assert bob.tables.undelete(f"{schema}.t").storage_location == f"{url}/t"


def test_explanation_names_what_is_read_only(bob: Client, admin: Client, place: str, key: str) -> None:
    admin.external_locations.update(place, read_only=True)
    answer = bob.authorization.explain("WRITE FILES", "external_location", place)
    assert list(answer.problems) == [f"external location {place} is read-only: nobody writes files there"]
    # No grant would help, so none is proposed.
    assert not answer.fixes
    admin.external_locations.update(place, read_only=False)
    admin.storage_credentials.update(key, read_only=True)
    asked = ("WRITE FILES", "external_location", place)
    assert list(admin.authorization.explain(*asked).problems) == [
        f"storage credential {key} is read-only: nobody writes files there"
    ]
    # Bob does not see the credential.
    assert list(bob.authorization.explain(*asked).problems) == [
        "what it is reached with is read-only: nobody writes files there"
    ]
    # A deleted credential was deleted, not made writable.
    admin.storage_credentials.delete(key, force=True)
    assert list(admin.authorization.explain(*asked).problems) == [
        "what it is reached with is read-only: nobody writes files there"
    ]


def test_who_could_write_before_is_still_known(
    admin: Client, place: str, shut: Callable[[bool], None]
) -> None:
    asked = ("WRITE FILES", "external_location", place)
    before = admin.authorization.check(*asked).revision
    shut(True)
    after = admin.authorization.check(*asked).revision
    shut(False)

    def then(revision: str) -> bool:
        number = int(revision.partition(":")[2])
        return bool(admin.authorization.check(*asked, subject=BOB, as_of=number))

    assert (then(before), then(after)) == (True, False)


def test_place_with_managed_storage_does_not_become_read_only(
    admin: Client, place: str, key: str, fresh: Fresh
) -> None:
    other, catalog = fresh("key"), fresh("catalog")
    admin.storage_credentials.create(other, "aws_iam_role", ROLE, read_only=True)
    url = admin.external_locations.get(place).url
    admin.catalogs.create(catalog, storage_root=f"{url}/store")
    for attempt in (
        lambda: admin.external_locations.update(place, read_only=True),
        lambda: admin.storage_credentials.update(key, read_only=True),
        lambda: admin.external_locations.update(place, credential=other),
    ):
        with fails("IN_USE", "FAILED_PRECONDITION", saying="managed storage"):
            attempt()
    admin.catalogs.delete(catalog, force=True)
    admin.external_locations.update(place, credential=other)
    assert not admin.authorization.check("WRITE FILES", "external_location", place)
