"""Registered models with their versions and aliases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import ClassVar

from google.protobuf.field_mask_pb2 import FieldMask

from lakewarden._errors import InvalidArgument
from lakewarden._resources import SecurableResource, changed
from lakewarden._securables import split_name
from lakewarden.v1 import registered_models_pb2 as pb
from lakewarden.v1 import registered_models_pb2_grpc


class Models(SecurableResource[pb.RegisteredModel]):
    """Registered models; a version is addressed by the model's full name and its number or an alias."""

    messages: ClassVar[ModuleType] = pb
    stub_class = registered_models_pb2_grpc.RegisteredModelServiceStub
    noun = "RegisteredModel"
    plural = "RegisteredModels"
    field = "registered_model"

    def create(
        self, full_name: str, *, comment: str = "", properties: Mapping[str, str] | None = None
    ) -> pb.RegisteredModel:
        """Create a model without versions, named in full: `main.sales.churn`."""
        parent, name = split_name(full_name, "catalog.schema.model")
        return self._create(
            {"name": name, "comment": comment, "properties": dict(properties or {})}, parent=parent
        )

    def list(
        self, schema: str, *, page_size: int = 0, limit: int | None = None
    ) -> Iterator[pb.RegisteredModel]:
        """Yield the models of a schema that the caller may see, in the order of their names."""
        return self._list(page_size=page_size, limit=limit, parent=schema)

    def delete(self, full_name: str, *, etag: str = "") -> None:
        """Delete a model with its versions and aliases."""
        self._delete(full_name, etag=etag)

    def create_version(
        self,
        full_name: str,
        *,
        source: str = "",
        run_id: str = "",
        run_link: str = "",
        comment: str = "",
        status: str = "READY",
    ) -> pb.ModelVersion:
        """Add a version under the next number. `status` is `READY`, or `PENDING_REGISTRATION` until `set_status`."""
        version = {"source": source, "run_id": run_id, "run_link": run_link, "comment": comment}
        reply: pb.ModelVersion = self._call(
            "CreateModelVersion",
            full_name=full_name,
            model_version={**version, "status": _status(status)},
        )
        return reply

    def get_version(self, full_name: str, version: int | str) -> pb.ModelVersion:
        """Return a version by its number, or by an alias."""
        wanted = {"alias": version} if isinstance(version, str) else {"version": version}
        reply: pb.ModelVersion = self._call("GetModelVersion", full_name=full_name, **wanted)
        return reply

    def versions(
        self, full_name: str, *, page_size: int = 0, limit: int | None = None
    ) -> Iterator[pb.ModelVersion]:
        """Yield the versions of a model in the order of their numbers."""
        return self._pages(
            "ListModelVersions", "model_versions", page_size=page_size, limit=limit, full_name=full_name
        )

    def update_version(
        self, full_name: str, version: int, *, comment: str | None = None, status: str | None = None
    ) -> pb.ModelVersion:
        """Change comment or status; what is None stays. A status but `PENDING_REGISTRATION` is final."""
        values = changed({"comment": comment, "status": None if status is None else _status(status)})
        reply: pb.ModelVersion = self._call(
            "UpdateModelVersion",
            model_version={"full_name": full_name, "version": version, **values},
            update_mask=FieldMask(paths=sorted(values)),
        )
        return reply

    def delete_version(self, full_name: str, version: int) -> None:
        """Delete a version with the aliases that point to it; its number is never used again."""
        self._call("DeleteModelVersion", full_name=full_name, version=version)

    def set_alias(self, full_name: str, alias: str, version: int) -> pb.ModelVersion:
        """Point an alias to a version, away from the one it pointed to before; returns that version."""
        reply: pb.ModelVersion = self._call(
            "SetModelAlias", full_name=full_name, alias=alias, version=version
        )
        return reply

    def delete_alias(self, full_name: str, alias: str) -> None:
        """Delete an alias; the version stays."""
        self._call("DeleteModelAlias", full_name=full_name, alias=alias)


def _status(name: str) -> pb.ModelVersion.Status.ValueType:
    """The value of that name. Raises InvalidArgument."""
    known = [key for key, value in pb.ModelVersion.Status.items() if value]
    if name not in known:
        raise InvalidArgument(f"{name!r} is no status; there are {', '.join(known)}", reason="FIELD_INVALID")
    return pb.ModelVersion.Status.Value(name)
