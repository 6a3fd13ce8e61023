"""Volumes: what is theirs alone. What they share with every securable is in test_securables.py."""

from __future__ import annotations

from collections.abc import Callable

from lakewarden import Client
from lakewarden.v1 import volumes_pb2
from lakewarden_server.testing import EmbeddedServer
from services.errors import fails
from services.places import fresh_url, lake

Fresh = Callable[[str], str]


def _schema(admin: Client, fresh: Fresh) -> str:
    catalog = fresh("catalog")
    admin.catalogs.create(catalog)
    admin.schemas.create(f"{catalog}.s")
    return f"{catalog}.s"


def test_volume_is_managed_unless_it_says_otherwise(admin: Client, fresh: Fresh) -> None:
    volume = admin.volumes.create(f"{_schema(admin, fresh)}.files")
    assert (volume.volume_type, volume.storage_location) == (volumes_pb2.Volume.MANAGED, "")


def test_external_volume_lies_in_a_location_and_apart(admin: Client, fresh: Fresh) -> None:
    lake(admin)
    schema, url = _schema(admin, fresh), fresh_url()
    admin.external_locations.create(fresh("place"), url, "lake")
    made = admin.volumes.create(f"{schema}.files", storage_location=f"{url}/files/")
    assert (made.volume_type, made.storage_location) == (volumes_pb2.Volume.EXTERNAL, f"{url}/files")
    assert admin.volumes.get(f"{schema}.files") == made
    with fails("LOCATION_OVERLAP", "FAILED_PRECONDITION"):
        admin.tables.create(f"{schema}.t", storage_location=f"{url}/files/t")
    with fails("ACCESS_DENIED", "PERMISSION_DENIED", saying="covering s3://elsewhere/files"):
        admin.volumes.create(f"{schema}.other", storage_location="s3://elsewhere/files")
    admin.volumes.delete(f"{schema}.files")
    admin.volumes.create(f"{schema}.other", storage_location=f"{url}/files/deep")


def test_external_volume_needs_the_right_on_its_location(server: EmbeddedServer, fresh: Fresh) -> None:
    admin, guest = server.client(), server.client_as("guest")
    lake(admin)
    schema, url, place = _schema(admin, fresh), fresh_url(), fresh("place")
    admin.external_locations.create(place, url, "lake")
    rights = ["USE CATALOG", "USE SCHEMA", "CREATE VOLUME"]
    admin.grants.grant(rights, "catalog", schema.partition(".")[0], "guest@example.com")
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        guest.volumes.create(f"{schema}.files", storage_location=f"{url}/files")
    admin.grants.grant("CREATE EXTERNAL TABLE", "external_location", place, "guest@example.com")
    with fails("PRIVILEGE_MISSING", saying="CREATE EXTERNAL VOLUME"):
        guest.volumes.create(f"{schema}.files", storage_location=f"{url}/files")
    admin.grants.grant("CREATE EXTERNAL VOLUME", "external_location", place, "guest@example.com")
    assert (
        guest.volumes.create(f"{schema}.files", storage_location=f"{url}/files").owner == "guest@example.com"
    )


def test_managed_volume_has_no_location_of_its_own(
    admin: Client, server: EmbeddedServer, fresh: Fresh
) -> None:
    lake(admin)
    schema, url = _schema(admin, fresh), fresh_url()
    admin.external_locations.create(fresh("place"), url, "lake")
    volume = {"name": "files", "storage_location": f"{url}/files", "volume_type": "MANAGED"}
    with fails("FIELD_INVALID", "INVALID_ARGUMENT", saying="storage_location"):
        admin.volumes._call("CreateVolume", parent=schema, volume=volume)


def test_volume_and_table_may_have_one_name(admin: Client, fresh: Fresh) -> None:
    schema = _schema(admin, fresh)
    admin.tables.create(f"{schema}.orders")
    assert admin.volumes.create(f"{schema}.orders").name == "orders"


def test_reader_of_a_volume_reads_and_sees_only_what_it_was_granted(
    server: EmbeddedServer, admin: Client, fresh: Fresh
) -> None:
    schema, reader = _schema(admin, fresh), server.client_as("volume_reader")
    for name in ("open", "closed"):
        admin.volumes.create(f"{schema}.{name}")
    for privilege, kind, name in (
        ("USE CATALOG", "catalog", schema.partition(".")[0]),
        ("USE SCHEMA", "schema", schema),
        ("READ VOLUME", "volume", f"{schema}.open"),
    ):
        assert not reader.authorization.check("READ VOLUME", "volume", f"{schema}.open")
        admin.grants.grant(privilege, kind, name, "volume_reader@example.com")
    assert reader.authorization.check("READ VOLUME", "volume", f"{schema}.open")
    assert not reader.authorization.check("WRITE VOLUME", "volume", f"{schema}.open")
    assert [volume.name for volume in reader.volumes.list(schema)] == ["open"]
    with fails("ACCESS_DENIED", "PERMISSION_DENIED"):
        reader.volumes.get(f"{schema}.closed")


def test_read_volume_on_a_schema_reaches_every_volume_in_it(
    server: EmbeddedServer, admin: Client, fresh: Fresh
) -> None:
    schema, reader = _schema(admin, fresh), server.client_as("schema_reader")
    admin.volumes.create(f"{schema}.files")
    admin.grants.grant("USE CATALOG", "catalog", schema.partition(".")[0], "schema_reader@example.com")
    admin.grants.grant(["USE SCHEMA", "READ VOLUME"], "schema", schema, "schema_reader@example.com")
    assert reader.authorization.check("READ VOLUME", "volume", f"{schema}.files")
