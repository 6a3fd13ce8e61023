"""Service principals."""

from __future__ import annotations

import uuid

from google.protobuf.empty_pb2 import Empty

from lakewarden.v1 import service_principals_pb2 as pb
from lakewarden_server.authn.keys import Keys
from lakewarden_server.entities import Principal
from lakewarden_server.services import client_secrets, principals
from lakewarden_server.services.call import Call

KIND = "SERVICE_PRINCIPAL"


class ServicePrincipalService:
    """Implements `lakewarden.v1.ServicePrincipalService`."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def create_service_principal(
        self, request: pb.CreateServicePrincipalRequest, call: Call
    ) -> pb.ServicePrincipal:
        """Creates a service principal with a new application id."""
        message = request.service_principal
        principal = principals.create(
            call,
            kind=KIND,
            name=str(uuid.uuid4()),
            display_name=message.display_name,
            external_id=message.external_id,
            active=not request.inactive,
        )
        principals.appoint_creator(call, principal)
        return to_message(principal, call)

    def get_service_principal(
        self, request: pb.GetServicePrincipalRequest, call: Call
    ) -> pb.ServicePrincipal:
        """Returns one service principal."""
        return to_message(call.row(Principal, call.self_id), call)

    def list_service_principals(
        self, request: pb.ListServicePrincipalsRequest, call: Call
    ) -> pb.ListServicePrincipalsResponse:
        """Lists the service principals the caller may see."""
        page = principals.page(call, KIND, request)
        return pb.ListServicePrincipalsResponse(
            service_principals=[to_message(principal, call) for principal in page.rows],
            next_page_token=page.next_page_token,
            total_size=page.total_size,
        )

    def update_service_principal(
        self, request: pb.UpdateServicePrincipalRequest, call: Call
    ) -> pb.ServicePrincipal:
        """Changes what the mask names."""
        message = request.service_principal
        return to_message(
            principals.update(call, message, request.update_mask.paths, principals.SETTERS), call
        )

    def delete_service_principal(self, request: pb.DeleteServicePrincipalRequest, call: Call) -> Empty:
        """Deletes a service principal; what it owned and was granted stays under its id."""
        return principals.delete(call, request.etag)

    def create_service_principal_secret(
        self, request: pb.CreateServicePrincipalSecretRequest, call: Call
    ) -> pb.CreateServicePrincipalSecretResponse:
        """Creates a client secret and shows it, once."""
        return client_secrets.create(self._keys, request, call)

    def list_service_principal_secrets(
        self, request: pb.ListServicePrincipalSecretsRequest, call: Call
    ) -> pb.ListServicePrincipalSecretsResponse:
        """Lists the live client secrets."""
        return client_secrets.page(request, call)

    def delete_service_principal_secret(
        self, request: pb.DeleteServicePrincipalSecretRequest, call: Call
    ) -> Empty:
        """Deletes a client secret."""
        return client_secrets.delete(request, call)


def to_message(principal: Principal, call: Call) -> pb.ServicePrincipal:
    """The message of a service principal's row."""
    message = pb.ServicePrincipal(display_name=principal.display_name, active=principal.active)
    principals.fill(message, principal, call)
    return message
