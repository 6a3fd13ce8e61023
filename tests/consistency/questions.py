"""Every way in which a storm asks about a right; each answers with yes or no, whatever a no looks like on the wire."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

from consistency.rights import Right
from lakewarden import Client, NotFound, PermissionDenied, Unauthenticated

REFUSALS = (NotFound, PermissionDenied, Unauthenticated)

Ask = Callable[[Client, Right, str, str | None], bool]
"""Asks with a client about a right, the securable under the given name, for the subject or, without one, for the caller."""


def _accesses(right: Right, name: str) -> list[SimpleNamespace]:
    return [SimpleNamespace(full_name=name, privilege=right.privilege, securable_type=right.kind)] * 2


def _check(client: Client, right: Right, name: str, subject: str | None) -> bool:
    return bool(client.authorization.check(right.privilege, right.kind, name, subject=subject, explain=False))


def _batch(client: Client, right: Right, name: str, subject: str | None) -> bool:
    verdicts = client.authorization.batch_check(_accesses(right, name), subject=subject, explain=False)
    first, second = (bool(verdict) for verdict in verdicts)
    if first is not second:
        raise AssertionError(f"two equal questions of one batch got two answers: {right.key}")
    return first


def _plan(client: Client, right: Right, name: str, subject: str | None) -> bool:
    return bool(client.authorization.authorize_plan(_accesses(right, name), subject=subject))


def _filter(client: Client, right: Right, name: str, subject: str | None) -> bool:
    return bool(client.authorization.filter_securables(right.kind, [name], right.privilege, subject=subject))


def _get(client: Client, right: Right, name: str, _subject: str | None) -> bool:
    resource = client.catalogs if right.kind == "catalog" else client.tables
    return bool(resource.get(name).full_name)


def _list(client: Client, right: Right, name: str, _subject: str | None) -> bool:
    if right.kind == "catalog":
        return any(found.full_name == name for found in client.catalogs.list())
    return any(found.full_name == name for found in client.tables.list(right.parent, omit_columns=True))


BY_ENGINE: dict[str, Ask] = {"check": _check, "batch": _batch, "plan": _plan, "filter": _filter}
"""What an engine asks for somebody else, and anybody for themselves."""
BY_PERSON: dict[str, Ask] = {"get": _get, "list": _list}
"""What only the person itself can ask, with its own token."""
BOUNDED = frozenset(BY_ENGINE)
"""What may be asked with bounded freshness: what is answered from memory alone."""


def ways(right: Right) -> list[str]:
    """How a right can be asked about. Whoever is disabled loses its tokens for good, and has none to ask with when it is enabled."""
    return [*BY_ENGINE] if right.lever == "principal" else [*BY_ENGINE, *BY_PERSON]


def answer(ask: Ask, client: Client, right: Right, name: str, subject: str | None) -> bool:
    """The answer; a refusal of the whole call is a no. Raises what else the call fails with."""
    try:
        return ask(client, right, name, subject)
    except REFUSALS:
        return False
