"""Storage and service credentials. Which field of an identity is required and which is secret, their proto says."""

from __future__ import annotations

from typing import Any, NamedTuple

from google.api import field_behavior_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.empty_pb2 import Empty

from lakewarden.v1 import service_credentials_pb2, storage_credentials_pb2
from lakewarden_server.authn.keys import Keys
from lakewarden_server.entities import ServiceCredential, StorageCredential, touch
from lakewarden_server.services import securables, validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.locations import refuse_managed
from lakewarden_server.services.secrets import SecretKeeper, secret_text
from lakewarden_server.services.securables import Setter
from lakewarden_server.storage.repositories import places

IDENTITY_BYTES_MAX = 2_048


class Identity(NamedTuple):
    """What a request says of an identity: its field, what may be shown, what may not."""

    type: str
    public: dict[str, str]
    secrets: dict[str, str]


class StorageCredentialService:
    """Implements `lakewarden.v1.StorageCredentialService`."""

    def __init__(self, keys: Keys) -> None:
        self._keeper = SecretKeeper(keys)
        self._setters = {
            **securables.SETTERS,
            **_identity_setters(storage_credentials_pb2.StorageCredential, self._keeper),
            "read_only": _set_read_only,
        }

    def create_storage_credential(
        self, request: storage_credentials_pb2.CreateStorageCredentialRequest, call: Call
    ) -> storage_credentials_pb2.StorageCredential:
        """Creates a storage credential; its secrets are sealed."""
        identity = read_identity(request.storage_credential)
        credential = securables.create(
            call,
            StorageCredential,
            request.storage_credential,
            metastore_id=call.metastore_id,
            identity_type=identity.type,
            identity=identity.public,
            read_only=request.storage_credential.read_only,
        )
        self._keeper.keep(call, credential.id, identity.secrets)
        call.uow.session.flush()
        return storage_message(credential, call)

    def get_storage_credential(
        self, request: storage_credentials_pb2.GetStorageCredentialRequest, call: Call
    ) -> storage_credentials_pb2.StorageCredential:
        """Returns one storage credential."""
        return storage_message(call.row(StorageCredential, call.self_id), call)

    def list_storage_credentials(
        self, request: storage_credentials_pb2.ListStorageCredentialsRequest, call: Call
    ) -> storage_credentials_pb2.ListStorageCredentialsResponse:
        """Lists the storage credentials the caller may see."""
        page, token = securables.page(
            call, StorageCredential, "STORAGE_CREDENTIAL", call.metastore_id, request
        )
        return storage_credentials_pb2.ListStorageCredentialsResponse(
            storage_credentials=[storage_message(row, call) for row in page], next_page_token=token
        )

    def update_storage_credential(
        self, request: storage_credentials_pb2.UpdateStorageCredentialRequest, call: Call
    ) -> storage_credentials_pb2.StorageCredential:
        """Changes what the mask names; an identity is replaced with its secrets."""
        credential = securables.update(
            call, StorageCredential, request.storage_credential, request.update_mask.paths, self._setters
        )
        call.uow.session.flush()
        return storage_message(credential, call)

    def delete_storage_credential(
        self, request: storage_credentials_pb2.DeleteStorageCredentialRequest, call: Call
    ) -> Empty:
        """Deletes a storage credential; one in use needs `force`."""
        used = places.locations_use(call.uow.session, call.self_id)
        securables.refuse_used(used and not request.force, "external locations use this storage credential")
        securables.delete(call, force=False, sent_etag=request.etag)
        return Empty()


