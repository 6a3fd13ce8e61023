"""The second judge, part two: what somebody holds, enters, manages, browses and reads (semantics 2 and 3.1)."""

from __future__ import annotations

from policies.reference_matrix import (
    BESIDE,
    IN_SCHEMA,
    MATRIX,
    NOT_IN_ALL,
    NOT_OF_THE_OWNER,
    RELATIONS,
    RUN_BY,
    WRITES_FILES,
    writes,
)
from policies.reference_people import Places, Seat

USE = {"CATALOG": "USE_CATALOG", "SCHEMA": "USE_SCHEMA"}


class Rights(Places):
    """Privileges as they can be used from a seat."""

    def metastore_admin(self, who: str | None, obj: str) -> bool:
        return self.owns(who, self.metastore(obj))

    def has(self, seat: Seat, obj: str, privilege: str) -> bool:
        """The privilege alone: by owning this very object, or granted here or on a container, by name or by ALL."""
        if privilege not in MATRIX[self.kind(obj)]:
            return False
        if not self.reaches(seat, obj, writing=writes(privilege)):
            return False
        if privilege in WRITES_FILES.get(self.kind(obj), ()) and self.shut_to_files(obj):
            return False
        if self.owns(seat.who, obj) and privilege not in NOT_OF_THE_OWNER:
            return True
        outside_all = privilege in NOT_IN_ALL and "all_exclusions" not in self.forgive
        names = [privilege] if outside_all else [privilege, "ALL_PRIVILEGES"]
        places = [obj, *self.containers(obj)]
        return any(self.granted(seat.who, place, name) for place in places for name in names)

    def enters(self, seat: Seat, *places: str) -> bool:
        """USE CATALOG and USE SCHEMA on each of the places that has such a gate."""
        gates = [place for place in places if self.kind(place) in USE]
        return "gates" in self.forgive or all(self.has(seat, gate, USE[self.kind(gate)]) for gate in gates)

    def enters_to_manage(self, seat: Seat, obj: str) -> bool:
        """USE on the levels above; for management a catalog's owner passes its schemas, a metastore admin everything."""
        above = self.containers(obj)
        freely = self.metastore_admin(seat.who, obj) or (bool(above) and self.owns(seat.who, above[-1]))
        return freely or self.enters(seat, *above)

    def manages(self, seat: Seat, obj: str) -> bool:
        """Grant, transfer, alter, drop: owners here or above, MANAGE here or above, the metastore admin."""
        if not self.reaches(seat, obj, writing=True):
            return False
        places = [obj, *self.containers(obj)]
        held = (
            self.metastore_admin(seat.who, obj)
            or any(self.owns(seat.who, place) for place in places)
            or self.has(seat, obj, "MANAGE")
        )
        return held and self.enters_to_manage(seat, obj)

    def holds_anything(self, seat: Seat, obj: str) -> bool:
        """Any privilege on the object itself, one that a read-only binding drops included: seeing it writes nothing."""
        return self.reaches(seat, obj) and any(
            self.granted(seat.who, obj, name) for name in MATRIX[self.kind(obj)]
        )

    def browses(self, seat: Seat, obj: str) -> bool:
        """See that it exists: BROWSE on the catalog or on the object itself, owners of containers, metastore admins."""
        if not self.reaches(seat, obj):
            return False
        above = self.containers(obj)
        top = above[-1] if above else obj
        granted = "BROWSE" in MATRIX[self.kind(top)] and any(
            self.granted(seat.who, top, name) for name in ("BROWSE", "ALL_PRIVILEGES")
        )
        # The owner of something in a schema needs the gates above it to see even that.
        owned = above if self.kind(obj) in IN_SCHEMA else [obj, *above]
        return (
            granted
            or any(self.owns(seat.who, place) for place in owned)
            or self.metastore_admin(seat.who, obj)
        )

    def uses(self, seat: Seat, obj: str, privilege: str) -> bool:
        """The privilege and everything that must stand beside it, but what it refers to."""
        if privilege == "MANAGE":
            return self.manages(seat, obj)
        if privilege == "BROWSE":
            # Whoever holds something on a location or on external metadata may see it; a table needs its gates for that.
            shown = self.kind(obj) in ("EXTERNAL_LOCATION", "EXTERNAL_METADATA") and self.holds_anything(
                seat, obj
            )
            return shown or self.browses(seat, obj)
        above = self.containers(obj)
        gates = above if privilege == USE.get(self.kind(obj)) else [obj, *above]
        return (
            self.has(seat, obj, privilege)
            and self.stands_beside(seat, obj, privilege)
            and self.enters(seat, *gates)
        )

    def stands_beside(self, seat: Seat, obj: str, privilege: str) -> bool:
        """MODIFY is refused without SELECT, WRITE FILES without READ FILES; on external metadata nothing is read."""
        needed = BESIDE.get(privilege)
        free = needed is None or self.kind(obj) == "EXTERNAL_METADATA" or "gates" in self.forgive
        return free or self.has(seat, obj, needed)

    def carries_out(self, seat: Seat, obj: str, privilege: str, *, within: tuple[str, ...] = ()) -> bool:
        """The privilege to its end: what runs as its OWNER also needs that the owner may use all it refers to, by name, now.

        ``within`` are the objects being run; one met again is a cycle.
        """
        if not self.uses(seat, obj, privilege):
            return False
        if not self.runs_as_owner(obj, privilege):
            return True
        owner = seat._replace(who=self.objects[obj]["owner"])
        references = self.objects[obj].get("references", ())
        return all(self._used_by(owner, self.metastore(obj), *it, (*within, obj)) for it in references)

    def runs_as_owner(self, obj: str, privilege: str) -> bool:
        """Reading a view, refreshing a materialized view, calling a function; doing all there is to do includes that."""
        kind = self.kind(obj)
        asked = privilege in (RUN_BY.get(kind), "ALL_PRIVILEGES")
        return kind in RUN_BY and asked and f"{kind.lower()}_owner" not in self.forgive

    def _used_by(self, owner: Seat, metastore: str, sort: str, name: str, within: tuple[str, ...]) -> bool:
        kinds, privilege = (("FUNCTION",), "EXECUTE") if sort == "FUNCTION" else (RELATIONS, "SELECT")
        used = self.called(metastore, kinds, name)
        return (
            used is not None
            and used not in within
            and self.carries_out(owner, used, privilege, within=within)
        )
