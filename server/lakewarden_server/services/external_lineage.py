"""Declared lineage: who may say what was made of what, and the list of what is said (semantics 8.2; reference/lineage.md 1.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from google.protobuf.empty_pb2 import Empty

from lakewarden.v1 import external_lineage_pb2 as pb
from lakewarden.v1 import lineage_graph_pb2 as graph_pb
from lakewarden_policy import explain_privilege
from lakewarden_policy.lineage import DECLARE_FROM, DECLARE_TO
from lakewarden_policy.records import Securable
from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import PermissionDenied, Reason
from lakewarden_server.core.urls import InvalidUrl, canonical_url
from lakewarden_server.entities import ModelVersion
from lakewarden_server.lineage.declaring import Declarations, Declared, End
from lakewarden_server.lineage.recorder import Recorder
from lakewarden_server.lineage.visibility import ExternalLocations
from lakewarden_server.services import validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.denials import privilege_missing, unseen
from lakewarden_server.services.lineage import origin_of, unable
from lakewarden_server.services.lineage_answers import RELATION_KINDS, seen_named
from lakewarden_server.services.paging import page_size_of
from lakewarden_server.storage.errors import deadline_passed
from lakewarden_server.storage.repositories.lineage_declarations import declarations, said_of

COLUMNS_MAX: Final = 1_000
COLUMN_NAME_BYTES_MAX: Final = 255
SCANNED: Final = 500
"""Relationships looked at together for those that the caller sees."""
PAGE_BYTES_MAX: Final = 1 << 20
"""Of a page, roughly; a relationship larger than that is a page of its own."""


class _Named(NamedTuple):
    """An end as a request names it, and the securable that its privileges are on."""

    end: End
    securable: Securable
    shown: str


class ExternalLineageService:
    """Implements `lakewarden.v1.ExternalLineageService`."""

    def __init__(self, recorder: Recorder | None) -> None:
        """Without a recorder it only says what there is to call."""
        self._declared = Declarations(recorder) if recorder else None

    def create_external_lineage(
        self, request: pb.CreateExternalLineageRequest, call: Call
    ) -> pb.ExternalLineage:
        """Declares a relationship."""
        said = request.external_lineage
        source, target = _writable_ends(said.source, said.target, call)
        declared = Declared(source, target, _columns(said.columns), validation.properties(said.properties))
        row = self._declarations.create(origin_of(call), declared, time=call.now, deadline=call.deadline)
        return _message(row, call)

    def update_external_lineage(
        self, request: pb.UpdateExternalLineageRequest, call: Call
    ) -> pb.ExternalLineage:
        """Replaces columns or properties of a relationship."""
        said = request.external_lineage
        source, target = _writable_ends(said.source, said.target, call)
        paths = validation.mask_paths(request.update_mask.paths, ("columns", "properties"))
        new: dict[str, Any] = {}
        if "columns" in paths:
            new["columns"] = _columns(said.columns)
        if "properties" in paths:
            new["properties"] = validation.properties(said.properties)
        row = self._declarations.replace(
            origin_of(call),
            source,
            target,
            lambda before: before._replace(**new),
            time=call.now,
            deadline=call.deadline,
        )
        return _message(row, call)

    def delete_external_lineage(self, request: pb.DeleteExternalLineageRequest, call: Call) -> Empty:
        """Takes a relationship back."""
        source, target = _writable_ends(request.source, request.target, call)
        self._declarations.delete(origin_of(call), source, target, time=call.now, deadline=call.deadline)
        return Empty()

    def list_external_lineage(
        self, request: pb.ListExternalLineageRequest, call: Call
    ) -> pb.ListExternalLineageResponse:
        """The relationships of an object, as far as the caller sees both ends."""
        origin, size = origin_of(call), page_size_of(request.page_size)
        if request.direction not in graph_pb.LineageDirection.values():
            raise validation.invalid("direction", f"{request.direction} is none")
        end = _named(request.object, "object", call).end
        listed = f"external_lineage {request.direction} {end.key}"
        after = call.pager.read(listed, request.page_token) if request.page_token else ""
        seen: list[str] = []
        sees = _Sight(call)
        while len(seen) <= size:
            rows = declarations(
                call.uow.connection, origin.metastore_id, end.digest, after=after, limit=SCANNED,
                as_source=request.direction != graph_pb.UPSTREAM, as_target=request.direction != graph_pb.DOWNSTREAM,
            )  # fmt: skip
            seen += [row.id for row in rows if sees(row.source_key) and sees(row.target_key)]
            if len(rows) < SCANNED:
                break
            if monotonic() > call.deadline:
                raise deadline_passed()
            after = rows[-1].id
        page = _page(seen[:size], call)
        return pb.ListExternalLineageResponse(
            external_lineage=page,
            next_page_token=call.pager.write(listed, page[-1].id) if len(seen) > len(page) else "",
        )

    @property
    def _declarations(self) -> Declarations:
        if self._declared is None:
            raise unable()
        return self._declared


def _page(row_ids: Sequence[str], call: Call) -> list[pb.ExternalLineage]:
    """The relationships of these ids, fewer where they are large."""
    page: list[pb.ExternalLineage] = []
    left = PAGE_BYTES_MAX
    for row in said_of(call.uow.connection, row_ids):
        message = _message(row._mapping, call)
        left -= message.ByteSize()
        if page and left < 0:
            break
        page.append(message)
    return page


def _writable_ends(
    source: pb.ExternalLineageObject, target: pb.ExternalLineageObject, call: Call
) -> tuple[End, End]:
    """Both ends, where the caller may read the one and write the other. Raises ACCESS_DENIED, PRIVILEGE_MISSING."""
    ends = _named(source, "source", call), _named(target, "target", call)
    for named, needed in zip(ends, (DECLARE_FROM, DECLARE_TO), strict=True):
        privilege = needed[named.securable.kind]
        arguments = (call.caller.id, call.workspace_id, named.securable.id, privilege)
        if not call.decider.privilege(*arguments).allowed:
            raise privilege_missing(explain_privilege(call.decider, *arguments))
    if ends[0].end == ends[1].end:
        raise validation.invalid("target", "it is the source")
    return ends[0].end, ends[1].end


def _named(message: pb.ExternalLineageObject, field: str, call: Call) -> _Named:
    """An end the caller sees. Raises ACCESS_DENIED for one that is missing or hidden, FIELD_INVALID and NAME_INVALID."""
    which = message.WhichOneof("object")
    if which == "table":
        return _securable(RELATION_KINDS, message.table, call)
    if which == "external_metadata":
        return _securable(("EXTERNAL_METADATA",), message.external_metadata, call)
    if which == "model_version":
        model = message.model_version
        found = _securable(("REGISTERED_MODEL",), model.name, call)
        if (
            not 0 < model.version < 2**31
            or call.uow.session.get(ModelVersion, (found.securable.id, model.version)) is None
        ):
            raise validation.invalid(field, f"{model.name} has no version {model.version}")
        return found._replace(end=End.of_securable("REGISTERED_MODEL", found.securable.id, model.version))
    if which == "path":
        return _path(message.path, field, call)
    raise validation.invalid(field, "it names no object")


def _securable(kinds: Sequence[str], full_name: str, call: Call) -> _Named:
    found = seen_named(kinds, full_name, call)
    if found is None:
        raise unseen(kinds[0], full_name)
    return _Named(End.of_securable(found.kind, found.id), found, full_name)


def _path(url: str, field: str, call: Call) -> _Named:
    try:
        canonical = canonical_url(url)
    except InvalidUrl as error:
        raise validation.invalid(field, str(error)) from error
    location = ExternalLocations(call.snapshot, call.metastore_id).over(canonical)
    if location is None or not call.decider.visible(call.caller.id, call.workspace_id, location.id):
        raise PermissionDenied(
            Reason.ACCESS_DENIED,
            f"{url} is in no external location, or you may not use it from this workspace",
        )
    return _Named(End.of_path(canonical), location, url)


class _Sight:
    """Which ends the caller sees, each decided once."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._locations = ExternalLocations(call.snapshot, call.metastore_id)
        self._known: dict[str, bool] = {}

    def __call__(self, key: str) -> bool:
        """Whether the end of this key is there and seen."""
        if key not in self._known:
            self._known[key] = self._sees(End(key))
        return self._known[key]

    def _sees(self, end: End) -> bool:
        call = self._call
        found = self._locations.over(end.path) if end.path else call.snapshot.securables.get(end.securable_id)
        if found is None or (not end.path and found.kind != end.kind):
            return False
        return call.decider.visible(call.caller.id, call.workspace_id, found.id)


