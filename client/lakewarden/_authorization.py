"""Grants, and the questions an engine asks: check, batch check and the authorization of a whole plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from lakewarden._connection import Connection
from lakewarden._errors import InvalidArgument
from lakewarden._paging import pages
from lakewarden._times import as_of_fields
from lakewarden.v1 import authorization_pb2, authorization_pb2_grpc, grants_pb2, grants_pb2_grpc


class PlanAccess(Protocol):
    """One use of one privilege, as an engine describes it; `securable_type` is e.g. `TABLE`."""

    @property
    def full_name(self) -> str:
        """Dotted full name of the securable."""

    @property
    def privilege(self) -> str:
        """The privilege used."""

    @property
    def securable_type(self) -> str:
        """Kind of the securable."""


@dataclass(frozen=True)
class Verdict:
    """Yes or no, and why not. True in a condition when allowed."""

    allowed: bool
    reason: str
    fixes: tuple[str, ...]
    revision: str

    def __bool__(self) -> bool:
        return self.allowed


@dataclass(frozen=True)
class Denial:
    """One access of a plan that was refused; `fix` holds the GRANT statements that would allow it."""

    full_name: str
    privilege: str
    reason: str
    fix: str


@dataclass(frozen=True)
class PlanRelation:
    """A view, or something that a view reads, as it must be read for the subject of the plan."""

    full_name: str
    kind: str
    definition: str
    """Of a view: the SELECT to put in its place, every name in full, in `dialect`."""
    dialect: str
    columns: tuple[str, ...]
    """Of a view: the names of its columns; empty when they are those of the SELECT."""
    row_filter: str
    column_masks: Mapping[str, str]


@dataclass(frozen=True)
class PlanFunction:
    """A function as it must be computed for the subject of the plan."""

    parameters: tuple[str, ...]
    definition: str
    """DuckDB SQL expression over the parameters, whose names stand in quotes."""


@dataclass(frozen=True)
class PlanAnswer:
    """The answer to a whole plan, which an engine starts at once: it is of `revision`, and nobody promises the next one."""

    allowed: bool
    denials: tuple[Denial, ...]
    revision: str
    row_filters: Mapping[str, str] = field(default_factory=dict)
    """Full name -> SQL condition. The engine adds each to the rows it reads, or refuses the plan."""
    column_masks: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Full name -> column -> SQL expression. The engine shows each in the column's place, or refuses the plan."""
    relations: Mapping[str, PlanRelation] = field(default_factory=dict)
    """Full name -> each view of the plan and what views read, for an engine that expands them."""
    functions: Mapping[str, PlanFunction] = field(default_factory=dict)
    """Full name -> each function the plan calls, for an engine that expands them."""

    def __bool__(self) -> bool:
        return self.allowed


def securable_type(name: str) -> grants_pb2.SecurableType.ValueType:
    """The enum value for `table`, `TABLE` … Raises InvalidArgument."""
    kinds = dict(grants_pb2.SecurableType.items())
    key, unspecified = name.upper(), grants_pb2.SECURABLE_TYPE_UNSPECIFIED
    if kinds.get(key, unspecified) == unspecified:
        known = ", ".join(kind.lower() for kind, value in kinds.items() if value != unspecified)
        raise InvalidArgument(f"{name!r} is no kind of securable; there are {known}", reason="FIELD_INVALID")
    return kinds[key]


class Grants:
    """Who holds which privilege on what."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = grants_pb2_grpc.GrantServiceStub(connection.open_channel)

    def grant(
        self,
        privileges: str | Iterable[str],
        kind: str,
        full_name: str,
        principal: str,
        *,
        expire_time: datetime | None = None,
        reason: str = "",
    ) -> list[grants_pb2.PrivilegeAssignment]:
        """Grant one or several privileges on a securable to a principal; returns what it holds there now.

        With an aware `expire_time` the grant ends by itself, by the server's database clock.
        """
        made = change(
            grants_pb2.GrantChange.GRANT, principal, privileges, expire_time=expire_time, reason=reason
        )
        return self.update(kind, full_name, [made])

    def revoke(
        self, privileges: str | Iterable[str], kind: str, full_name: str, principal: str
    ) -> list[grants_pb2.PrivilegeAssignment]:
        """Revoke privileges; returns what the principal still holds there. Revoking what is absent changes nothing."""
        return self.update(kind, full_name, [change(grants_pb2.GrantChange.REVOKE, principal, privileges)])

    def update(
        self, kind: str, full_name: str, changes: Iterable[grants_pb2.GrantChange]
    ) -> list[grants_pb2.PrivilegeAssignment]:
        """Make several changes on one securable, all or none; returns what each named principal holds there now."""
        request = grants_pb2.UpdateGrantsRequest(
            securable_type=securable_type(kind), full_name=full_name, changes=list(changes)
        )
        return list(self._connection.call(self._stub.UpdateGrants, request).assignments)

    def list(
        self,
        kind: str,
        full_name: str,
        principal: str | None = None,
        *,
        include_deleted_principals: bool = False,
        page_size: int = 0,
        limit: int | None = None,
    ) -> Iterator[grants_pb2.PrivilegeAssignment]:
        """Yield the grants made on the securable itself, one row for each principal, by name; a deleted one's by id, on demand."""
        wanted = securable_type(kind)

        def fetch(size: int, token: str) -> tuple[list[grants_pb2.PrivilegeAssignment], str]:
            request = grants_pb2.ListGrantsRequest(
                securable_type=wanted,
                full_name=full_name,
                principal=principal or "",
                include_deleted_principals=include_deleted_principals,
                page_size=size,
                page_token=token,
            )
            reply = self._connection.call(self._stub.ListGrants, request)
            return [*reply.assignments], reply.next_page_token

        return pages(fetch, page_size=page_size, limit=limit)

    def effective(
        self, kind: str, full_name: str, principal: str | None = None
    ) -> tuple[grants_pb2.EffectivePrivilege, ...]:
        """Return every privilege a principal (None: the caller) holds on a securable, with where each comes from."""
        request = grants_pb2.ListEffectivePrivilegesRequest(
            securable_type=securable_type(kind), full_name=full_name, principal=principal or ""
        )
        return tuple(self._connection.call(self._stub.ListEffectivePrivileges, request).privileges)


