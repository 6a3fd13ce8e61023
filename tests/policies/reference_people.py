"""The second judge, part one: who somebody is, what was granted to whom, and from where it can be reached."""

from __future__ import annotations

from typing import NamedTuple

from policies.reference_matrix import BINDABLE, CONTAINERS

EVERYBODY = "account-users"


class Seat(NamedTuple):
    """Somebody working in a workspace; without one, somebody at the account's desk."""

    who: str | None
    workspace: str | None


class People:
    """Principals, groups and grants of one world at one time; ``forgive`` names rules to leave out."""

    def __init__(self, world: dict, now: float, forgive: frozenset[str]) -> None:
        self.principals, self.objects, self.members = world["principals"], world["objects"], world["members"]
        self.forgive = forgive
        self.grants = {
            (obj, holder, privilege)
            for obj, holder, privilege, until in world["grants"]
            if until is None or until > now or "expiry" in forgive
        }
        self.workspaces = [name for name, thing in self.objects.items() if thing["kind"] == "WORKSPACE"]
        self._sets: dict[str | None, set[str]] = {}

    def alive(self, who: str | None) -> bool:
        """Does the principal exist, and may it act?"""
        return who in self.principals and (self.principals[who]["active"] or "active" in self.forgive)

    def everyone(self, who: str | None) -> set[str]:
        """The principal and all groups it is in: nested, everybody's, and those of the workspaces it works in."""
        if who not in self._sets:
            found = {who} if who in self.principals else set()
            if found and self.principals[who]["kind"] != "GROUP":
                found.add(EVERYBODY)
            grown = bool(found)
            while grown:
                above = {group for group, member in self.members if member in found}
                above |= self._workspace_groups(found)
                grown = not above <= found
                found |= above
            self._sets[who] = found
        return self._sets[who]

    def _workspace_groups(self, found: set[str]) -> set[str]:
        groups = set()
        for place in self.workspaces:
            if self._holds(found, place, "ADMIN") or self.objects[place]["owner"] in found:
                groups |= {f"{place}:admins", f"{place}:users"}
            if self._holds(found, place, "USER") or f"{place}:admins" in found:
                groups.add(f"{place}:users")
        return groups

    def _holds(self, holders: set[str], obj: str, privilege: str) -> bool:
        return any((obj, holder, privilege) in self.grants for holder in holders)

    def granted(self, who: str | None, obj: str, privilege: str) -> bool:
        return self._holds(self.everyone(who), obj, privilege)

    def owns(self, who: str | None, obj: str) -> bool:
        return self.objects[obj].get("owner") in self.everyone(who)

    def account_admin(self, who: str) -> bool:
        return self.granted(who, "account", "ADMIN")

    def runs(self, who: str | None, workspace: str) -> bool:
        return f"{workspace}:admins" in self.everyone(who)

    def entitled(self, who: str, workspace: str, entitlement: str) -> bool:
        """Whoever runs the workspace may do everything there but ask for others; the rest takes the entitlement and working there (5.3)."""
        if not self.alive(who):
            return False
        if entitlement == "USER":
            return self.works_in(who, workspace)
        if entitlement in ("ADMIN", "QUERY_ENGINE"):
            return (
                self.runs(who, workspace)
                if entitlement == "ADMIN"
                else self.granted(who, workspace, entitlement)
            )
        return self.runs(who, workspace) or (
            self.granted(who, workspace, entitlement) and self.works_in(who, workspace)
        )

    def works_in(self, who: str | None, workspace: str) -> bool:
        return f"{workspace}:users" in self.everyone(who)


class Places(People):
    """Containers, workspaces and bindings (semantics 1 and 4)."""

    def kind(self, obj: str) -> str:
        return self.objects[obj]["kind"]

    def containers(self, obj: str) -> list[str]:
        """Schema and catalog above the object: the only containers that pass privileges down."""
        parent, found = self.objects[obj]["parent"], []
        while parent in self.objects and self.kind(parent) in CONTAINERS:
            found.append(parent)
            parent = self.objects[parent]["parent"]
        return found

    def metastore(self, obj: str) -> str:
        return obj if self.kind(obj) == "METASTORE" else self.objects[obj]["metastore"]

    def attached(self, seat: Seat, obj: str) -> bool:
        """Is the seat in a workspace of the object's metastore, and does its holder work there?"""
        if not self.alive(seat.who):
            return False
        if seat.workspace is None:
            return "workspace" in self.forgive
        if not self.works_in(seat.who, seat.workspace) and "assigned" not in self.forgive:
            return False
        home = self.objects.get(seat.workspace, {}).get("metastore")
        return home == self.metastore(obj) or "attached" in self.forgive

    def binding(self, workspace: str | None, obj: str) -> str | None:
        """How the workspace is bound to the object, or to its catalog; None where it is shut out."""
        place = self.objects[[obj, *self.containers(obj)][-1]]
        if place["kind"] not in BINDABLE or place["isolation"] == "OPEN":
            return "READ_WRITE"
        return place["bindings"].get(workspace, "READ_WRITE" if "isolated" in self.forgive else None)

    def reaches(self, seat: Seat, obj: str, *, writing: bool = False) -> bool:
        """May the object be touched from here at all, whatever anybody was granted?"""
        bound = self.binding(seat.workspace, obj)
        read_only = bound == "READ_ONLY" and "read_only" not in self.forgive
        return bound is not None and not (writing and read_only) and self.attached(seat, obj)

    def shut_to_files(self, obj: str) -> bool:
        """Is a location read-only, by itself or by its credential, or is this a credential that is?"""
        place = self.objects[obj]
        reached_with = self.objects.get(place.get("credential"), {})
        read_only = place.get("read_only", False) or reached_with.get("read_only", False)
        return read_only and "read_only_place" not in self.forgive

    def called(self, metastore: str, kinds: tuple[str, ...], full_name: str) -> str | None:
        """The living object of one of the kinds that bears the name now."""
        place: str | None = metastore
        steps = [("CATALOG",), ("SCHEMA",), kinds]
        for name, wanted in zip(full_name.split("."), steps, strict=True):
            place = next(
                (
                    obj
                    for obj, thing in self.objects.items()
                    if (thing["parent"], thing["name"]) == (place, name) and thing["kind"] in wanted
                ),
                None,
            )
        return place
