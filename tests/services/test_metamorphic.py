"""What must not change an answer of the service: a restart on its database, and new names for what it knows."""

from __future__ import annotations

import copy
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from lakewarden import Client, LakewardenError
from lakewarden_policy import KINDS
from lakewarden_server.testing import serve
from policies.reference import Reference
from policies.reference_matrix import IN_SCHEMA, RUN_BY
from policies.snapshots import name_of
from policies.stored import fill, refer, storable
from policies.worlds import WORKSPACES, World, follow_names, full_name, make_world
from services.rounds import ENGINE, KEEPER, NEVER_THERE, PEOPLE, PLACES, RESOURCES, Answers, Asking

SEED = 20_261_126
LONG_WORLDS = 6
NOW = 5
OLD_NAMES = 4
DIALECTS = ("sqlite", "postgresql")
KINDS_OF_QUESTION = ("check", "filter", "list", "held", "principals")


@contextmanager
def asking(database: str, request: pytest.FixtureRequest, seed: int) -> Iterator[tuple[Asking, World]]:
    """A server over a random world, with somebody in it who may rename whatever a workspace can write to."""
    rng = random.Random(seed)
    world = with_keeper(storable(make_world(rng)))
    url = None
    if database == "postgresql":
        url = request.getfixturevalue("postgresql_server").create_migrated()
    with serve(database_url=url, workspace=False) as server:
        fill(server, world, now=NOW)
        yield Asking(server, world, rng), world


def with_keeper(world: World) -> World:
    """The keeper works everywhere and may do everything to catalogs and what is in them."""
    grants = [(workspace, KEEPER, "USER", None) for workspace in WORKSPACES]
    for obj, thing in world["objects"].items():
        if thing["kind"] == "CATALOG":
            grants += [(obj, KEEPER, privilege, None) for privilege in ("ALL_PRIVILEGES", "MANAGE")]
        if thing["kind"] == "METASTORE":
            grants.append((obj, KEEPER, "CREATE_CATALOG", None))
    keeper = {KEEPER: {"kind": "SERVICE_PRINCIPAL", "active": True}}
    return {
        **world, "principals": world["principals"] | keeper, "grants": [*world["grants"], *grants]
    }  # fmt: skip


def rename(asked: Asking, world: World, rng: random.Random) -> World:
    """Gives most catalogs, schemas and what is in them, and every group, another name; returns the world then."""
    after = copy.deepcopy(world)
    for kinds in (("CATALOG",), ("SCHEMA",), tuple(kind for kind in IN_SCHEMA if kind in RESOURCES)):
        things = [(obj, thing) for obj, thing in after["objects"].items() if thing["kind"] in kinds]
        for number, (obj, thing) in enumerate(things):
            workspace = writing(after, obj)
            if workspace is not None and rng.random() < 0.8:
                resource = getattr(asked.client(KEEPER, workspace), RESOURCES[thing["kind"]])
                name = f"renamed_{thing['kind'].lower()}_{number}"
                resource.rename(full_name(after, obj), name)
                thing["name"] = name
    for who in [who for who in world["principals"] if who.startswith("g")]:
        asked.server.client().groups.rename(who, f"renamed_{who}")
    return after


def writing(world: World, obj: str) -> str | None:
    """A workspace from which the object can be changed."""
    while world["objects"][obj]["kind"] != "CATALOG":
        obj = world["objects"][obj]["parent"]
    catalog = world["objects"][obj]
    for workspace in WORKSPACES:
        attached = world["objects"][workspace]["metastore"] == catalog["metastore"]
        bound = catalog["isolation"] == "OPEN" or catalog["bindings"].get(workspace) == "READ_WRITE"
        if attached and bound:
            return workspace
    return None


def check_old_names(asked: Asking, before: World, after: World) -> int:
    """What was renamed answers by its old name as what never was there; returns how many there were."""
    told = 0
    for place, metastore in PLACES.items():
        engine, keeper = asked.client(ENGINE, place).authorization, asked.client(KEEPER, place)
        for kind in RESOURCES:
            old = [full_name(before, obj) for obj in asked.of_kind(before, kind, metastore)]
            new = {full_name(after, obj) for obj in asked.of_kind(after, kind, metastore)}
            gone = [name for name in old if name not in new]
            told += len(gone)
            for who in PEOPLE:
                assert engine.filter_securables(kind, [*gone, NEVER_THERE], subject=name_of(who)) == []
            for name in gone[:OLD_NAMES]:
                absent = f"{name.rpartition('.')[0]}.{NEVER_THERE}".lstrip(".")
                refused = refusals(engine, keeper, kind, name)
                assert all(refused), (kind, name)
                assert refused == refusals(engine, keeper, kind, absent), (kind, name)
    groups = asked.server.client().groups
    for who in [who for who in before["principals"] if who.startswith("g")]:
        old, absent = (
            refusal(groups.get, name).replace(f"group {name}", "group") for name in (who, NEVER_THERE)
        )
        assert old == absent != ""
        assert groups.get(f"renamed_{who}").name == f"renamed_{who}"
    return told