class ServiceCredentialService:
    """Implements `lakewarden.v1.ServiceCredentialService`."""

    def __init__(self, keys: Keys) -> None:
        self._keeper = SecretKeeper(keys)
        self._setters = {
            **securables.SETTERS,
            **_identity_setters(service_credentials_pb2.ServiceCredential, self._keeper),
        }

    def create_service_credential(
        self, request: service_credentials_pb2.CreateServiceCredentialRequest, call: Call
    ) -> service_credentials_pb2.ServiceCredential:
        """Creates a service credential; its secrets are sealed."""
        identity = read_identity(request.service_credential)
        credential = securables.create(
            call,
            ServiceCredential,
            request.service_credential,
            metastore_id=call.metastore_id,
            identity_type=identity.type,
            identity=identity.public,
        )
        self._keeper.keep(call, credential.id, identity.secrets)
        call.uow.session.flush()
        return service_message(credential, call)

    def get_service_credential(
        self, request: service_credentials_pb2.GetServiceCredentialRequest, call: Call
    ) -> service_credentials_pb2.ServiceCredential:
        """Returns one service credential."""
        return service_message(call.row(ServiceCredential, call.self_id), call)

    def list_service_credentials(
        self, request: service_credentials_pb2.ListServiceCredentialsRequest, call: Call
    ) -> service_credentials_pb2.ListServiceCredentialsResponse:
        """Lists the service credentials the caller may see."""
        page, token = securables.page(
            call, ServiceCredential, "SERVICE_CREDENTIAL", call.metastore_id, request
        )
        return service_credentials_pb2.ListServiceCredentialsResponse(
            service_credentials=[service_message(row, call) for row in page], next_page_token=token
        )

    def update_service_credential(
        self, request: service_credentials_pb2.UpdateServiceCredentialRequest, call: Call
    ) -> service_credentials_pb2.ServiceCredential:
        """Changes what the mask names; an identity is replaced with its secrets."""
        credential = securables.update(
            call, ServiceCredential, request.service_credential, request.update_mask.paths, self._setters
        )
        call.uow.session.flush()
        return service_message(credential, call)

    def delete_service_credential(
        self, request: service_credentials_pb2.DeleteServiceCredentialRequest, call: Call
    ) -> Empty:
        """Deletes a service credential; one in use needs `force`."""
        used = places.connections_use(call.uow.session, call.self_id)
        securables.refuse_used(used and not request.force, "connections use this service credential")
        securables.delete(call, force=False, sent_etag=request.etag)
        return Empty()


def storage_message(credential: StorageCredential, call: Call) -> storage_credentials_pb2.StorageCredential:
    """The message of a storage credential's row, without its secrets."""
    message = storage_credentials_pb2.StorageCredential(
        metastore_id=credential.metastore_id or "", read_only=credential.read_only
    )
    _show_identity(message, credential)
    securables.fill(message, credential, call)
    return message


def service_message(credential: ServiceCredential, call: Call) -> service_credentials_pb2.ServiceCredential:
    """The message of a service credential's row, without its secrets."""
    message = service_credentials_pb2.ServiceCredential(metastore_id=credential.metastore_id or "")
    _show_identity(message, credential)
    securables.fill(message, credential, call)
    return message


def read_identity(message: Any) -> Identity:
    """The identity a credential's message holds. Raises FIELD_INVALID for none and for a field that is missing or too long."""
    chosen = message.WhichOneof("identity")
    if chosen is None:
        wanted = ", ".join(field.name for field in message.DESCRIPTOR.oneofs_by_name["identity"].fields)
        raise validation.invalid("identity", f"say how to reach it, with one of {wanted}")
    identity = Identity(chosen, {}, {})
    given = getattr(message, chosen)
    for field in given.DESCRIPTOR.fields:
        _read_field(identity, field, getattr(given, field.name))
    return identity


def _set_read_only(credential: Any, message: Any, call: Call) -> None:
    if message.read_only:
        for url in places.urls_reached(call.uow.session, credential.id):
            refuse_managed(call, url)
    credential.read_only = message.read_only


def _read_field(identity: Identity, field: FieldDescriptor, value: str) -> None:
    name = f"{identity.type}.{field.name}"
    behaviours = field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
    if field_behavior_pb2.INPUT_ONLY in behaviours:
        identity.secrets[field.name] = secret_text(value, name)
    elif field_behavior_pb2.REQUIRED in behaviours and not value:
        raise validation.invalid(name, "it is empty")
    elif field_behavior_pb2.OUTPUT_ONLY not in behaviours and value:
        identity.public[field.name] = validation.bounded(value, name, IDENTITY_BYTES_MAX)


def _identity_setters(message_class: type[Any], keeper: SecretKeeper) -> dict[str, Setter]:
    """One setter for each kind of identity: the mask names the kind, and the message must hold that one."""

    def setter(chosen: str) -> Setter:
        def set_identity(entity: Any, message: Any, call: Call) -> None:
            if message.WhichOneof("identity") != chosen:
                raise validation.invalid(chosen, "the mask names it and the message does not hold it")
            identity = read_identity(message)
            entity.identity_type, entity.identity = identity.type, identity.public
            keeper.keep(call, entity.id, identity.secrets)
            # A new secret alone must move the etag too.
            touch(entity)

        return set_identity

    return {
        field.name: setter(field.name) for field in message_class.DESCRIPTOR.oneofs_by_name["identity"].fields
    }


def _show_identity(message: Any, credential: Any) -> None:
    shown = getattr(message, credential.identity_type)
    shown.SetInParent()
    for name, value in credential.identity.items():
        setattr(shown, name, value)
    if credential.identity_type == "aws_iam_role":
        # Known to nobody before the credential exists, the same for its whole life: what a trust policy needs.
        shown.external_id = credential.id
