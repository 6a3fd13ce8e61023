"""The caller's own identity."""

from __future__ import annotations

from datetime import UTC, datetime

from lakewarden.v1 import groups_pb2
from lakewarden.v1 import sessions_pb2 as pb
from lakewarden_server.authn.tokens import TokenKind
from lakewarden_server.services.call import Call

_KINDS = {
    TokenKind.PAT: pb.PERSONAL_ACCESS_TOKEN,
    TokenKind.ACCESS: pb.CLIENT_CREDENTIALS,
    TokenKind.FEDERATED: pb.FEDERATION,
    TokenKind.CERTIFICATE: pb.CLIENT_CERTIFICATE,
}
"""How the kinds of credentials that reach a service are told; the others do one thing only, which is not this."""


class SessionService:
    """Implements `lakewarden.v1.SessionService`."""

    def __init__(self, server_version: str) -> None:
        self._server_version = server_version

    def get_session(self, request: pb.GetSessionRequest, call: Call) -> pb.Session:
        """Answers from the snapshot alone."""
        snapshot, caller = call.snapshot, call.caller
        groups = snapshot.closure(caller.id) - {caller.id}
        message = pb.Session(
            principal=caller.name,
            principal_id=caller.id,
            kind=groups_pb2.PrincipalReference.Kind.Value(caller.kind),
            groups=sorted(snapshot.principals[group].name for group in groups),
            token_id=caller.token_id,
            server_version=self._server_version,
            revision=f"{snapshot.head.epoch}:{snapshot.head.revision}",
            credential_kind=_KINDS[caller.token_kind],
        )
        for group in sorted(
            (snapshot.principals[each] for each in snapshot.groups_of(caller.id)), key=lambda each: each.name
        ):
            message.direct_groups.add(id=group.id, name=group.name, kind=groups_pb2.PrincipalReference.GROUP)
        limit = snapshot.securables.get(caller.token_workspace_id or "")
        if limit is not None:
            message.token_workspace = limit.name
        message.token_expire_time.FromDatetime(datetime.fromtimestamp(caller.token_expire_time, UTC))
        if call.workspace_id and call.decider.atom(
            caller.id, call.workspace_id, call.workspace_id, "WORKSPACE:USER"
        ):
            message.workspace = snapshot.securables[call.workspace_id].name
            if call.metastore_id and call.metastore_id in snapshot.securables:
                message.metastore = snapshot.securables[call.metastore_id].name
        return message
