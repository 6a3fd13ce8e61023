"""What travels beside the message: credential, workspace, request id, revision, deadline; and the size limit of the message."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from lakewarden_policy import ACCOUNT_ID, Decider, Head, Securable, name_key
from lakewarden_server.authn.authenticator import Caller, Credential
from lakewarden_server.authn.tokens import TokenKind
from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    PermissionDenied,
    Reason,
    ResourceExhausted,
    Unavailable,
)
from lakewarden_server.core.peers import Peer
from lakewarden_server.pipeline.binding import UNKNOWN_WORKSPACE_ID, Place
from lakewarden_server.pipeline.rules import Method

AUTHORIZATION = "authorization"
WORKSPACE = "lakewarden-workspace"
REQUEST_ID = "lakewarden-request-id"
REVISION = "lakewarden-revision"
AT_LEAST_REVISION = "lakewarden-at-least-revision"
FRESHNESS = "lakewarden-freshness"
_FRESHNESS = {"": False, "full": False, "bounded": True}

DEADLINE_SECONDS_DEFAULT = 10.0
DEADLINE_SECONDS_MAX = 30.0
ENDLESS_SECONDS = 365 * 86_400.0
MESSAGE_BYTES_MAX = 1 << 20
LARGE_MESSAGE_BYTES_MAX = 8 << 20
"""Of methods whose rule says `large_requests`."""
MANAGES_LISTS = "ip_access_list.manage"
"""The operation of whom the lists of workspaces do not hold for what is done to these."""
REVISION_DIGITS_MAX = 19
"""Digits of the largest revision a database can hold; Python reads no integer of thousands."""
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
SECRET_FIELDS = ("token_value", "secret_value", "access_token")
"""Fields that are shown once and never stored, not even to answer a repeated request."""


class Headers(NamedTuple):
    """The metadata of a call, read and checked."""

    credential: Credential
    peer: Peer
    workspace: str
    request_id: str
    idempotent: bool
    """The caller chose the request id, so that a repeated mutation is answered and not done again."""
    at_least: str
    bounded: bool
    """The caller is content with a state of up to `BOUND_SECONDS` ago."""
    deadline: float
    """Monotonic seconds."""


def request_id(metadata: Mapping[str, str]) -> str:
    """The caller's request id in lower case when it is a UUID, else a new one."""
    given = metadata.get(REQUEST_ID, "").lower()
    if given and _is_uuid(given):
        return given
    # A version 4 UUID; the class of the standard library costs as much as authentication.
    text = os.urandom(16).hex()
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{variant}{text[17:20]}-{text[20:]}"


def read(
    metadata: Mapping[str, str], seconds_left: float | None, chosen_id: str, credential: Credential,
    peer: Peer,
) -> Headers:  # fmt: skip
    """Reads the metadata. Raises FIELD_INVALID for a request id that is no UUID or an unknown freshness, and DEADLINE_PASSED."""
    given = metadata.get(REQUEST_ID, "")
    if given and given != chosen_id and given.lower() != chosen_id:
        raise InvalidArgument(Reason.FIELD_INVALID, f"{REQUEST_ID} must be a UUID", field=REQUEST_ID)
    freshness = metadata.get(FRESHNESS, "")
    if freshness not in _FRESHNESS:
        raise InvalidArgument(Reason.FIELD_INVALID, f"{FRESHNESS} reads `full` or `bounded`", field=FRESHNESS)
    # gRPC tells the deadline of a call that has none as one in a very distant future.
    if seconds_left is None or seconds_left > ENDLESS_SECONDS:
        seconds_left = DEADLINE_SECONDS_DEFAULT
    seconds = min(seconds_left, DEADLINE_SECONDS_MAX)
    if seconds <= 0:
        raise DeadlineExceeded(Reason.DEADLINE_PASSED, "the deadline had passed when the call's turn came")
    workspace = metadata.get(WORKSPACE, "")
    return Headers(
        credential=credential,
        peer=peer,
        # Metadata is ASCII, so clients percent-encode a name; no name holds a percent sign itself.
        workspace=unquote(workspace) if "%" in workspace else workspace,
        request_id=chosen_id,
        idempotent=bool(given),
        at_least=metadata.get(AT_LEAST_REVISION, ""),
        bounded=_FRESHNESS[freshness],
        deadline=monotonic() + seconds,
    )


def request_bytes_max(method: Method) -> int:
    """How large a request of a method may be."""
    return LARGE_MESSAGE_BYTES_MAX if method.rule.large_requests else MESSAGE_BYTES_MAX


def check_size(size: int, method: Method) -> None:
    """Raises MESSAGE_TOO_LARGE; the transport's own limit is higher, so that this reason reaches the caller."""
    limit = request_bytes_max(method)
    if size > limit:
        raise ResourceExhausted(
            Reason.MESSAGE_TOO_LARGE, f"the request has {size} bytes; at most {limit} are read: split it"
        )


