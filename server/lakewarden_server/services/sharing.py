"""Recipients and providers: who is outside. What is given to them are shares, which have a file of their own."""

from __future__ import annotations

from typing import Any

from google.protobuf.empty_pb2 import Empty

from lakewarden.v1 import providers_pb2, recipients_pb2
from lakewarden_server.authn.keys import Keys
from lakewarden_server.entities import Provider, Recipient, touch
from lakewarden_server.services import securables, validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.secrets import SecretKeeper, secret_text

GLOBAL_METASTORE_ID_BYTES_MAX = 255
TOKEN, METASTORE = "TOKEN", "METASTORE"


class RecipientService:
    """Implements `lakewarden.v1.RecipientService`."""

    def create_recipient(
        self, request: recipients_pb2.CreateRecipientRequest, call: Call
    ) -> recipients_pb2.Recipient:
        """Creates a recipient, who has no share yet."""
        recipient = securables.create(
            call,
            Recipient,
            request.recipient,
            metastore_id=call.metastore_id,
            **_authentication(request.recipient),
        )
        call.uow.session.flush()
        return recipient_message(recipient, call)

    def get_recipient(
        self, request: recipients_pb2.GetRecipientRequest, call: Call
    ) -> recipients_pb2.Recipient:
        """Returns one recipient."""
        return recipient_message(call.row(Recipient, call.self_id), call)

    def list_recipients(
        self, request: recipients_pb2.ListRecipientsRequest, call: Call
    ) -> recipients_pb2.ListRecipientsResponse:
        """Lists the recipients the caller may see."""
        page, token = securables.page(call, Recipient, "RECIPIENT", call.metastore_id, request)
        return recipients_pb2.ListRecipientsResponse(
            recipients=[recipient_message(row, call) for row in page], next_page_token=token
        )

    def update_recipient(
        self, request: recipients_pb2.UpdateRecipientRequest, call: Call
    ) -> recipients_pb2.Recipient:
        """Changes what the mask names."""
        recipient = securables.update(
            call, Recipient, request.recipient, request.update_mask.paths, securables.SETTERS
        )
        call.uow.session.flush()
        return recipient_message(recipient, call)

    def delete_recipient(self, request: recipients_pb2.DeleteRecipientRequest, call: Call) -> Empty:
        """Deletes a recipient, who thereby loses every share."""
        securables.delete(call, force=False, sent_etag=request.etag)
        return Empty()


class ProviderService:
    """Implements `lakewarden.v1.ProviderService`."""

    def __init__(self, keys: Keys) -> None:
        self._keeper = SecretKeeper(keys)
        self._setters = {**securables.SETTERS, "recipient_profile": self._set_profile}

    def create_provider(
        self, request: providers_pb2.CreateProviderRequest, call: Call
    ) -> providers_pb2.Provider:
        """Creates a provider; its profile is sealed."""
        authentication = _authentication(request.provider)
        provider = securables.create(
            call, Provider, request.provider, metastore_id=call.metastore_id, **authentication
        )
        self._keep_profile(provider, request.provider, call)
        call.uow.session.flush()
        return provider_message(provider, call)

    def get_provider(self, request: providers_pb2.GetProviderRequest, call: Call) -> providers_pb2.Provider:
        """Returns one provider."""
        return provider_message(call.row(Provider, call.self_id), call)

    def list_providers(
        self, request: providers_pb2.ListProvidersRequest, call: Call
    ) -> providers_pb2.ListProvidersResponse:
        """Lists the providers the caller may see."""
        page, token = securables.page(call, Provider, "PROVIDER", call.metastore_id, request)
        return providers_pb2.ListProvidersResponse(
            providers=[provider_message(row, call) for row in page], next_page_token=token
        )

    def update_provider(
        self, request: providers_pb2.UpdateProviderRequest, call: Call
    ) -> providers_pb2.Provider:
        """Changes what the mask names."""
        provider = securables.update(
            call, Provider, request.provider, request.update_mask.paths, self._setters
        )
        call.uow.session.flush()
        return provider_message(provider, call)

    def delete_provider(self, request: providers_pb2.DeleteProviderRequest, call: Call) -> Empty:
        """Deletes a provider with its profile."""
        securables.delete(call, force=False, sent_etag=request.etag)
        return Empty()

    def _keep_profile(self, provider: Any, message: Any, call: Call) -> None:
        if provider.authentication_type == TOKEN:
            profile = secret_text(message.recipient_profile, "recipient_profile")
            self._keeper.keep(call, provider.id, {"recipient_profile": profile})
        elif message.recipient_profile:
            raise validation.invalid("recipient_profile", "a profile goes with TOKEN only")

    def _set_profile(self, provider: Any, message: Any, call: Call) -> None:
        self._keep_profile(provider, message, call)
        # A new profile alone must move the etag too.
        touch(provider)


def recipient_message(recipient: Recipient, call: Call) -> recipients_pb2.Recipient:
    """The message of a recipient's row."""
    message = recipients_pb2.Recipient(
        metastore_id=recipient.metastore_id or "",
        authentication_type=recipients_pb2.Recipient.AuthenticationType.Value(recipient.authentication_type),
        global_metastore_id=recipient.global_metastore_id,
    )
    securables.fill(message, recipient, call)
    return message


def provider_message(provider: Provider, call: Call) -> providers_pb2.Provider:
    """The message of a provider's row, without its profile."""
    message = providers_pb2.Provider(
        metastore_id=provider.metastore_id or "",
        authentication_type=providers_pb2.Provider.AuthenticationType.Value(provider.authentication_type),
        global_metastore_id=provider.global_metastore_id,
    )
    securables.fill(message, provider, call)
    return message


def _authentication(message: Any) -> dict[str, str]:
    """How both sides know each other, checked: a metastore's id goes with METASTORE and with nothing else."""
    names = message.AuthenticationType
    if message.authentication_type not in names.values():
        raise validation.invalid(
            "authentication_type", f"{message.authentication_type} is none of its values"
        )
    by = names.Name(message.authentication_type) if message.authentication_type else TOKEN
    if (by == METASTORE) != bool(message.global_metastore_id):
        raise validation.invalid("global_metastore_id", "it is needed with METASTORE and refused with TOKEN")
    return {
        "authentication_type": by,
        "global_metastore_id": validation.bounded(
            message.global_metastore_id, "global_metastore_id", GLOBAL_METASTORE_ID_BYTES_MAX
        ),
    }
