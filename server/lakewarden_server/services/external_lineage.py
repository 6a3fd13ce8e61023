"""Declared lineage: who may say what was made of what, and the list of what is said (semantics 8.2; reference/lineage.md 1.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from google.protobuf.empty_pb2 import Empty

from lakewarden.v1 import external_lineage_pb2 as pb
from lakewarden.v1 import lineage_graph_pb2 as graph_pb
from lakewarden_policy import explain_privilege, name_key
from lakewarden_policy.kinds import RELATIONS
from lakewarden_policy.lineage import DECLARE_FROM, DECLARE_TO
from lakewarden_policy.records import Securable
from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import NotFound, PermissionDenied, Reason
from lakewarden_server.core.urls import InvalidUrl, canonical_url
from lakewarden_server.entities import ModelVersion
from lakewarden_server.lineage.bindings import VOLUME, Bindings
from lakewarden_server.lineage.declaring import Declarations, Declared, End
from lakewarden_server.lineage.names import AssetName, NameInvalid, is_path, path_name, volume_file
from lakewarden_server.lineage.recorder import Recorder
from lakewarden_server.lineage.visibility import ExternalLocations
from lakewarden_server.services import validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.declared_ends import Ends
from lakewarden_server.services.denials import privilege_missing, unseen
from lakewarden_server.services.lineage import origin_of, unable
from lakewarden_server.services.lineage_answers import RELATION_KINDS, seen_named
from lakewarden_server.services.paging import page_size_of
from lakewarden_server.storage.errors import deadline_passed
from lakewarden_server.storage.repositories import columns as column_rows
from lakewarden_server.storage.repositories.lineage import LineageStore
from lakewarden_server.storage.repositories.lineage_declarations import (
    declaration,
    declarations,
    said_of,
)

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
        columns = _columns(said.columns, source, target, call)
        declared = Declared(source, target, columns, validation.properties(said.properties))
        row = self._declarations.create(origin_of(call), declared, time=call.now, deadline=call.deadline)
        return _message(row, call, Ends(call))

    def update_external_lineage(
        self, request: pb.UpdateExternalLineageRequest, call: Call
    ) -> pb.ExternalLineage:
        """Replaces columns or properties of a relationship."""
        said = request.external_lineage
        source, target = _writable_ends(said.source, said.target, call)
        paths = validation.mask_paths(request.update_mask.paths, ("columns", "properties"))
        new: dict[str, Any] = {}
        if "columns" in paths:
            new["columns"] = _columns(said.columns, source, target, call)
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
        return _message(row, call, Ends(call))

    def delete_external_lineage(self, request: pb.DeleteExternalLineageRequest, call: Call) -> Empty:
        """Takes a relationship back."""
        if not request.id:
            source, target = _writable_ends(request.source, request.target, call)
        elif request.HasField("source") or request.HasField("target"):
            raise validation.invalid("id", "say either it or the source and the target")
        else:
            source, target = _writable_ends_of(request.id, call)
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
        ends = Ends(call)
        while len(seen) <= size:
            rows = declarations(
                call.uow.connection, origin.metastore_id, end.digest, after=after, limit=SCANNED,
                as_source=request.direction != graph_pb.UPSTREAM, as_target=request.direction != graph_pb.DOWNSTREAM,
            )  # fmt: skip
            seen += [row.id for row in rows if ends.both_seen(row)]
            if len(rows) < SCANNED:
                break
            if monotonic() > call.deadline:
                raise deadline_passed()
            after = rows[-1].id
        page = _page(seen[:size], call, ends)
        return pb.ListExternalLineageResponse(
            external_lineage=page,
            next_page_token=call.pager.write(listed, page[-1].id) if len(seen) > len(page) else "",
        )

    @property
    def _declarations(self) -> Declarations:
        if self._declared is None:
            raise unable()
        return self._declared


def _page(row_ids: Sequence[str], call: Call, ends: Ends) -> list[pb.ExternalLineage]:
    """The relationships of these ids, fewer where they are large."""
    page: list[pb.ExternalLineage] = []
    left = PAGE_BYTES_MAX
    for row in said_of(call.uow.connection, row_ids):
        message = _message(row._mapping, call, ends)
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
        _check_privilege(named.securable, needed, call)
    if ends[0].end == ends[1].end:
        raise validation.invalid("target", "it is the source")
    return ends[0].end, ends[1].end


def _writable_ends_of(row_id: str, call: Call) -> tuple[End, End]:
    """Both ends of a relationship that the caller may take back. Raises OBJECT_NOT_FOUND, PRIVILEGE_MISSING."""
    row, ends = declaration(call.uow.connection, origin_of(call).metastore_id, row_id), Ends(call)
    if row is None or not ends.both_seen(row):
        raise NotFound(Reason.OBJECT_NOT_FOUND, "no lineage of that id is declared")
    both = End(row.source_key), End(row.target_key)
    for end, needed in zip(both, (DECLARE_FROM, DECLARE_TO), strict=True):
        securable = ends.living(end)
        if securable is not None:
            _check_privilege(securable, needed, call)
        elif row.created_by != call.caller.id and not ends.may_on_dropped(end, "SCHEMA:MANAGE"):
            raise PermissionDenied(
                Reason.PRIVILEGE_MISSING,
                "an end of it was dropped: taking back what others declared takes MANAGE on the schema that was in, or on the metastore",
            )
    return both


def _check_privilege(securable: Securable, needed: Mapping[str, str], call: Call) -> None:
    arguments = (call.caller.id, call.workspace_id, securable.id, needed[securable.kind])
    if not call.decider.privilege(*arguments).allowed:
        raise privilege_missing(explain_privilege(call.decider, *arguments))


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
    """The file of a volume or the table that a path lies in, whose privileges then count for it (semantics: path access); else a path in a location."""
    try:
        name = path_name(url)
        canonical = canonical_url(url) if "://" in url or not is_path(url) else ""
    except (InvalidUrl, NameInvalid) as error:
        raise validation.invalid(field, str(error)) from error
    if not canonical and volume_file(name) is None:
        raise validation.invalid(field, "write /Volumes/catalog/schema/volume/path/of/the/file")
    end, securable = _at(name, canonical, call)
    if securable is None or not call.decider.visible(call.caller.id, call.workspace_id, securable.id):
        where = "is in no external location" if canonical else "does not exist"
        raise PermissionDenied(
            Reason.ACCESS_DENIED, f"{url} {where}, or you may not use it from this workspace"
        )
    return _Named(end, securable, url)


def _at(name: AssetName, canonical: str, call: Call) -> tuple[End, Securable | None]:
    """The end that a path is and what its privileges are on, whoever may see that: where it is in a volume or a table the location is not asked."""
    store = LineageStore(call.uow.connection, deadline=call.deadline)
    meant = Bindings(store, call.snapshot, call.metastore_id or "").of((name,)).get(name)
    if meant is None:
        location = ExternalLocations(call.snapshot, call.metastore_id).over(canonical)
        return End.of_path(canonical), location
    found = call.snapshot.securables[meant.name]
    if found.kind == VOLUME:
        return End.of_file(found.id, meant.namespace), found
    return End.of_securable(found.kind, found.id), found


def _columns(
    pairs: Sequence[pb.ExternalLineageColumn], source: End, target: End, call: Call
) -> list[tuple[str, str]]:
    """The pairs as their tables spell them. Raises FIELD_INVALID for a column that a table has not; its columns are the caller's to see."""
    validation.repeated(pairs, "columns", count_max=COLUMNS_MAX)
    for pair in pairs:
        if not pair.source or not pair.target:
            raise validation.invalid("columns", "a name is empty")
    names = [(pair.source, pair.target) for pair in pairs]
    for name in (name for pair in names for name in pair):
        validation.bounded(name, "columns", COLUMN_NAME_BYTES_MAX)
    spelled = [
        _spelled(of_end, end, call)
        for of_end, end in zip(zip(*names, strict=True), (source, target), strict=False)
    ]
    return list(dict.fromkeys(zip(*spelled, strict=True)))