def refusals(engine: Any, keeper: Client, kind: str, name: str) -> list[str]:
    """What the calls that take a name answer to it, in words that do not depend on the name."""
    privilege = RUN_BY.get(kind, "MANAGE")
    answers = (
        engine.check(privilege, kind, name, subject=name_of(PEOPLE[0])).reason,
        refusal(keeper.grants.effective, kind, name),
        refusal(lambda: list(keeper.authorization.list_principals(privilege, kind, name))),
        refusal(getattr(keeper, RESOURCES[kind]).get, name),
    )
    return [answer.replace(f"{KINDS[kind].label} {name}", KINDS[kind].label) for answer in answers]


def refusal(call: Callable[..., object], *arguments: str) -> str:
    """Why a call is refused; nothing where it is answered."""
    try:
        call(*arguments)
    except LakewardenError as error:
        return f"{error.reason}: {error.message}"
    return ""


def differences(before: Answers, after: Answers) -> dict[Any, Any]:
    """Where two rounds of answers differ."""
    return {key: (was, after.get(key)) for key, was in before.items() if after.get(key) != was}


def of_kind(answers: Answers, kind: str) -> list[tuple[Any, Any]]:
    """The answers to one kind of question."""
    return [(key, answer) for key, answer in answers.items() if key[0] == kind]


def said(answers: Answers) -> Counter[tuple[str, bool]]:
    """How often each kind of question was answered with something and with nothing."""
    return Counter((key[0], bool(answer) and not isinstance(answer, str)) for key, answer in answers.items())


SHORT = [pytest.param(SEED)]
SEEDS = [*SHORT, *(pytest.param(SEED + n, marks=pytest.mark.slow) for n in range(1, LONG_WORLDS))]


def mostly_on(dialect: str) -> pytest.MarkDecorator:
    """On the kind of database that can tell more, and in the long version on the other too: a restart reads all of it, names are a matter of what is above it."""
    others = [pytest.param(name, marks=pytest.mark.slow) for name in DIALECTS if name != dialect]
    return pytest.mark.parametrize("database", [dialect, *others])


@mostly_on("postgresql")
@pytest.mark.parametrize("seed", SEEDS)
def test_answers_do_not_change_with_a_restart(
    database: str, seed: int, request: pytest.FixtureRequest
) -> None:
    with asking(database, request, seed) as (asked, world):
        before, app = asked.answers(world), asked.server.app
        asked.server.restart()
        assert asked.server.app is not app
        assert differences(before, asked.answers(world)) == {}
        counts = said(before)
        assert min(counts[kind, answer] for kind in KINDS_OF_QUESTION for answer in (True, False)) > 2, counts


@mostly_on("sqlite")
@pytest.mark.parametrize("seed", SEEDS)
def test_answers_do_not_change_with_names(database: str, seed: int, request: pytest.FixtureRequest) -> None:
    with asking(database, request, seed) as (asked, world):
        before = asked.answers(world)
        after = rename(asked, world, random.Random(seed))
        assert check_old_names(asked, world, after) > 5
        # Definitions still name what they named, so what uses an old name does not run.
        stale, judge = asked.answers(after), Reference(after, now=NOW)
        for (_, workspace, who, obj, privilege), allowed in of_kind(stale, "check"):
            operation = f"{after['objects'][obj]['kind'].lower()}.use"
            assert allowed == judge.allows(who, workspace, operation, privilege, {"self": obj})
        assert differences(before, stale) != {}
        follow_names(world, after)
        refer(asked.server, after)
        assert differences(before, asked.answers(after)) == {}


def test_a_change_between_the_rounds_is_noticed(request: pytest.FixtureRequest) -> None:
    """The control: who leaves a group between two rounds of questions gets other answers."""
    with asking("sqlite", request, SEED) as (asked, world):
        before, groups = asked.answers(world), asked.server.client().groups
        for group, member in world["members"]:
            if member in PEOPLE:
                groups.update_members(group, remove=[name_of(member)])
        assert differences(before, asked.answers(world)) != {}
