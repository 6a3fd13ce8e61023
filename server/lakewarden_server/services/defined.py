"""What everything with a definition shares: who is shown it, who owns it first, and what it references."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lakewarden.v1 import views_pb2
from lakewarden_server.entities import SecurableReference
from lakewarden_server.services import securables, validation
from lakewarden_server.services.call import Call


def shows_definition(call: Call, privilege: str) -> bool:
    """Whether the caller is shown the text of the bound object: who may use or manage it, not who may only browse.

    What a call creates is not bound yet, and its creator has just written the text.
    """
    object_id = call.objects.get("self")
    if object_id is None:
        return True
    ask = call.decider.privilege
    return any(
        ask(call.caller.id, call.workspace_id, object_id, wanted).allowed for wanted in (privilege, "MANAGE")
    )


def check_first_owner(message: Any, call: Call) -> None:
    """Refuses to create something that runs with somebody else's rights (semantics 3.1, transfer of views and functions).

    The rule of the transfer applies to it once it exists, so only the creator and its groups can own it first.
    """
    if not message.owner:
        return
    owner = securables.owner_id(call, message.owner)
    if owner not in call.snapshot.closure(call.caller.id):
        raise validation.invalid(
            "owner", "it is created by its first owner: leave it empty, or name a group you are in"
        )


def reference_messages(references: Iterable[SecurableReference]) -> list[views_pb2.DefinitionReference]:
    """What a definition references, as messages."""
    return [
        views_pb2.DefinitionReference(full_name=reference.full_name, privilege=reference.privilege)
        for reference in references
    ]
