"""The acts after the 66 questions: an explanation whose fix works, a filtered and masked table, an isolated catalog."""

from __future__ import annotations

from typing import Any

from lakewarden.duckdb import GovernedConnection
from lakewarden.v1 import grants_pb2
from lakewarden_server.demo.expected import ANALYST, AUDITOR, CUSTOMERS, CUSTOMERS_SHOWN, PHONE, PHONE_SHOWN
from lakewarden_server.demo.lake import CATALOG, SCHEMA
from lakewarden_server.demo.screen import FAINT, GREEN, RED, Screen
from lakewarden_server.demo.world import ANALYSTS_SEGMENT, AUDIT, METASTORE, WORKSPACE, World

CUSTOMER = f"{SCHEMA}.customer"
PART = f"{SCHEMA}.part"
RESEARCH = "research"
COUNT = "SELECT count(*), min(c_phone) FROM customer"


class DemoFailed(Exception):
    """Something came out that must not; the message says what."""


def explain_and_fix(world: World, screen: Screen, analyst: GovernedConnection) -> None:
    """Asks why the analyst may not read a table, does what the answer says, and takes it back."""
    admin = world.admin
    screen.title(f"why may {ANALYST} not read {PART}?")
    answer = admin.authorization.explain("SELECT", "table", PART, subject=ANALYST)
    expect(not answer.allowed and bool(answer.fixes), f"an explanation of a denial with a fix, not {answer}")
    for problem in answer.problems:
        screen.line(f"  {problem}", RED)
    for fix in answer.fixes:
        givers = ", ".join(giver.principal for giver in fix.givers)
        screen.line(f"  {givers} can say: {fix.statement}", FAINT)
        admin.grants.grant(fix.privilege, _kind(fix), fix.full_name, fix.principal, reason="the demo")
    ((rows,),) = analyst.execute("SELECT count(*) FROM part").fetchall()
    screen.line(f"  done: the analyst reads {rows:,} rows of part", GREEN)
    for fix in answer.fixes:
        admin.grants.revoke(fix.privilege, _kind(fix), fix.full_name, fix.principal)


def filter_and_mask(
    world: World, screen: Screen, analyst: GovernedConnection, auditor: GovernedConnection
) -> None:
    """Sets a row filter and a column mask on one table; the same query then shows two people different things."""
    admin = world.admin
    screen.title("one table, a row filter and a column mask")
    member = f"is_account_group_member('{AUDIT}')"
    seen, masked = f"{SCHEMA}.seen_segment", f"{SCHEMA}.masked_phone"
    admin.functions.create(
        seen, ["segment VARCHAR"], "BOOLEAN", f"segment = '{ANALYSTS_SEGMENT}' OR {member}"
    )
    admin.functions.create(
        masked,
        ["phone VARCHAR"],
        "VARCHAR",
        f"CASE WHEN {member} THEN phone ELSE 'xx-xxx-' || right(phone, 4) END",
    )
    admin.tables.set_row_filter(CUSTOMER, seen, ["c_mktsegment"])
    admin.tables.set_column_mask(CUSTOMER, "c_phone", masked)
    screen.line(f"  {COUNT}", FAINT)
    expected = ((auditor, AUDITOR, CUSTOMERS, PHONE), (analyst, ANALYST, CUSTOMERS_SHOWN, PHONE_SHOWN))
    for connection, person, count, phone in expected:
        ((shown, first),) = connection.execute(COUNT).fetchall()
        screen.line(f"  {person.partition('@')[0]} sees {shown:,} customers, first phone {first}", GREEN)
        expect((shown, first) == (count, phone), f"{person} to see {count} customers and {phone}")


def isolate(world: World, screen: Screen) -> None:
    """Isolates the catalog to one workspace; the same person and table then answer differently in two of them."""
    admin, engine = world.admin, world.engine
    screen.title(f"catalog {CATALOG} is isolated: it can be reached from workspace {WORKSPACE} only")
    admin.workspaces.create(RESEARCH, metastore=METASTORE, omit_catalog=True)
    admin.grants.grant("USER", "workspace", RESEARCH, AUDITOR)
    admin.grants.grant("QUERY ENGINE", "workspace", RESEARCH, admin.session.get().principal)
    away = admin.with_workspace(RESEARCH).authorization
    expect(bool(away.check("SELECT", "table", CUSTOMER, subject=AUDITOR)), "the open catalog to be reached")
    admin.workspace_bindings.update("catalog", CATALOG, isolated=True)
    here = bool(engine.authorization.check("SELECT", "table", CUSTOMER, subject=AUDITOR))
    refused = not away.check("SELECT", "table", CUSTOMER, subject=AUDITOR)
    there = admin.authorization.explain("SELECT", "table", CUSTOMER, subject=AUDITOR, workspace=RESEARCH)
    expect(
        here and refused and not there.allowed, "the isolated catalog to be reached from its workspace alone"
    )
    screen.line(f"  auditor in {WORKSPACE}: allowed", GREEN)
    screen.line(f"  auditor in {RESEARCH}: denied: {'; '.join(there.problems)}", RED)


def _kind(fix: Any) -> str:
    return grants_pb2.SecurableType.Name(fix.securable_type)


def expect(holds: bool, what: str) -> None:
    """Raises `DemoFailed` for what does not hold."""
    if not holds:
        raise DemoFailed(f"expected {what}")
