"""The second judge of workspace objects, written from semantics section 6: levels by heart, folders, owners, admins.

It imports nothing of ours and reads no policy file; who somebody is it learns from `reference_people.py`.
"""

from __future__ import annotations

from typing import Any

from policies.reference_people import People

_CONTENT = ("CAN_READ", "CAN_RUN", "CAN_EDIT", "CAN_MANAGE")
_VIEWED = ("CAN_VIEW", "CAN_RUN", "CAN_EDIT", "CAN_MANAGE")
_USED = ("CAN_USE", "CAN_MANAGE")
_ASKED = ("CAN_QUERY", "CAN_MANAGE")

LEVELS: dict[str, tuple[str, ...]] = {
    "CLUSTER": ("CAN_ATTACH_TO", "CAN_RESTART", "CAN_MANAGE"),
    "CLUSTER_POLICY": ("CAN_USE",),
    "INSTANCE_POOL": ("CAN_ATTACH_TO", "CAN_MANAGE"),
    "JOB": ("CAN_VIEW", "CAN_MANAGE_RUN", "CAN_MANAGE", "IS_OWNER"),
    "PIPELINE": ("CAN_VIEW", "CAN_RUN", "CAN_MANAGE", "IS_OWNER"),
    "WAREHOUSE": ("CAN_VIEW", "CAN_USE", "CAN_MONITOR", "CAN_MANAGE", "IS_OWNER"),
    "DIRECTORY": _CONTENT,
    "REPO": _CONTENT,
    "NOTEBOOK": _CONTENT,
    "FILE": _CONTENT,
    "DASHBOARD": _CONTENT,
    "ALERT": _CONTENT,
    "QUERY": _VIEWED,
    "GENIE_SPACE": _VIEWED,
    "LEGACY_DASHBOARD": _VIEWED,
    "LEGACY_ALERT": _VIEWED,
    "EXPERIMENT": ("CAN_READ", "CAN_EDIT", "CAN_MANAGE"),
    "WORKSPACE_MODEL": (
        "CAN_READ", "CAN_EDIT", "CAN_MANAGE_STAGING_VERSIONS", "CAN_MANAGE_PRODUCTION_VERSIONS", "CAN_MANAGE",
    ),
    "SERVING_ENDPOINT": ("CAN_VIEW", "CAN_QUERY", "CAN_MANAGE"),
    "VECTOR_SEARCH_ENDPOINT": _USED,
    "APP": _USED,
    "DATABASE_INSTANCE": _USED,
    "DATABASE_PROJECT": _USED,
    "KNOWLEDGE_ASSISTANT": _ASKED,
    "SUPERVISOR_AGENT": _ASKED,
    "PASSWORDS": ("CAN_USE",),
    "SECRET_SCOPE": ("READ", "WRITE", "MANAGE"),
}  # fmt: skip
"""From the lowest to the highest (the table of section 6); of a warehouse the first two stand beside each other."""
OWNED = ("JOB", "PIPELINE", "WAREHOUSE")
FOLDERS = ("DIRECTORY", "REPO")
FOLDERED = (*FOLDERS, "NOTEBOOK", "FILE", "DASHBOARD", "QUERY", "ALERT", "GENIE_SPACE", "EXPERIMENT")


def _below(kind: str, level: str) -> tuple[str, ...]:
    """What a level includes: all before it, but that viewing a warehouse is not using it, nor the other way round."""
    levels = LEVELS[kind]
    lower = levels[: levels.index(level)]
    return () if (kind, level) == ("WAREHOUSE", "CAN_USE") else lower


BELOW = {kind: {level: _below(kind, level) for level in levels} for kind, levels in LEVELS.items()}


def inside(kind: str, level: str) -> str | None:
    """The level on something in a folder that a level on the folder is; None where it is none there."""
    if level == "CAN_READ" and "CAN_VIEW" in LEVELS[kind]:
        return "CAN_VIEW"
    if level not in LEVELS[kind]:
        # An experiment is not run: whoever runs what is in the folder reads it.
        return "CAN_READ" if level == "CAN_RUN" else None
    return level


def is_about_objects(operation: str) -> bool:
    """Whether this judge answers about an operation, and not the one of the metastore's objects."""
    return operation.partition(".")[0].upper() in {*LEVELS, "WORKSPACE_OBJECT", "PERMISSION_LEVEL"}


