"""The ends of declared relationships as a caller sees them, also of what was dropped since."""

from __future__ import annotations

from typing import Any

from lakewarden.v1 import external_lineage_pb2 as pb
from lakewarden_policy.records import Securable
from lakewarden_server.lineage.bindings import VOLUME
from lakewarden_server.lineage.declaring import End
from lakewarden_server.lineage.names import volume_path
from lakewarden_server.lineage.visibility import ExternalLocations, holds_on_dropped
from lakewarden_server.services.call import Call


class Ends:
    """Which ends there still are and which of them the caller sees, each decided once."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._locations = ExternalLocations(call.snapshot, call.metastore_id)
        self._known: dict[tuple[str, bool], bool] = {}

    def both_seen(self, row: Any) -> bool:
        """Whether the caller sees both ends of a relationship; of one that was dropped also who declared it."""
        is_own = row.created_by == self._call.caller.id
        return all(self._seen(key, is_own) for key in (row.source_key, row.target_key))

    def living(self, end: End) -> Securable | None:
        """What the privileges on an end are on, a location for a path; None where it was dropped."""
        if end.path:
            return self._locations.over(end.path)
        found = self._call.snapshot.securables.get(end.securable_id)
        return found if found is not None and found.kind == end.kind else None

    def may_on_dropped(self, end: End, act: str) -> bool:
        """Whether the caller may do on an end that was dropped what it may on all of the schema that was in."""
        call = self._call
        gone = call.snapshot.securables.get(end.securable_id)
        was_in = None if gone is None else gone.parent_id
        return holds_on_dropped(
            call.decider, call.metastore_id, call.caller.id, call.workspace_id, was_in, act
        )

    def message(self, end: End) -> pb.ExternalLineageObject:
        """An end as it is told: as what it was called last where it was dropped, nameless where that is not known or not the caller's to see."""
        found = self._call.snapshot.securables.get(end.securable_id)
        dropped = self.living(end) is None
        is_told = found is not None and not (dropped and not self.may_on_dropped(end, "SCHEMA:BROWSE"))
        name = self._call.snapshot.full_name(end.securable_id) if is_told else ""
        message = pb.ExternalLineageObject(dropped=dropped)
        if end.path:
            message.path = end.path
        elif end.kind == VOLUME:
            message.path = volume_path(name, end.file_path) if name else ""
        elif end.kind == "REGISTERED_MODEL":
            message.model_version.CopyFrom(pb.ExternalLineageModelVersion(name=name, version=end.version))
        elif end.kind == "EXTERNAL_METADATA":
            message.external_metadata = name
        else:
            message.table = name
        return message

    def _seen(self, key: str, is_own: bool) -> bool:
        known = self._known.get((key, is_own))
        if known is None:
            known = self._known[key, is_own] = self._sees(End(key), is_own)
        return known

    def _sees(self, end: End, is_own: bool) -> bool:
        found = self.living(end)
        if found is not None:
            return self._call.decider.visible(self._call.caller.id, self._call.workspace_id, found.id)
        return is_own or self.may_on_dropped(end, "SCHEMA:BROWSE")
