"""Declared lineage, as a client sees it: what people say was made of what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import ClassVar

from google.protobuf.field_mask_pb2 import FieldMask

from lakewarden._errors import InvalidArgument
from lakewarden._lineage import DIRECTIONS
from lakewarden._resources import Resource, changed
from lakewarden.lineage.model import is_path
from lakewarden.v1 import external_lineage_pb2 as pb
from lakewarden.v1 import external_lineage_pb2_grpc

Columns = Iterable[tuple[str, str]]
"""Source and target column of each pair."""


class ExternalLineages(Resource[pb.ExternalLineage]):
    """Relationships of lineage that are declared. To write one takes what reading its source and writing its target take.

    An end is given by a name and a type: `table` (also of views), `path`, `external_metadata` or `model_version` (`main.ml.churn/3`).
    Without a type a URL or `/Volumes/…` is a path and any other name a table's.
    """

    messages: ClassVar[ModuleType] = pb
    stub_class = external_lineage_pb2_grpc.ExternalLineageServiceStub
    noun = "ExternalLineage"
    plural = "ExternalLineage"
    field = "external_lineage"

    def create(
        self,
        source: str,
        target: str,
        *,
        source_type: str = "",
        target_type: str = "",
        columns: Columns = (),
        properties: Mapping[str, str] | None = None,
    ) -> pb.ExternalLineage:
        """Declare that the target was made of the source, and which of its columns of which."""
        return self._create(
            {
                "source": end(source, source_type),
                "target": end(target, target_type),
                "columns": _columns(columns),
                "properties": dict(properties or {}),
            }
        )

    def update(
        self,
        source: str,
        target: str,
        *,
        source_type: str = "",
        target_type: str = "",
        columns: Columns | None = None,
        properties: Mapping[str, str] | None = None,
    ) -> pb.ExternalLineage:
        """Replace the columns or the properties, whole; what is None stays."""
        values = changed(
            {
                "columns": None if columns is None else _columns(columns),
                "properties": None if properties is None else dict(properties),
            }
        )
        reply: pb.ExternalLineage = self._call(
            "UpdateExternalLineage",
            external_lineage={
                "source": end(source, source_type),
                "target": end(target, target_type),
                **values,
            },
            update_mask=FieldMask(paths=sorted(values)),
        )
        return reply

    def delete(self, source: str, target: str, *, source_type: str = "", target_type: str = "") -> None:
        """Take a relationship back."""
        self._call("DeleteExternalLineage", source=end(source, source_type), target=end(target, target_type))

    def delete_by_id(self, id: str) -> None:
        """Take the relationship of this id back, also where an end of it was dropped."""
        self._call("DeleteExternalLineage", id=id)

    def list(
        self,
        name: str,
        *,
        asset_type: str = "",
        direction: str = "both",
        page_size: int = 0,
        limit: int | None = None,
    ) -> Iterator[pb.ExternalLineage]:
        """Yield the relationships of an object whose other end the caller sees too; `direction` is upstream, downstream or both.

        An end that was dropped is marked: `delete_by_id` takes these back.
        """
        return self._pages(
            "ListExternalLineage",
            "external_lineage",
            page_size=page_size,
            limit=limit,
            object=end(name, asset_type),
            direction=DIRECTIONS[direction],
        )


def end(name: str, asset_type: str = "") -> pb.ExternalLineageObject:
    """The message that names an end."""
    kind = asset_type or ("path" if is_path(name) else "table")
    if kind != "model_version":
        named = pb.ExternalLineageObject()
        setattr(named, kind, name)
        return named
    model, _, version = name.rpartition("/")
    if not model or not version.isdecimal():
        raise InvalidArgument(
            f"{name} is no model and version: write main.ml.churn/3", reason="FIELD_INVALID"
        )
    return pb.ExternalLineageObject(
        model_version=pb.ExternalLineageModelVersion(name=model, version=int(version))
    )


def shown(message: pb.ExternalLineageObject) -> str:
    """An end as text; empty for what was dropped so long ago that its name is not known."""
    kind = message.WhichOneof("object") or ""
    if kind == "model_version":
        return f"{message.model_version.name}/{message.model_version.version}"
    return str(getattr(message, kind, ""))


def _columns(pairs: Columns) -> list[pb.ExternalLineageColumn]:
    return [pb.ExternalLineageColumn(source=source, target=target) for source, target in pairs]
