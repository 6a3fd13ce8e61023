"""Why an operation is denied: the nearest alternative, what it lacks, and the smallest set of grants that supplies it.

Only for callers who may see the object (DESIGN 2); the server decides that before it asks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lakewarden_policy.decide import Decider, Missing
from lakewarden_policy.kinds import KINDS
from lakewarden_policy.needs import Need
from lakewarden_policy.operations import REFERENCED_KINDS, Atom
from lakewarden_policy.policy import show_privilege
from lakewarden_policy.privileges import AS_OWNER
from lakewarden_policy.reach import Unreached
from lakewarden_policy.records import Row
from lakewarden_policy.remedies import grant_for

_WORKSPACE_OBSTACLES = frozenset(
    {Unreached.NO_WORKSPACE, Unreached.UNKNOWN_WORKSPACE, Unreached.NOT_ATTACHED}
)


class Explanation(NamedTuple):
    """An answer with its reason: rows that prove an allow, or what is missing and the GRANT statements that help."""

    allowed: bool
    message: str
    proof: tuple[Row, ...]
    missing: tuple[Missing, ...]
    statements: tuple[str, ...]


class _Question(NamedTuple):
    subject_id: str
    workspace_id: str | None
    objects: Mapping[str, str]
    references: Sequence[str] = ()


def explain_operation(
    decider: Decider, subject_id: str, workspace_id: str | None, operation: str, objects: Mapping[str, str],
    *, selector: str | None = None, references: Sequence[str] = (),
) -> Explanation:  # fmt: skip
    """Decide an operation and say why. Raises UnknownOperation."""
    decision = decider.operation(
        subject_id, workspace_id, operation, objects, selector=selector, references=references
    )
    if decision.allowed:
        return Explanation(True, "allowed", decision.proof, (), ())
    found = decider.policy.operation(operation, selector)
    target = objects.get("self") or objects.get("parent")
    what = f"{found.name} denied{_on(decider, target)}"
    question = _Question(subject_id, workspace_id, objects, references)
    return _explain(decider, question, found.alternatives, what)


def explain_privilege(
    decider: Decider, subject_id: str, workspace_id: str | None, object_id: str, privilege: str
) -> Explanation:
    """Decide the use of a privilege (stored spelling) and say why."""
    decision = decider.privilege(subject_id, workspace_id, object_id, privilege)
    if decision.allowed:
        return Explanation(True, "allowed", decision.proof, (), ())
    what = f"{show_privilege(privilege)} denied{_on(decider, object_id)}"
    securable = decider.snapshot.securables.get(object_id)
    atoms = decider.policy.gated.get(f"{securable.kind}:{privilege}") if securable else None
    if atoms is None:
        return Explanation(
            False, f"{what}: it is not a privilege on such an object.", (), decision.missing, ()
        )
    question = _Question(subject_id, workspace_id, {"self": object_id})
    if any(missing.subject_id is not None for missing in decision.missing):
        return _explain_owner(decider, question, decision.missing, what)
    return _explain(decider, question, (atoms,), what)


def quote_principal(name: str) -> str:
    """A principal's name as GRANT statements spell it; names hold no backtick, so none is escaped."""
    return f"`{name}`"


def _explain(
    decider: Decider, question: _Question, alternatives: tuple[tuple[Atom, ...], ...], what: str
) -> Explanation:
    candidates = [_missing(decider, question, alternative) for alternative in alternatives]
    # Fewest missing atoms first; among equals, one that a grant can supply.
    nearest = min(
        candidates,
        key=lambda missing: (len(missing), not _statements(decider, question, missing)),
        default=(),
    )
    owned = tuple(missing for missing in nearest if missing.subject_id is not None)
    if owned and len(owned) == len(nearest):
        return _explain_owner(decider, question, owned, what)
    # What somebody else lacks is told only when the asker lacks nothing, and never as something of the asker's.
    nearest = tuple(missing for missing in nearest if missing.subject_id is None)
    obstacle = _obstacle(decider, question, nearest)
    if obstacle is not None:
        reason, statements = _explain_obstacle(decider, question, obstacle)
    else:
        reason = (
            "no " + ", no ".join(_describe(decider, atom) for atom in nearest)
            if nearest
            else "nothing allows it"
        )
        statements = _statements(decider, question, nearest)
        if owned:
            # Grants to the asker alone would not help.
            statements = ()
            reason += ", and what would run with its owner's rights may not use all that it references"
    asks = f" Ask {_whom(nearest, obstacle)} for: {'; '.join(statements)}" if statements else ""
    return Explanation(False, f"{what}: {reason}.{asks}", (), nearest, statements)


