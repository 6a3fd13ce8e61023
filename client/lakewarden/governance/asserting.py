"""Asks a server the questions that files assert the answers of, many in one call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from lakewarden._errors import LakewardenError, NotFound, PermissionDenied
from lakewarden.governance.documents import Assertion
from lakewarden.governance.nouns import NOUNS
from lakewarden.governance.server import Principals

if TYPE_CHECKING:
    from lakewarden._client import Client

QUESTIONS_MAX = 1_000
"""In one BatchCheck."""


class Outcome(NamedTuple):
    """An assertion and what the server says."""

    assertion: Assertion
    allowed: bool
    reason: str
    fixes: tuple[str, ...]
    exists: bool = True

    @property
    def passed(self) -> bool:
        """Whether the answer is the expected one, and about something that exists."""
        return self.exists and self.allowed == self.assertion.allow

    def record(self) -> dict[str, Any]:
        """The outcome as plain data, for JSON and its like."""
        asked = self.assertion
        return {
            "passed": self.passed,
            "principal": asked.principal,
            "privilege": asked.privilege,
            "kind": asked.kind,
            "object": asked.object,
            "workspace": asked.workspace,
            "expected": _word(asked.allow),
            "actual": _word(self.allowed) if self.exists else "absent",
            "reason": self.reason,
            "fixes": list(self.fixes),
            "why": asked.reason,
            "place": str(asked.place),
        }


class _Access(NamedTuple):
    """What BatchCheck takes."""

    full_name: str
    privilege: str
    securable_type: str


def ask(client: Client, assertions: Sequence[Assertion]) -> Iterator[Outcome]:
    """Yield the outcome of each assertion, in their order. Raises LakewardenError, with a note that names the assertion."""
    if not assertions:
        return
    principals = Principals(client.with_workspace(""))
    answers: dict[int, Outcome] = {}
    together: dict[tuple[str, str], list[int]] = {}
    for number, asked in enumerate(assertions):
        together.setdefault((asked.workspace or client.workspace, asked.principal), []).append(number)
    for (workspace, principal), numbers in together.items():
        left = iter(numbers)
        while chunk := list(islice(left, QUESTIONS_MAX)):
            answers.update(_batch(client.with_workspace(workspace), principals, principal, chunk, assertions))
    yield from (answers[number] for number in range(len(assertions)))


def _batch(
    client: Client,
    principals: Principals,
    principal: str,
    numbers: Sequence[int],
    assertions: Sequence[Assertion],
) -> Iterator[tuple[int, Outcome]]:
    """The outcomes of questions about one principal in one workspace."""
    asked = [assertions[number] for number in numbers]
    accesses = [_Access(each.object, each.privilege, each.kind) for each in asked]
    try:
        verdicts = client.authorization.batch_check(accesses, subject=principals.on_server(principal))
    except LakewardenError as error:
        if not getattr(error, "__notes__", None) and error.reason != "WORKSPACE_DENIED":
            error.add_note(
                f"Asked at {asked[0].place}, about {principal} from workspace {client.workspace or '(none)'}. "
                "Asking about somebody else needs the role QUERY_ENGINE there."
            )
        raise
    for number, each, verdict in zip(numbers, asked, verdicts, strict=True):
        # A denial about a name that does not exist would pass for a rule that holds.
        exists = verdict.allowed or _may_exist(client, each)
        reason = verdict.reason if exists else f"there is no {each.kind} {each.object}"
        yield number, Outcome(each, verdict.allowed, reason, verdict.fixes if exists else (), exists)


def _may_exist(client: Client, asked: Assertion) -> bool:
    """Whether the object exists, or the caller may not know that it does not."""
    if asked.kind not in NOUNS:
        return True
    try:
        getattr(client, NOUNS[asked.kind].resource).get(asked.object)
    except NotFound:
        return False
    except PermissionDenied:
        return True
    return True


def _word(allowed: bool) -> str:
    return "allow" if allowed else "deny"
