"""Nothing of one workspace or metastore is reached from another, whatever id, name or page token a call is given."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty

from access.isolation import METASTORES, WORKSPACES_EACH, World, swaps
from access.rpcs import offered
from access.world import REQUESTS, rpc_names
from lakewarden_policy import Located, Snapshot
from lakewarden_policy.reach import Reach
from lakewarden_server.entities import Token
from lakewarden_server.services.call import Call
from lakewarden_server.services.paging import Pager
from lakewarden_server.testing import serve

ROUNDS = 2
"""Calls of each RPC in the short test."""
CALLS_LONG = 3_000
CALLS_UNTIL_CAUGHT = 2_000
SEED = 20261126
AT_HOME_SHARE_MIN = 0.8
PAGED_MIN = 12


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with serve(workspace=False) as server, grpc.insecure_channel(server.endpoint) as channel:
        yield World(server, channel)


def test_no_call_reaches_another_workspace_or_metastore(world: World) -> None:
    assert crossings(world, ROUNDS * len(rpc_names()), seed=SEED) == []


@pytest.mark.slow
def test_none_of_three_thousand_calls_reaches_another_workspace_or_metastore(world: World) -> None:
    assert crossings(world, CALLS_LONG, seed=SEED + 1) == []


def test_callers_reach_what_is_at_home_and_have_pages_of_it(world: World) -> None:
    """Else nothing could cross: at home the same calls are answered, also after all that was tried."""
    assert len(world.places) == len(METASTORES) * WORKSPACES_EACH
    for place in world.places:
        paged = {rpc for _, rpc in place.page_tokens}
        assert len(paged) >= PAGED_MIN, paged
        reads = [rpc for rpc in REQUESTS if not offered()[f"lakewarden.v1.{rpc}"].rule.write]
        codes = [world.ask("keeper", place, rpc, place.request(rpc)).code for rpc in reads]
        assert codes.count("OK") >= AT_HOME_SHARE_MIN * len(codes)


def crossings(world: World, calls: int, *, seed: int) -> list[str]:
    """What crossed in so many calls; each RPC is among them."""
    chance, asked, found = random.Random(seed), set[str](), []
    for swap in islice(swaps(world, chance), calls):
        asked.add(swap.rpc)
        if how := world.crossed(swap, chance):
            found.append(f"{swap.rpc} {swap.path}={swap.value} {swap.caller} {swap.home.workspace}: {how}")
    assert asked == set(REQUESTS)
    return found


def forget_assignment(patch: pytest.MonkeyPatch, world: World) -> None:
    """Everybody works in every workspace."""
    patch.setattr(Reach, "is_assigned", lambda *_: True)


def forget_workspace_of_pages(patch: pytest.MonkeyPatch, world: World) -> None:
    """A page token is good wherever its caller works."""
    pager = property(lambda call: Pager(call.page_key, f"{call.method}\0{call.caller.id}"))
    patch.setattr(Call, "pager", pager)


def forget_metastore(patch: pytest.MonkeyPatch, world: World) -> None:
    """A name means what it means in whatever metastore was made last, and that is within reach."""
    locate: Callable[..., Located] = Snapshot.locate
    blocked: Callable[..., Any] = Reach._blocked

    def anywhere(
        self: Snapshot, kind: str, full_name: str, metastore_id: str | None, workspace_id: str | None = None
    ) -> Located:
        metastores = sorted(row.id for row in self.securables.values() if row.kind == "METASTORE")
        for metastore in reversed(metastores):
            found = locate(self, kind, full_name, metastore, workspace_id)
            if found.securable is not None:
                return found
        return locate(self, kind, full_name, metastore_id, workspace_id)

    def attached(self: Reach, subject_id: str, workspace_id: str | None, home: str | None) -> Any:
        workspace = self._snapshot.securables.get(workspace_id or "")
        return blocked(self, subject_id, workspace_id, workspace.metastore_id if workspace else home)

    patch.setattr(Snapshot, "locate", anywhere)
    patch.setattr(Reach, "_blocked", attached)


def forget_workspace_of_tokens(patch: pytest.MonkeyPatch, world: World) -> None:
    """The admins of one workspace end the tokens of any."""

    def delete_any(request: Any, call: Call) -> Empty:
        token = call.uow.session.get(Token, request.id)
        if token is not None:
            call.uow.session.delete(token)
        return Empty()

    name = "lakewarden.v1.TokenService/DeleteWorkspaceToken"
    methods = world.server.app.pipeline.methods
    patch.setitem(methods, name, dataclasses.replace(methods[name], function=delete_any))  # type: ignore[arg-type]


CONTROLS = {
    forget_assignment: "Service/",
    forget_workspace_of_pages: "/List",
    forget_metastore: "Service/",
    forget_workspace_of_tokens: "TokenService/",
}
"""What is forgotten, and the RPCs that are asked then."""


@pytest.mark.parametrize("forget", CONTROLS)
def test_control_a_server_that_forgets_a_check_is_caught(
    world: World, monkeypatch: pytest.MonkeyPatch, forget: Callable[[pytest.MonkeyPatch, World], None]
) -> None:
    chance = random.Random(SEED)
    with monkeypatch.context() as patch:
        forget(patch, world)
        world.renew()
        tried = islice(
            (swap for swap in swaps(world, chance) if CONTROLS[forget] in swap.rpc), CALLS_UNTIL_CAUGHT
        )
        caught = next((swap for swap in tried if world.crossed(swap, chance)), None)
    world.renew()
    assert caught is not None