class ObjectReference(People):
    """Decides about objects of workspaces in one world at one time."""

    def __init__(self, world: dict, *, now: float = 0, forgive: frozenset[str] = frozenset()) -> None:
        super().__init__(world, now, forgive)

    def allows(
        self, who: str, workspace: str | None, operation: str, level: str, objects: dict[str, Any]
    ) -> bool:
        noun, verb = operation.split(".")
        if not self.alive(who):
            return False
        if (noun, verb) == ("workspace_object", "list"):
            return True
        if noun == "permission_level":
            return workspace is not None and self.works_in(who, workspace)
        states = workspace is not None and (self.runs(who, workspace) or self.is_engine(who, workspace))
        if verb == "create":
            return states
        if verb == "miss":
            return self.runs(who, objects["parent"]) or self.is_engine(who, objects["parent"])
        obj = objects["self"]
        if verb == "use":
            return self.reached(who, workspace, obj) and self.has(who, obj, level)
        if verb == "get":
            return self.sees(who, workspace, obj)
        if verb == "update" and level == "owner":
            return self.reached(who, workspace, obj) and self.runs(who, self.home(obj))
        if verb in ("update", "delete"):
            # The engine that has it, or a workspace admin.
            return states and self.sees(who, workspace, obj)
        if verb in ("grant", "grants_all"):
            return self.manages(who, workspace, obj)
        subject = objects["subject"]
        itself = subject == who and self.principals[subject]["kind"] != "GROUP"
        engine = verb == "explain" and workspace is not None and self.is_engine(who, workspace)
        return itself or engine or self.manages(who, workspace, obj)

    def home(self, obj: str) -> str:
        return self.objects[obj]["workspace"]

    def reached(self, who: str, workspace: str | None, obj: str) -> bool:
        """From its own workspace alone, by those who work there."""
        if workspace is None:
            return False
        at_home = workspace == self.home(obj) or "elsewhere" in self.forgive
        return at_home and (self.works_in(who, workspace) or "assigned" in self.forgive)

    def is_engine(self, who: str, workspace: str) -> bool:
        return self.granted(who, workspace, "QUERY_ENGINE")

    def sees(self, who: str, workspace: str | None, obj: str) -> bool:
        """Folders are seen by everybody, anything by admins, engines and holders of any level."""
        if not self.reached(who, workspace, obj):
            return False
        kind, home = self.objects[obj]["kind"], self.home(obj)
        known = kind in FOLDERS and self.works_in(who, home)
        held = any(self.has(who, obj, level) for level in LEVELS[kind])
        return known or held or self.runs(who, home) or self.is_engine(who, home)

    def manages(self, who: str, workspace: str | None, obj: str) -> bool:
        top = "MANAGE" if self.objects[obj]["kind"] == "SECRET_SCOPE" else "CAN_MANAGE"
        held = self.has(who, obj, top) or self.runs(who, self.home(obj))
        return self.reached(who, workspace, obj) and held

    def has(self, who: str, obj: str, level: str) -> bool:
        """The level itself or a higher one: granted here or on a folder above, by owning it, by running the workspace."""
        kind = self.objects[obj]["kind"]
        if level not in LEVELS[kind]:
            return False
        enough = {level} | {high for high, lower in BELOW[kind].items() if level in lower}
        if self.runs(who, self.home(obj)) and enough & {"CAN_MANAGE", "MANAGE"}:
            return True
        if self.runs(who, self.home(obj)) and LEVELS[kind] == ("CAN_USE",):
            # Policies and passwords know no CAN_MANAGE; admins use them all the same.
            return True
        if kind in OWNED and self.owns(who, obj):
            return True
        here = any(self.granted(who, obj, each) for each in enough)
        return here or any(self._passed(who, folder, kind, enough) for folder in self.folders(obj))

    def _passed(self, who: str, folder: str, kind: str, enough: set[str]) -> bool:
        levels = LEVELS[self.objects[folder]["kind"]]
        return any(self.granted(who, folder, level) and inside(kind, level) in enough for level in levels)

    def folders(self, obj: str) -> list[str]:
        """The folders it lies in, at any depth."""
        parent, found = self.objects[obj]["parent"], []
        while self.objects.get(parent, {}).get("kind") in FOLDERS and "folders" not in self.forgive:
            found.append(parent)
            parent = self.objects[parent]["parent"]
        return found
