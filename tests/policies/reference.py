"""The second judge: whole operations decided by plain Python written from the semantics text (sections 2 and 3).

It imports nothing of ours, reads no policy file and knows no Casbin: it speaks of owners, managers and gates, not of
rows. A world is a dict of plain lists and dicts (see `worlds.py`).
"""

from __future__ import annotations

EVERYBODY = "account-users"
NOT_IN_ALL = {"MANAGE", "EXTERNAL_USE_SCHEMA"}
DATA_KINDS = {"CATALOG", "SCHEMA", "TABLE"}


class Reference:
    """Decides for one world; ``forgive`` names rules to leave out, to learn which rule decided a denial."""

    def __init__(self, world: dict, forgive: frozenset[str] = frozenset()) -> None:
        self.principals, self.objects = world["principals"], world["objects"]
        self.members = world["members"]
        self.grants = set(world["grants"])
        self.forgive = forgive
        self._sets: dict[str, set[str]] = {}

    # --- who ---
    def everyone(self, who: str) -> set[str]:
        if who not in self._sets:
            found = {who}
            if self.principals[who]["kind"] != "GROUP":
                found.add(EVERYBODY)
            grown = True
            while grown:
                above = {group for group, member in self.members if member in found} - found
                found |= above
                grown = bool(above)
            self._sets[who] = found
        return self._sets[who]

    def granted(self, who: str, obj: str, privilege: str) -> bool:
        return any((obj, holder, privilege) in self.grants for holder in self.everyone(who))

    def owns(self, who: str, obj: str) -> bool:
        return self.objects[obj].get("owner") in self.everyone(who)

    def account_admin(self, who: str) -> bool:
        return self.granted(who, "account", "ADMIN")

    # --- where ---
    def containers(self, obj: str) -> list[str]:
        """Catalog and schema above the object: the only containers that pass privileges down."""
        parent, found = self.objects[obj]["parent"], []
        while parent in self.objects and self.objects[parent]["kind"] in DATA_KINDS:
            found.append(parent)
            parent = self.objects[parent]["parent"]
        return found

    def metastore(self, obj: str) -> str:
        return obj if self.objects[obj]["kind"] == "METASTORE" else self.objects[obj]["metastore"]

    def works_in(self, who: str, workspace: str) -> bool:
        return self.granted(who, workspace, "USER") or self.runs(who, workspace)

    def runs(self, who: str, workspace: str) -> bool:
        return self.granted(who, workspace, "ADMIN") or self.owns(who, workspace)

    def reaches(self, who: str, workspace: str | None, obj: str) -> bool:
        if workspace is None:
            return "workspace" in self.forgive
        if not self.works_in(who, workspace) and "assigned" not in self.forgive:
            return False
        return self.objects[workspace]["metastore"] == self.metastore(obj) or "attached" in self.forgive

    # --- what ---
    def metastore_admin(self, who: str, obj: str) -> bool:
        return self.owns(who, self.metastore(obj))

    def has(self, who: str, obj: str, privilege: str) -> bool:
        """A data privilege: by ownership of this very object, or granted here or on a container, by name or by ALL."""
        if self.owns(who, obj) and privilege != "EXTERNAL_USE_SCHEMA":
            return True
        if privilege in ("USE_CATALOG", "CREATE_SCHEMA") and self.objects[obj]["kind"] != "CATALOG":
            return False
        names = [privilege] if privilege in NOT_IN_ALL else [privilege, "ALL_PRIVILEGES"]
        return any(self.granted(who, place, name) for place in [obj, *self.containers(obj)] for name in names)

    def enters(self, who: str, obj: str, upto: str | None = None) -> bool:
        """USE CATALOG and USE SCHEMA for data: on every container, and on the object itself where it is one."""
        places = [*self.containers(obj), *([obj] if upto is None else [])]
        use = {"CATALOG": "USE_CATALOG", "SCHEMA": "USE_SCHEMA"}
        wanted = [(place, use.get(self.objects[place]["kind"])) for place in places]
        return "gates" in self.forgive or all(self.has(who, place, name) for place, name in wanted if name)

    def enters_to_manage(self, who: str, obj: str) -> bool:
        """USE on the levels above; for management a catalog's owner passes its schemas, a metastore admin everything."""
        if self.metastore_admin(who, obj) or "gates" in self.forgive:
            return True
        above = self.containers(obj)
        if above and self.owns(who, above[-1]):
            return True
        return self.enters(who, obj, upto="above")

    def manages(self, who: str, obj: str) -> bool:
        places = [obj, *self.containers(obj)]
        held = any(self.owns(who, place) or self.granted(who, place, "MANAGE") for place in places)
        return (held or self.metastore_admin(who, obj)) and self.enters_to_manage(who, obj)

    def browses(self, who: str, obj: str) -> bool:
        kind, above = self.objects[obj]["kind"], self.containers(obj)
        catalog = above[-1] if above else obj
        containers = above if kind == "TABLE" else [obj, *above]
        names = ("BROWSE", "ALL_PRIVILEGES")
        by_grant = any(self.granted(who, catalog, name) for name in names)
        return (
            by_grant or any(self.owns(who, place) for place in containers) or self.metastore_admin(who, obj)
        )

    def uses(self, who: str, obj: str, privilege: str) -> bool:
        """May the privilege be used: the privilege and everything that must stand beside it."""
        if privilege == "MANAGE":
            return self.manages(who, obj)
        if privilege == "BROWSE":
            return self.browses(who, obj)
        held = self.has(who, obj, privilege)
        if privilege == "MODIFY" and "gates" not in self.forgive:
            held = held and self.has(who, obj, "SELECT")
        own_gate = privilege in ("USE_CATALOG",) or (
            privilege == "USE_SCHEMA" and self.objects[obj]["kind"] == "SCHEMA"
        )
        return held and self.enters(who, obj, upto="above" if own_gate else None)

    # --- operations ---
    def allows(
        self, who: str, workspace: str | None, operation: str, selector: str, objects: dict[str, str]
    ) -> bool:
        if who not in self.principals or not (self.principals[who]["active"] or "active" in self.forgive):
            return False
        noun, verb = operation.split(".")
        if noun in ("catalog", "schema", "table"):
            place = objects.get("self") or objects["parent"]
            if not self.reaches(who, workspace, place):
                return False
            return self.data_operation(who, noun, verb, selector, place)
        return self.account_operation(who, workspace, noun, verb, selector, objects)

    def data_operation(self, who: str, noun: str, verb: str, selector: str, obj: str) -> bool:
        if verb == "use":
            return self.uses(who, obj, selector)
        if verb == "create":
            return self.creates(who, noun, obj)
        if verb == "get":
            return self.sees(who, noun, obj)
        if verb == "miss":
            return self.sees_all(who, noun, obj)
        above = self.containers(obj)
        if verb == "grant" and selector == "EXTERNAL_USE_SCHEMA" and noun != "table":
            return self.owns(who, above[-1] if above else obj)
        if verb == "update" and selector == "name":
            return self.manages(who, obj) and self.creates(who, noun, self.objects[obj]["parent"])
        if verb == "update" and noun == "table" and selector in ("columns", "properties"):
            return self.manages(who, obj) or self.uses(who, obj, "MODIFY")
        return self.manages(who, obj)

    def creates(self, who: str, noun: str, parent: str) -> bool:
        if noun == "catalog":
            return self.granted(who, parent, "CREATE_CATALOG") or self.owns(who, parent)
        return self.uses(who, parent, {"schema": "CREATE_SCHEMA", "table": "CREATE_TABLE"}[noun])

    def sees(self, who: str, noun: str, obj: str) -> bool:
        if self.browses(who, obj) or self.manages(who, obj):
            return True
        if noun == "catalog":
            return self.has(who, obj, "USE_CATALOG") or self.has(who, obj, "CREATE_SCHEMA")
        if noun == "schema":
            return self.uses(who, obj, "USE_SCHEMA")
        return any(self.uses(who, obj, privilege) for privilege in ("SELECT", "MODIFY", "APPLY_TAG"))

    def sees_all(self, who: str, noun: str, parent: str) -> bool:
        """Would every possible child of the container be shown, one without rows of its own included?"""
        if noun == "catalog":
            return self.owns(who, parent)
        if self.browses(who, parent):
            return True
        managed = any(self.granted(who, place, "MANAGE") for place in [parent, *self.containers(parent)])
        if managed and self.enters(who, parent):
            return True
        wanted = ["USE_SCHEMA"] if noun == "schema" else ["SELECT", "APPLY_TAG"]
        return self.enters(who, parent) and any(self.has(who, parent, privilege) for privilege in wanted)

    def account_operation(
        self, who: str, workspace: str | None, noun: str, verb: str, selector: str, objects: dict[str, str]
    ) -> bool:
        admin, obj = self.account_admin(who), objects.get("self", "")
        if noun == "account" or (verb in ("create", "miss") and noun != "token"):
            return admin
        if noun == "metastore":
            if verb == "get":
                return admin or self.owns(who, obj) or self.reaches(who, workspace, obj)
            if verb == "delete" or (verb == "update" and selector in ("name", "owner")):
                return admin
            return admin or self.owns(who, obj)
        if noun == "workspace":
            if verb == "delete" or selector in ("name", "metastore", "QUERY_ENGINE"):
                return admin
            seen = verb == "get" and (self.works_in(who, obj) or self.granted(who, obj, "QUERY_ENGINE"))
            return admin or self.runs(who, obj) or seen
        if noun in ("user", "group", "service_principal"):
            return admin or (verb == "get" and obj in self.everyone(who))
        subject = objects["subject"]
        itself = subject == who and self.principals[subject]["kind"] != "GROUP"
        if noun == "authorization":
            return itself or self.granted(who, objects["workspace"], "QUERY_ENGINE")
        return itself or (admin and self.principals[subject]["kind"] != "GROUP")
