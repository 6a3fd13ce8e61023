"""External locations and what is registered in them: canonical URLs, no overlap of any owners, external tables, managed storage."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from lakewarden import Client, LakewardenError
from lakewarden_server.testing import EmbeddedServer
from services.errors import fails
from services.places import ROLE, fresh_url, lake

Fresh = Callable[[str], str]
COLUMNS = [{"name": "id", "type_text": "BIGINT"}]
GUEST = "guest@example.com"


@pytest.fixture
def client(both: EmbeddedServer) -> Client:
    client = both.client()
    lake(client)
    return client


@pytest.fixture
def place(client: Client, fresh: Fresh) -> tuple[str, str]:
    """Name and URL of a location."""
    name = fresh("place")
    return name, client.external_locations.create(name, fresh_url(), "lake").url


@pytest.fixture
def schema(client: Client, fresh: Fresh) -> str:
    """A schema the admin owns."""
    catalog = fresh("catalog")
    client.catalogs.create(catalog)
    return f"{catalog}.default"


def test_location_has_its_canonical_url(client: Client, fresh: Fresh) -> None:
    name, url = fresh("place"), fresh_url()
    made = client.external_locations.create(name, url.replace("s3://bucket", "S3A://Bucket") + "/", "lake")
    assert (made.url, made.credential, made.read_only) == (url, "lake", False)
    assert client.external_locations.get(name) == made


@pytest.mark.parametrize(
    "url",
    ["", "s3://bucket/../x", "s3://user@bucket/x", "s3://bucket/a%2fb", "http://x/y", "s3://bucket/a//b"],
)
def test_ambiguous_url_is_refused(client: Client, fresh: Fresh, url: str) -> None:
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="url"):
        client.external_locations.create(fresh("place"), url, "lake")


def test_location_needs_a_credential(client: Client, fresh: Fresh) -> None:
    for name in ("", "nonesuch"):
        with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="credential"):
            client.external_locations.create(fresh("place"), fresh_url(), name)


@pytest.mark.parametrize("spelled", ["{url}", "{url}/", "{s3a}", "{url}/below/deep", "{above}"])
def test_overlapping_location_is_refused_and_names_nothing(
    client: Client, fresh: Fresh, spelled: str
) -> None:
    name, url = fresh("place"), f"{fresh_url()}/here"
    client.external_locations.create(name, url, "lake")
    other = spelled.format(url=url, s3a=url.replace("s3:", "s3n:"), above=url.rpartition("/")[0])
    with fails("LOCATION_OVERLAP", "FAILED_PRECONDITION") as failure:
        client.external_locations.create(fresh("other"), other, "lake")
    assert name not in failure.error.message
    # Siblings that only share letters, and another storage, are somewhere else.
    client.external_locations.create(fresh("other"), f"{url}after", "lake")
    client.external_locations.create(fresh("other"), url.replace("s3://", "gs://"), "lake")


def test_overlap_is_refused_between_owners_and_metastores(
    both: EmbeddedServer, client: Client, place: tuple[str, str], fresh: Fresh
) -> None:
    """Two owners of one place would each let others in; which metastore they sit in changes nothing about that."""
    guest = both.client_as("guest")
    client.grants.grant("CREATE EXTERNAL LOCATION", "metastore", "metastore", GUEST)
    client.grants.grant("CREATE EXTERNAL LOCATION", "storage_credential", "lake", GUEST)
    with fails("LOCATION_OVERLAP", "FAILED_PRECONDITION") as failure:
        guest.external_locations.create(fresh("mine"), f"{place[1]}/mine", "lake")
    assert place[0] not in failure.error.message
    elsewhere = fresh("elsewhere")
    client.metastores.create(elsewhere)
    client.workspaces.create(elsewhere, metastore=elsewhere)
    remote = both.client(workspace=elsewhere)
    remote.storage_credentials.create("lake", "aws_iam_role", ROLE)
    with fails("LOCATION_OVERLAP", "FAILED_PRECONDITION"):
        remote.external_locations.create("mine", place[1], "lake")


def test_of_many_claims_at_once_one_wins(both: EmbeddedServer, client: Client, fresh: Fresh) -> None:
    root, rounds, threads = fresh_url(), 5, 4
    for turn in range(rounds):
        urls = [f"{root}/{turn}", f"{root}/{turn}/a", f"{root}/{turn}/a/b", f"{root}/{turn}/"]
        names = [fresh("claim") for _ in range(threads)]
        start, outcomes = threading.Barrier(threads), dict.fromkeys(names, "")

        def claim(name: str, url: str, start: threading.Barrier, outcomes: dict[str, str]) -> None:
            start.wait()
            try:
                both.client().external_locations.create(name, url, "lake")
            except LakewardenError as error:
                outcomes[name] = error.reason

        running = [
            threading.Thread(target=claim, args=(name, url, start, outcomes))
            for name, url in zip(names, urls, strict=True)
        ]
        for thread in running:
            thread.start()
        for thread in running:
            thread.join()
        assert sorted(outcomes.values()) == ["", *["LOCATION_OVERLAP"] * (threads - 1)]


def test_location_moves_where_all_in_it_stays_inside(
    client: Client, place: tuple[str, str], schema: str, fresh: Fresh
) -> None:
    name, url = place
    client.tables.create(f"{schema}.t", COLUMNS, storage_location=f"{url}/deep/t")
    with fails("UPDATE_MASK_INVALID", "INVALID_ARGUMENT", saying="credential"):
        client.external_locations.update(name, url=f"{url}/deep")
    with fails("IN_USE", "FAILED_PRECONDITION"):
        client.external_locations.update(name, url=fresh_url(), credential="lake")
    moved = client.external_locations.update(name, url=f"{url}/deep/", credential="lake")
    assert moved.url == f"{url}/deep"
    # What it left is free, what it took is not.
    client.external_locations.create(fresh("other"), f"{url}/shallow", "lake")
    with fails("LOCATION_OVERLAP"):
        client.external_locations.update(name, url=url, credential="lake")
    with fails("LOCATION_OVERLAP"):
        client.external_locations.create(fresh("other"), f"{url}/deep/er", "lake")


def test_location_with_something_in_it_goes_only_by_force(
    client: Client, place: tuple[str, str], schema: str, fresh: Fresh
) -> None:
    name, url = place
    client.tables.create(f"{schema}.t", COLUMNS, storage_location=f"{url}/t")
    with fails("IN_USE", "FAILED_PRECONDITION"):
        client.external_locations.delete(name)
    client.external_locations.delete(name, force=True)
    assert client.tables.get(f"{schema}.t").storage_location == f"{url}/t"
    # A new location may take the orphans in, and may not lie in one.
    with fails("LOCATION_OVERLAP"):
        client.external_locations.create(fresh("other"), f"{url}/t/deep", "lake")
    again = fresh("again")
    client.external_locations.create(again, url, "lake")
    client.tables.delete(f"{schema}.t")
    client.external_locations.delete(again)


def test_external_table_lies_in_a_location(client: Client, place: tuple[str, str], schema: str) -> None:
    url = place[1]
    made = client.tables.create(
        f"{schema}.t", COLUMNS, storage_location=url.replace("s3://bucket", "s3a://BUCKET") + "/t/"
    )
    assert (made.storage_location, made.table_type) == (f"{url}/t", 2)
    assert client.tables.get(f"{schema}.t") == made
    for outside in (f"{url}2/t", "s3://elsewhere/t"):
        with fails("ACCESS_DENIED", "PERMISSION_DENIED", saying=f"external location covering {outside}"):
            client.tables.create(f"{schema}.u", COLUMNS, storage_location=outside)
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="storage_location"):
        client.tables.create(f"{schema}.u", COLUMNS, storage_location=f"{url}/../u")


def test_restored_external_table_takes_its_place_again(
    both: EmbeddedServer, client: Client, place: tuple[str, str], schema: str
) -> None:
    (name, url), guest = place, both.client_as("guest")
    client.grants.grant(
        ["USE CATALOG", "USE SCHEMA", "CREATE TABLE"], "catalog", schema.partition(".")[0], GUEST
    )
    client.grants.grant("CREATE EXTERNAL TABLE", "external_location", name, GUEST)
    table = f"{schema}.t"
    made = guest.tables.create(table, COLUMNS, storage_location=f"{url}/t")
    guest.tables.delete(table)
    # Its place is free meanwhile; while somebody else has it, there is nothing to return to.
    client.tables.create(f"{schema}.other", COLUMNS, storage_location=f"{url}/t/part")
    with fails("LOCATION_OVERLAP", "FAILED_PRECONDITION"):
        guest.tables.undelete(table)
    client.tables.delete(f"{schema}.other")
    client.grants.revoke("CREATE EXTERNAL TABLE", "external_location", name, GUEST)
    with fails("ACCESS_DENIED", "PERMISSION_DENIED", saying=f"covering {url}/t"):
        guest.tables.undelete(table)
    client.grants.grant("CREATE EXTERNAL TABLE", "external_location", name, GUEST)
    assert guest.tables.undelete(table).id == made.id
    with fails("LOCATION_OVERLAP", "FAILED_PRECONDITION"):
        client.tables.create(f"{schema}.other", COLUMNS, storage_location=f"{url}/t")


def test_type_and_location_of_a_table_go_together(
    client: Client, place: tuple[str, str], schema: str
) -> None:
    for values in (
        {"table_type": 2},
        {"table_type": 1, "storage_location": f"{place[1]}/t"},
        {"table_type": 9},
    ):
        with fails("FIELD_INVALID", "INVALID_ARGUMENT"):
            client.tables._create({"name": "t", "columns": COLUMNS, **values}, parent=schema)


@pytest.mark.parametrize("other", ["{t}", "{t}/part", "{above}"])
def test_data_never_overlaps_other_data(
    client: Client, place: tuple[str, str], schema: str, other: str
) -> None:
    table = f"{place[1]}/a/t"
    client.tables.create(f"{schema}.t", COLUMNS, storage_location=table)
    overlapping = other.format(t=table, above=f"{place[1]}/a")
    with fails("LOCATION_OVERLAP", "FAILED_PRECONDITION") as failure:
        client.tables.create(f"{schema}.u", COLUMNS, storage_location=overlapping)
    assert f"{schema}.t" not in failure.error.message
    client.tables.create(f"{schema}.u", COLUMNS, storage_location=f"{table}wo")
    client.tables.delete(f"{schema}.t")
    client.tables.create(f"{schema}.v", COLUMNS, storage_location=table)


def test_who_may_use_a_location_may_create_in_it(
    both: EmbeddedServer, client: Client, place: tuple[str, str], schema: str
) -> None:
    guest, (name, url) = both.client_as("guest"), place
    catalog = schema.partition(".")[0]
    client.grants.grant(
        ["USE CATALOG", "USE SCHEMA", "CREATE TABLE", "CREATE SCHEMA"], "catalog", catalog, GUEST
    )
    table, root = f"{schema}.t", f"{catalog}.mine"
    hidden = _denial(lambda: guest.tables.create(table, COLUMNS, storage_location=f"{url}/t"))
    absent = _denial(lambda: guest.tables.create(table, COLUMNS, storage_location=f"{url[:-1]}x/t"))
    assert hidden[0] == absent[0] == "ACCESS_DENIED"
    assert hidden[1].replace(url, "") == absent[1].replace(f"{url[:-1]}x", "")
    client.grants.grant("BROWSE", "external_location", name, GUEST)
    with fails("PRIVILEGE_MISSING", saying=name) as failure:
        guest.tables.create(table, COLUMNS, storage_location=f"{url}/t")
    assert f"GRANT CREATE EXTERNAL TABLE ON EXTERNAL LOCATION {name}" in failure.error.metadata["fixes"]
    client.grants.grant("CREATE EXTERNAL TABLE", "external_location", name, GUEST)
    assert guest.tables.create(table, COLUMNS, storage_location=f"{url}/t").owner == GUEST
    with fails("PRIVILEGE_MISSING"):
        guest.schemas.create(root, storage_root=f"{url}/managed")
    client.grants.grant("CREATE MANAGED STORAGE", "external_location", name, GUEST)
    assert guest.schemas.create(root, storage_root=f"{url}/managed").storage_root == f"{url}/managed"


def test_managed_storage_lies_apart_but_for_a_schema_in_its_catalog(
    client: Client, place: tuple[str, str], fresh: Fresh
) -> None:
    url, catalog = place[1], fresh("catalog")
    made = client.catalogs.create(catalog, storage_root=f"{url}/store/")
    assert (made.storage_root, client.catalogs.get(catalog)) == (f"{url}/store", made)
    client.schemas.create(f"{catalog}.inside", storage_root=f"{url}/store/s")
    client.schemas.create(f"{catalog}.beside", storage_root=f"{url}/beside")
    for taken in (f"{url}/store", f"{url}/store/x", f"{url}/beside", url):
        with fails("LOCATION_OVERLAP", "FAILED_PRECONDITION"):
            client.catalogs.create(fresh("other"), storage_root=taken)
    for taken in (f"{url}/store/s", f"{url}/store/s/x", f"{url}/beside/x", url):
        with fails("LOCATION_OVERLAP", "FAILED_PRECONDITION"):
            client.schemas.create(f"{catalog}.other", storage_root=taken)
    with fails("LOCATION_OVERLAP", "FAILED_PRECONDITION"):
        client.tables.create(f"{catalog}.inside.t", COLUMNS, storage_location=f"{url}/store/t")


def test_managed_storage_needs_a_writable_location(
    client: Client, place: tuple[str, str], fresh: Fresh
) -> None:
    name, url = place
    client.external_locations.update(name, read_only=True)
    with fails("PRIVILEGE_MISSING", "PERMISSION_DENIED", saying="read-only"):
        client.catalogs.create(fresh("catalog"), storage_root=f"{url}/store")
    client.external_locations.update(name, read_only=False)
    catalog = fresh("catalog")
    client.catalogs.create(catalog, storage_root=f"{url}/store")
    with fails("IN_USE", "FAILED_PRECONDITION"):
        client.external_locations.update(name, read_only=True)
    with fails("IN_USE", "FAILED_PRECONDITION"):
        client.external_locations.delete(name)
    client.catalogs.delete(catalog, force=True)
    client.external_locations.update(name, read_only=True)
    client.external_locations.delete(name)


def test_forced_delete_of_a_metastore_frees_every_place(both: EmbeddedServer, fresh: Fresh) -> None:
    admin, store, url = both.client(), fresh("store"), fresh_url()
    for _ in range(2):
        admin.metastores.create(store)
        workspace = fresh("workspace")
        admin.workspaces.create(workspace, metastore=store)
        inside = both.client(workspace=workspace)
        inside.storage_credentials.create("lake", "aws_iam_role", ROLE)
        inside.external_locations.create("place", url, "lake")
        inside.catalogs.create("c")
        inside.tables.create("c.default.t", COLUMNS, storage_location=f"{url}/t")
        admin.workspaces.detach(workspace)
        admin.metastores.delete(store, force=True)


def test_foreign_catalog_stands_on_its_connection(both: EmbeddedServer, fresh: Fresh) -> None:
    client, guest = both.client(), both.client_as("guest")
    db, catalog = fresh("db"), fresh("foreign")
    client.connections.create(db, "POSTGRESQL", options={"host": "h"})
    client.grants.grant("CREATE CATALOG", "metastore", "metastore", GUEST)
    for missing in (db, "nonesuch"):
        with fails("ACCESS_DENIED", "PERMISSION_DENIED", saying=missing):
            guest.catalogs.create(catalog, connection=missing)
    client.grants.grant("CREATE FOREIGN CATALOG", "connection", db, GUEST)
    made = guest.catalogs.create(catalog, connection=db)
    assert (made.connection, made.catalog_type) == (db, 2)
    assert client.catalogs.create(fresh("plain")).catalog_type == 1
    with fails("IN_USE", "FAILED_PRECONDITION"):
        client.connections.delete(db)
    client.connections.delete(db, force=True)
    assert client.catalogs.get(catalog).connection == ""


def _denial(attempt: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(LakewardenError) as raised:
        attempt()
    return raised.value.reason, raised.value.message