def _explain_owner(
    decider: Decider, question: _Question, missing: tuple[Missing, ...], what: str
) -> Explanation:
    """The asker lacks nothing; the owner does. What that is, is told only where the asker may see the object."""
    first = missing[0]
    owner = decider.snapshot.principals.get(first.subject_id or "")
    name = owner.name if owner else "its owner"
    seen = first.object_id and decider.visible(question.subject_id, question.workspace_id, first.object_id)
    if not owner or not seen:
        reason = f"{name}, with whose rights it runs, may not use all that it references"
        return Explanation(False, f"{what}: {reason}.", (), missing, ())
    as_owner = question._replace(subject_id=owner.id)
    obstacle = _obstacle(decider, as_owner, (first._replace(subject_id=None),))
    if obstacle is not None:
        # No grant to the owner helps while the workspace rule says no to the owner.
        reason, statements = _explain_obstacle(decider, as_owner, obstacle)
        asks = f" Ask {_whom((), obstacle)} for: {'; '.join(statements)}" if statements else ""
        return Explanation(
            False, f"{what}: it runs with the rights of {name}: {reason}.{asks}", (), missing, statements
        )
    # Of the first alone: of the next, the owner may be another and the object hidden.
    statements = _statements(decider, as_owner, (first,))
    reason = f"{name}, with whose rights it runs, has no {_describe(decider, first)}"
    asks = f" Ask {_whom((first,), None)} for: {'; '.join(statements)}" if statements else ""
    return Explanation(False, f"{what}: {reason}.{asks}", (), missing, statements)


def _missing(decider: Decider, question: _Question, alternative: tuple[Atom, ...]) -> tuple[Missing, ...]:
    found: list[Missing] = []
    for atom in alternative:
        if atom.name in REFERENCED_KINDS:
            found.extend(
                decider.each_reference(
                    question.subject_id, question.workspace_id, atom, question.references
                ).missing
            )
            continue
        object_id = decider.bind(atom, question.objects)
        if atom.act == AS_OWNER:
            found.extend(decider.owner_may(question.workspace_id, object_id).missing)
            continue
        asked = decider.atom if atom.held else decider.reach
        if object_id is None or not asked(question.subject_id, question.workspace_id, object_id, atom.act):
            found.append(Missing(object_id, atom.act))
    return tuple(dict.fromkeys(found))


def _obstacle(decider: Decider, question: _Question, missing: tuple[Missing, ...]) -> Unreached | None:
    """The workspace rule comes first: no grant helps while it says no."""
    for object_id, act, owner_id in missing:
        if object_id is not None and owner_id is None:
            obstacle = decider.reach.obstacle(question.subject_id, question.workspace_id, object_id, act)
            if obstacle is not None:
                return obstacle
    return None


def _explain_obstacle(
    decider: Decider, question: _Question, obstacle: Unreached
) -> tuple[str, tuple[str, ...]]:
    snapshot = decider.snapshot
    if obstacle is Unreached.NOT_ASSIGNED and question.workspace_id:
        workspace = snapshot.securables[question.workspace_id].name
        name = snapshot.principals[question.subject_id].name
        statement = f"GRANT USER ON WORKSPACE {workspace} TO {quote_principal(name)}"
        return f"{name} is not assigned to workspace {workspace}", (statement,)
    if obstacle in _WORKSPACE_OBSTACLES:
        return f"{obstacle.value}; work from a workspace attached to it", ()
    return obstacle.value, ()


def _describe(decider: Decider, missing: Missing) -> str:
    grantable = _grantable(decider, missing)
    if grantable is None:
        return f"{show_privilege(missing.act.partition(':')[2])}{_on(decider, missing.object_id, kind=False)}"
    object_id, privilege = grantable
    return f"{show_privilege(privilege)}{_on(decider, object_id, kind=False)}"


def _statements(decider: Decider, question: _Question, missing: tuple[Missing, ...]) -> tuple[str, ...]:
    """One GRANT per missing atom; empty when one of them cannot be granted, since the others alone would not help."""
    subject = decider.snapshot.principals.get(question.subject_id)
    grants = [_grantable(decider, atom) for atom in missing]
    if subject is None or not all(grants):
        return ()
    return tuple(
        f"GRANT {show_privilege(privilege)} ON {_kind_words(decider, object_id)} "
        f"{decider.snapshot.full_name(object_id)} TO {quote_principal(subject.name)}"
        for object_id, privilege in dict.fromkeys(grant for grant in grants if grant)
    )


def _grantable(decider: Decider, missing: Missing) -> tuple[str, str] | None:
    """Where to grant what so that the atom holds."""
    if missing.object_id is None:
        return None
    remedy = grant_for(decider, Need("", missing.object_id, missing.act))
    return (remedy.object_id, remedy.privilege or "") if remedy else None


def _on(decider: Decider, object_id: str | None, *, kind: bool = True) -> str:
    securable = decider.snapshot.securables.get(object_id or "")
    if securable is None:
        return ""
    name = decider.snapshot.full_name(securable.id)
    return f" on {KINDS[securable.kind].label} {name}" if kind else f" on {name}"


def _kind_words(decider: Decider, object_id: str) -> str:
    return KINDS[decider.snapshot.securables[object_id].kind].label.upper()


def _whom(missing: tuple[Missing, ...], obstacle: Unreached | None) -> str:
    if obstacle is not None:
        return "a workspace admin"
    if any(atom.act.startswith("ACCOUNT:") for atom in missing):
        return "an account admin"
    return "its owner" if len(missing) == 1 else "their owners"
