"""The acts of the demo: 66 questions, the reasons, a revoke and its repair, the price of a decision."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
from lakewarden.duckdb import AccessDenied, Denial, GovernedConnection, govern
from lakewarden_server.demo.acts import DemoFailed, explain_and_fix, filter_and_mask, isolate
from lakewarden_server.demo.expected import ALLOW, ANALYST, AUDITOR, DENY, EXPECTED, PEOPLE, differences
from lakewarden_server.demo.lake import CATALOG, SCALE, SCHEMA, TABLES, Lake, load_lake
from lakewarden_server.demo.lineage import prepare_job, run_job
from lakewarden_server.demo.measure import decision_microseconds
from lakewarden_server.demo.screen import FAINT, GREEN, RED, Screen
from lakewarden_server.demo.world import (
    AUDIT,
    MEMBERS,
    METASTORE,
    WORKSPACE,
    World,
    build_world,
    grants_as_text,
)
from lakewarden_server.testing import serve

REVOKED = ("USE SCHEMA", "schema", SCHEMA, AUDIT)
LIVE_QUERY = 6
_STATEMENT = re.compile(r"GRANT (?P<privilege>.+) ON (?P<kind>\w+) (?P<name>\S+) TO `(?P<principal>[^`]+)`")


@dataclass(frozen=True)
class Stage:
    """Data, server and grants, ready for the show."""

    lake: Lake
    world: World


@contextmanager
def open_stage(screen: Screen, *, check_interrupt: Callable[[], None] = lambda: None) -> Iterator[Stage]:
    """Makes the data, starts the server on a free port, sets the world up; all is gone at the end of the block.

    `check_interrupt` is called between the steps and raises when they shall end.
    """
    with (
        TemporaryDirectory(prefix="lakewarden-") as extensions,
        serve(workspace=False) as server,
        duckdb.connect() as connection,
    ):
        with screen.step(f"making TPC-H data, scale {SCALE}"):
            check_interrupt()
            lake = load_lake(connection, Path(extensions))
        with screen.step("registering tables, people and grants"):
            check_interrupt()
            world = build_world(server, lake)
            prepare_job(lake, world)
        check_interrupt()
        yield Stage(lake, world)


def run_show(stage: Stage, screen: Screen, *, check_interrupt: Callable[[], None] = lambda: None) -> str:
    """Shows all that is decided on one server, and returns the last line. Raises `DemoFailed` for any outcome but the expected ones."""
    _introduce(stage, screen)
    with govern(stage.lake.connection, stage.world.engine, job_name="nightly report") as governed:
        # Before customers are filtered and masked, which holds for the owner too.
        run_job(governed.as_subject(stage.world.admin.session.get().principal))
        people = {person: governed.as_subject(person) for person in PEOPLE}
        answers = _ask_everything(stage, screen, people, check_interrupt)
        _explain(screen, answers)
        found = {question: DENY if denials else ALLOW for question, denials in answers.items()}
        wrong = differences(found)
        if wrong:
            raise DemoFailed("\n".join([f"{len(wrong)} of 66 outcomes are not the expected ones:", *wrong]))
        _revoke_and_repair(stage, screen, people[AUDITOR])
        check_interrupt()
        explain_and_fix(stage.world, screen, people[ANALYST])
        filter_and_mask(stage.world, screen, people[ANALYST], people[AUDITOR])
        isolate(stage.world, screen)
    check_interrupt()
    cost = _measure(stage)
    allowed = sum(outcome == ALLOW for outcome in found.values())
    return f"demo ok: {allowed} allowed, {len(found) - allowed} denied, {cost:.1f} µs per decision"


def _introduce(stage: Stage, screen: Screen) -> None:
    screen.title(f"TPC-H in DuckDB, governed by Lakewarden at {stage.world.server.endpoint}")
    screen.line(
        f"{len(TABLES)} tables, {stage.lake.row_count:,} rows, catalog {CATALOG} in metastore {METASTORE}, "
        f"workspace {WORKSPACE}"
    )
    for group, members in MEMBERS.items():
        screen.line(f"  group {group:<13} {', '.join(members)}")
    for group, text in grants_as_text():
        screen.line(f"  grant {group:<13} {text}")
    screen.line("  A service principal with QUERY_ENGINE and no grant on data asks for all three people.")


def _ask_everything(
    stage: Stage, screen: Screen, people: dict[str, GovernedConnection], check_interrupt: Callable[[], None]
) -> dict[tuple[int, str], tuple[Denial, ...]]:
    """Runs each query as each person; the denials of each, none where it ran."""
    screen.title("22 queries as three people")
    screen.header(PEOPLE)
    answers = {}
    for query in EXPECTED:
        for person, connection in people.items():
            check_interrupt()
            answers[query, person] = _run(connection, stage.lake.queries[query])
        cells = [(not answers[query, person], _cell(answers[query, person])) for person in people]
        screen.outcomes(f"q{query:02d}", cells)
    return answers


def _run(connection: GovernedConnection, sql: str) -> tuple[Denial, ...]:
    try:
        connection.execute(sql).fetchall()
    except AccessDenied as denied:
        if not denied.denials:
            raise DemoFailed(f"a denial without a reason: {denied}") from denied
        return denied.denials
    return ()


def _cell(denials: tuple[Denial, ...]) -> str:
    tables = ", ".join(denial.full_name.rpartition(".")[2] for denial in denials)
    return f"denied: {tables}" if denials else "allowed"


def _explain(screen: Screen, answers: dict[tuple[int, str], tuple[Denial, ...]]) -> None:
    """Every denial with its reason and fix; queries that lack the same are told together."""
    alike: dict[tuple[str, tuple[str, ...]], list[int]] = {}
    denial_by_fix: dict[str, Denial] = {}
    for (query, person), denials in answers.items():
        if denials:
            alike.setdefault((person, tuple(denial.fix for denial in denials)), []).append(query)
        denial_by_fix.update({denial.fix: denial for denial in denials})
    screen.title("why, and the grant that would fix it")
    for (person, fixes), queries in sorted(
        alike.items(), key=lambda group: (PEOPLE.index(group[0][0]), group[1])
    ):
        names = " ".join(f"q{query:02d}" for query in queries)
        screen.line(f"{person.partition('@')[0]} {names}", RED)
        for fix in fixes:
            screen.line(f"  {_reason(denial_by_fix[fix])}: {fix}")


def _reason(denial: Denial) -> str:
    """`no SELECT on tpch.main.part` out of the server's whole sentence."""
    return denial.reason.partition(": ")[2].partition(". ")[0]