def _spelled(names: Sequence[str], end: End, call: Call) -> list[str]:
    """Names of columns as the table spells them, fields of structs behind a dot; as they are where no columns are known."""
    of_table = column_rows.of_table(call.uow.session, end.securable_id) if end.kind in RELATIONS else ()
    known = {column.name_key: column.name for column in of_table}
    if not known:
        return list(names)
    spelled = []
    for name in names:
        head, dot, field = name.partition(".")
        if name_key(name) in known:
            spelled.append(known[name_key(name)])
        elif dot and name_key(head) in known:
            spelled.append(f"{known[name_key(head)]}.{field}")
        else:
            raise validation.invalid(
                "columns", f"{call.snapshot.full_name(end.securable_id)} has no column {name!r}"
            )
    return spelled


def _message(row: Any, call: Call, ends: Ends) -> pb.ExternalLineage:
    message = pb.ExternalLineage(
        id=row["id"],
        source=ends.message(End(row["source_key"])),
        target=ends.message(End(row["target_key"])),
        columns=[pb.ExternalLineageColumn(source=source, target=target) for source, target in row["columns"]],
        properties=row["properties"],
        created_by=call.principal_name(row["created_by"]),
        updated_by=call.principal_name(row["run_principal_id"]),
    )
    message.create_time.FromDatetime(row["create_time"])
    message.update_time.FromDatetime(row["update_time"])
    return message
