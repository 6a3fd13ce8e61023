"""The versions of a registered model and the aliases that point to them. Rows of the model, not securables of their own."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lakewarden.v1 import registered_models_pb2 as pb
from lakewarden_policy import name_key, validate_name
from lakewarden_server.core.errors import InvalidArgument, NotFound, Reason, ResourceExhausted
from lakewarden_server.entities import ModelAlias, ModelVersion, RegisteredModel, touch
from lakewarden_server.services import validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.paging import page_size_of
from lakewarden_server.storage.repositories import registered_models as rows

VERSIONS_MAX = 10_000
"""Versions a model may have at a time."""
ALIASES_MAX = 100
"""Aliases a model may have at a time."""
SOURCE_BYTES_MAX = 4_096
RUN_ID_BYTES_MAX = 255
RUN_LINK_BYTES_MAX = 4_096

# Tools that load a model write a version's number or the word `latest` where an alias may stand.
_NO_ALIAS = re.compile(r"v?[0-9]+|latest")


def create(sent: pb.ModelVersion, call: Call) -> pb.ModelVersion:
    """Adds a version under the next number. Raises QUOTA_EXCEEDED, FIELD_INVALID."""
    model = call.row(RegisteredModel, call.self_id)
    session = call.uow.session
    if rows.count_versions(session, model.id) >= VERSIONS_MAX:
        raise _exhausted(f"the model has {VERSIONS_MAX} versions: delete some first")
    model.last_version += 1
    version = ModelVersion(
        model_id=model.id,
        version=model.last_version,
        status=_status(sent.status) if sent.status else "READY",
        source=validation.bounded(sent.source, "source", SOURCE_BYTES_MAX),
        run_id=validation.bounded(sent.run_id, "run_id", RUN_ID_BYTES_MAX),
        run_link=validation.bounded(sent.run_link, "run_link", RUN_LINK_BYTES_MAX),
        comment=validation.comment(sent.comment),
    )
    session.add(version)
    session.flush()
    call.detail["version"] = version.version
    return to_message(version, [], call)


def get(request: pb.GetModelVersionRequest, call: Call) -> pb.ModelVersion:
    """The version of a number or an alias, exactly one of which is given. Raises OBJECT_NOT_FOUND, FIELD_INVALID."""
    if bool(request.version) == bool(request.alias):
        raise validation.invalid("version", "give either a version's number or an alias")
    number = _alias(request.alias, call).version if request.alias else request.version
    version = _row(number, call)
    return to_message(version, rows.aliases_of_version(call.uow.session, call.self_id, number), call)


def page(request: pb.ListModelVersionsRequest, call: Call) -> pb.ListModelVersionsResponse:
    """One page of the versions by number, and the token of the next."""
    session, list_name = call.uow.session, f"versions/{call.self_id}"
    size = page_size_of(request.page_size)
    after = int(call.pager.read(list_name, request.page_token)) if request.page_token else 0
    found = rows.versions(session, call.self_id, after=after, limit=size + 1)
    aliases: dict[int, list[ModelAlias]] = {}
    for alias in rows.aliases_of(session, [call.self_id]).get(call.self_id, []):
        aliases.setdefault(alias.version, []).append(alias)
    shown = found[:size]
    more = len(found) > size
    return pb.ListModelVersionsResponse(
        model_versions=[to_message(version, aliases.get(version.version, []), call) for version in shown],
        next_page_token=call.pager.write(list_name, str(shown[-1].version)) if more else "",
    )


def update(sent: pb.ModelVersion, paths: Sequence[str], call: Call) -> pb.ModelVersion:
    """Changes comment or status. Raises OBJECT_NOT_FOUND, UPDATE_MASK_INVALID, FIELD_INVALID."""
    version = _row(sent.version, call)
    for path in validation.mask_paths(paths, ("comment", "status")):
        if path == "comment":
            version.comment = validation.comment(sent.comment)
        else:
            _set_status(version, _status(sent.status))
    call.uow.session.flush()
    call.detail.update(version=version.version, update_mask=list(paths))
    return to_message(version, rows.aliases_of_version(call.uow.session, call.self_id, version.version), call)


def delete(number: int, call: Call) -> None:
    """Deletes a version with the aliases that point to it (semantics 3.3). Raises OBJECT_NOT_FOUND."""
    version, session = _row(number, call), call.uow.session
    for alias in rows.aliases_of_version(session, call.self_id, number):
        session.delete(alias)
    session.delete(version)
    # The model shows its aliases, so its etag moves with them.
    touch(call.row(RegisteredModel, call.self_id))
    call.detail["version"] = number


def set_alias(text: str, number: int, call: Call) -> pb.ModelVersion:
    """Points an alias to a version. Raises NAME_INVALID, OBJECT_NOT_FOUND, QUOTA_EXCEEDED."""
    name = validation.named(validate_name, text, "REGISTERED_MODEL")
    if _NO_ALIAS.fullmatch(name_key(name)):
        raise InvalidArgument(
            Reason.NAME_INVALID, f"{name!r} reads like a version: choose another alias", field="alias"
        )
    version, session = _row(number, call), call.uow.session
    alias = rows.alias(session, call.self_id, name_key(name))
    if alias is None:
        if len(rows.aliases_of(session, [call.self_id]).get(call.self_id, [])) >= ALIASES_MAX:
            raise _exhausted(f"the model has {ALIASES_MAX} aliases: delete some first")
        alias = ModelAlias(model_id=call.self_id, alias_key=name_key(name), alias=name, version=number)
        session.add(alias)
    alias.alias, alias.version = name, number
    touch(call.row(RegisteredModel, call.self_id))
    session.flush()
    call.detail.update(alias=name, version=number)
    return to_message(version, rows.aliases_of_version(session, call.self_id, number), call)


def delete_alias(text: str, call: Call) -> None:
    """Deletes an alias. Raises OBJECT_NOT_FOUND."""
    alias = _alias(text, call)
    call.uow.session.delete(alias)
    touch(call.row(RegisteredModel, call.self_id))
    call.detail.update(alias=alias.alias, version=alias.version)


def to_message(version: ModelVersion, aliases: Sequence[ModelAlias], call: Call) -> pb.ModelVersion:
    """The message of a version's row and the rows of its aliases."""
    message = pb.ModelVersion(
        full_name=call.snapshot.full_name(version.model_id),
        version=version.version,
        status=pb.ModelVersion.Status.Value(version.status),
        source=version.source,
        run_id=version.run_id,
        run_link=version.run_link,
        comment=version.comment,
        aliases=[alias.alias for alias in aliases],
        created_by=call.principal_name(version.created_by),
        updated_by=call.principal_name(version.updated_by),
    )
    message.create_time.FromDatetime(version.create_time)
    message.update_time.FromDatetime(version.update_time)
    return message