def _revoke_and_repair(stage: Stage, screen: Screen, auditor: GovernedConnection) -> None:
    admin, sql = stage.world.admin, stage.lake.queries[LIVE_QUERY]
    privilege, kind, name, group = REVOKED
    screen.title("a revoke holds for the very next query")
    admin.grants.revoke(privilege, kind, name, group)
    screen.line(f"admin    REVOKE {privilege} ON {kind.upper()} {name} FROM `{group}`", FAINT)
    denials = _run(auditor, sql)
    if not denials:
        raise DemoFailed(f"q{LIVE_QUERY:02d} ran as {AUDITOR} right after the revoke")
    fix = denials[0].fix
    screen.line(f"auditor  q{LIVE_QUERY:02d} denied: {_reason(denials[0])}", RED)
    matched = _STATEMENT.fullmatch(fix)
    if matched is None:
        raise DemoFailed(f"the fix is not one GRANT statement: {fix!r}")
    admin.grants.grant(matched["privilege"], matched["kind"], matched["name"], matched["principal"])
    screen.line(f"admin    {fix}", FAINT)
    if _run(auditor, sql):
        raise DemoFailed(f"the fix did not help: {fix}")
    screen.line(f"auditor  q{LIVE_QUERY:02d} allowed", GREEN)


def _measure(stage: Stage) -> float:
    return decision_microseconds(
        stage.world.server.app.follower.at_head().decider,
        people=PEOPLE,
        tables=tuple(f"{SCHEMA}.{table}" for table in TABLES),
        workspace=WORKSPACE,
        metastore=METASTORE,
    )
