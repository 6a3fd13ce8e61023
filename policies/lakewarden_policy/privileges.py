"""Parse `privileges.csv` and close what privileges confer; called once, by Policy."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from lakewarden_policy.kinds import IMPLICIT_PRIVILEGES, KINDS, METASTORE_BROWSE, ancestor_kinds

PRIVILEGES_FILE: Final = "privileges.csv"
_COLUMNS: Final = [
    "kind",
    "privilege",
    "grantable",
    "scope",
    "here",
    "inside",
    "gates",
    "writes",
    "description",
]
_SCOPES: Final = frozenset({"ACCOUNT", "METASTORE", "WORKSPACE"})
OWN_WORKSPACE: Final = "OWN_WORKSPACE"
"""The scope of acts on what belongs to a workspace: assignment to it, and calling from it."""
AS_OWNER: Final = "references as owner"
"""The gate of what runs with its owner's rights: the owner must be allowed to use everything it references."""


class Gate(NamedTuple):
    """Something else that must hold when a privilege is used: ``kind`` None means the securable itself."""

    kind: str | None
    act: str


class Privilege(NamedTuple):
    """One row of the matrix; ``here`` and ``inside`` are acts, not yet closed.

    ``scope`` says which part of the workspace rule applies: none of it (ACCOUNT), assignment and attachment
    (METASTORE), bindings too (WORKSPACE), or that the object belongs to the workspace (OWN_WORKSPACE). ``writes_files`` means that files come to lie in cloud storage by it, so that
    a place which is read-only refuses it, while a grant there, which writes too, is still possible.
    """

    act: str
    kind: str
    name: str
    is_grantable: bool
    scope: str
    here: tuple[str, ...]
    inside: tuple[str, ...]
    gates: tuple[Gate, ...]
    as_owner: bool
    writes: bool
    writes_files: bool
    description: str
    line: int
    file: str = PRIVILEGES_FILE


class Conferral(NamedTuple):
    """What each act confers, closed and flat: on the same securable (with the act itself) and on those inside."""

    here: dict[str, frozenset[str]]
    inside: dict[str, frozenset[str]]


