"""Parse `operations.csv`: every operation as alternatives of conjunctions of atoms over named objects (DESIGN 5.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from lakewarden_policy.kinds import KINDS, PRINCIPAL_KINDS, RELATIONS, ancestor_kinds
from lakewarden_policy.levels import EVERY_KIND
from lakewarden_policy.privileges import AS_OWNER, Privilege, read_rows

OPERATIONS_FILE: Final = "operations.csv"
PUBLIC: Final = "public"
FILTERED: Final = "filtered"
_COLUMNS: Final = ["operation", "requires", "source"]
BOUND_KINDS: Final[Mapping[str, frozenset[str]]] = {
    "subject": PRINCIPAL_KINDS,
    "grantee": PRINCIPAL_KINDS,
    "workspace": frozenset({"WORKSPACE"}),
    "location": frozenset({"EXTERNAL_LOCATION"}),
    "credential": frozenset({"STORAGE_CREDENTIAL", "SERVICE_CREDENTIAL"}),
    "connection": frozenset({"CONNECTION"}),
    "function": frozenset({"FUNCTION"}),
    "recipient": frozenset({"RECIPIENT"}),
}
"""What a call may bind besides its object and parent, and the kinds each can be."""
DERIVED_KINDS: Final[Mapping[str, tuple[str, frozenset[str]]]] = {
    "location_credential": ("location", frozenset({"STORAGE_CREDENTIAL"})),
    "workspace_metastore": ("workspace", frozenset({"METASTORE"})),
}
"""What follows from something a call binds: that name, and the kinds it can be."""
REFERENCED_KINDS: Final[Mapping[str, frozenset[str]]] = {
    "relations": RELATIONS,
    "functions": frozenset({"FUNCTION"}),
}
"""Everything a definition or a share names, at once: a term on them must hold for each, gates included."""
# Operations decided on the parent, because the object itself does not exist (yet).
_VERBS: Final = ("has", "can", "reaches")
_ON_PARENT: Final = frozenset({"create", "miss"})


class Atom(NamedTuple):
    """One act on the object bound as ``name``, or, with ``kind``, on its container of that kind.

    The empty name stands for ``self``, else ``parent``, else the account: whichever the call binds first. On `relations`
    and `functions` the act is a privilege without a kind, and must be usable on each of them. The act AS_OWNER asks the
    object's owner about everything the object references. An atom that is not ``held`` asks the workspace rule alone:
    somebody else's right stands in for one on this object, which must be within reach for the act all the same.
    """

    name: str
    kind: str | None
    act: str
    held: bool = True


class Operation(NamedTuple):
    """Alternatives, any one of which allows; ``opens`` is PUBLIC or FILTERED where no atom is needed.

    PUBLIC answers any active principal. FILTERED does too, and its service shows only what ``<kind>.get`` allows.
    """

    name: str
    alternatives: tuple[tuple[Atom, ...], ...]
    opens: str | None
    requires: tuple[str, ...]
    sources: tuple[str, ...]

    @property
    def object_names(self) -> frozenset[str]:
        """The names a call must bind for this operation, without those found by walking up."""
        return frozenset(
            DERIVED_KINDS[atom.name][0] if atom.name in DERIVED_KINDS else atom.name
            for alternative in self.alternatives
            for atom in alternative
            if atom.name and atom.name not in REFERENCED_KINDS
        )

    @property
    def asks_references(self) -> bool:
        """Whether it speaks of everything that a definition references."""
        return any(atom.name in REFERENCED_KINDS for alternative in self.alternatives for atom in alternative)


def parse_operations(
    text: str, privileges: Mapping[str, Privilege], object_kinds: Iterable[str] = ()
) -> dict[str, Operation]:
    """All operations by name; a row about every kind of object is one for each of ``object_kinds``.

    Raises ValueError naming file and line.
    """
    operations: dict[str, Operation] = {}
    for line, row in read_rows(text, OPERATIONS_FILE, _COLUMNS):
        if not row["source"]:
            raise _error(line, f"{row['operation']} does not say where its rule comes from")
        for spelled in _spelled_out(row, object_kinds):
            _add_row(line, spelled, row["requires"], operations, privileges)
            _check_selector(line, spelled["operation"], operations, privileges)
    return operations


def _spelled_out(row: dict[str, str], object_kinds: Iterable[str]) -> Iterator[dict[str, str]]:
    """The row itself, or ``*.get,self has *:SEE`` for each kind of object: ``job.get,self has JOB:SEE``."""
    name, requires = row["operation"], row["requires"]
    if not name.startswith(EVERY_KIND):
        yield row
        return
    for kind in sorted(object_kinds):
        yield {
            "operation": name.replace(EVERY_KIND, kind.lower(), 1),
            "requires": requires.replace(f"{EVERY_KIND}:", f"{kind}:"),
            "source": row["source"],
        }


def _add_row(
    line: int, row: dict[str, str], written: str, operations: dict[str, Operation], privileges: Mapping[str, Privilege]
) -> None:  # fmt: skip
    """Adds a row to its operation, which is told as it was ``written``."""
    name, requires = row["operation"], row["requires"]
    known = operations.get(name, Operation(name, (), None, (), ()))
    if written in known.requires:
        raise _error(line, f"{name} repeats the alternative {requires!r}")
    opens, alternatives = known.opens, known.alternatives
    if requires in (PUBLIC, FILTERED):
        opens = requires
    else:
        alternatives = (*alternatives, _parse_alternative(line, row, privileges))
    if opens and (alternatives or known.opens):
        raise _error(line, f"{name} is {opens} and cannot have another alternative")
    operations[name] = Operation(
        name, alternatives, opens, (*known.requires, written), (*known.sources, row["source"])
    )


def atoms_of_privilege(privilege: Privilege, name: str, kind: str | None) -> tuple[Atom, ...]:
    """The atom of a privilege held on the object ``name`` (or its container ``kind``) followed by its gates."""
    gates = (Atom(name, gate.kind or kind, gate.act) for gate in privilege.gates)
    return (Atom(name, kind, privilege.act), *gates)


def _atoms_of_can(privilege: Privilege, name: str, kind: str | None) -> tuple[Atom, ...]:
    """All that `Decider.privilege` asks: what runs with its owner's rights asks the owner too, as the last of it."""
    atoms = atoms_of_privilege(privilege, name, kind)
    return (*atoms, Atom(name, kind, AS_OWNER)) if privilege.as_owner else atoms