def _columns(pairs: Sequence[pb.ExternalLineageColumn]) -> list[tuple[str, str]]:
    validation.repeated(pairs, "columns", count_max=COLUMNS_MAX)
    for pair in pairs:
        if not pair.source or not pair.target:
            raise validation.invalid("columns", "a name is empty")
    names = [(pair.source, pair.target) for pair in pairs]
    for name in (name for pair in names for name in pair):
        validation.bounded(name, "columns", COLUMN_NAME_BYTES_MAX)
    return list(dict.fromkeys(names))


def _message(row: Any, call: Call) -> pb.ExternalLineage:
    message = pb.ExternalLineage(
        id=row["id"],
        source=_object(End(row["source_key"]), call),
        target=_object(End(row["target_key"]), call),
        columns=[pb.ExternalLineageColumn(source=source, target=target) for source, target in row["columns"]],
        properties=row["properties"],
        created_by=call.principal_name(row["created_by"]),
        updated_by=call.principal_name(row["run_principal_id"]),
    )
    message.create_time.FromDatetime(row["create_time"])
    message.update_time.FromDatetime(row["update_time"])
    return message


def _object(end: End, call: Call) -> pb.ExternalLineageObject:
    if end.path:
        return pb.ExternalLineageObject(path=end.path)
    name, kind = call.snapshot.full_name(end.securable_id), call.snapshot.securables[end.securable_id].kind
    if kind == "REGISTERED_MODEL":
        return pb.ExternalLineageObject(
            model_version=pb.ExternalLineageModelVersion(name=name, version=end.version)
        )
    if kind == "EXTERNAL_METADATA":
        return pb.ExternalLineageObject(external_metadata=name)
    return pb.ExternalLineageObject(table=name)
