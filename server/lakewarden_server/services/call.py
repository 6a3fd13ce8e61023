"""What a service method is given besides its request: who calls, from where, what was decided, and the open transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar

from lakewarden_policy import Decider, Snapshot
from lakewarden_server.authn.authenticator import Caller
from lakewarden_server.authz.follower import Follower
from lakewarden_server.core.errors import (
    FailedPrecondition,
    Internal,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Reason,
)
from lakewarden_server.core.peers import Peer
from lakewarden_server.entities.base import ChangeLogged
from lakewarden_server.services.paging import Pager
from lakewarden_server.storage.unit_of_work import UnitOfWork, WriteUnit

Entity = TypeVar("Entity", bound=ChangeLogged)

ABOUT_WHAT_IS_READ: Final = (FailedPrecondition, InvalidArgument, NotFound, PermissionDenied)
"""What a service refuses for what there is in the database, or is not."""


class SnapshotBehind(Exception):
    """A row is newer or older than the snapshot that was decided on: the pipeline decides again."""


@dataclass(slots=True)
class Call:
    """One authorized call. Services read it and write through `uow`; only the pipeline makes one."""

    method: str
    caller: Caller
    decider: Decider
    now: datetime
    request_id: str
    deadline: float
    """Monotonic seconds."""
    workspace_id: str | None
    metastore_id: str | None
    """The metastore the calling workspace is attached to."""
    peer: Peer
    """Where the call came from."""
    objects: Mapping[str, str]
    """Ids bound by the method's rule: `self`, `parent`, `subject`, `workspace`."""
    page_key: bytes = field(repr=False)
    follower: Follower
    prepared: Any = None
    """What the method's `prepare_` function made of the request before any lock was taken."""
    transaction: UnitOfWork | None = None
    opening: Callable[[], UnitOfWork] | None = None
    """Opens the transaction of a call that reads: one that is refused for what the state in memory says needs none."""
    detail: dict[str, Any] = field(default_factory=dict)
    """Facts for the audit record."""

    @property
    def snapshot(self) -> Snapshot:
        """The state the call was decided on."""
        return self.decider.snapshot

    @property
    def revision(self) -> str:
        """What the call was decided at, as `<epoch>:<number>`."""
        return f"{self.snapshot.head.epoch}:{self.snapshot.head.revision}"

    @property
    def uow(self) -> UnitOfWork:
        """The open transaction; read-only unless the method's rule says `write`. One that reads is opened when it is asked for first."""
        if self.transaction is None:
            if self.opening is None:
                raise Internal(Reason.INTERNAL_ERROR, f"{self.method} has no open transaction")
            self.transaction = self.opening()
        return self.transaction

    @property
    def write(self) -> WriteUnit:
        """The open write transaction."""
        if not isinstance(self.transaction, WriteUnit):
            raise Internal(Reason.INTERNAL_ERROR, f"{self.method} has no write transaction")
        return self.transaction

    @contextmanager
    def as_decided(self, revision: int) -> Iterator[None]:
        """The snapshot rule (promise G1) for a read: nothing is told that is newer than the state of `revision`, which was decided on.

        Raises `SnapshotBehind`.
        """
        try:
            yield
        except ABOUT_WHAT_IS_READ:
            # That something is not there no row says: the refusal may be newer than every row that was read.
            if self.transaction is not None and self.transaction.revision > revision:
                raise SnapshotBehind from None
            raise
        if self.transaction is not None and self.transaction.newest_revision > revision:
            raise SnapshotBehind

    @property
    def pager(self) -> Pager:
        """Reads and writes the page tokens of this method, caller, workspace and history."""
        scope = (self.method, self.caller.id, self.workspace_id or "", self.snapshot.head.epoch)
        return Pager(self.page_key, "\0".join(scope))

    @property
    def subject(self) -> str | None:
        """Id of whose rights are asked about; to an engine, somebody who is not assigned to its workspace is nobody."""
        subject = self.objects.get("subject")
        if subject in (None, self.caller.id):
            return subject
        assigned = self.workspace_id and self.decider.reach.is_assigned(subject or "", self.workspace_id)
        return subject if assigned else None

    @property
    def self_id(self) -> str:
        """Id of the object the call is about."""
        return self.objects["self"]

    @property
    def parent_id(self) -> str:
        """Id of the container the call creates or lists in."""
        return self.objects["parent"]

    def principal_name(self, principal_id: str | None) -> str:
        """Display name of a principal, or its id when it is gone."""
        principal = self.snapshot.principals.get(principal_id or "")
        return principal.name if principal else principal_id or ""

    def row(self, entity_class: type[Entity], entity_id: str) -> Entity:
        """A row the decision covers. Raises `SnapshotBehind` for one that is gone."""
        entity = self.uow.session.get(entity_class, entity_id)
        if entity is None or getattr(entity, "deleted_time", None) is not None:
            raise SnapshotBehind
        return entity

    def rows(self, entities: Sequence[Entity], *, expected: int) -> Sequence[Entity]:
        """As many rows as the decision covers. Raises `SnapshotBehind` when some are gone; newer ones the pipeline finds."""
        if len(entities) != expected:
            raise SnapshotBehind
        return entities
