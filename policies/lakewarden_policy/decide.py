"""Decisions: an index proposes candidate rows, the compiled Casbin matcher has the last word on each (DESIGN 5.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final, NamedTuple

from lakewarden_policy.kinds import ACCOUNT_ID
from lakewarden_policy.matcher import Relations
from lakewarden_policy.operations import DERIVED_KINDS, REFERENCED_KINDS, Atom
from lakewarden_policy.policy import Policy
from lakewarden_policy.privileges import AS_OWNER
from lakewarden_policy.reach import Reach
from lakewarden_policy.records import Row, Securable
from lakewarden_policy.siblings import Access, Asked
from lakewarden_policy.snapshot import Snapshot

_NOT_ENTERED: Final[frozenset[str]] = frozenset()
STANDING_KEPT_MAX: Final = 10_000
"""Of one state: how many answers about rights on workspaces are remembered."""
NESTED_MAX: Final = 100
"""How deep views and functions may use each other: below, nobody may use them, so that no text can exhaust the stack."""
# Past the named constructor, which takes a tenth of a decision.
_new_row: Callable[[tuple[str, str, str]], Row] = partial(tuple.__new__, Row)


class Missing(NamedTuple):
    """An atom of an operation that no row proves; ``object_id`` is None where the call binds no such object.

    ``subject_id`` is the owner whose rights are missing, None where they are those of whoever is asked about.
    """

    object_id: str | None
    act: str
    subject_id: str | None = None


class Decision(NamedTuple):
    """The answer to one question: the rows that prove an allow, or the first atom missing of each alternative."""

    allowed: bool
    proof: tuple[Row, ...]
    missing: tuple[Missing, ...]


class Decider:
    """Answers over one policy and one snapshot; safe to share between threads."""

    def __init__(self, policy: Policy, snapshot: Snapshot, *, before: Decider | None = None) -> None:
        """Compile the matcher against the snapshot's relations; ``before`` decides by the same policy on a snapshot this one came from."""
        self.policy = policy
        self.snapshot = snapshot
        self.reach: Reach = before.reach.moved(snapshot) if before else self._build_reach()
        self._matches = policy.matcher.bind(self._relations())
        self._sources, self._heights = policy.sources, policy.heights
        self._securables, self._held = snapshot.securables, snapshot.held
        self._closures, self._chains = snapshot.closures, snapshot.chains
        self._upward, self._as_owner = snapshot.upward, policy.as_owner
        self._steps = policy.steps
        self._standing: dict[tuple[str, str | None, str, str], Row | None] = {}

    def atom(self, subject_id: str, workspace_id: str | None, object_id: str, act: str) -> Row | None:
        """The row that lets the subject do ``act`` on the object from the workspace, None where there is none."""
        securable = self._securables.get(object_id)
        height = self._heights.get(act)
        # Empty and unknown ids end here: an empty request must never meet an empty row (DESIGN 5.3, traps).
        if securable is None or height is None:
            return None
        if securable.kind == "WORKSPACE":
            return self._in_workspace(subject_id, workspace_id, object_id, act)
        places = (object_id, *self._chains[securable.parent_id][:height]) if height else (object_id,)
        return self.prove(subject_id, workspace_id, object_id, act, places)

    def _in_workspace(
        self, subject_id: str, workspace_id: str | None, object_id: str, act: str
    ) -> Row | None:
        """What somebody may do in a workspace, which every call asks of its caller: worked out once in a state."""
        key = (subject_id, workspace_id, object_id, act)
        try:
            return self._standing[key]
        except KeyError:
            if len(self._standing) >= STANDING_KEPT_MAX:
                self._standing = {}
            places = (object_id, *self._chains[ACCOUNT_ID][: self._heights[act]])
            row = self._standing[key] = self.prove(subject_id, workspace_id, object_id, act, places)
            return row

    def operation(
        self, subject_id: str, workspace_id: str | None, operation: str, objects: Mapping[str, str],
        *, selector: str | None = None, references: Sequence[str] = (),
    ) -> Decision:  # fmt: skip
        """Decide an operation of `operations.csv` over the objects the call binds (name -> id).

        ``selector`` is a mask path, a privilege or a bound name; ``references`` are the ids of everything a definition uses.
        Raises UnknownOperation.
        """
        found = self.policy.operation(operation, selector)
        if found.opens:
            return Decision(self.is_active(subject_id), (), ())
        return self._decide(subject_id, workspace_id, found.alternatives, objects, references)

    def privilege(
        self, subject_id: str, workspace_id: str | None, object_id: str, privilege: str
    ) -> Decision:
        """May the subject use ``privilege`` (stored spelling) on the object: the atom and all its gates.

        What runs with its owner's rights asks about the owner too, through any nesting (semantics 3.3, "query view").
        """
        return self._privilege(subject_id, workspace_id, object_id, privilege, _NOT_ENTERED, set())

    def _privilege(
        self, subject_id: str, workspace_id: str | None, object_id: str, privilege: str,
        entered: frozenset[str], proven: set[tuple[str, str, str]],
    ) -> Decision:  # fmt: skip
        securable = self._securables.get(object_id)
        act = f"{securable.kind}:{privilege}" if securable else privilege
        steps = self._steps.get(act)
        if securable is None or steps is None:
            return Decision(False, (), (Missing(object_id if securable else None, act),))
        # The hot path of Check: gates stand on the object or its containers, so nothing has to be bound by name.
        upward, proof = self._upward[securable.parent_id], []
        for kind, wanted, reach in steps:
            places = upward.get(kind)
            if kind is None:
                places = (object_id, *places[: reach - 1]) if places and reach > 1 else (object_id,)
            elif places is None:
                return Decision(False, (), (Missing(None, wanted),))
            row = self.prove(subject_id, workspace_id, places[0], wanted, places[:reach])
            if row is None:
                return Decision(False, (), (Missing(places[0], wanted),))
            proof.append(row)
        if act in self._as_owner:
            return self._through_owner(securable, workspace_id, proof, entered | {object_id}, proven)
        return Decision(True, tuple(proof), ())

    def _through_owner(
        self, securable: Securable, workspace_id: str | None, proof: list[Row], entered: frozenset[str],
        proven: set[tuple[str, str, str]],
    ) -> Decision:  # fmt: skip
        """Adds to ``proof`` what lets the owner use each reference, looked up by name as an engine would now.

        What is ``proven`` is not proven again: views that share what they read would double the work with each level.
        """
        owner = securable.owner_id or ""
        for reference in self.snapshot.references.get(securable.id, ()):
            target = self.snapshot.referenced(reference, securable.metastore_id)
            if target is None or target.id in entered or len(entered) > NESTED_MAX:
                return Decision(False, (), (Missing(None, reference.privilege, owner),))
            known = (owner, target.id, reference.privilege)
            if known in proven:
                continue
            decision = self._privilege(owner, workspace_id, target.id, reference.privilege, entered, proven)
            if not decision.allowed:
                missing = (
                    lacking if lacking.subject_id is not None else lacking._replace(subject_id=owner)
                    for lacking in decision.missing
                )
                return Decision(False, (), tuple(missing))
            proven.add(known)
            proof.extend(decision.proof)
        return Decision(True, tuple(proof), ())

    def visible(self, subject_id: str, workspace_id: str | None, object_id: str) -> bool:
        """May the subject see that the object exists (``<kind>.get``)?"""
        securable = self.snapshot.securables.get(object_id)
        if securable is None:
            return False
        getter = f"{securable.kind.lower()}.get"
        return self.operation(subject_id, workspace_id, getter, {"self": object_id}).allowed

    def visible_children(
        self, subject_id: str, workspace_id: str | None, parent_id: str, kind: str
    ) -> tuple[str, ...]:
        """Ids of the children of ``kind`` the subject may see, by name key."""
        return Access(self, Asked(subject_id, workspace_id, kind, None)).children(parent_id)

    def accepts(self, subject_id: str, workspace_id: str | None, object_id: str, act: str, row: Row) -> bool:
        """Does the matcher let this row allow the act? For questions about all rows; a decision stops at the first."""
        return act in self._sources and self._matches(subject_id, workspace_id, object_id, act, *row)

    def is_active(self, subject_id: str) -> bool:
        """Does the principal exist and is it not deactivated?"""
        subject = self.snapshot.principals.get(subject_id)
        return subject is not None and subject.active

    def bind(self, atom: Atom, objects: Mapping[str, str]) -> str | None:
        """The id of the object an atom speaks of, None where the call binds none."""
        if atom.name in DERIVED_KINDS:
            return self._derived(atom.name, objects.get(DERIVED_KINDS[atom.name][0], ""))
        base = (
            objects.get(atom.name)
            if atom.name
            else objects.get("self") or objects.get("parent") or ACCOUNT_ID
        )
        if base is None or atom.kind is None:
            return base
        return self.snapshot.ancestor(base, atom.kind)

    def _derived(self, name: str, source_id: str) -> str | None:
        """What follows from a bound object: the credential a location is reached with, the metastore a workspace is attached to."""
        if name == "location_credential":
            return self.snapshot.reached_with(source_id)
        workspace = self._securables.get(source_id)
        return workspace.metastore_id if workspace else None

    def _build_reach(self) -> Reach:
        return Reach(self.policy, self.snapshot)

    def _relations(self) -> Relations:
        snapshot, policy = self.snapshot, self.policy
        return Relations(snapshot.closures, snapshot.containers, policy.here, policy.inside, self.reach)

    def _decide(
        self, subject_id: str, workspace_id: str | None, alternatives: Iterable[tuple[Atom, ...]],
        objects: Mapping[str, str], references: Sequence[str],
    ) -> Decision:  # fmt: skip
        missing: list[Missing] = []
        for alternative in alternatives:
            proof: list[Row] = []
            for atom in alternative:
                object_id = self.bind(atom, objects)
                each = None
                if atom.name in REFERENCED_KINDS:
                    each = self.each_reference(subject_id, workspace_id, atom, references)
                elif atom.act == AS_OWNER:
                    each = self.owner_may(workspace_id, object_id)
                if each is not None:
                    if not each.allowed:
                        missing.extend(each.missing)
                        break
                    proof.extend(each.proof)
                    continue
                if not atom.held and object_id and self.reach(subject_id, workspace_id, object_id, atom.act):
                    continue
                row = (
                    self.atom(subject_id, workspace_id, object_id, atom.act)
                    if object_id and atom.held
                    else None
                )
                if row is None:
                    missing.append(Missing(object_id, atom.act))
                    break
                proof.append(row)
            else:
                return Decision(True, tuple(proof), ())
        return Decision(False, (), tuple(missing))

    def each_reference(
        self, subject_id: str, workspace_id: str | None, atom: Atom, references: Sequence[str]
    ) -> Decision:
        """Whether the subject may use the atom's privilege on every reference of the kinds it speaks of."""
        proof: list[Row] = []
        for object_id in references:
            securable = self._securables.get(object_id)
            if securable is None:
                return Decision(False, (), (Missing(None, atom.act),))
            if securable.kind in REFERENCED_KINDS[atom.name]:
                decision = self.privilege(subject_id, workspace_id, object_id, atom.act)
                if not decision.allowed:
                    return decision
                proof.extend(decision.proof)
        return Decision(True, tuple(proof), ())

    def owner_may(self, workspace_id: str | None, object_id: str | None) -> Decision:
        """Whether the owner of what runs with its rights may use all that it references (semantics 3.3)."""
        securable = self._securables.get(object_id or "")
        if securable is None:
            return Decision(False, (), (Missing(None, AS_OWNER),))
        return self._through_owner(securable, workspace_id, [], frozenset({securable.id}), set())

    def prove(
        self, subject_id: str, workspace_id: str | None, object_id: str, act: str, places: tuple[str, ...]
    ) -> Row | None:
        """The first row on one of ``places`` (the object, its containers) that the matcher accepts, None where there is none.

        Rows that cannot confer ``act`` are skipped. `atom` is this over all places; siblings are told apart by it.
        """
        sources, closure, held = self._sources[act], self._closures[subject_id], self._held
        for place in places:
            holders = held.get(place)
            if holders is None:
                continue
            # Over the smaller of the two: an object has few holders, a busy schema has hundreds.
            few = len(holders) < len(closure)
            common = closure.intersection(holders) if few else holders.keys() & closure
            # Sorted, so that the same question is always proven by the same row.
            for holder in sorted(common) if len(common) > 1 else common:
                for granted in holders[holder]:
                    if granted in sources and self._matches(
                        subject_id, workspace_id, object_id, act, holder, place, granted
                    ):
                        return _new_row((holder, place, granted))
        return None
