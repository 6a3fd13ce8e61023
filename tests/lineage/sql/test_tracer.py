"""Tracing in a process of its own: limits hold, whatever happens to the worker has an answer, and it ends with its owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path as File

import psutil
import pytest

from lakewarden_server.lineage.sql.traced import TEXT_BYTES_MAX, Kind, Reason, Source
from lakewarden_server.lineage.sql.tracer import Tracer
from lakewarden_server.lineage.sql.tracing import trace
from lakewarden_server.lineage.sql.worker import CPU_SECONDS_MAX, MEMORY_BYTES_MAX
from lakewarden_server.testing import serve
from lineage.sql.catalog import columns_of, lines

WIDE = [f"c{number}" for number in range(300)]
CHAIN = ", ".join(f"x{n} AS (SELECT * FROM {f'x{n - 1}' if n else 'wide'})" for n in range(60))
NESTED = "SELECT c0 FROM (" * 200 + "SELECT c0 FROM wide" + ") q" * 200
ASSAULTS = {
    "300 columns in 60 common tables": f"CREATE TABLE t AS WITH {CHAIN} SELECT * FROM x59",
    "a union of 1,500": " UNION ALL ".join(f"SELECT c{n % 300}, {n} FROM wide" for n in range(1_500)),
    "200 queries in each other": NESTED,
    "20,000 queries in each other": "SELECT c0 FROM (" * 20_000 + "SELECT 1" + ")" * 20_000,
    "20,000 parentheses": "SELECT " + "(" * 20_000 + "c0" + ")" * 20_000 + " FROM wide",
    "a megabyte of columns": "SELECT " + "c0," * 300_000 + "1 FROM wide",
    "a megabyte of names": "SELECT 1 FROM wide" + ", a" * 300_000,
    "a megabyte of operators": "SELECT 1" + "+1" * 450_000,
    "a megabyte of statements": "SELECT 1;" * 100_000,
    "a megabyte of one literal": f"SELECT '{'x' * (TEXT_BYTES_MAX - 10)}'",
    "names that double": "SELECT c0 AS a0, " + ", ".join(f"a{n} + a{n} AS a{n + 1}" for n in range(5_000)) + " FROM wide",
    "stars that double": "WITH " + ", ".join(f"x{n + 1} AS (SELECT a.*, b.* FROM x{n} a, x{n} b)" for n in range(-1, 30)).replace("x-1", "wide") + " SELECT * FROM x30",
}  # fmt: skip


def wide(source: Source) -> Sequence[str] | None:
    """A catalog of one wide table."""
    return WIDE if source[-1] == "wide" else None


@pytest.fixture(scope="module")
def tracer() -> Iterator[Tracer]:
    with Tracer() as running:
        yield running


def ask(tracer: Tracer, sql: str = "SELECT id FROM orders") -> Reason | None:
    """The reason of the only statement of a text."""
    (answer,) = tracer.trace(sql, dialect="duckdb", columns_of=columns_of, catalog="main", schema="sales")
    return answer.reason


def test_answers_are_those_of_the_same_code_in_this_process(tracer: Tracer) -> None:
    text = """CREATE TABLE t AS SELECT upper(name) AS n, md5(region) AS r, count(*) AS c FROM customers WHERE ghost = 1 GROUP BY ALL;
    SELECT a FROM read_parquet('s3://lake/x'); DROP TABLE t; INSERT INTO target SELECT * FROM orders, unknown"""
    words = {"dialect": "duckdb", "columns_of": columns_of, "catalog": "main", "schema": "sales"}
    assert list(tracer.trace(text, **words)) == trace(text, **words)  # type: ignore[arg-type]


@pytest.mark.parametrize("assault", ASSAULTS)
def test_assaults_end_with_a_defined_answer_in_time(tracer: Tracer, assault: str) -> None:
    began = time.monotonic()
    answers = tracer.trace(ASSAULTS[assault], dialect="duckdb", columns_of=wide, catalog="c", schema="s")
    took = time.monotonic() - began
    assert answers
    assert took < 30, took
    assert tracer.pid is None or psutil.Process(tracer.pid).memory_info().rss < MEMORY_BYTES_MAX
    assert ask(tracer) is None


def test_what_the_limits_are_made_for_is_traced_within_them(tracer: Tracer) -> None:
    for assault in ("300 columns in 60 common tables", "a union of 1,500", "200 queries in each other"):
        (answer,) = tracer.trace(
            ASSAULTS[assault], dialect="duckdb", columns_of=wide, catalog="c", schema="s"
        )
        assert (answer.reason, bool(answer.uses)) == (None, True), assault


def test_time_and_memory_are_limited(tracer: Tracer) -> None:
    assert ask(tracer) is None
    limits = File(f"/proc/{tracer.pid}/limits").read_text()
    assert f"Max address space         {MEMORY_BYTES_MAX}" in limits
    reasons = set()
    for assault in ("a megabyte of columns", "a megabyte of operators", "stars that double"):
        before = psutil.Process(tracer.pid).cpu_times() if tracer.pid else None
        answers = tracer.trace(ASSAULTS[assault], dialect="duckdb", columns_of=wide, catalog="c", schema="s")
        reasons.add(answers[0].reason)
        if before and tracer.pid and psutil.pid_exists(tracer.pid):
            after = psutil.Process(tracer.pid).cpu_times()
            assert after.user + after.system - before.user - before.system < CPU_SECONDS_MAX + 2
    assert reasons <= {Reason.TIME_LIMIT, Reason.MEMORY_LIMIT, Reason.WORKER_FAILED}
    assert reasons & {Reason.TIME_LIMIT, Reason.MEMORY_LIMIT}


def test_worker_that_was_killed_is_started_again(tracer: Tracer) -> None:
    assert ask(tracer) is None
    first = tracer.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    psutil.Process(first).wait(5)
    assert ask(tracer) is None
    assert tracer.pid != first


@pytest.mark.parametrize(
    ("sent", "reason"), [(signal.SIGKILL, Reason.WORKER_FAILED), (signal.SIGSTOP, Reason.TIME_LIMIT)]
)
def test_worker_that_ends_or_stands_still_meanwhile_has_a_reason(sent: int, reason: Reason) -> None:
    with Tracer(seconds_max=3) as tracer:

        def columns_meanwhile(source: Source) -> Sequence[str] | None:
            assert tracer.pid is not None
            os.kill(tracer.pid, sent)
            return columns_of(source)

        (answer,) = tracer.trace(
            "SELECT id FROM sales.orders", dialect="duckdb", columns_of=columns_meanwhile
        )
        assert (answer.kind, answer.reason) == (Kind.OTHER, reason)
        assert ask(tracer) is None


def test_what_the_catalog_raises_reaches_the_caller(tracer: Tracer) -> None:
    def unreachable(source: Source) -> Sequence[str] | None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        tracer.trace("SELECT id FROM orders", dialect="duckdb", columns_of=unreachable)
    assert ask(tracer) is None


def test_more_than_may_wait_are_told_at_once() -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(source: Source) -> Sequence[str] | None:
        entered.set()
        leave.wait(10)
        return columns_of(source)

    with Tracer(waiting_max=1) as tracer:
        words = {"dialect": "duckdb", "columns_of": slow, "catalog": "main", "schema": "sales"}
        held = threading.Thread(target=tracer.trace, args=["SELECT id FROM orders"], kwargs=words)
        held.start()
        assert entered.wait(10)
        assert ask(tracer) is Reason.BUSY
        leave.set()
        held.join()
        assert ask(tracer) is None


def test_many_threads_each_get_their_own_answer(tracer: Tracer) -> None:
    found: dict[int, set[str]] = {}

    def one(number: int) -> None:
        (answer,) = tracer.trace(
            f"SELECT c{number} FROM wide", dialect="duckdb", columns_of=wide, catalog="c", schema="s"
        )
        found[number] = lines(answer)

    threads = [threading.Thread(target=one, args=[number]) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: {f"c{number} = IDENTITY wide.c{number}"} for number in range(20)}


OWNER = """
import time
from lakewarden_server.lineage.sql.tracer import Tracer
tracer = Tracer()
def columns_of(source):
    print(tracer.pid, flush=True)
    if {meanwhile}:
        time.sleep(60)
    return ["a"]
