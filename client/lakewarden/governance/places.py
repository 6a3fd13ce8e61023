"""The fields of what engines reach the outside with: credentials, external locations, connections, providers.

Their secrets go in and never come out, so every change of what a secret belongs to sends it again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from lakewarden.governance.fields import COMMON, ISOLATION, Collection, Field
from lakewarden.governance.secrets import placeholder
from lakewarden.governance.shapes import (
    FLAG,
    NAMES,
    PAIRS,
    REFERENCE,
    SECRET,
    SECRETS,
    TEXT,
    TEXTS,
    WORD,
)

if TYPE_CHECKING:
    from lakewarden._client import Client

READ_ONLY: Final = Field("read_only", FLAG, False)


def _identity_of(message: Any) -> tuple[str, Any, str]:
    """A credential's kind of identity, its message, and the part of it that is secret (empty for none)."""
    kind = message.WhichOneof("identity")
    described = message.DESCRIPTOR.fields_by_name[kind].message_type
    secret = [field.name for field in described.fields if field.GetOptions().debug_redact]
    return kind, getattr(message, kind), secret[0] if secret else ""


def _parts(message: Any) -> dict[str, str]:
    """What identifies a credential and is neither secret nor made by the server."""
    _, identity, secret = _identity_of(message)
    # What the server adds (an external id) belongs to this server's object and not to the next one's.
    return {
        field.name: getattr(identity, field.name)
        for field in identity.DESCRIPTOR.fields
        if field.name not in (secret, "external_id") and getattr(identity, field.name)
    }


def _secret(message: Any) -> dict[str, str]:
    kind, _, secret = _identity_of(message)
    return placeholder(kind, message.full_name, secret) if secret else {}


def _secret_name(resource: Any, kind: str) -> str:
    """The part of an identity that is secret."""
    credential = getattr(resource.messages, resource.noun).DESCRIPTOR
    described = credential.fields_by_name.get(kind)
    parts = described.message_type.fields if described is not None and described.message_type else ()
    return next((part.name for part in parts if part.GetOptions().debug_redact), "")


def credential_values(resource: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a credential as its client takes them: identity and fields, the secret among them."""
    given = {name: value for name, value in values.items() if name not in ("identity_fields", "secret")}
    parts = dict(values.get("identity_fields", {}))
    if values.get("secret"):
        parts[_secret_name(resource, values["identity"])] = values["secret"]
    return {**given, "fields": parts}


def _set_identity(resource: Any, name: str, values: Mapping[str, Any], etag: str) -> Any:
    given = credential_values(resource, values)
    return resource.update(name, identity=given["identity"], fields=given["fields"], etag=etag)


def _set_url(resource: Any, name: str, values: Mapping[str, Any], etag: str) -> Any:
    return resource.update(name, url=values["url"], credential=values.get("credential", ""), etag=etag)


def _set_options(resource: Any, name: str, values: Mapping[str, Any], etag: str) -> Any:
    options, secrets = values.get("options", {}), values.get("secret_options", {})
    return resource.update(name, options=options, secret_options=secrets, etag=etag)


def _option_placeholders(message: Any) -> dict[str, dict[str, str]]:
    return {name: placeholder("connection", message.full_name, name) for name in message.secret_option_names}


def _profile(message: Any) -> dict[str, str]:
    if message.global_metastore_id:
        return {}
    return placeholder("provider", message.full_name, "recipient_profile")


_IDENTITY: Final = (
    Field("identity", TEXT, read=lambda message: message.WhichOneof("identity"), set=_set_identity),
    Field("identity_fields", PAIRS, {}, read=_parts, set=_set_identity),
    Field("secret", SECRET, {}, read=_secret, set=_set_identity),
)
STORAGE_CREDENTIAL: Final = (*COMMON, *_IDENTITY, READ_ONLY, ISOLATION)
SERVICE_CREDENTIAL: Final = (*COMMON, *_IDENTITY, ISOLATION)
EXTERNAL_LOCATION: Final = (
    *COMMON,
    Field("url", set=_set_url),
    Field("credential", REFERENCE, refers_to="storage_credential", set=_set_url),
    READ_ONLY,
    ISOLATION,
)
CONNECTION: Final = (
    *COMMON,
    Field("connection_type", WORD, immutable=True),
    Field("options", PAIRS, {}, set=_set_options),
    Field("secret_options", SECRETS, {}, read=_option_placeholders, set=_set_options),
    Field("credential", REFERENCE, refers_to="service_credential"),
    READ_ONLY,
)
OBJECTS: Final = Collection(
    lambda client, name: (each.full_name for each in client.shares.objects(name)),
    lambda client, name, added, removed: client.shares.update_objects(name, add=added, remove=removed),
)


def _change_recipient(client: Client, name: str, added: list[str], removed: list[str]) -> None:
    for recipient in added:
        client.shares.add_recipient(name, recipient)
    for recipient in removed:
        client.shares.remove_recipient(name, recipient)


RECIPIENTS: Final = Collection(
    lambda client, name: client.shares.recipients(name), _change_recipient, one_by_one=True
)
SHARE: Final = (
    *COMMON,
    Field("objects", TEXTS, (), at_create=False, collection=OBJECTS),
    Field("recipients", TEXTS, (), at_create=False, collection=RECIPIENTS),
)
RECIPIENT: Final = (*COMMON, Field("global_metastore_id", immutable=True))
EXTERNAL_METADATA: Final = (
    *COMMON,
    Field("system_type", WORD),
    Field("entity_type"),
    Field("url"),
    Field("columns", NAMES, ()),
)
PROVIDER: Final = (
    *COMMON,
    Field("global_metastore_id", immutable=True),
    Field("recipient_profile", SECRET, {}, read=_profile),
)
