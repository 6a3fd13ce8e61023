"""Client secrets of service principals in the words of the Databricks API (semantics 5.5), at the account and from a workspace."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lakewarden.v1 import service_principals_pb2 as pb
from lakewarden_policy import ACCOUNT_ID
from lakewarden_server.http.rest.errors import Refused
from lakewarden_server.http.rest.exchanges import INTEGER_MAX, Exchange, Operation

SERVICE = "ServicePrincipalService"


def create(exchange: Exchange) -> Mapping[str, Any]:
    """A secret, told this once."""
    exchange.refuse("scopes")
    request = pb.CreateServicePrincipalSecretRequest(
        name=_principal(exchange), lifetime_seconds=_seconds(exchange.text("lifetime"))
    )
    made = exchange.calls(f"{SERVICE}/CreateServicePrincipalSecret", request)
    return {**_told(made.secret), "secret": made.secret_value}


def list_secrets(exchange: Exchange) -> Mapping[str, Any]:
    """The live secrets, without what is secret in them."""
    request = pb.ListServicePrincipalSecretsRequest(name=_principal(exchange))
    found = exchange.pages(f"{SERVICE}/ListServicePrincipalSecrets", request, "secrets")
    return {"secrets": [_told(secret) for secret in found]}


def delete(exchange: Exchange) -> Mapping[str, Any]:
    """Revokes a secret and all it was traded for."""
    request = pb.DeleteServicePrincipalSecretRequest(name=_principal(exchange), id=exchange.path["secret_id"])
    exchange.calls(f"{SERVICE}/DeleteServicePrincipalSecret", request)
    return {}


def _operations(
    method: str, path: str, rpc: str, answer: Callable[[Exchange], Mapping[str, Any]]
) -> list[Operation]:
    """At the account's path and at the one for callers in a workspace, which does the same."""
    root = "/api/2.0/accounts"
    own = "servicePrincipals/{principal}/credentials/secrets"
    return [
        Operation(method, f"{root}{part}/{own}{path}", f"{SERVICE}/{rpc}", answer)
        for part in (f"/{ACCOUNT_ID}", "")
    ]


OPERATIONS = (
    *_operations("POST", "", "CreateServicePrincipalSecret", create),
    *_operations("GET", "", "ListServicePrincipalSecrets", list_secrets),
    *_operations("DELETE", "/{secret_id}", "DeleteServicePrincipalSecret", delete),
)


def _principal(exchange: Exchange) -> str:
    return f"id/{exchange.path['principal']}"


def _seconds(lifetime: str) -> int:
    """A duration as this API writes it, e.g. `3600s`; 0 for none. Raises `Refused`."""
    if not lifetime:
        return 0
    digits = lifetime.removesuffix("s")
    if (
        digits == lifetime
        or not (digits.isascii() and digits.isdigit())
        or len(digits) >= len(str(INTEGER_MAX))
    ):
        raise Refused("lifetime: seconds, as in `3600s`")
    return int(digits)


def _told(secret: pb.ServicePrincipalSecret) -> dict[str, Any]:
    return {
        "id": secret.id,
        "status": "ACTIVE",
        "create_time": secret.create_time.ToJsonString(),
        "update_time": secret.create_time.ToJsonString(),
        "expire_time": secret.expire_time.ToJsonString(),
    }