def read_rows(text: str, file: str, columns: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line, row) of a policy file. Raises ValueError naming file and line on a malformed one."""
    reader = csv.reader(io.StringIO(text))
    if next(reader, None) != columns:
        raise ValueError(f"{file}:1: the header must be {','.join(columns)}")
    for values in reader:
        if len(values) != len(columns):
            raise ValueError(
                f"{file}:{reader.line_num}: {len(values)} fields where {len(columns)} are expected"
            )
        yield reader.line_num, dict(zip(columns, (value.strip() for value in values), strict=True))


def parse_privileges(
    text: str, levels: Iterable[Privilege] = (), conferred: Mapping[str, Iterable[str]] | None = None
) -> dict[str, Privilege]:
    """All privileges by act, in file order, those of the levels last. Raises ValueError naming file and line.

    ``conferred`` says what acts confer inside beside what their rows say.
    """
    privileges: dict[str, Privilege] = {}
    for line, row in read_rows(text, PRIVILEGES_FILE, _COLUMNS):
        privilege = _parse_row(line, row)
        if privilege.act in privileges:
            raise _error(privilege, f"{privilege.act} is defined twice")
        further = (conferred or {}).get(privilege.act, ())
        privileges[privilege.act] = privilege._replace(inside=(*privilege.inside, *further))
    privileges |= {privilege.act: privilege for privilege in levels}
    for privilege in privileges.values():
        _check_references(privilege, privileges)
    return privileges


def close_conferral(privileges: Mapping[str, Privilege]) -> Conferral:
    """Close ``here`` transitively and carry ``inside`` through it, so that one look-up answers.

    OWNER is the exception: its holder has everything here, but inside only what its own row says, because ownership
    does not flow down (semantics 3.1); carried through, an owner of a catalog would read every table in it.
    """
    here = {act: _reach((act,), lambda step: privileges[step].here) for act in privileges}

    def passed_down(act: str) -> set[str]:
        carriers: Iterable[str] = (act,) if privileges[act].name == "OWNER" else here[act]
        return {below for carrier in carriers for below in privileges[carrier].inside}

    # Folders lie in folders, so what an act passes down may come back to it.
    inside = {
        act: frozenset().union(*(here[below] for below in _reach(passed_down(act), passed_down)))
        for act in privileges
    }
    return Conferral(here, inside)


def check_obtainable(privileges: Mapping[str, Privilege], conferral: Conferral) -> None:
    """Refuse an act nobody could ever hold: a gate or a rule on it would be a silent lock."""
    obtainable = {METASTORE_BROWSE}
    for act, privilege in privileges.items():
        if privilege.is_grantable or privilege.name in IMPLICIT_PRIVILEGES:
            obtainable |= conferral.here[act] | conferral.inside[act]
    for act, privilege in privileges.items():
        if act not in obtainable:
            raise _error(privilege, f"nothing confers {act}, so no gate or operation on it can be reached")


def is_privilege_name(name: str) -> bool:
    """Whether it is spelled as a privilege or level is stored: upper case letters and underscores."""
    return name.isascii() and name.replace("_", "").isalpha() and name == name.upper()


def parse_gates(text: str, kind: str, line: int) -> tuple[tuple[Gate, ...], bool]:
    """Parse ``schema SCHEMA:USE_SCHEMA & self TABLE:SELECT`` for a privilege of ``kind``, and whether AS_OWNER is in it."""
    gates = []
    terms = [part.strip() for part in text.split("&") if part.strip()]
    for term in terms:
        if term == AS_OWNER:
            continue
        name, _, act = term.partition(" ")
        gate_kind = kind if name == "self" else name.upper()
        if name != name.lower() or gate_kind not in ancestor_kinds(kind) | {kind}:
            raise _error(line, f"gate {term!r}: {name!r} is neither self nor a container of a {kind}")
        if act.partition(":")[0] != gate_kind:
            raise _error(
                line, f"gate {term!r}: {act!r} is not an act on a {gate_kind}, so it can never be reached"
            )
        gates.append(Gate(None if name == "self" else gate_kind, act))
    return tuple(gates), AS_OWNER in terms


def _parse_row(line: int, row: dict[str, str]) -> Privilege:
    kind, name = row["kind"], row["privilege"]
    if kind not in KINDS:
        raise _error(line, f"unknown kind {kind!r}")
    if not is_privilege_name(name):
        raise _error(line, f"{name!r} is not a privilege name such as USE_CATALOG")
    if row["scope"] not in _SCOPES:
        raise _error(line, f"scope {row['scope']!r} is not one of {', '.join(sorted(_SCOPES))}")
    if not row["description"]:
        raise _error(line, "the description is empty")
    gates, as_owner = parse_gates(row["gates"], kind, line)
    return Privilege(
        act=f"{kind}:{name}",
        kind=kind,
        name=name,
        is_grantable=_parse_flag(line, "grantable", row["grantable"]),
        scope=row["scope"],
        here=tuple(f"{kind}:{conferred}" for conferred in row["here"].split()),
        inside=tuple(row["inside"].split()),
        gates=gates,
        as_owner=as_owner,
        writes=row["writes"] == "files" or _parse_flag(line, "writes", row["writes"]),
        writes_files=row["writes"] == "files",
        description=row["description"],
        line=line,
    )


def _parse_flag(line: int, column: str, value: str) -> bool:
    if value not in ("yes", "no"):
        raise _error(line, f"{column} {value!r} is neither yes nor no")
    return value == "yes"


def _check_references(privilege: Privilege, privileges: Mapping[str, Privilege]) -> None:
    kind = privilege.kind
    for act in (*privilege.here, *privilege.inside, *(gate.act for gate in privilege.gates)):
        if act not in privileges:
            raise _error(privilege, f"{privilege.act} names the unknown act {act!r}")
    for act in (*privilege.here, *privilege.inside):
        if privileges[act].name in IMPLICIT_PRIVILEGES:
            raise _error(privilege, f"{privilege.act} confers {act}: what somebody is cannot be conferred")
    for act in privilege.inside:
        if kind not in ancestor_kinds(privileges[act].kind):
            raise _error(
                privilege,
                f"{privilege.act} confers {act} inside, but a {kind} holds no {privileges[act].kind}",
            )
    for column in (privilege.here, privilege.inside, privilege.gates):
        if len(set(column)) != len(column):
            raise _error(privilege, f"{privilege.act} repeats itself")
    if privilege.is_grantable and privilege.name in IMPLICIT_PRIVILEGES:
        raise _error(privilege, f"{privilege.act} is held because of what somebody is and cannot be granted")


def _reach(starts: Iterable[str], steps: Callable[[str], Iterable[str]]) -> frozenset[str]:
    """The starts, and all that steps lead to from them."""
    found = set(starts)
    waiting = list(found)
    while waiting:
        for following in steps(waiting.pop()):
            if following not in found:
                found.add(following)
                waiting.append(following)
    return frozenset(found)


def _error(where: int | Privilege, problem: str) -> ValueError:
    """A problem in a line of `privileges.csv`, or in the row a privilege is from."""
    if isinstance(where, int):
        return ValueError(f"{PRIVILEGES_FILE}:{where}: {problem}")
    return ValueError(f"{where.file}:{where.line}: {problem}")
