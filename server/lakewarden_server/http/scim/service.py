"""The SCIM protocol of one request: what the library decides, but for whom `/Me` is, unknown attributes and failed calls."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from scim2_models import (
    BaseModel,
    Context,
    InvalidPathException,
    InvalidSyntaxException,
    PatchOp,
    PatchOperation,
    Path,
    Resource,
    ResourceType,
    ResponseParameters,
    ScimProvider,
    SearchRequest,
)
from scim2_server.conditions import Conditions
from scim2_server.requests import ScimRequest
from scim2_server.service import ScimService
from scim2_server.utils import parametrize

from lakewarden.v1 import sessions_pb2
from lakewarden_server.http.scim.limits import check_matches, check_patch, check_search
from lakewarden_server.http.scim.nouns import TYPES, kind_of
from lakewarden_server.http.scim.resources import Group, ServicePrincipal, User
from lakewarden_server.http.scim.storage import RpcStorage

NOT_KEPT = frozenset(
    {
        "name", "nickname", "profileurl", "title", "usertype", "preferredlanguage", "locale", "timezone", "password",
        "phonenumbers", "ims", "photos", "addresses", "entitlements", "roles", "x509certificates",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:user",
    }
)  # fmt: skip
"""Attributes of RFC 7643 that identity providers send and nobody here reads: accepted, not kept, not returned."""
_WHOLE = frozenset({Context.RESOURCE_CREATION_REQUEST, Context.RESOURCE_REPLACEMENT_REQUEST})
_CORE_SCHEMAS = frozenset({"", *(str(model.__schema__).lower() for model in (User, Group, ServicePrincipal))})


class Exchange(ScimService):
    """The service for one request, which knows its caller and its storage."""

    def __init__(self, provider: ScimProvider, session: sessions_pb2.Session, storage: RpcStorage) -> None:
        super().__init__(provider)
        self._session = session
        self._storage = storage

    def me_target(self, request: ScimRequest) -> tuple[ResourceType, str]:
        """The caller itself (RFC 7644, section 3.11)."""
        return self.get_resource_type(TYPES[kind_of(self._session)]), self._session.principal_id

    def read_body(self, model: Any, body: bytes, content_type: str | None, scim_ctx: Context) -> Any:
        """The validated body; where it does not say whether somebody is active, what is so already, and at first they are."""
        if scim_ctx in _WHOLE and "active" in model.model_fields:
            body = _with_active(body, default=self._storage.was_active)
        return super().read_body(model, body, content_type, scim_ctx)

    def read_search(self, resource_types: list[ResourceType], payload: Any) -> tuple[SearchRequest[Any], Any]:
        """The search. Raises `InvalidFilterException` for one that says too much."""
        check_search(payload)
        return super().read_search(resource_types, payload)

    def read_response_parameters(
        self, resource_type: ResourceType, query: Mapping[str, str]
    ) -> ResponseParameters[Any]:
        """Which attributes are asked for. Raises `InvalidFilterException` for too many."""
        check_search(query)
        return super().read_response_parameters(resource_type, query)

    def read_creation(
        self, resource_type: ResourceType, body: bytes, content_type: str | None
    ) -> Resource[Any]:
        """The resource to create. Raises `InvalidSyntaxException` for an attribute that no RFC knows."""
        return _refuse_unknown(super().read_creation(resource_type, body, content_type))

    def read_replacement(
        self, resource_type: ResourceType, body: bytes, content_type: str | None
    ) -> Resource[Any]:
        """The resource to put in the place of another. Raises `InvalidSyntaxException` like a creation."""
        return _refuse_unknown(super().read_replacement(resource_type, body, content_type))

    def read_patch(self, resource_type: ResourceType, body: bytes, content_type: str | None) -> PatchOp[Any]:
        """The changes. Raises `InvalidPathException` for an attribute that no RFC knows."""
        check_patch(body)
        patch_op = super().read_patch(resource_type, body, content_type)
        path_type = parametrize(Path, self.get_model(resource_type))
        for operation in patch_op.operations or []:
            if operation.path is not None:
                _check_path(operation.path)
            elif isinstance(operation.value, dict):
                for name in operation.value:
                    _check_path(path_type(name))
        return patch_op

    def apply_replacement(
        self, current: Resource[Any], replacement: Resource[Any], conditions: Conditions
    ) -> Resource[Any] | None:
        """The new state; of a group in any case, since SCIM may vouch for members that somebody else added."""
        replaced = super().apply_replacement(current, replacement, conditions)
        if isinstance(replacement, Group):
            self._storage.named_members |= {member.value or "" for member in replacement.members or []}
            return replacement
        return replaced

    def apply_patch(
        self, current: Resource[Any], patch_op: PatchOp[Any], conditions: Conditions
    ) -> Resource[Any] | None:
        """The new state; of a group in any case, as with a replacement.

        Raises `CallFailed` for who may not change a group, before time is spent on it, and `TooManyException`.
        """
        if isinstance(current, Group):
            self._storage.admit_members(str(current.id))
        check_matches(current, patch_op)
        patched = super().apply_patch(current, patch_op, conditions)
        if isinstance(current, Group):
            self._storage.named_members |= set(_added_members(patch_op))
            return current
        return patched


def _with_active(body: bytes, *, default: bool) -> bytes:
    try:
        sent = json.loads(body)
    except (ValueError, RecursionError):
        # The library tells what is wrong with it.
        return body
    if not isinstance(sent, dict) or any(name.lower() == "active" for name in sent):
        return body
    return json.dumps({**sent, "active": default}).encode()


def _refuse_unknown(resource: Resource[Any]) -> Resource[Any]:
    unknown = [name for name in resource.unknown_attributes if name.lower() not in NOT_KEPT]
    unknown += [name for part in _parts(resource) for name in part.unknown_attributes]
    if unknown:
        raise InvalidSyntaxException(detail=f"there is no attribute {unknown[0]!r}")
    return resource


def _parts(resource: Resource[Any]) -> Iterator[BaseModel]:
    """The complex values of a resource."""
    for field in type(resource).model_fields:
        value = getattr(resource, field)
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, BaseModel):
                yield part


def _check_path(path: Path[Any]) -> None:
    """Raises `InvalidPathException` for a path no RFC knows; one of what is not kept changes nothing."""
    if path.resolve() is not None or path.model is not None or str(path).lower() in NOT_KEPT:
        return
    schema, first = (path.schema or "").lower(), path.parts[0].lower() if path.parts else ""
    if schema not in NOT_KEPT and (first not in NOT_KEPT or schema not in _CORE_SCHEMAS):
        raise InvalidPathException(detail=f"there is no attribute {str(path)!r}")


def _added_members(patch_op: PatchOp[Any]) -> Iterator[str]:
    """The ids of the members that a PATCH adds or replaces, also those who are members already."""
    for operation in patch_op.operations or []:
        if operation.op == PatchOperation.Op.remove:
            continue
        value = operation.value
        if operation.path is None and isinstance(value, dict):
            value = next((part for name, part in value.items() if name.lower() == "members"), None)
        elif operation.path is None or operation.path.parts[:1] != ("members",):
            continue
        for member in value if isinstance(value, list) else [value]:
            if isinstance(member, dict) and isinstance(member.get("value"), str):
                yield member["value"]
