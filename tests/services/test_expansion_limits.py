"""Expanding functions is bounded: by the size of what comes out, and by the deadline of the plan that asks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from sqlglot import parse_one

import duckdb
from lakewarden.v1 import authorization_pb2 as pb
from lakewarden_policy import SqlFunction
from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import DeadlineExceeded
from lakewarden_server.services.expansion import (
    EXPANDED_NODES_MAX,
    NotExpandable,
    Session,
    hides_nothing,
    may_differ,
    policy_sql,
)
from lakewarden_server.services.plan_rules import add_rules

SESSION = Session("bob@example.com", frozenset())


def greatest(arguments: int) -> SqlFunction:
    """A function whose body names its one parameter many times."""
    return SqlFunction("f", ("x",), f"greatest({', '.join(['x'] * arguments)})")


def test_body_that_becomes_too_long_is_refused() -> None:
    with pytest.raises(NotExpandable, match="too long"):
        policy_sql(greatest(EXPANDED_NODES_MAX), ["amount"], SESSION)


def test_control_a_body_within_the_limit_is_expanded() -> None:
    assert policy_sql(greatest(2), ["amount"], SESSION) == '(GREATEST(("amount"), ("amount")))'


def test_plan_whose_time_is_over_is_not_decided_on() -> None:
    call: Any = SimpleNamespace(deadline=monotonic() - 1)
    found: Any = SimpleNamespace(kind="TABLE", id="t")
    with pytest.raises(DeadlineExceeded):
        add_rules(
            pb.Verdict(), call, found=found, kind="TABLE", privilege="SELECT", subject="u", capabilities=()
        )


def test_argument_that_may_differ_is_not_written_twice() -> None:
    """DuckDB's own list of functions that differ; in an argument each is refused where the body uses the parameter twice."""
    with duckdb.connect() as engine:
        found = engine.execute(
            "SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability = 'VOLATILE'"
        ).fetchall()
    calls = [f"{name}()" for (name,) in found] + [
        "(SELECT 1)",
        "row_number() OVER ()",
        "first(x)",
        "unknown(x)",
    ]
    assert {"random()", "gen_random_uuid()", "uuidv7()"} <= set(calls)
    for call in calls:
        assert may_differ(parse_one(f"1 + {call}", dialect="duckdb")), call
    for call in (
        "lower(x)",
        "coalesce(x, 1)",
        "sum(x)",
        "x::INT",
        "is_account_group_member('a')",
        "current_date",
    ):
        assert not may_differ(parse_one(f"1 + {call}", dialect="duckdb")), call


def test_a_long_filter_is_taken_to_hide_something_without_a_long_look() -> None:
    alternatives = " OR ".join(f"x = 'v{number}'" for number in range(200))
    for body, spares in (("TRUE OR x = 'v'", True), (f"TRUE OR {alternatives}", False)):
        function = SqlFunction("f", ("x",), body)
        assert hides_nothing(function, ("a",), SESSION, masks=False) is spares