tracer.trace("SELECT a FROM t", dialect="duckdb", columns_of=columns_of, catalog="c", schema="s")
time.sleep(60)
"""


@pytest.mark.parametrize("meanwhile", [False, True], ids=["idle", "at work"])
def test_worker_ends_when_its_owner_is_killed(meanwhile: bool) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER.format(meanwhile=meanwhile)], stdout=subprocess.PIPE, text=True
    )
    assert owner.stdout is not None
    worker = psutil.Process(int(owner.stdout.readline()))
    owner.kill()
    owner.wait()
    owner.stdout.close()
    worker.wait(10)
    assert not worker.is_running()


def test_closed_tracer_leaves_no_process() -> None:
    with Tracer() as tracer:
        assert ask(tracer) is None
        worker = psutil.Process(tracer.pid)
    assert not worker.is_running()


def test_worker_imports_a_parser_and_no_server() -> None:
    code = "import sys, lakewarden_server.lineage.sql.worker; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "sqlglot" in loaded
    assert (
        loaded & {"grpc", "sqlalchemy", "casbin", "lakewarden_policy", "pyarrow", "duckdb", "alembic"}
        == set()
    )


def test_nothing_of_a_text_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with Tracer() as tracer:
        assert ask(tracer, "CALL secret_procedure('4711')") is Reason.UNSUPPORTED
        assert ask(tracer, "SELECT secret FROM WHERE") is Reason.SYNTAX
    assert "".join(capfd.readouterr()) == ""


def test_server_answers_while_hostile_texts_are_traced(tracer: Tracer) -> None:
    with serve() as server:
        client = server.client()
        client.catalogs.create("main")
        threads = [
            threading.Thread(
                target=tracer.trace, args=[sql], kwargs={"dialect": "duckdb", "columns_of": wide}
            )
            for sql in (ASSAULTS["a megabyte of columns"], ASSAULTS["20,000 queries in each other"])
        ]
        for thread in threads:
            thread.start()
        names = [client.catalogs.get("main").name for _ in range(20)]
        for thread in threads:
            thread.join()
        assert names == ["main"] * 20
        assert ask(tracer) is None