def change(
    action: grants_pb2.GrantChange.Action.ValueType,
    principal: str,
    privileges: str | Iterable[str],
    *,
    expire_time: datetime | None = None,
    reason: str = "",
) -> grants_pb2.GrantChange:
    """One change for `Grants.update`. Raises InvalidArgument for a time without a zone."""
    names = [privileges] if isinstance(privileges, str) else list(privileges)
    made = grants_pb2.GrantChange(action=action, principal=principal, privileges=names, reason=reason)
    if expire_time is not None:
        if expire_time.tzinfo is None:
            raise InvalidArgument("expire_time has no zone: give an aware time", reason="FIELD_INVALID")
        made.expire_time.FromDatetime(expire_time)
    return made


class Authorization:
    """The questions about access. `subject` None asks about the caller; another subject needs QUERY_ENGINE."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = authorization_pb2_grpc.AuthorizationServiceStub(connection.open_channel)

    def check(
        self,
        privilege: str,
        kind: str,
        full_name: str,
        *,
        subject: str | None = None,
        explain: bool = True,
        as_of: datetime | str | int | None = None,
    ) -> Verdict:
        """May the subject use this privilege on this securable, every gate included?

        `explain=False` leaves reason and fixes out of a denial, which makes it several times cheaper. `as_of` is an
        earlier time or revision to answer from, for account admins and about any subject; now when it is None.
        """
        request = authorization_pb2.CheckRequest(
            subject=subject or "",
            access=access(privilege, kind, full_name),
            explain=explain,
            **as_of_fields(as_of),
        )
        reply = self._connection.call(self._stub.Check, request)
        return _verdict(reply.verdict, reply.revision)

    def batch_check(
        self, accesses: Iterable[PlanAccess], *, subject: str | None = None, explain: bool = True
    ) -> list[Verdict]:
        """Answer up to 1,000 checks at one revision, in the order asked; `explain` as for `check`."""
        request = authorization_pb2.BatchCheckRequest(
            subject=subject or "", accesses=_accesses(accesses), explain=explain
        )
        reply = self._connection.call(self._stub.BatchCheck, request)
        return [_verdict(verdict, reply.revision) for verdict in reply.verdicts]

    def authorize_plan(
        self, accesses: Iterable[PlanAccess], *, subject: str | None = None, capabilities: Iterable[str] = ()
    ) -> PlanAnswer:
        """Decide everything a query plan accesses: allowed only if each access is.

        `capabilities` names what the engine applies itself: `ROW_FILTER`, `COLUMN_MASK`, `VIEW_EXPANSION`,
        `FUNCTION_EXPANSION`.
        """
        wanted = _accesses(accesses)
        request = authorization_pb2.AuthorizePlanRequest(
            subject=subject or "", accesses=wanted, capabilities=[_capability(name) for name in capabilities]
        )
        reply = self._connection.call(self._stub.AuthorizePlan, request)
        answers = list(zip(wanted, reply.verdicts, strict=True))
        denials = tuple(
            Denial(asked.full_name, asked.privilege, verdict.reason, "; ".join(verdict.fixes))
            for asked, verdict in answers
            if not verdict.allowed
        )
        # The plan's own word and its parts must both say yes: an answer that contradicts itself is a denial.
        return PlanAnswer(
            reply.allowed and not denials,
            denials,
            reply.revision,
            {asked.full_name: verdict.row_filter for asked, verdict in answers if verdict.row_filter},
            {
                asked.full_name: dict(verdict.column_masks)
                for asked, verdict in answers
                if verdict.column_masks
            },
            {
                relation.full_name: _relation(relation)
                for _, verdict in answers
                for relation in verdict.relations
            },
            {
                asked.full_name: PlanFunction(tuple(verdict.function.parameters), verdict.function.definition)
                for asked, verdict in answers
                if verdict.HasField("function")
            },
        )


def access(privilege: str, kind: str, full_name: str) -> authorization_pb2.Access:
    """One access as the wire has it."""
    return authorization_pb2.Access(
        securable_type=securable_type(kind), full_name=full_name, privilege=privilege
    )


def _accesses(accesses: Iterable[PlanAccess]) -> list[authorization_pb2.Access]:
    return [access(asked.privilege, asked.securable_type, asked.full_name) for asked in accesses]


def _verdict(verdict: authorization_pb2.Verdict, revision: str) -> Verdict:
    return Verdict(verdict.allowed, verdict.reason, tuple(verdict.fixes), revision)


def _relation(relation: authorization_pb2.PlanRelation) -> PlanRelation:
    return PlanRelation(
        relation.full_name,
        grants_pb2.SecurableType.Name(relation.securable_type),
        relation.definition,
        relation.dialect,
        tuple(relation.columns),
        relation.row_filter,
        dict(relation.column_masks),
    )


def _capability(name: str) -> authorization_pb2.EngineCapability.ValueType:
    capabilities = dict(authorization_pb2.EngineCapability.items())
    if name not in capabilities:
        known = ", ".join(sorted(capabilities))
        raise InvalidArgument(f"{name!r} is no engine capability; there are {known}", reason="FIELD_INVALID")
    return capabilities[name]
