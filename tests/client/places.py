"""For every RPC of the kinds under a metastore: the client method that calls it, and the commands that do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lakewarden import Client

ROLE = {"role_arn": "arn:aws:iam::1:role/lake"}
# Service, resource of the client, noun of the command line, how the client creates one, how a command does.
_KINDS: tuple[tuple[str, str, str, Callable[[Any], Any], str], ...] = (
    (
        "StorageCredential", "storage_credentials", "storage-credential",
        lambda resource: resource.create("x", "aws_iam_role", ROLE, read_only=True),
        "--identity aws-iam-role --field role_arn=arn --read-only",
    ),
    (
        "ServiceCredential", "service_credentials", "service-credential",
        lambda resource: resource.create("x", "secret", {"value": "s"}),
        "--identity aws-iam-role --field role_arn=arn",
    ),
    (
        "ExternalLocation", "external_locations", "external-location",
        lambda resource: resource.create("x", "s3://bucket/x", "lake"),
        "s3://bucket/x --credential lake",
    ),
    (
        "Connection", "connections", "connection",
        lambda resource: resource.create("x", "HTTP", options={"host": "h"}, secret_options={"password": "p"}),
        "HTTP --option host=h --credential desk",
    ),
    ("Share", "shares", "share", lambda resource: resource.create("x", comment="c"), "--comment c"),
    (
        "Recipient", "recipients", "recipient",
        lambda resource: resource.create("x", global_metastore_id="aws:eu:1"), "--property a=b",
    ),
    (
        "Provider", "providers", "provider",
        lambda resource: resource.create("x", recipient_profile="{}"), "--global-metastore-id aws:eu:1",
    ),
    (
        "ExternalMetadata", "external_metadata", "external-metadata",
        lambda resource: resource.create("x", "TABLEAU", "dashboard", columns=["a"]),
        "TABLEAU dashboard --url https://x.io --column a",
    ),
)  # fmt: skip
_FORCED = {"storage-credential", "service-credential", "external-location", "connection"}
_UPDATES = (
    ("StorageCredential", "storage-credential update x --identity aws-iam-role --field role_arn=arn --writable"),
    ("ExternalLocation", "external-location update x --url s3://bucket/y --credential lake"),
    ("Connection", "connection update x --option host=h --credential desk"),
    ("ExternalMetadata", "external-metadata update x --system KAFKA --type topic --column a"),
)  # fmt: skip


def _methods() -> dict[str, Callable[[Client], Any]]:
    found: dict[str, Callable[[Client], Any]] = {}
    for service, name, _, create, _ in _KINDS:

        def calling(verb: Callable[[Any], Any], name: str = name) -> Callable[[Client], Any]:
            return lambda client: verb(getattr(client, name))

        plural = service if service == "ExternalMetadata" else f"{service}s"
        found[f"{service}Service/Create{service}"] = calling(create)
        found[f"{service}Service/Get{service}"] = calling(lambda resource: resource.get("x"))
        found[f"{service}Service/List{plural}"] = calling(lambda resource: list(resource.list()))
        found[f"{service}Service/Update{service}"] = calling(
            lambda resource: resource.update("x", comment="")
        )
        found[f"{service}Service/Delete{service}"] = calling(lambda resource: resource.delete("x", etag="e"))
    return found


METHODS: dict[str, Callable[[Client], Any]] = {
    **_methods(),
    "ShareService/ListShareObjects": lambda client: list(client.shares.objects("x")),
    "ShareService/UpdateShareObjects": lambda client: client.shares.update_objects("x", add=["a.b.c"]),
    "ShareService/ListShareRecipients": lambda client: list(client.shares.recipients("x")),
    "ShareService/CreateShareRecipient": lambda client: client.shares.add_recipient("x", "acme"),
    "ShareService/DeleteShareRecipient": lambda client: client.shares.remove_recipient("x", "acme"),
}


def _commands() -> tuple[tuple[str, str], ...]:
    found = [(f"{service}Service/Update{service}", line) for service, line in _UPDATES]
    for service, _, noun, _, create in _KINDS:
        plural = service if service == "ExternalMetadata" else f"{service}s"
        force = " --force" if noun in _FORCED else ""
        found += [
            (f"{service}Service/Create{service}", f"{noun} create x {create}"),
            (f"{service}Service/Get{service}", f"{noun} get x"),
            (f"{service}Service/List{plural}", f"{noun} list"),
            (f"{service}Service/Update{service}", f"{noun} owner x admins"),
            (f"{service}Service/Update{service}", f"{noun} rename x y"),
            (f"{service}Service/Update{service}", f"{noun} update x --comment c"),
            (f"{service}Service/Delete{service}", f"{noun} delete x --yes{force}"),
        ]
    return tuple(found)


COMMANDS: tuple[tuple[str, str], ...] = (
    *_commands(),
    ("ShareService/ListShareObjects", "share objects x"),
    ("ShareService/UpdateShareObjects", "share add x a.b.c"),
    ("ShareService/UpdateShareObjects", "share remove x a.b.c"),
    ("ShareService/ListShareRecipients", "share recipient list x"),
    ("ShareService/CreateShareRecipient", "share recipient add x acme"),
    ("ShareService/DeleteShareRecipient", "share recipient remove x acme"),
)