def _row(number: int, call: Call) -> ModelVersion:
    version = rows.version(call.uow.session, call.self_id, number) if 0 < number < 2**31 else None
    if version is None:
        raise _missing("version", str(number), call)
    return version


def _alias(text: str, call: Call) -> ModelAlias:
    alias = rows.alias(call.uow.session, call.self_id, name_key(text))
    if alias is None:
        raise _missing("alias", text[:100], call)
    return alias


def _status(value: pb.ModelVersion.Status.ValueType) -> str:
    if value not in pb.ModelVersion.Status.values() or not value:
        raise validation.invalid("status", f"{value} is none of its values")
    return pb.ModelVersion.Status.Name(value)


def _set_status(version: ModelVersion, status: str) -> None:
    """A version leaves PENDING_REGISTRATION once: whoever loaded it READY must be able to go on doing so."""
    if status != version.status and version.status != "PENDING_REGISTRATION":
        raise validation.invalid("status", f"version {version.version} is {version.status} for good")
    version.status = status


def _missing(kind: str, name: str, call: Call) -> NotFound:
    """Told to everybody who may see the model, whose versions and aliases are no secret to them."""
    full_name = call.snapshot.full_name(call.self_id)
    return NotFound(
        Reason.OBJECT_NOT_FOUND, f"{full_name} has no {kind} {name}", kind=kind.upper(), name=name
    )


def _exhausted(problem: str) -> ResourceExhausted:
    return ResourceExhausted(Reason.QUOTA_EXCEEDED, problem)
