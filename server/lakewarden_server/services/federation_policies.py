"""Federation policies: which identity providers are trusted for whom (semantics 5.5)."""

from __future__ import annotations

import re
from typing import Any

from google.protobuf.empty_pb2 import Empty

from lakewarden.v1 import federation_policies_pb2 as pb
from lakewarden_policy import CLIENT_CERTIFICATES
from lakewarden_server.authn.jwks import InvalidJwks, parse_jwks
from lakewarden_server.authn.provider_keys import JwksHosts, is_url
from lakewarden_server.core.errors import (
    AlreadyExists,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Reason,
    ResourceExhausted,
)
from lakewarden_server.core.ids import new_id
from lakewarden_server.entities import FederationPolicy
from lakewarden_server.services import validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.lifetimes import LASTING_LEFT_MIN, check_makes_credentials, remaining
from lakewarden_server.storage.repositories import federation_policies

POLICIES_MAX = 20
"""Of one service principal, and for all users (semantics 5.1)."""
ISSUER_BYTES_MAX = 2_048
AUDIENCES_MAX = 10
AUDIENCE_BYTES_MAX = 255
SUBJECT_BYTES_MAX = 1_024
SUBJECT_CLAIM_DEFAULT = "sub"
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")


class FederationPolicyService:
    """Implements `lakewarden.v1.FederationPolicyService`."""

    def __init__(self, hosts: JwksHosts) -> None:
        """`hosts` are those whose keys may be named by URL."""
        self._hosts = hosts

    def create_federation_policy(
        self, request: pb.CreateFederationPolicyRequest, call: Call
    ) -> pb.FederationPolicy:
        """Adds a policy; everything it compares must be said."""
        _check_lasts(call)
        message = request.federation_policy
        principal_id = _service_principal_id(message.service_principal, call)
        if len(federation_policies.of_principal(call.uow.session, principal_id)) >= POLICIES_MAX:
            raise ResourceExhausted(
                Reason.QUOTA_EXCEEDED, f"there are {POLICIES_MAX} such policies: delete one first"
            )
        compared = (
            _of_certificates(message, principal_id, call)
            if message.issuer == CLIENT_CERTIFICATES
            else _of_tokens(message, principal_id, self._hosts)
        )
        row = FederationPolicy(
            id=new_id(),
            principal_id=principal_id,
            **compared,
            comment=validation.comment(message.comment),
            create_time=call.now,
            created_by=call.caller.id,
        )
        call.uow.session.add(row)
        call.uow.session.flush()
        call.detail.update(
            issuer=row.issuer, subject=row.subject, service_principal=message.service_principal
        )
        return _to_message(row, call)

    def list_federation_policies(
        self, request: pb.ListFederationPoliciesRequest, call: Call
    ) -> pb.ListFederationPoliciesResponse:
        """Lists all policies."""
        rows, token = call.pager.page(
            federation_policies.every(call.uow.session),
            lambda row: row.id,
            list_name="federation_policies",
            page_size=request.page_size,
            page_token=request.page_token,
        )
        return pb.ListFederationPoliciesResponse(
            federation_policies=[_to_message(row, call) for row in rows], next_page_token=token
        )

    def delete_federation_policy(self, request: pb.DeleteFederationPolicyRequest, call: Call) -> Empty:
        """Deletes a policy, and with it every access token that was traded by it."""
        row = call.uow.session.get(FederationPolicy, request.id)
        if row is None:
            raise NotFound(Reason.OBJECT_NOT_FOUND, f"there is no federation policy {request.id!r}")
        call.uow.session.delete(row)
        call.detail.update(federation_policy_id=row.id, issuer=row.issuer)
        return Empty()


def _check_lasts(call: Call) -> None:
    """A policy has no end, so nothing makes one that itself soon ends. Raises CREDENTIAL_UNSUITABLE."""
    check_makes_credentials(call)
    if remaining(call) < LASTING_LEFT_MIN:
        raise PermissionDenied(
            Reason.CREDENTIAL_UNSUITABLE,
            "a token that ends within a day makes no federation policy, which would outlive it: use a longer one",
        )


