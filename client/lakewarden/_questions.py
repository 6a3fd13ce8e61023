"""The questions about access beyond yes and no: why, who, what, which of these, and what if."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from lakewarden._authorization import Authorization, Verdict, change, securable_type
from lakewarden._paging import pages
from lakewarden._times import as_of_fields
from lakewarden.v1 import authorization_pb2, grants_pb2


@dataclass(frozen=True)
class Simulation:
    """What would be answered, and what is answered now."""

    verdict: Verdict
    allowed_now: bool

    def __bool__(self) -> bool:
        return self.verdict.allowed


class Questions(Authorization):
    """All questions about access. `subject` None asks about the caller; who may ask about others is said with each."""

    def explain(
        self,
        privilege: str,
        kind: str,
        full_name: str,
        *,
        subject: str | None = None,
        workspace: str | None = None,
    ) -> authorization_pb2.ExplainResponse:
        """Say why: the proof of a yes; for a no everything missing, the changes that would help, and who can make them.

        For oneself, for who may grant on the securable, and for engines. `workspace` asks about another one than calls come from.
        """
        request = authorization_pb2.ExplainRequest(
            subject=subject or "",
            securable_type=securable_type(kind),
            full_name=full_name,
            privilege=privilege,
            workspace=workspace or "",
        )
        reply: authorization_pb2.ExplainResponse = self._connection.call(self._stub.Explain, request)
        return reply

    def simulate(
        self,
        privilege: str,
        kind: str,
        full_name: str,
        *,
        subject: str | None = None,
        grants: Iterable[authorization_pb2.SimulatedGrant] = (),
        memberships: Iterable[authorization_pb2.SimulatedMembership] = (),
    ) -> Simulation:
        """Answer `check` as if some grants and memberships had changed; nothing is stored. See `grant_if` and `member_if`."""
        request = authorization_pb2.SimulateRequest(
            subject=subject or "",
            securable_type=securable_type(kind),
            full_name=full_name,
            privilege=privilege,
            grants=list(grants),
            memberships=list(memberships),
        )
        reply = self._connection.call(self._stub.Simulate, request)
        told = reply.verdict
        verdict = Verdict(told.allowed, told.reason, tuple(told.fixes), reply.revision)
        return Simulation(verdict, reply.allowed_now)

    def filter_securables(
        self, kind: str, full_names: Sequence[str], privilege: str = "", *, subject: str | None = None
    ) -> list[str]:
        """Return those of up to 100,000 full names on which the privilege may be used; without one, those that may be seen."""
        request = authorization_pb2.FilterSecurablesRequest(
            subject=subject or "",
            securable_type=securable_type(kind),
            privilege=privilege,
            full_names=full_names,
        )
        reply = self._connection.call(self._stub.FilterSecurables, request)
        return [full_names[index] for index in reply.indices]

    def list_accessible(
        self,
        kind: str,
        privilege: str = "",
        *,
        parent: str = "",
        subject: str | None = None,
        page_size: int = 0,
        limit: int | None = None,
    ) -> Iterator[str]:
        """Yield the full names below `parent` on which the privilege may be used; without one, those that may be seen."""
        wanted = securable_type(kind)

        def fetch(size: int, token: str) -> tuple[list[str], str]:
            request = authorization_pb2.ListAccessibleRequest(
                subject=subject or "",
                securable_type=wanted,
                privilege=privilege,
                parent=parent,
                page_size=size,
                page_token=token,
            )
            reply = self._connection.call(self._stub.ListAccessible, request)
            return [*reply.full_names], reply.next_page_token

        return pages(fetch, page_size=page_size, limit=limit)

    def list_principals(
        self,
        privilege: str,
        kind: str,
        full_name: str,
        *,
        as_of: datetime | str | int | None = None,
        page_size: int = 0,
        limit: int | None = None,
    ) -> Iterator[authorization_pb2.AllowedPrincipal]:
        """Yield the users and service principals that may use the privilege from this workspace, each with what it rests on.

        `as_of` is an earlier time or revision to answer from, for account admins; now when it is None.
        """
        wanted = securable_type(kind)

        def fetch(size: int, token: str) -> tuple[list[authorization_pb2.AllowedPrincipal], str]:
            request = authorization_pb2.ListPrincipalsRequest(
                securable_type=wanted,
                full_name=full_name,
                privilege=privilege,
                page_size=size,
                page_token=token,
                **as_of_fields(as_of),
            )
            reply = self._connection.call(self._stub.ListPrincipals, request)
            return [*reply.principals], reply.next_page_token

        return pages(fetch, page_size=page_size, limit=limit)

    def watch_policy(
        self, *, position: str = "", page_token: str = ""
    ) -> authorization_pb2.WatchPolicyResponse:
        """What changed for the calling engine's workspace since a position; `lakewarden.replica` is what reads it."""
        request = authorization_pb2.WatchPolicyRequest(position=position, page_token=page_token)
        reply: authorization_pb2.WatchPolicyResponse = self._connection.call(self._stub.WatchPolicy, request)
        return reply


def grant_if(
    privileges: str | Iterable[str], kind: str, full_name: str, principal: str, *, revoke: bool = False
) -> authorization_pb2.SimulatedGrant:
    """A grant, or with `revoke` a revoke, for `Questions.simulate`."""
    action = grants_pb2.GrantChange.REVOKE if revoke else grants_pb2.GrantChange.GRANT
    return authorization_pb2.SimulatedGrant(
        securable_type=securable_type(kind),
        full_name=full_name,
        change=change(action, principal, privileges),
    )


def member_if(group: str, member: str, *, remove: bool = False) -> authorization_pb2.SimulatedMembership:
    """A member added to a group, or with `remove` removed, for `Questions.simulate`."""
    return authorization_pb2.SimulatedMembership(group=group, member=member, remove=remove)
