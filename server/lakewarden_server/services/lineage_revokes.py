"""What would happen downstream if a grant went. Every who-may is decided twice by the policy engine: as it is, and without the grant.

The owners and runners that are asked about are those of what the caller sees, about what the caller could revoke the grant on:
nothing is computed from other grants. Access is that from the calling workspace, and so are the jobs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final, NamedTuple

import numpy as np

from lakewarden.v1 import grants_pb2
from lakewarden.v1 import lineage_governance_pb2 as pb
from lakewarden_policy import (
    RELATIONS,
    Access,
    Alike,
    Asked,
    Audience,
    Changes,
    Decider,
    Row,
    Securable,
    changed_snapshot,
    effective_privileges,
)
from lakewarden_server.core.clock import monotonic
from lakewarden_server.lineage.graph import Direction
from lakewarden_server.lineage.leaks import FOLLOWED
from lakewarden_server.services import validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.grants import privileges_of, revoked_with
from lakewarden_server.services.lineage_findings import (
    PRINCIPALS_MAX,
    READ,
    Assets,
    jobs_told,
    readers,
    steps,
)
from lakewarden_server.services.lineage_graph import ANSWER_BYTES_MAX, deadline_of
from lakewarden_server.services.simulations import changed_rows
from lakewarden_server.services.sources import source_message
from lakewarden_server.storage.repositories.lineage_evidence import LineageEvidenceReader

OBJECTS_MAX: Final = 2_000
"""Tables and views that a grant on their container is decided about."""
EFFECTS_MAX: Final = 1_000

_CONTAINERS: Final = ("METASTORE", "CATALOG", "SCHEMA")
_TYPES: Final = dict(grants_pb2.SecurableType.items())


_Cause = tuple[pb.DownstreamEffect.Cause.ValueType, tuple[str, ...]]
"""Why something breaks, and the ids of those whom it is due to."""


class _Thing(NamedTuple):
    """A table or view by its id, or something else by its asset."""

    securable_id: str | None
    asset_id: int | None


class _Effect(NamedTuple):
    """Why something downstream would break or not be fed."""

    thing: _Thing
    distance: int
    cause: pb.DownstreamEffect.Cause.ValueType
    principals: tuple[str, ...]
    """Ids."""
    input: _Thing
    edges: tuple[int, ...]


def simulate_revoke(
    request: pb.SimulateRevokeRequest, call: Call, assets: Assets
) -> pb.SimulateRevokeResponse:
    """Answers SimulateRevoke. Raises FIELD_INVALID, and what a revoke of privileges that are none raises."""
    kind = call.snapshot.securables[call.self_id].kind
    if kind not in (*_CONTAINERS, *RELATIONS):
        raise validation.invalid(
            "securable_type", f"say one of {', '.join((*_CONTAINERS, *sorted(RELATIONS)))}"
        )
    change = grants_pb2.GrantChange(
        action=grants_pb2.GrantChange.REVOKE, principal=request.principal, privileges=request.privileges
    )
    rows = changed_rows(change, call, call.self_id)
    held = call.snapshot.held.get(call.self_id, {}).get(rows[0].principal_id, ())
    found = pb.SimulateRevokeResponse(revision=call.revision)
    if any(row.act in held for row in rows):
        found = _Revoke(request, call, assets, rows).response()
    found.not_granted.extend(_not_granted(change, call, rows[0].principal_id, held))
    return found


def _not_granted(
    change: grants_pb2.GrantChange, call: Call, principal_id: str, held: Collection[str]
) -> Iterator[pb.UngrantedPrivilege]:
    """The privileges that a revoke would not find on the securable. Who could revoke there is told all that ListEffectivePrivileges tells."""
    kind = call.snapshot.securables[call.self_id].kind
    absent = [
        privilege
        for privilege in dict.fromkeys(privileges_of(change, call, call.self_id))
        if not any(f"{kind}:{each}" in held for each in revoked_with(call, call.self_id, privilege))
    ]
    if not absent:
        return
    effective = effective_privileges(call.decider, principal_id, call.workspace_id, call.self_id)
    sources = {each.privilege: each.sources for each in effective}
    for privilege in absent:
        yield pb.UngrantedPrivilege(
            privilege=privilege,
            sources=[source_message(source, call) for source in sources.get(privilege, ())],
        )


class _Revoke:
    """One answer."""

    def __init__(
        self, request: pb.SimulateRevokeRequest, call: Call, assets: Assets, revoked: list[Row]
    ) -> None:
        self._call, self._assets, self._state = call, assets, assets.state
        self._holder = revoked[0].principal_id
        self._after = Decider(
            call.decider.policy, changed_snapshot(call.snapshot, Changes(revoked=tuple(revoked)))
        )
        self._depth_max, self._deadline = steps(request.max_depth), deadline_of(call)
        self._evidence = LineageEvidenceReader(call.uow.connection)
        self._views_over: dict[str, list[str]] | None = None
        self._truncated_by = ""

    def response(self) -> pb.SimulateRevokeResponse:
        """Decides about the objects, then looks downstream of those that somebody would lose."""
        objects = self._objects()
        before = Audience(self._call.decider, self._call.workspace_id, [each.id for each in objects])
        after = before.under(self._after)
        losses, lost = [], []
        for found in objects:
            if monotonic() > self._deadline:
                self._truncated_by = "TIME"
                break
            loss = self._loss(found, before, after)
            if loss is not None:
                losses.append(loss)
            if loss is not None or self._loses(found.owner_id, found.id):
                lost.append(found.id)
        effects = list(self._effects(lost))
        return pb.SimulateRevokeResponse(
            losses=losses,
            effects=list(self._messages(effects)),
            truncated_by=self._truncated_by,
            revision=self._call.revision,
        )

    def _objects(self) -> list[Securable]:
        """The tables and views the grant could be about, whose grants the caller lists."""
        snapshot, found = self._call.snapshot, list[Securable]()
        for securable in self._below(self._call.self_id):
            if self._assets.tells_grants(securable.id):
                found.append(securable)
            if len(found) > OBJECTS_MAX:
                self._truncated_by = "OBJECTS"
                break
        return sorted(found[:OBJECTS_MAX], key=lambda each: snapshot.full_name(each.id))

    def _below(self, place_id: str) -> Iterator[Securable]:
        """The relations in a place that the caller sees, itself if it is one."""
        call, snapshot = self._call, self._call.snapshot
        place = snapshot.securables[place_id]
        if place.kind in RELATIONS:
            yield place
        inside = {"METASTORE": ("CATALOG",), "CATALOG": ("SCHEMA",), "SCHEMA": tuple(sorted(RELATIONS))}
        for kind in inside.get(place.kind, ()):
            if kind in RELATIONS:
                asked = Asked(call.caller.id, call.workspace_id, kind, None)
                yield from map(
                    snapshot.securables.__getitem__, Access(call.decider, asked).children(place_id)
                )
                continue
            for child in snapshot.children(place_id, kind):
                yield from self._below(child)

    def _loss(self, found: Securable, before: Audience, after: Audience) -> pb.ReadLoss | None:
        """Who could read it and could no longer; None where nobody."""
        still = {*after.allowed(found.id, READ)}
        lost = [each for each in before.allowed(found.id, READ) if each not in still]
        if not lost:
            return None
        kept = (each for each in still if self._holder in self._call.snapshot.closure(each.example))
        names = sorted(self._call.principal_name(member) for each in lost for member in each.members)
        return pb.ReadLoss(
            securable_type=_TYPES[found.kind],
            full_name=self._call.snapshot.full_name(found.id),
            lost_count=len(names),
            principals=names[:PRINCIPALS_MAX],
            kept_count=sum(len(each.members) for each in kept),
        )

    def _loses(self, subject_id: str | None, object_id: str) -> bool:
        """Whether somebody reads an object and could no longer."""
        asked = (subject_id or "", self._call.workspace_id, object_id, READ)
        return self._call.decider.privilege(*asked).allowed and not self._after.privilege(*asked).allowed

    def _effects(self, lost: list[str]) -> Iterator[_Effect]:
        """Step by step: what an owner or runner could not make any more, then all that is made of that."""
        # Not reached yet: one of them may be made of another, by somebody who could not any more.
        reached: set[_Thing] = set()
        frontier = sorted(map(self._thing, lost), key=self._label)
        for distance in range(1, self._depth_max + 2):
            if monotonic() > self._deadline:
                self._truncated_by = self._truncated_by or "TIME"
                return
            ahead = self._ahead(frontier, distance, broken=distance > 1)
            fresh = [each for each in sorted(ahead, key=self._label) if each not in reached]
            if not fresh:
                return
            if distance > self._depth_max or len(reached) + len(fresh) > EFFECTS_MAX:
                self._truncated_by = self._truncated_by or (
                    "DEPTH" if distance > self._depth_max else "NODES"
                )
                return
            reached.update(fresh)
            yield from (ahead[each] for each in fresh)
            frontier = fresh

    def _ahead(self, frontier: list[_Thing], distance: int, *, broken: bool) -> dict[_Thing, _Effect]:
        """One step downstream, each thing by the first that makes it break."""
        found: dict[_Thing, _Effect] = {}
        for thing in frontier:
            edges = self._edges_from(thing)
            over: dict[_Thing, tuple[int, ...]] = {
                self._thing(view): () for view in self._views(thing.securable_id)
            }
            causes = {} if broken else self._causes(thing, edges, over)
            for target, told in (over | edges).items():
                cause, who = causes.get(target, (pb.DownstreamEffect.UPSTREAM, ()))
                if broken or who:
                    found.setdefault(target, _Effect(target, distance, cause, who, thing, told))
        return found

    def _causes(
        self, source: _Thing, edges: Mapping[_Thing, tuple[int, ...]], over: Collection[_Thing]
    ) -> dict[_Thing, _Cause]:
        """Why what is made of something that somebody could no longer read would break."""
        edge_ids = {edge for told in edges.values() for edge in told}
        tellers = self._evidence.tellers(edge_ids, self._call.workspace_id or "")
        found = {}
        for target in {*edges, *over}:
            runners = {teller for edge in edges.get(target, ()) for teller in tellers.get(edge, ())}
            found[target] = self._cause(source, target, runners, is_over=target in over)
        return found

    def _cause(self, source: _Thing, target: _Thing, runners: Iterable[str], *, is_over: bool) -> _Cause:
        """Who could no longer make it: the owner of what is read or refreshed with its rights, or of what stores its rows the runners."""
        object_id = source.securable_id or ""
        if is_over:
            owner_id = self._call.snapshot.securables[target.securable_id or ""].owner_id
            if self._loses(owner_id, object_id):
                return pb.DownstreamEffect.OWNER, (owner_id or "",)
        if target.securable_id and self._call.snapshot.securables[target.securable_id].kind == "VIEW":
            return pb.DownstreamEffect.CAUSE_UNSPECIFIED, ()
        who = tuple(each for each in sorted(runners) if self._loses(each, object_id))
        return pb.DownstreamEffect.RUNNER, who

    def _edges_from(self, thing: _Thing) -> dict[_Thing, tuple[int, ...]]:
        """The recorded edges to what the caller sees downstream."""
        if thing.asset_id is None:
            return {}
        hops = self._state.graph.hops(np.array([thing.asset_id], dtype=np.int32), Direction.DOWNSTREAM)
        hops = hops.where(
            np.isin(hops.states, FOLLOWED) & (hops.far != hops.near) & self._assets.sight(hops.far)
        )
        found: dict[_Thing, tuple[int, ...]] = {}
        for far, edge in zip(hops.far.tolist(), hops.edges.tolist(), strict=True):
            relation = self._assets.relation(far)
            target = _Thing(relation.id if relation else None, far)
            found[target] = (*found.get(target, ()), edge)
        return found

    def _views(self, securable_id: str | None) -> list[str]:
        """The views and materialized views that the caller sees and that name a relation."""
        call, snapshot = self._call, self._call.snapshot
        if self._views_over is None:
            self._views_over = {}
            for view_id, references in snapshot.references.items():
                view = snapshot.securables.get(view_id)
                if view is None or view.kind not in RELATIONS or view.metastore_id != call.metastore_id:
                    continue
                named = {snapshot.referenced(each, call.metastore_id) for each in references}
                for target in filter(None, named):
                    self._views_over.setdefault(target.id, []).append(view_id)
        found = self._views_over.get(securable_id or "", ())
        return [each for each in found if call.decider.visible(call.caller.id, call.workspace_id, each)]

    def _thing(self, securable_id: str) -> _Thing:
        return _Thing(securable_id, self._state.by_securable.get(securable_id))

    def _label(self, thing: _Thing) -> tuple[str, int]:
        if thing.securable_id is not None:
            return self._call.snapshot.full_name(thing.securable_id), 0
        return self._assets.label(thing.asset_id or 0), thing.asset_id or 0

    def _messages(self, effects: list[_Effect]) -> Iterator[pb.DownstreamEffect]:
        call = self._call
        told = [each.thing.securable_id for each in effects]
        relations = [each for each in told if each and self._assets.tells_grants(each)]
        before = Audience(call.decider, call.workspace_id, relations)
        after = before.under(self._after)
        jobs = self._evidence.jobs(
            {edge for effect in effects for edge in effect.edges}, call.workspace_id or ""
        )
        left = ANSWER_BYTES_MAX
        for effect in effects:
            object_id = effect.thing.securable_id
            found, truncated = list[pb.LineageReader](), False
            if object_id in relations and object_id and monotonic() <= self._deadline:
                found, truncated = readers(call, before, object_id, self._meant(object_id, before, after))
            elif object_id in relations:
                self._truncated_by = self._truncated_by or "TIME"
            names = sorted(map(call.principal_name, effect.principals))
            message = pb.DownstreamEffect(
                name=self._label(effect.thing)[0],
                kind=self._kind(effect.thing),
                distance=effect.distance,
                cause=effect.cause,
                principals=names[:PRINCIPALS_MAX],
                input=self._label(effect.input)[0],
                jobs=jobs_told(jobs[edge] for edge in effect.edges if edge in jobs),
                readers=found,
                readers_truncated=truncated,
            )
            left -= message.ByteSize()
            if left < 0:
                self._truncated_by = self._truncated_by or "NODES"
                return
            yield message

    def _meant(self, object_id: str, before: Audience, after: Audience) -> list[Alike]:
        """Of a view those who could no longer read it; of what stores its rows all who read it."""
        reading = before.allowed(object_id, READ)
        if self._call.snapshot.securables[object_id].kind != "VIEW":
            return list(reading)
        still = {*after.allowed(object_id, READ)}
        return [each for each in reading if each not in still]

    def _kind(self, thing: _Thing) -> str:
        if thing.securable_id is not None:
            return self._call.snapshot.securables[thing.securable_id].kind
        return self._assets.kind(thing.asset_id or 0)