def _service_principal_id(name: str, call: Call) -> str | None:
    if not name:
        return None
    found = call.snapshot.principal_named(name)
    if found is None or found.kind != "SERVICE_PRINCIPAL":
        raise InvalidArgument(
            Reason.PRINCIPAL_UNKNOWN, f"there is no service principal {name!r}", field="service_principal"
        )
    return found.id


def _of_tokens(message: pb.FederationPolicy, principal_id: str | None, hosts: JwksHosts) -> dict[str, Any]:
    """What is compared of an identity provider's token."""
    claim = message.subject_claim or SUBJECT_CLAIM_DEFAULT
    return {
        "issuer": _said(message.issuer, "issuer", ISSUER_BYTES_MAX),
        "audiences": _audiences(message),
        "subject_claim": _said(claim, "subject_claim", AUDIENCE_BYTES_MAX),
        "subject": _subject(message, principal_id),
        "jwks": _jwks(message, hosts),
    }


def _of_certificates(message: pb.FederationPolicy, principal_id: str | None, call: Call) -> dict[str, Any]:
    """What is compared of a client certificate: its URI, which stands for one service principal. Raises FIELD_INVALID, NAME_TAKEN."""
    if principal_id is None:
        raise validation.invalid("service_principal", "a certificate stands for a service principal")
    for field in ("audiences", "subject_claim", "jwks", "jwks_uri"):
        if getattr(message, field):
            raise validation.invalid(field, "a policy of client certificates has none")
    uri = _said(message.subject, "subject", SUBJECT_BYTES_MAX)
    if not _URI.fullmatch(uri):
        raise validation.invalid("subject", "it is no URI: write it as the certificate does, scheme first")
    if uri in call.snapshot.client_certificates:
        raise AlreadyExists(
            Reason.NAME_TAKEN, f"certificates of {uri} stand for somebody already: delete that policy first"
        )
    return {"issuer": CLIENT_CERTIFICATES, "audiences": [], "subject_claim": "", "subject": uri, "jwks": ""}


def _said(text: str, field: str, bytes_max: int) -> str:
    if not text:
        raise validation.invalid(field, "it is empty, and then nothing would be compared")
    return validation.bounded(text, field, bytes_max)


def _audiences(message: pb.FederationPolicy) -> list[str]:
    if not 1 <= len(message.audiences) <= AUDIENCES_MAX:
        raise validation.invalid("audiences", f"say from 1 to {AUDIENCES_MAX} of them")
    return [_said(audience, "audiences", AUDIENCE_BYTES_MAX) for audience in message.audiences]


def _subject(message: pb.FederationPolicy, principal_id: str | None) -> str:
    if principal_id is None:
        if message.subject:
            raise validation.invalid("subject", "a policy of all users names none: the claim does")
        return ""
    return _said(message.subject, "subject", SUBJECT_BYTES_MAX)


def _jwks(message: pb.FederationPolicy, hosts: JwksHosts) -> str:
    """The key set, or where it is: the one column holds either, and which it is shows by how it begins."""
    if message.jwks and message.jwks_uri:
        raise validation.invalid("jwks_uri", "say the keys or where they are, not both")
    field, check = ("jwks_uri", hosts.check) if message.jwks_uri else ("jwks", parse_jwks)
    text = str(getattr(message, field))
    try:
        check(text)
    except InvalidJwks as error:
        raise validation.invalid(field, str(error)) from None
    return text


def _to_message(row: FederationPolicy, call: Call) -> pb.FederationPolicy:
    message = pb.FederationPolicy(
        id=row.id,
        service_principal=call.principal_name(row.principal_id) if row.principal_id else "",
        issuer=row.issuer,
        audiences=row.audiences,
        subject_claim=row.subject_claim,
        subject=row.subject,
        jwks="" if is_url(row.jwks) else row.jwks,
        jwks_uri=row.jwks if is_url(row.jwks) else "",
        comment=row.comment,
        created_by=call.principal_name(row.created_by),
    )
    message.create_time.FromDatetime(row.create_time)
    return message
