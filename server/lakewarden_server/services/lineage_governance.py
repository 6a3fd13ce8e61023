"""Governance from lineage: leaks, and what a revoke would do downstream."""

from __future__ import annotations

from lakewarden.v1 import lineage_governance_pb2 as pb
from lakewarden_server.lineage.follower import LineageFollower
from lakewarden_server.services.call import Call
from lakewarden_server.services.lineage_findings import Assets
from lakewarden_server.services.lineage_leaks import find_leaks
from lakewarden_server.services.lineage_revokes import simulate_revoke


class LineageGovernanceService:
    """Implements `lakewarden.v1.LineageGovernanceService`."""

    def __init__(self, follower: LineageFollower) -> None:
        self._follower = follower

    def find_lineage_leaks(
        self, request: pb.FindLineageLeaksRequest, call: Call
    ) -> pb.FindLineageLeaksResponse:
        """Unprotected copies of what is protected, and who reads them."""
        return find_leaks(request, call, self._assets(call))

    def simulate_revoke(self, request: pb.SimulateRevokeRequest, call: Call) -> pb.SimulateRevokeResponse:
        """What would happen downstream if a grant went."""
        return simulate_revoke(request, call, self._assets(call))

    def _assets(self, call: Call) -> Assets:
        state = self._follower.at_head(call.uow)
        return Assets(call, state, self._follower.sights(state, call.decider))