def _parse_alternative(
    line: int, row: dict[str, str], privileges: Mapping[str, Privilege]
) -> tuple[Atom, ...]:
    atoms: dict[Atom, None] = {}
    for term in row["requires"].split("&"):
        words = term.split()
        if len(words) != 3 or words[1] not in _VERBS:
            verbs = " or ".join(f"'<object> {verb} <ACT>'" for verb in _VERBS)
            raise _error(line, f"term {term.strip()!r} is not {verbs}")
        object_name, verb, act = words
        if object_name in REFERENCED_KINDS:
            atoms[_parse_references(line, object_name, verb, act, privileges)] = None
            continue
        if act not in privileges:
            raise _error(line, f"unknown act {act!r}")
        name, kind = _parse_object(line, row["operation"], object_name, act)
        only = (Atom(name, kind, act, held=verb != "reaches"),)
        wanted = _atoms_of_can(privileges[act], name, kind) if verb == "can" else only
        atoms.update(dict.fromkeys(wanted))
    return tuple(atoms)


def _parse_references(
    line: int, name: str, verb: str, privilege: str, privileges: Mapping[str, Privilege]
) -> Atom:
    """A term on everything of a kind that is referenced: ``relations can SELECT``."""
    unknown = [kind for kind in sorted(REFERENCED_KINDS[name]) if f"{kind}:{privilege}" not in privileges]
    if verb != "can" or unknown:
        raise _error(line, f"'{name} {verb} {privilege}' is not '{name} can' and a privilege of each of them")
    return Atom(name, None, privilege)


def _parse_object(line: int, operation: str, object_name: str, act: str) -> tuple[str, str | None]:
    """Which object a term means; refuses one whose kind can never match the act."""
    noun, verb = operation.split(".")[0].upper(), operation.split(".")[1] if "." in operation else ""
    act_kind = act.partition(":")[0]
    possible: frozenset[str]
    if object_name == "self" and noun in KINDS and verb not in _ON_PARENT:
        name, kind, possible = "self", None, frozenset({noun})
    elif object_name == "parent" and noun in KINDS and verb in _ON_PARENT:
        name, kind, possible = "parent", None, frozenset(KINDS[noun].parents)
    elif object_name in DERIVED_KINDS:
        name, kind, possible = object_name, None, DERIVED_KINDS[object_name][1]
    elif object_name in BOUND_KINDS:
        name, kind, possible = object_name, None, BOUND_KINDS[object_name]
    else:
        name, kind = "", object_name.upper()
        reachable = ancestor_kinds(noun) | {noun} if noun in KINDS else frozenset({"ACCOUNT"})
        if object_name != object_name.lower() or kind not in reachable:
            raise _error(line, f"{operation} has no object {object_name!r}")
        possible = frozenset({kind})
    if act_kind not in possible:
        raise _error(
            line, f"{object_name!r} of {operation} is never a {act_kind}, so {act} cannot hold on it"
        )
    return name, kind


def _check_selector(
    line: int, name: str, operations: Mapping[str, Operation], privileges: Mapping[str, Privilege]
) -> None:
    parts = name.split(".")
    if not all(parts) or name != name.strip() or not 2 <= len(parts) <= 3:
        raise _error(line, f"{name!r} is not an operation name such as table.get or table.update.name")
    if len(parts) == 3 and ".".join(parts[:2]) not in operations:
        raise _error(line, f"{name} selects from {'.'.join(parts[:2])}, which is not defined above it")
    if len(parts) == 3 and parts[1] == "grant" and f"{parts[0].upper()}:{parts[2]}" not in privileges:
        raise _error(line, f"{name} names the unknown privilege {parts[2]}")


def _error(line: int, problem: str) -> ValueError:
    return ValueError(f"{OPERATIONS_FILE}:{line}: {problem}")
