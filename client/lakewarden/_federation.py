"""Federation policies, as a client sees them: which identity providers are trusted for whom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import ClassVar

from lakewarden._resources import Resource
from lakewarden.v1 import federation_policies_pb2 as pb
from lakewarden.v1 import federation_policies_pb2_grpc

CLIENT_CERTIFICATES = "urn:lakewarden:client-certificates"
"""The issuer of policies that are about certificates clients show in TLS."""


class FederationPolicies(Resource[pb.FederationPolicy]):
    """Federation policies. They never change: make another one, then delete the old one. Account admins only."""

    messages: ClassVar[ModuleType] = pb
    stub_class = federation_policies_pb2_grpc.FederationPolicyServiceStub
    noun = "FederationPolicy"
    plural = "FederationPolicies"
    field = "federation_policy"
    key = "id"

    @property
    def messages_field(self) -> str:
        """Field of the List response that holds the policies."""
        return "federation_policies"

    def create(
        self,
        issuer: str,
        audiences: Iterable[str],
        jwks: str = "",
        *,
        jwks_uri: str = "",
        service_principal: str = "",
        subject: str = "",
        subject_claim: str = "",
        comment: str = "",
    ) -> pb.FederationPolicy:
        """Trust an issuer's tokens for these audiences, signed by these keys (the text of a JSON Web Key Set, or the URL of one).

        They stand for the `service_principal` whose `subject` they name, or without one for the users named by `subject_claim`.
        """
        return self._create(
            {
                "issuer": issuer,
                "audiences": list(audiences),
                "jwks": jwks,
                "jwks_uri": jwks_uri,
                "service_principal": service_principal,
                "subject": subject,
                "subject_claim": subject_claim,
                "comment": comment,
            }
        )

    def create_for_certificates(
        self, uri: str, *, service_principal: str, comment: str = ""
    ) -> pb.FederationPolicy:
        """Let client certificates that name exactly this URI stand for a service principal."""
        return self._create(
            {
                "issuer": CLIENT_CERTIFICATES,
                "subject": uri,
                "service_principal": service_principal,
                "comment": comment,
            }
        )

    def list(self, *, page_size: int = 0, limit: int | None = None) -> Iterator[pb.FederationPolicy]:
        """Yield all policies, in the order of their ids."""
        return self._list(page_size=page_size, limit=limit)

    def delete(self, policy_id: str) -> None:
        """Delete a policy: certificates and access tokens that it admitted are refused from now on."""
        self._delete(policy_id)
