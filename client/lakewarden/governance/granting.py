"""How the grants of two documents differ, securable by securable and principal by principal. Used by the planner."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field

from lakewarden.governance.documents import Document, Grant, Identity, Terms
from lakewarden.governance.steps import GRANT, REVOKE, Step

ALL_PRIVILEGES = "ALL_PRIVILEGES"


@dataclass
class Difference:
    """What one principal is to be granted and what is to be revoked from it on one securable."""

    kind: str
    object: str
    principal: str
    securable: Identity
    granted: list[Grant] = field(default_factory=list)
    revoked: list[Grant] = field(default_factory=list)

    def steps(self) -> Iterator[Step]:
        """Grants and revokes together; grants of different terms are steps of their own."""
        by_terms: dict[Terms, list[Grant]] = {}
        for grant in sorted(self.granted, key=lambda grant: grant.privilege):
            by_terms.setdefault(grant.terms, []).append(grant)
        for number, granted in enumerate(list(by_terms.values()) or [[]]):
            yield self._step(granted, self.revoked if number == 0 else [])

    def grant_steps(self) -> Iterator[Step]:
        """The grants alone."""
        if self.granted:
            yield from Difference(
                self.kind, self.object, self.principal, self.securable, granted=self.granted
            ).steps()

    def revoke_steps(self) -> Iterator[Step]:
        """The revokes alone."""
        if self.revoked:
            yield self._step([], self.revoked)

    def _step(self, granted: list[Grant], revoked: list[Grant]) -> Step:
        return Step(
            GRANT if granted else REVOKE,
            self.kind,
            self.object,
            principal=self.principal,
            granted=tuple(granted),
            revoked=tuple(sorted(grant.privilege for grant in revoked)),
        )


def differences(
    wanted: Document, actual: Document, *, gone: Container[Identity], revocable: Callable[[Grant], bool]
) -> list[Difference]:
    """All differences that leave something to do, in a stable order; none on what is `gone` with its grants."""
    found: dict[tuple[Identity, str], Difference] = {}
    for key in sorted(set(wanted.grants) | set(actual.grants)):
        securable, principal, _ = key
        after, before = wanted.grants.get(key), actual.grants.get(key)
        grant = after or before
        if grant is None or securable in gone:
            continue
        difference = found.setdefault(
            (securable, principal), Difference(grant.kind, grant.object, grant.principal, securable)
        )
        if after is not None and (before is None or before.terms != after.terms):
            difference.granted.append(after)
        elif after is None and revocable(grant):
            difference.revoked.append(grant)
    for about, difference in found.items():
        if any(grant.privilege == ALL_PRIVILEGES for grant in difference.revoked):
            # Revoking it takes the privileges it implies with it, so what shall stay is granted in the same call.
            difference.granted = [grant for key, grant in sorted(wanted.grants.items()) if key[:2] == about]
    return [difference for difference in found.values() if difference.granted or difference.revoked]
