"""What an engine-side replica is sent: a workspace's slice of the authorization state, then what changes in it."""

from __future__ import annotations

import re

from lakewarden.v1 import authorization_pb2 as pb
from lakewarden_policy import Head
from lakewarden_server.authz.feed import Answer
from lakewarden_server.services import validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.paging import invalid_token

PAGE_BYTES_MAX = 4 << 20
"""Bytes of an answer in one response; what is larger comes in pages."""
_POSITION = re.compile(r"([\w-]{1,64}):([\w-]{1,64}):([0-9]{1,19}):([\w-]{1,64})", re.ASCII)
"""Workspace, epoch, revision and nonce: what a watcher holds is of this history and this workspace, or nothing."""
_LIST = "policy"


def watch_policy(request: pb.WatchPolicyRequest, call: Call) -> pb.WatchPolicyResponse:
    """What leads the watcher from its position to the state of this call; answered at once, also when that is nothing."""
    head = call.snapshot.head
    workspace_id = call.objects["workspace"]
    held = _held(request.position, workspace_id)
    response = pb.WatchPolicyResponse(
        change=pb.WatchPolicyResponse.UNCHANGED,
        position=_position(workspace_id, head),
        revision=call.revision,
        policy_digest=call.decider.policy.digest,
        workspace_id=workspace_id,
        principal_id=call.caller.id,
    )
    response.read_time.FromDatetime(call.now)
    if request.page_token:
        answer, start = _continued(request.page_token, call)
    elif held == head:
        return response
    else:
        answer, start = call.follower.feed.answer(workspace_id, held, call.snapshot), 0
    end = start + PAGE_BYTES_MAX
    response.change = pb.WatchPolicyResponse.SNAPSHOT if answer.is_whole else pb.WatchPolicyResponse.DELTA
    response.data = answer.data[start:end]
    response.size_bytes = len(answer.data)
    response.position = _position(workspace_id, answer.head)
    response.revision = f"{answer.head.epoch}:{answer.head.revision}"
    if end < len(answer.data):
        response.next_page_token = call.pager.write(_LIST, f"{answer.key}:{end}")
    return response


def _held(position: str, workspace_id: str) -> Head | None:
    """The head a watcher of the workspace says it holds, None for none. Raises FIELD_INVALID."""
    if not position:
        return None
    found = _POSITION.fullmatch(position)
    if found is None:
        raise validation.invalid("position", "it is none that a response had")
    held_of, epoch, revision, nonce = found.groups()
    return Head(epoch, int(revision), nonce) if held_of == workspace_id else None


def _position(workspace_id: str, head: Head) -> str:
    return f"{workspace_id}:{head.epoch}:{head.revision}:{head.nonce}"


def _continued(page_token: str, call: Call) -> tuple[Answer, int]:
    """The answer a page token belongs to, and where the page begins. Raises PAGE_TOKEN_INVALID for one that is not kept."""
    key, _, start = call.pager.read(_LIST, page_token).rpartition(":")
    answer = call.follower.feed.page(call.objects["workspace"], key)
    if answer is None:
        raise invalid_token()
    return answer, int(start)
