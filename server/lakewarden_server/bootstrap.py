"""The first account admin: made once per database, with a one-time token in a file only its owner can read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from lakewarden_policy import (
    ACCOUNT_ADMIN,
    ACCOUNT_ID,
    Decider,
    load_policy,
    name_key,
    policy_texts,
    validate_email,
)
from lakewarden_server.authn.keys import Keys
from lakewarden_server.authn.tokens import TokenKind, mint
from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import FailedPrecondition, Reason
from lakewarden_server.core.ids import new_id
from lakewarden_server.entities import Grant, IpAccessSettings, Principal
from lakewarden_server.services.tokens import ONE_TIME_LIFETIME, token_row
from lakewarden_server.storage import AuditRecord, Database, load_snapshot
from lakewarden_server.storage.bootstrap import claim
from lakewarden_server.storage.history import newest_policy_digest, remember_policy

INITIALIZE_SECONDS = 30.0
METHOD = "lakewarden-server init"


@dataclass(frozen=True, slots=True)
class Bootstrapped:
    """The new admin and the text of its one-time token."""

    principal_id: str
    token: str
    lists_lifted: bool = False
    """Whether the account enforced its IP access lists and no longer does."""


def bootstrap(
    database: Database,
    keys: Keys,
    *,
    admin: str,
    kind: TokenKind = TokenKind.BOOTSTRAP,
    lifetime: timedelta = ONE_TIME_LIFETIME,
) -> Bootstrapped:
    """Creates the account admin `admin` (an email) and a token for it, in one transaction.

    Raises `InvalidName` for what is no email and FailedPrecondition(ALREADY_INITIALIZED) the second time, races included.
    """
    name = validate_email(admin)
    principal_id = new_id()
    text = mint(kind)
    with database.write(
        deadline=monotonic() + INITIALIZE_SECONDS,
        request_id="",
        actor_id=principal_id,
        policy_digest=load_policy().digest,
    ) as uow:
        claim(uow.connection, principal_id=principal_id, time=uow.time)
        remember_policy(uow.connection, policy_texts(), load_policy().digest)
        uow.session.add(Principal(id=principal_id, kind="USER", name=name, name_key=name_key(name)))
        uow.session.add(
            Grant(
                securable_id=ACCOUNT_ID,
                principal_id=principal_id,
                privilege="ADMIN",
                granted_by=principal_id,
                create_time=uow.time,
            )
        )
        uow.session.add(
            token_row(
                keys, text, principal_id=principal_id, now=uow.time, lifetime=lifetime, comment="bootstrap"
            )
        )
        uow.audit(_record(principal_id, name, METHOD, "bootstrap"))
        uow.commit()
    return Bootstrapped(principal_id, text.render())


def recover(
    database: Database, keys: Keys, *, admin: str, lift_ip_access_lists: bool = False
) -> Bootstrapped:
    """A new one-time token for an existing, active account admin: for an operator whose admins have all lost theirs.

    With `lift_ip_access_lists` the account no longer enforces its lists: for whose own networks are all refused, which no call can mend.
    Raises FailedPrecondition when `admin` is none. Audited under the admin's name.
    """
    text = mint(TokenKind.BOOTSTRAP)
    policy = load_policy()
    with database.read() as view:
        principal = load_snapshot(view.connection, head=view.head).principal_named(admin)
    if principal is None:
        raise FailedPrecondition(Reason.PRINCIPAL_UNKNOWN, f"there is no principal {admin!r}")
    with database.write(
        deadline=monotonic() + INITIALIZE_SECONDS,
        request_id="",
        actor_id=principal.id,
        policy_digest=policy.digest,
    ) as uow:
        decider = Decider(policy, load_snapshot(uow.connection, head=uow.previous))
        if not decider.atom(principal.id, None, ACCOUNT_ID, ACCOUNT_ADMIN):
            raise FailedPrecondition(Reason.PRIVILEGE_MISSING, f"{admin} is no active account admin")
        uow.session.add(
            token_row(
                keys,
                text,
                principal_id=principal.id,
                now=uow.time,
                lifetime=ONE_TIME_LIFETIME,
                comment="recovery",
            )
        )
        settings = uow.session.get(IpAccessSettings, ACCOUNT_ID)
        lifted = lift_ip_access_lists and settings is not None and settings.enforced
        if settings is not None and lifted:
            settings.enforced = False
        remember_policy(uow.connection, policy_texts(), policy.digest)
        detail = {"lifted": "ip access lists"} if lifted else {}
        uow.audit(_record(principal.id, principal.name, "lakewarden-server recover", "recover", **detail))
        uow.commit()
    return Bootstrapped(principal.id, text.render(), lifted)


def note_policy(database: Database, *, digest: str) -> None:
    """Makes a revision of the change to another policy: every revision was then decided by the policy it names.

    Of several servers that start at once one makes it.
    """
    with database.write(
        deadline=monotonic() + INITIALIZE_SECONDS, request_id="", actor_id="", policy_digest=digest
    ) as uow:
        before = newest_policy_digest(uow.connection) or ""
        if before == digest:
            return
        uow.audit(operator_record("lakewarden-server serve", "policy", before=before, digest=digest))
        uow.commit()


def operator_record(method: str, operation: str, **detail: str) -> AuditRecord:
    """What the operator of the server did to all of it."""
    return _record("", "operator", method, operation, **detail)


def _record(principal_id: str, name: str, method: str, operation: str, **detail: str) -> AuditRecord:
    return AuditRecord(
        actor_id=principal_id,
        actor_name=name,
        request_id="",
        method=method,
        operation=operation,
        object_kind="ACCOUNT",
        object_id=ACCOUNT_ID,
        object_name=ACCOUNT_ID,
        outcome="DONE",
        detail=dict(detail),
    )


def write_token_file(path: Path, token: str) -> None:
    """Writes the token with mode 0600, replacing an older one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(token + "\n")
