"""Shares with their objects and recipients, recipients, providers and external metadata: what they do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lakewarden import Client
from lakewarden_server.core.clock import monotonic
from lakewarden_server.entities import Secret
from lakewarden_server.services import shares
from lakewarden_server.testing import EmbeddedServer
from services.errors import fails

Fresh = Callable[[str], str]
OWNER = "owner@example.com"


@pytest.fixture
def tables(both: EmbeddedServer, fresh: Fresh) -> list[str]:
    """Two tables the admin may read."""
    client, catalog = both.client(), fresh("catalog")
    client.catalogs.create(catalog)
    client.grants.grant(["USE CATALOG", "USE SCHEMA", "SELECT"], "catalog", catalog, "admin@example.com")
    names = [f"{catalog}.default.{name}" for name in ("items", "orders")]
    for name in names:
        client.tables.create(name)
    return names


def _objects(client: Client, share: str) -> list[str]:
    return [row.full_name for row in client.shares.objects(share)]


def test_objects_are_added_listed_and_removed(both: EmbeddedServer, fresh: Fresh, tables: list[str]) -> None:
    client, share = both.client(), fresh("share")
    made = client.shares.create(share)
    changed = client.shares.update_objects(share, add=[tables[1], tables[0].upper(), tables[1]])
    assert changed.etag != made.etag
    assert _objects(client, share) == tables
    assert {row.kind for row in client.shares.objects(share, page_size=1)} == {"TABLE"}
    assert client.shares.update_objects(share, add=tables).etag == changed.etag
    client.shares.update_objects(share, remove=[tables[0], "no.such.table"])
    assert _objects(client, share) == tables[1:]


def test_object_is_shared_by_id(both: EmbeddedServer, fresh: Fresh, tables: list[str]) -> None:
    """A rename keeps it in the share; a table that takes over the name of a dropped one is not in it."""
    client, share = both.client(), fresh("share")
    client.shares.create(share)
    client.shares.update_objects(share, add=tables)
    client.tables.rename(tables[0], "renamed")
    client.tables.delete(tables[1])
    client.tables.create(tables[1])
    client.tables.create(tables[0])
    assert _objects(client, share) == [tables[0].replace("items", "renamed")]


def test_owner_of_a_share_must_read_what_it_shares(
    both: EmbeddedServer, fresh: Fresh, tables: list[str]
) -> None:
    client, owner, share = both.client(), both.client_as("owner"), fresh("share")
    client.shares.create(share)
    client.shares.set_owner(share, OWNER)
    hidden, absent = tables[0], tables[0].replace("items", "nouns")
    said = []
    for name in (hidden, absent):
        with fails("ACCESS_DENIED", "PERMISSION_DENIED", saying=name) as failure:
            owner.shares.update_objects(share, add=[name])
        said.append(failure.error.message.replace(name, "NAME"))
    assert said[0] == said[1]
    catalog = hidden.partition(".")[0]
    client.grants.grant(["USE CATALOG", "USE SCHEMA", "BROWSE"], "catalog", catalog, OWNER)
    with fails("PRIVILEGE_MISSING", saying="SELECT"):
        owner.shares.update_objects(share, add=[hidden])
    client.grants.grant("SELECT", "table", hidden, OWNER)
    owner.shares.update_objects(share, add=[hidden])
    # Only the owner: a metastore admin who can read the table changes the share's other fields.
    with fails("PRIVILEGE_MISSING"):
        client.shares.update_objects(share, add=[tables[1]])
    client.grants.revoke(["BROWSE", "SELECT", "USE CATALOG"], "catalog", catalog, OWNER)
    assert _objects(owner, share) == []


@pytest.mark.parametrize(
    "change", [{}, {"add": ["orders"]}, {"remove": ["a.b.c.d"]}, {"add": ["a.b.c"] * 1_001}]
)
def test_wrong_change_of_objects_is_refused(
    both: EmbeddedServer, fresh: Fresh, change: dict[str, list[str]]
) -> None:
    client, share = both.client(), fresh("share")
    client.shares.create(share)
    with fails("FIELD_INVALID", "INVALID_ARGUMENT"):
        client.shares.update_objects(share, **change)


def test_share_is_full_at_its_limit(
    server: EmbeddedServer, fresh: Fresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shares, "OBJECTS_MAX", 1)
    monkeypatch.setattr(shares, "RECIPIENTS_MAX", 1)
    client, share, catalog = server.client(), fresh("share"), fresh("catalog")
    client.catalogs.create(catalog)
    client.grants.grant(["USE CATALOG", "USE SCHEMA", "SELECT"], "catalog", catalog, "admin@example.com")
    names = [f"{catalog}.default.{name}" for name in ("a", "b")]
    client.shares.create(share)
    for name in names:
        client.tables.create(name)
        client.recipients.create(fresh("recipient"))
    with fails("QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED"):
        client.shares.update_objects(share, add=names)
    assert _objects(client, share) == []
    first, second = [row.name for row in client.recipients.list()][:2]
    client.shares.add_recipient(share, first)
    with fails("QUOTA_EXCEEDED", "RESOURCE_EXHAUSTED"):
        client.shares.add_recipient(share, second)


def test_recipients_are_given_a_share_and_lose_it(both: EmbeddedServer, fresh: Fresh) -> None:
    client, share, recipients = both.client(), fresh("share"), sorted(fresh("recipient") for _ in range(3))
    client.shares.create(share)
    for name in recipients:
        client.recipients.create(name)
        assert client.shares.add_recipient(share, name).name == share
    etag = client.shares.get(share).etag
    assert client.shares.add_recipient(share, recipients[0]).etag == etag
    assert list(client.shares.recipients(share, page_size=2)) == recipients
    client.shares.remove_recipient(share, recipients[0])
    client.shares.remove_recipient(share, recipients[0])
    client.recipients.delete(recipients[1])
    client.recipients.create(recipients[1])
    assert list(client.shares.recipients(share)) == recipients[2:]
    client.shares.delete(share)
    client.shares.create(share)
    assert list(client.shares.recipients(share)) == []


def test_hidden_recipient_is_answered_like_a_missing_one(both: EmbeddedServer, fresh: Fresh) -> None:
    client, owner, share, hidden = both.client(), both.client_as("owner"), fresh("share"), fresh("hidden")
    client.recipients.create(hidden)
    client.shares.create(share)
    client.shares.add_recipient(share, hidden)
    client.shares.set_owner(share, OWNER)
    said = []
    for name in (hidden, hidden.replace("hidden", "absent")):
        for attempt in (owner.shares.add_recipient, owner.shares.remove_recipient):
            with fails("ACCESS_DENIED", "PERMISSION_DENIED") as failure:
                attempt(share, name)
            said.append(failure.error.message.replace(name, "NAME"))
    assert len(set(said)) == 1
    assert list(owner.shares.recipients(share)) == []
    with fails("FIELD_INVALID", "INVALID_ARGUMENT"):
        client.shares.set_owner(share, "admin@example.com")
        client.shares.add_recipient(share, "")


def test_recipient_and_provider_are_known_by_token_or_metastore(both: EmbeddedServer, fresh: Fresh) -> None:
    client, name = both.client(), fresh("outside")
    by_token = client.recipients.create(name)
    by_metastore = client.recipients.create(f"{name}b", global_metastore_id="aws:eu:1")
    assert (by_token.authentication_type, by_metastore.authentication_type) == (1, 2)
    assert by_metastore.global_metastore_id == "aws:eu:1"
    assert client.providers.create(name, global_metastore_id="aws:eu:1").authentication_type == 2
    for resource, values in (
        (client.recipients, {"authentication_type": 1, "global_metastore_id": "x"}),
        (client.recipients, {"authentication_type": 2}),
        (client.recipients, {"authentication_type": 9}),
        (client.recipients, {"authentication_type": 2, "global_metastore_id": "x" * 256}),
        (client.providers, {"authentication_type": 1}),
        (client.providers, {"authentication_type": 2, "global_metastore_id": "x", "recipient_profile": "{}"}),
    ):
        with fails("FIELD_INVALID", "INVALID_ARGUMENT"):
            resource._create({"name": fresh("outside"), **values})


def test_profile_of_a_provider_is_kept_and_not_shown(both: EmbeddedServer, fresh: Fresh) -> None:
    client, name = both.client(), fresh("provider")
    made = client.providers.create(name, recipient_profile='{"bearerToken": "t"}')
    assert made.recipient_profile == ""
    changed = client.providers.update(name, recipient_profile='{"bearerToken": "u"}')
    assert (changed.recipient_profile, changed.etag != made.etag) == ("", True)
    client.providers.delete(name)
    with both.app.database.read(deadline=monotonic() + 10) as uow:
        assert uow.session.get(Secret, made.id) is None


def test_external_metadata_is_kept_and_shown_to_everybody(both: EmbeddedServer, fresh: Fresh) -> None:
    client, name = both.client(), fresh("dashboard")
    made = client.external_metadata.create(
        name, "power_bi", "dashboard", url="https://bi.example.com/1", columns=["revenue", "month"]
    )
    assert (made.system_type, list(made.columns)) == ("POWER_BI", ["revenue", "month"])
    assert both.client_as("anybody").external_metadata.get(name) == made
    changed = client.external_metadata.update(
        name, system_type="KAFKA", entity_type="topic", url="", columns=["x"]
    )
    assert (changed.system_type, changed.entity_type, changed.url, list(changed.columns)) == (
        "KAFKA", "topic", "", ["x"],
    )  # fmt: skip
    client.external_metadata.delete(name)
    assert client.external_metadata.create(name, "KAFKA", "topic").id != made.id


@pytest.mark.parametrize(
    "values",
    [
        {"system_type": ""}, {"system_type": "Power BI"}, {"system_type": "X" * 65}, {"entity_type": " "},
        {"entity_type": "x" * 256}, {"url": "javascript:alert(1)"}, {"url": "https://user:pw@host/"}, {"url": "ftp://x"},
        {"url": "https://x/" + "y" * 2_048}, {"columns": [""]}, {"columns": ["a", "a"]}, {"columns": ["x" * 256]},
        {"columns": [str(number) for number in range(1_001)]},
    ],
)  # fmt: skip
def test_wrong_external_metadata_is_refused(
    server: EmbeddedServer, fresh: Fresh, values: dict[str, object]
) -> None:
    resource, name = server.client().external_metadata, fresh("thing")
    good: dict[str, object] = {"system_type": "KAFKA", "entity_type": "topic"}
    with fails("FIELD_INVALID", "INVALID_ARGUMENT"):
        resource._create({"name": name, **good, **values})
    resource._create({"name": name, **good})
    with fails("FIELD_INVALID", "INVALID_ARGUMENT"):
        resource._update(name, values, etag="")
