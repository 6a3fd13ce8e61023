"""The policy as a value: the matrix closed, the operations parsed, the matcher compiled, the digest of the files."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources
from typing import Final

from lakewarden_policy.kinds import IN_WORKSPACE, KINDS, ancestor_kinds, levels_above
from lakewarden_policy.levels import LEVELS_FILE, Levels
from lakewarden_policy.matcher import Matcher
from lakewarden_policy.operations import (
    OPERATIONS_FILE,
    Atom,
    Operation,
    atoms_of_privilege,
    parse_operations,
)
from lakewarden_policy.privileges import (
    AS_OWNER,
    PRIVILEGES_FILE,
    Privilege,
    check_obtainable,
    close_conferral,
    parse_privileges,
)

MODEL_FILE: Final = "model.conf"


class UnknownPrivilege(ValueError):
    """A privilege that does not suit a kind of securable; the message lists those that do."""


class UnknownOperation(LookupError):
    """An operation `operations.csv` does not define: a mistake in the caller, never a default."""


class Policy:
    """The four policy files, checked and closed; immutable after construction."""

    def __init__(
        self, model_text: str, privileges_text: str, operations_text: str, levels_text: str = ""
    ) -> None:
        """Parse the files' texts; a policy of before there were levels governs no objects of workspaces.

        Raises ValueError naming file and line, or PolicyError for the model.
        """
        self.levels = Levels(levels_text)
        self.privileges: dict[str, Privilege] = parse_privileges(
            privileges_text, self.levels.privileges(), self.levels.conferred()
        )
        conferral = close_conferral(self.privileges)
        check_obtainable(self.privileges, conferral)
        self.here = conferral.here
        self.inside = conferral.inside
        self.operations: dict[str, Operation] = parse_operations(
            operations_text, self.privileges, self.levels.kinds
        )
        self.matcher = Matcher(model_text)
        self.digest = _digest(model_text, privileges_text, operations_text, *filter(None, (levels_text,)))
        self.scopes = {act: row.scope for act, row in self.privileges.items()}
        self.writes = frozenset(act for act, row in self.privileges.items() if row.writes)
        self.writes_files = frozenset(act for act, row in self.privileges.items() if row.writes_files)
        self.as_owner = frozenset(act for act, row in self.privileges.items() if row.as_owner)
        self.sources = self._sources()
        self.heights = {act: self._height(act) for act in self.privileges}
        self.gated = {act: atoms_of_privilege(row, "self", None) for act, row in self.privileges.items()}
        self.steps = {act: self._steps(atoms) for act, atoms in self.gated.items()}
        self._grantable: dict[str, list[str]] = {}
        for row in self.privileges.values():
            if row.is_grantable:
                self._grantable.setdefault(row.kind, []).append(row.name)
        self._check_getters()

    def operation(self, name: str, selector: str | None = None) -> Operation:
        """The operation ``name``, or its row for a mask path or privilege. Raises UnknownOperation.

        A selector without a row of its own falls back to the plain operation. It is therefore brought to one spelling
        first: `query engine` must not slip past the stricter row of QUERY_ENGINE, nor `owner.id` past that of owner.
        """
        found = self.operations.get(f"{name}.{_spell_selector(name, selector)}") if selector else None
        found = found or self.operations.get(name)
        if found is None:
            raise UnknownOperation(f"operations.csv does not define {name}")
        return found

    def grantable(self, kind: str) -> list[str]:
        """The privileges a grant on ``kind`` accepts, with underscores, in the order of `privileges.csv`."""
        return list(self._grantable.get(kind, ()))

    def parse_privilege(self, kind: str, text: str, *, to_grant: bool = True) -> str:
        """The stored spelling of a privilege that can be granted, from spaces or underscores in any case.

        Not ``to_grant``: also a level that is only held otherwise, as IS_OWNER, which can be asked about.
        Raises UnknownPrivilege with the list of those that suit ``kind``.
        """
        name = spell_privilege(text) if text.isascii() else text
        suitable = self._grantable.get(kind, ())
        if not to_grant and kind in self.levels.kinds:
            suitable = [level.name for level in self.levels.listed(kind)]
        if name not in suitable:
            shown = ", ".join(map(show_privilege, suitable)) or "none"
            label = KINDS[kind].label if kind in KINDS else kind
            raise UnknownPrivilege(f"{text!r} is not a privilege on a {label}. Those that are: {shown}.")
        return name

    def _sources(self) -> dict[str, frozenset[str]]:
        """For each act the stored ones that may confer it, here or from above: what the index proposes."""
        found: dict[str, set[str]] = {act: set() for act in self.privileges}
        for source in self.privileges:
            for act in self.here[source] | self.inside[source]:
                found[act].add(source)
        return {act: frozenset(sources) for act, sources in found.items()}

    def _height(self, act: str) -> int:
        """How many levels above the object a row may stand and still confer ``act``."""
        kind = self.privileges[act].kind
        return max(levels_above(kind, self.privileges[source].kind) for source in self.sources[act])

    def _steps(self, atoms: tuple[Atom, ...]) -> tuple[tuple[str | None, str, int], ...]:
        """Each atom as the kind of container it is asked of (None: the object), its act, and on how many places from there up
        a row may stand.
        """
        return tuple((atom.kind, atom.act, self.heights[atom.act] + 1) for atom in atoms)

    def _check_getters(self) -> None:
        """Lists share one decision between siblings, which holds only while ``get`` asks self and its containers."""
        for kind in KINDS.keys() - IN_WORKSPACE | self.levels.kinds:
            operation = self.operations.get(f"{kind.lower()}.get")
            if operation is None:
                raise ValueError(f"{OPERATIONS_FILE}: {kind.lower()}.get is missing")
            for atom in (atom for alternative in operation.alternatives for atom in alternative):
                if atom.name not in ("", "self") or (atom.kind or kind) not in ancestor_kinds(kind) | {kind}:
                    raise ValueError(
                        f"{OPERATIONS_FILE}: {operation.name} asks for more than self and its containers"
                    )
                if atom.act == AS_OWNER:
                    raise ValueError(
                        f"{OPERATIONS_FILE}: {operation.name} asks the owner; say 'has' and the gates instead"
                    )


def spell_privilege(text: str) -> str:
    """The stored spelling of a privilege: `use  catalog` -> `USE_CATALOG`."""
    return "_".join(text.upper().replace("_", " ").split())


def _spell_selector(operation: str, selector: str) -> str:
    if operation.endswith(".grant"):
        return spell_privilege(selector)
    return selector.strip().lower().partition(".")[0]


def show_privilege(privilege: str) -> str:
    """The spelling for people: ``USE CATALOG``."""
    return privilege.replace("_", " ")


@cache
def policy_texts() -> tuple[str, str, str, str]:
    """The shipped model.conf, privileges.csv, operations.csv and permission_levels.csv."""
    folder = resources.files("lakewarden_policy")
    names = (MODEL_FILE, PRIVILEGES_FILE, OPERATIONS_FILE, LEVELS_FILE)
    model, privileges, operations, levels = ((folder / name).read_text(encoding="utf-8") for name in names)
    return model, privileges, operations, levels


@cache
def load_policy() -> Policy:
    """The shipped policy; read once per process, as it cannot change under a running one."""
    return Policy(*policy_texts())


def _digest(*texts: str) -> str:
    """One hash over the files; lengths go in, so that text moved from one file to the next changes it."""
    digest = hashlib.sha256()
    for text in texts:
        encoded = text.encode()
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()


__all__ = [
    "Atom",
    "Policy",
    "UnknownOperation",
    "UnknownPrivilege",
    "load_policy",
    "policy_texts",
    "show_privilege",
    "spell_privilege",
]
