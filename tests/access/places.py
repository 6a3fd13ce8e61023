"""The eight kinds that stand under a metastore beside catalogs, as one table, for the tests that ask the same of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from lakewarden import Client

ORDERS = "main.sales.orders"


class Noun(NamedTuple):
    """How requests speak of one kind, and the one object of it the tests' worlds have."""

    service: str
    field: str
    name: str
    """Of the object that exists."""
    required: Mapping[str, Any]
    """What a new object says besides its name."""
    force: bool = False

    @property
    def kind(self) -> str:
        return (
            "".join(f"_{letter}" if letter.isupper() else letter for letter in self.service)
            .strip("_")
            .upper()
        )

    @property
    def plural(self) -> str:
        return self.service if self.service == "ExternalMetadata" else f"{self.service}s"


_ROLE = {"awsIamRole": {"roleArn": "arn:aws:iam::1:role/lake"}}
NOUNS = (
    Noun("StorageCredential", "storageCredential", "lake", _ROLE, force=True),
    Noun("ServiceCredential", "serviceCredential", "desk", _ROLE, force=True),
    Noun("ExternalLocation", "externalLocation", "raw", {"url": "s3://bucket/mine", "credential": "lake"}, force=True),
    Noun("Connection", "connection", "db", {"connectionType": "POSTGRESQL"}, force=True),
    Noun("Share", "share", "partners", {}),
    Noun("Recipient", "recipient", "acme", {}),
    Noun("Provider", "provider", "weather", {"recipientProfile": "profile"}),
    Noun("ExternalMetadata", "externalMetadata", "dashboard", {"systemType": "TABLEAU", "entityType": "dashboard"}),
)  # fmt: skip


def build_places(admin: Client, url: str = "s3://bucket/raw") -> None:
    """One object of each kind, the location at `url`."""
    role = {"role_arn": "arn:aws:iam::1:role/lake"}
    admin.storage_credentials.create("lake", "aws_iam_role", role)
    admin.service_credentials.create("desk", "aws_iam_role", role)
    admin.external_locations.create("raw", url, "lake")
    admin.connections.create("db", "POSTGRESQL")
    admin.shares.create("partners")
    admin.recipients.create("acme")
    admin.providers.create("weather", recipient_profile="{}")
    admin.external_metadata.create("dashboard", "TABLEAU", "dashboard")


def requests(owner: str) -> dict[str, Mapping[str, Any]]:
    """For every RPC, a request about what exists that would succeed for the admin."""
    found: dict[str, Mapping[str, Any]] = {}
    for noun in NOUNS:
        service = f"{noun.service}Service"
        new = {"name": "mine", **noun.required}
        changed = {"fullName": noun.name, "owner": owner}
        found[f"{service}/Create{noun.service}"] = {noun.field: new}
        found[f"{service}/Get{noun.service}"] = {"fullName": noun.name}
        found[f"{service}/List{noun.plural}"] = {}
        found[f"{service}/Update{noun.service}"] = {noun.field: changed, "updateMask": "owner"}
        found[f"{service}/Delete{noun.service}"] = {"fullName": noun.name}
    for rpc in ("ListShareObjects", "ListShareRecipients"):
        found[f"ShareService/{rpc}"] = {"fullName": "partners"}
    found["ShareService/UpdateShareObjects"] = {"fullName": "partners", "add": [ORDERS]}
    for rpc in ("CreateShareRecipient", "DeleteShareRecipient"):
        found[f"ShareService/{rpc}"] = {"fullName": "partners", "recipient": "acme"}
    return found


LISTS = {f"{noun.service}Service/List{noun.plural}" for noun in NOUNS}
HIDDEN: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    # One of this metastore and one of another. What stands for outside systems is shown to everybody of the account.
    "STORAGE_CREDENTIAL": {"lake": ("lage",), "afar_lake": ("afar_lage",)},
    "SERVICE_CREDENTIAL": {"desk": ("dusk",)},
    "EXTERNAL_LOCATION": {"raw": ("row",), "afar_raw": ("afar_row",)},
    "CONNECTION": {"db": ("dc",)},
    "SHARE": {"partners": ("parcners",)},
    "RECIPIENT": {"acme": ("acne",)},
    "PROVIDER": {"weather": ("leather",)},
    "EXTERNAL_METADATA": {"afar_dashboard": ("afar_dashboart",)},
}
"""Hidden name -> names that do not exist, of the same length."""


def naming(name: str) -> dict[str, Mapping[str, Any]]:
    """For every RPC that names an object, a request about the object `name`."""
    bodies: dict[str, Mapping[str, Any]] = {}
    for noun in NOUNS:
        service = f"{noun.service}Service"
        bodies[f"{service}/Get{noun.service}"] = {"fullName": name}
        bodies[f"{service}/Update{noun.service}"] = {
            noun.field: {"fullName": name, "name": "x"}, "updateMask": "name,owner,nonsense",
        }  # fmt: skip
        bodies[f"{service}/Delete{noun.service}"] = {"fullName": name}
    for rpc in ("ListShareObjects", "ListShareRecipients"):
        bodies[f"ShareService/{rpc}"] = {"fullName": name}
    bodies["ShareService/UpdateShareObjects"] = {"fullName": name, "add": [ORDERS]}
    for rpc in ("CreateShareRecipient", "DeleteShareRecipient"):
        bodies[f"ShareService/{rpc}"] = {"fullName": name, "recipient": "acme"}
    return bodies


def build_afar(remote: Client) -> None:
    """Objects of another metastore."""
    remote.storage_credentials.create("afar_lake", "aws_iam_role", {"role_arn": "arn:aws:iam::1:role/lake"})
    remote.external_locations.create("afar_raw", "s3://afar/raw", "afar_lake")
    remote.external_metadata.create("afar_dashboard", "TABLEAU", "dashboard")
