"""Rounds of the same questions to a running server about one random world, answered by ids, so that rounds compare."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

from lakewarden import Client, LakewardenError
from lakewarden_server.testing import EmbeddedServer
from policies.questions import make_question
from policies.reference_matrix import MATRIX, RUN_BY
from policies.snapshots import name_of
from policies.stored import ENGINE
from policies.worlds import World, full_name

QUESTIONS, ALONE, LOOKED_AT = 2500, 40, 25
PEOPLE = ("u1", "u2", "p1")
PLACES = {"w0": "m0", "w1": "m1"}
KEEPER = "keeper"
NEVER_THERE = "never_there"
RESOURCES = {
    "CATALOG": "catalogs", "SCHEMA": "schemas", "TABLE": "tables", "VIEW": "views", "FUNCTION": "functions",
    "MATERIALIZED_VIEW": "materialized_views", "STREAMING_TABLE": "streaming_tables",
}  # fmt: skip

CONTAINERS = {"CATALOG": "", "SCHEMA": "CATALOG"}

Answers = dict[tuple[Any, ...], Any]
Named = dict[str, dict[str, str]]
"""Ids by full name, by kind."""


class Access(NamedTuple):
    """One access as the client sends it."""

    securable_type: str
    full_name: str
    privilege: str


class Asking:
    """The same questions about one world, put to a running server as often as wanted, by the names things have then."""

    def __init__(self, server: EmbeddedServer, world: World, rng: random.Random) -> None:
        self.server = server
        self._tokens = {who: server.issue_token(name_of(who)) for who in (*PEOPLE, ENGINE, KEEPER)}
        self._checks: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
        for question in (make_question(rng, world) for _ in range(QUESTIONS)):
            obj = question.objects.get("self", "")
            kind, home = (world["objects"].get(obj, {}).get(name) for name in ("kind", "metastore"))
            asked = question.operation.endswith(".use") and question.selector in MATRIX.get(kind, ())
            if (
                asked
                and kind in RESOURCES
                and question.workspace
                and world["objects"][question.workspace]["metastore"] == home
            ):
                self._checks[question.workspace, question.who].append((obj, question.selector))
        self._some = {
            place: rng.sample(objects, min(LOOKED_AT, len(objects)))
            for place, metastore in PLACES.items()
            if (objects := [obj for kind in RESOURCES for obj in self.of_kind(world, kind, metastore)])
        }

    def client(self, who: str, workspace: str) -> Client:
        """A client of somebody in the world, at the port the server has now."""
        return self.server.client(self._tokens[who], workspace=workspace)

    def of_kind(self, world: World, kind: str, metastore: str) -> list[str]:
        """The objects of one kind in a metastore."""
        things = world["objects"].items()
        return [obj for obj, thing in things if (thing["kind"], thing["metastore"]) == (kind, metastore)]

    def answers(self, world: World) -> Answers:
        """Every answer, by ids and not by names."""
        found: Answers = dict(self._verdicts(world))
        for place, metastore in PLACES.items():
            ids = {
                kind: {full_name(world, obj): obj for obj in self.of_kind(world, kind, metastore)}
                for kind in RESOURCES
            }
            for who in PEOPLE:
                found |= {("filter", place, who, *key): seen for key, seen in self._filtered(place, who, ids)}
                found |= {("list", place, who, *key): seen for key, seen in self._listed(place, who, ids)}
                found |= {("held", place, who, obj): held for obj, held in self._held(world, place, who)}
            found |= {("principals", place, obj): told for obj, told in self._principals(world, place)}
        return found

    def _verdicts(self, world: World) -> Iterator[tuple[tuple[Any, ...], bool]]:
        for (workspace, who), checks in self._checks.items():
            engine = self.client(ENGINE, workspace).authorization
            wanted = [
                Access(world["objects"][obj]["kind"], full_name(world, obj), privilege)
                for obj, privilege in checks
            ]
            verdicts = engine.batch_check(wanted, subject=name_of(who), explain=False)
            for at, (check, verdict) in enumerate(zip(checks, verdicts, strict=True)):
                yield ("check", workspace, who, *check), verdict.allowed
                if at % ALONE == 0:
                    kind, name, privilege = wanted[at]
                    alone = engine.check(privilege, kind, name, subject=name_of(who), explain=False)
                    assert alone.allowed == verdict.allowed

    def _filtered(self, place: str, who: str, ids: Named) -> Iterator[tuple[Any, Any]]:
        engine = self.client(ENGINE, place).authorization
        for kind, named in ids.items():
            for privilege in ("", RUN_BY.get(kind, "MANAGE")):
                # A name of nothing stands among them: none at all is not asked about.
                names = [*named, NEVER_THERE]
                seen = engine.filter_securables(kind, names, privilege, subject=name_of(who))
                yield (kind, privilege), frozenset(named[name] for name in seen)

    def _listed(self, place: str, who: str, ids: Named) -> Iterator[tuple[Any, Any]]:
        client = self.client(who, place)
        for kind, named in ids.items():
            resource, above = getattr(client, RESOURCES[kind]), CONTAINERS.get(kind, "SCHEMA")
            for name, container in ids[above].items() if above else [("", "")]:
                rows = partial(resource.list, *[name] if above else [])
                yield (kind, container), told(rows, lambda row, named=named: named[row.full_name])

    def _held(self, world: World, place: str, who: str) -> Iterator[tuple[str, Any]]:
        grants = self.client(who, place).grants
        for obj in self._some[place]:
            held = partial(grants.effective, world["objects"][obj]["kind"], full_name(world, obj))
            yield obj, told(held, lambda each: (each.privilege, each.usable, len(each.sources)))

    def _principals(self, world: World, place: str) -> Iterator[tuple[str, Any]]:
        """Who may use something, as the keeper is told it: refused where the binding keeps even the keeper out."""
        keeper = self.client(KEEPER, place).authorization
        for obj in self._some[place]:
            kind = world["objects"][obj]["kind"]
            privilege = RUN_BY.get(kind, sorted(MATRIX[kind])[-1])
            allowed = partial(keeper.list_principals, privilege, kind, full_name(world, obj))
            yield obj, told(allowed, lambda each: each.principal)


def told(ask: Callable[[], Iterable[Any]], what: Callable[[Any], Any]) -> frozenset[Any] | str:
    """What is answered, or why it is refused."""
    try:
        return frozenset(map(what, ask()))
    except LakewardenError as refused:
        return refused.reason