def check_at_least(headers: Headers, head: Head) -> None:
    """Refuses to answer from an older state than the caller has seen, or from another history (promises G2, G3)."""
    if not headers.at_least:
        return
    epoch, _, revision = headers.at_least.rpartition(":")
    digits = revision.isascii() and revision.isdigit() and len(revision) <= REVISION_DIGITS_MAX
    if not epoch or not digits:
        raise InvalidArgument(
            Reason.FIELD_INVALID, f"{AT_LEAST_REVISION} reads <epoch>:<number>", field=AT_LEAST_REVISION
        )
    if epoch != head.epoch:
        raise FailedPrecondition(
            Reason.HISTORY_MISMATCH, "the revision is of another history (restored or replaced): forget it"
        )
    if int(revision) > head.revision:
        raise Unavailable(Reason.SNAPSHOT_UNAVAILABLE, "the server has not reached that revision: retry")


def place(headers: Headers, decider: Decider, caller: Caller) -> Place:
    """Where the call comes from.

    A workspace that does not exist is answered like one the caller is not assigned to, which is the policy's `reachable`
    rule and not decided here: only who would be shown every workspace learns that there is none. Raises WORKSPACE_DENIED
    for that one, and for a token that is limited to another workspace, IP_NOT_ALLOWED and TOKENS_DENIED.
    """
    limit = caller.token_workspace_id
    snapshot = decider.snapshot
    if snapshot.ip_admissions.refuses(ACCOUNT_ID, headers.peer.address):
        raise _address_refused(headers.peer, "the account")
    if not headers.workspace:
        named = snapshot.securables.get(limit or "")
        if named is not None:
            return _place_in(named, headers, decider, caller)
        return Place(limit, None)
    workspace = snapshot.child(ACCOUNT_ID, "WORKSPACE", name_key(headers.workspace))
    found = workspace.id if workspace else UNKNOWN_WORKSPACE_ID
    told = (
        workspace is None
        and decider.operation(caller.id, None, "workspace.miss", {"parent": ACCOUNT_ID}).allowed
    )
    if told or (limit is not None and found != limit):
        raise PermissionDenied(
            Reason.WORKSPACE_DENIED,
            f"workspace {headers.workspace!r} does not exist, or is not the one this token is limited to",
        )
    return _place_in(workspace, headers, decider, caller) if workspace is not None else Place(found, None)


def _place_in(workspace: Securable, headers: Headers, decider: Decider, caller: Caller) -> Place:
    """A workspace that exists, called from an address its IP access lists admit.

    To whoever neither works in it nor sees it a refused address makes it one like one that does not exist: else its lists would tell of it.
    """
    if decider.snapshot.ip_admissions.refuses(workspace.id, headers.peer.address):
        known = decider.reach.is_assigned(caller.id, workspace.id)
        if known or decider.visible(caller.id, workspace.id, workspace.id):
            raise _address_refused(headers.peer, f"workspace {workspace.name}")
        return Place(UNKNOWN_WORKSPACE_ID, None)
    _require_tokens_allowed(decider, caller, workspace.id)
    return Place(workspace.id, workspace.metastore_id)


def check_address(headers: Headers, objects: Iterable[str], decider: Decider, caller: Caller) -> None:
    """What is done to a workspace comes from where its IP access lists admit, as what is done in it: a header less lifts no list.

    Asked once the call is authorized, so that the refusal tells nobody of a workspace. Who manages the account's lists is held by
    those alone, or nobody could mend a workspace's from outside. Raises IP_NOT_ALLOWED.
    """
    snapshot = decider.snapshot
    refusing = [found for found in objects if snapshot.ip_admissions.refuses(found, headers.peer.address)]
    if refusing and not decider.operation(caller.id, None, MANAGES_LISTS, {}).allowed:
        raise _address_refused(headers.peer, f"workspace {snapshot.securables[refusing[0]].name}")


def _address_refused(peer: Peer, scope: str) -> PermissionDenied:
    return PermissionDenied(
        Reason.IP_NOT_ALLOWED,
        f"calls from {peer.text} are not allowed: the IP access lists of {scope} do not admit it",
        address=peer.text,
    )


def _require_tokens_allowed(decider: Decider, caller: Caller, workspace_id: str) -> None:
    """Raises TOKENS_DENIED where somebody who works in the workspace may not do so with a personal access token.

    Whoever does not work there is told nothing of it: to them it is a workspace like one that does not exist.
    """
    if caller.token_kind is not TokenKind.PAT:
        return
    allowed = decider.operation(caller.id, None, "token.present", {"workspace": workspace_id}).allowed
    if not allowed and decider.reach.is_assigned(caller.id, workspace_id):
        name = decider.snapshot.full_name(workspace_id)
        raise PermissionDenied(
            Reason.TOKENS_DENIED,
            f"{caller.name} may not use personal access tokens in workspace {name}: ask an admin of it for USE TOKENS",
        )


def without_secrets(message: Message) -> Message:
    """A copy of a reply that may be stored."""
    copy = type(message)()
    copy.CopyFrom(message)
    for name in SECRET_FIELDS:
        if name in copy.DESCRIPTOR.fields_by_name:
            copy.ClearField(name)
    return copy


def message_class(method: Method) -> type[Any]:
    """The class of a method's reply."""
    found: type[Any] = GetMessageClass(method.output_type)
    return found


def _is_uuid(text: str) -> bool:
    return _UUID.fullmatch(text) is not None
