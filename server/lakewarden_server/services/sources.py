"""Rows of the policy as messages: what somebody holds, where it stands, and through which groups they come to it."""

from __future__ import annotations

from lakewarden.v1 import authorization_pb2, grants_pb2
from lakewarden_policy import Need, Origin, Source
from lakewarden_server.services.call import Call

_ORIGINS = {
    Origin.GRANT: grants_pb2.PrivilegeSource.GRANT,
    Origin.OWNERSHIP: grants_pb2.PrivilegeSource.OWNERSHIP,
    Origin.BEING: grants_pb2.PrivilegeSource.BEING,
}
_TYPES = dict(grants_pb2.SecurableType.items())


def source_message(source: Source, call: Call) -> grants_pb2.PrivilegeSource:
    """A source with names in the place of ids."""
    row = source.row
    message = grants_pb2.PrivilegeSource(
        origin=_ORIGINS[source.origin],
        privilege=row.act.partition(":")[2],
        securable_type=type_of(row.object_id, call),
        full_name=call.snapshot.full_name(row.object_id),
        principal=call.principal_name(row.principal_id),
        group_path=[call.principal_name(group) for group in source.group_path],
    )
    if source.expire_time is not None:
        message.expire_time.FromNanoseconds(int(source.expire_time * 1e9))
    return message


def step_message(need: Need, source: Source, call: Call) -> authorization_pb2.ProofStep:
    """One act that was needed, and its source."""
    return authorization_pb2.ProofStep(
        principal=call.principal_name(need.subject_id),
        privilege=need.act.partition(":")[2],
        securable_type=type_of(need.object_id, call),
        full_name=call.snapshot.full_name(need.object_id),
        source=source_message(source, call),
    )


def type_of(object_id: str, call: Call) -> grants_pb2.SecurableType.ValueType:
    """The kind of an object as the API has it; unspecified for principals."""
    return _TYPES.get(call.snapshot.securables[object_id].kind, grants_pb2.SECURABLE_TYPE_UNSPECIFIED)
