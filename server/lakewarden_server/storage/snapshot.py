"""Reads the whole authorization state of one revision into an immutable snapshot."""

from __future__ import annotations

from sqlalchemy import Connection, select

from lakewarden_policy.records import Grant, Head, Membership, Principal, Securable, Token
from lakewarden_policy.snapshot import Snapshot
from lakewarden_server import entities
from lakewarden_server.storage.head import read_head

_principal = entities.Principal.__table__.c
_member = entities.GroupMember.__table__.c
_securable = entities.Securable.__table__.c
_grant = entities.Grant.__table__.c
_token = entities.Token.__table__.c

_PRINCIPALS = select(_principal.id, _principal.kind, _principal.name, _principal.name_key, _principal.active)
_MEMBERSHIPS = select(_member.group_id, _member.member_id)
_SECURABLES = select(
    _securable.id,
    _securable.kind,
    _securable.parent_id,
    _securable.metastore_id,
    _securable.name,
    _securable.name_key,
    _securable.owner_id,
    _securable.revision,
).where(_securable.deleted_time.is_(None))
_GRANTS = select(_grant.securable_id, _grant.principal_id, _grant.privilege)
_TOKENS = select(
    _token.id, _token.principal_id, _token.digest, _token.kind, _token.expire_time, _token.workspace_id
)


def load_snapshot(connection: Connection, *, head: Head | None = None) -> Snapshot:
    """The state `connection`'s transaction sees, which must be one consistent view (`Database.read` or `.write`).

    `head` names it when the caller knows it: a writer sees, before it changes anything, the state of its `previous`.
    """
    if head is None:
        head, _time = read_head(connection)
    return Snapshot.build(
        head,
        principals=[Principal._make(row) for row in connection.execute(_PRINCIPALS)],
        memberships=[Membership._make(row) for row in connection.execute(_MEMBERSHIPS)],
        securables=[Securable._make(row) for row in connection.execute(_SECURABLES)],
        grants=[Grant(*row) for row in connection.execute(_GRANTS)],
        tokens=[
            Token(
                row.id, row.principal_id, row.digest, row.kind, row.expire_time.timestamp(), row.workspace_id
            )
            for row in connection.execute(_TOKENS)
        ],
    )
