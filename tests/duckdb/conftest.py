"""A small lake in DuckDB, a policy over it, and the 22 TPC-H queries. No server: the policy answers by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest

import duckdb
from lakewarden.duckdb import Access, GovernedConnection, govern

LAKE = """
ATTACH ':memory:' AS lake;
USE lake;
CREATE SCHEMA hr;
CREATE SCHEMA other;
CREATE TABLE orders(id INTEGER PRIMARY KEY, customer INTEGER, amount INTEGER DEFAULT 7);
CREATE TABLE customers(id INTEGER, name VARCHAR);
CREATE TABLE salaries(id INTEGER, amount INTEGER);
CREATE TABLE hr.people(id INTEGER, name VARCHAR);
CREATE TABLE memory.main.elsewhere(id INTEGER);
INSERT INTO orders VALUES (1, 1, 10), (2, 1, 20), (3, 2, 30);
INSERT INTO customers VALUES (1, 'ann'), (2, 'bob');
INSERT INTO salaries VALUES (1, 1000), (2, 2000);
INSERT INTO hr.people VALUES (1, 'ann');
INSERT INTO memory.main.elsewhere VALUES (1);
CREATE VIEW salaries_view AS SELECT * FROM salaries;
CREATE VIEW orders_view AS SELECT * FROM orders;
CREATE VIEW other.orders AS SELECT * FROM salaries;
CREATE MACRO top_salary() AS (SELECT max(amount) FROM lake.main.salaries);
CREATE MACRO plus_one(x) AS x + 1;
CREATE MACRO all_salaries() AS TABLE SELECT * FROM lake.main.salaries;
CREATE SEQUENCE counter;
CREATE TEMP TABLE scratch AS SELECT 42 AS id;
SET VARIABLE hidden = 'variable';
"""

CATALOG = (
    "SELECT database_name, schema_name, table_name, sql, comment FROM duckdb_tables() WHERE NOT internal",
    # Not all columns of a view: DuckDB notes in one of them that it has looked at the view.
    "SELECT database_name, schema_name, view_name, sql, comment FROM duckdb_views() WHERE NOT internal",
    "SELECT database_name, schema_name, index_name FROM duckdb_indexes()",
    "SELECT database_name, schema_name, sequence_name, last_value FROM duckdb_sequences()",
    "SELECT database_name, schema_name, type_name FROM duckdb_types() WHERE NOT internal",
    "SELECT schema_name, function_name, macro_definition FROM duckdb_functions() WHERE NOT internal",
    "SELECT database_name, schema_name FROM duckdb_schemas() WHERE NOT internal",
    "SELECT name, value FROM duckdb_settings()",
    "FROM duckdb_databases()",
    "FROM duckdb_variables()",
    "FROM duckdb_prepared_statements()",
    "FROM duckdb_secrets()",
)

ANALYST = "ann@example.com"
ANALYST_GRANTS = frozenset(
    {
        ("lake.main.orders", "SELECT"),
        ("lake.main.orders", "MODIFY"),
        ("lake.main.customers", "SELECT"),
        ("lake.main", "CREATE_TABLE"),
    }
)


class PolicyDenial(NamedTuple):
    """One denied access."""

    full_name: str
    privilege: str
    reason: str
    fix: str


@dataclass(frozen=True)
class PolicyAnswer:
    """All of a plan, decided."""

    denials: tuple[PolicyDenial, ...]
    revision: int = 1

    @property
    def allowed(self) -> bool:
        """Nothing was denied."""
        return not self.denials


@dataclass
class GrantPolicy:
    """Allows exactly the grants it holds, per subject, and remembers what it was asked."""

    grants: dict[str | None, frozenset[tuple[str, str]]]
    asked: list[tuple[str | None, tuple[Access, ...]]] = field(default_factory=list)

    def authorize_plan(
        self, accesses: Sequence[Access], *, subject: str | None = None, capabilities: Sequence[str] = ()
    ) -> PolicyAnswer:
        """Deny each access that is not granted to the subject."""
        self.asked.append((subject, tuple(accesses)))
        held = self.grants.get(subject, frozenset())
        return PolicyAnswer(
            tuple(
                PolicyDenial(name, privilege, "not granted", f"GRANT {privilege} ON {name} TO {subject}")
                for name, privilege, _ in accesses
                if (name, privilege) not in held
            )
        )


@dataclass
class Lake:
    """A loaded DuckDB, the policy over it and the analyst's governed connection."""

    raw: duckdb.DuckDBPyConnection
    policy: GrantPolicy
    analyst: GovernedConnection

    def contents(self) -> dict[str, object]:
        """Everything a statement could have changed: catalog, rows, sequences, settings, variables, databases."""
        catalog = {query: sorted(self.raw.execute(query).fetchall(), key=repr) for query in CATALOG}
        tables = self.raw.execute(
            "SELECT database_name, schema_name, table_name FROM duckdb_tables() WHERE NOT internal"
        ).fetchall()
        rows = {
            ".".join(name): sorted(self.raw.execute('FROM "{}"."{}"."{}"'.format(*name)).fetchall(), key=repr)
            for name in tables
        }
        return {**catalog, **rows}


@pytest.fixture
def raw(request: pytest.FixtureRequest) -> Iterator[duckdb.DuckDBPyConnection]:
    """The `LAKE` of the test's module, not governed yet."""
    with duckdb.connect() as raw:
        raw.execute(request.module.LAKE)
        yield raw


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    """A fresh lake with the analyst connected, in a directory with one readable file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.csv").write_text("id\n1\n")
    raw = duckdb.connect()
    raw.execute(LAKE)
    policy = GrantPolicy({ANALYST: ANALYST_GRANTS})
    with raw, govern(raw, policy, subject=ANALYST) as analyst:
        yield Lake(raw, policy, analyst)
