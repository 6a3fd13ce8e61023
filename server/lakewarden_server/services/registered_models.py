"""Registered models. Their versions and aliases have a file of their own; this service answers for both."""

from __future__ import annotations

from google.protobuf.empty_pb2 import Empty

from lakewarden.v1 import registered_models_pb2 as pb
from lakewarden_server.entities import ModelAlias, RegisteredModel
from lakewarden_server.services import model_versions, securables
from lakewarden_server.services.call import Call
from lakewarden_server.services.defined import check_first_owner
from lakewarden_server.storage.repositories import registered_models as rows


class RegisteredModelService:
    """Implements `lakewarden.v1.RegisteredModelService`."""

    def create_registered_model(
        self, request: pb.CreateRegisteredModelRequest, call: Call
    ) -> pb.RegisteredModel:
        """Registers a model without versions in a schema."""
        check_first_owner(request.registered_model, call)
        model = securables.create(
            call, RegisteredModel, request.registered_model, metastore_id=call.metastore_id
        )
        call.uow.session.flush()
        return to_message(model, [], call)

    def get_registered_model(self, request: pb.GetRegisteredModelRequest, call: Call) -> pb.RegisteredModel:
        """Returns one model with its aliases."""
        model = call.row(RegisteredModel, call.self_id)
        return to_message(model, rows.aliases_of(call.uow.session, [model.id]).get(model.id, []), call)

    def list_registered_models(
        self, request: pb.ListRegisteredModelsRequest, call: Call
    ) -> pb.ListRegisteredModelsResponse:
        """Lists the models of a schema that the caller may see."""
        page, token = securables.page(
            call, RegisteredModel, "REGISTERED_MODEL", call.objects.get("parent"), request
        )
        aliases = rows.aliases_of(call.uow.session, [model.id for model in page])
        return pb.ListRegisteredModelsResponse(
            registered_models=[to_message(model, aliases.get(model.id, []), call) for model in page],
            next_page_token=token,
        )

    def update_registered_model(
        self, request: pb.UpdateRegisteredModelRequest, call: Call
    ) -> pb.RegisteredModel:
        """Changes what the mask names."""
        model = securables.update(
            call,
            RegisteredModel,
            request.registered_model,
            request.update_mask.paths,
            securables.SETTERS,
        )
        call.uow.session.flush()
        return to_message(model, rows.aliases_of(call.uow.session, [model.id]).get(model.id, []), call)

    def delete_registered_model(self, request: pb.DeleteRegisteredModelRequest, call: Call) -> Empty:
        """Deletes a model with the grants on it; its versions can no longer be reached."""
        securables.delete(call, force=False, sent_etag=request.etag)
        return Empty()

    def create_model_version(self, request: pb.CreateModelVersionRequest, call: Call) -> pb.ModelVersion:
        """Adds a version under the next number."""
        return model_versions.create(request.model_version, call)

    def get_model_version(self, request: pb.GetModelVersionRequest, call: Call) -> pb.ModelVersion:
        """Returns the version of a number or an alias."""
        return model_versions.get(request, call)

    def list_model_versions(
        self, request: pb.ListModelVersionsRequest, call: Call
    ) -> pb.ListModelVersionsResponse:
        """Lists the versions of a model by number."""
        return model_versions.page(request, call)

    def update_model_version(self, request: pb.UpdateModelVersionRequest, call: Call) -> pb.ModelVersion:
        """Changes what the mask names."""
        return model_versions.update(request.model_version, request.update_mask.paths, call)

    def delete_model_version(self, request: pb.DeleteModelVersionRequest, call: Call) -> Empty:
        """Deletes a version with its aliases."""
        model_versions.delete(request.version, call)
        return Empty()

    def set_model_alias(self, request: pb.SetModelAliasRequest, call: Call) -> pb.ModelVersion:
        """Points an alias to a version."""
        return model_versions.set_alias(request.alias, request.version, call)

    def delete_model_alias(self, request: pb.DeleteModelAliasRequest, call: Call) -> Empty:
        """Deletes an alias."""
        model_versions.delete_alias(request.alias, call)
        return Empty()


def to_message(model: RegisteredModel, aliases: list[ModelAlias], call: Call) -> pb.RegisteredModel:
    """The message of a model's row and its aliases' rows."""
    message = pb.RegisteredModel(
        metastore_id=model.metastore_id or "",
        aliases=[pb.ModelAlias(alias=alias.alias, version=alias.version) for alias in aliases],
    )
    securables.fill(message, model, call)
    return message
