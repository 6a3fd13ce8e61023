"""How soon another server denies what one server revoked: two server processes on one PostgreSQL database, asked by an engine."""

from __future__ import annotations

from time import perf_counter

from bench.figures import Figure, median_of, percentile
from bench.processes import Target, bench_server, postgresql, served
from bench.worlds import Size
from lakewarden import Client

ROUNDS = 100
GIVE_UP_SECONDS = 5.0
WORLD = Size(
    users=1_000, groups=100, catalogs=10, schemas_per_catalog=10, tables_per_schema=20, grants=10_000
)
READER = "user_0@example.com"
TABLE = "revokes.s.t"


def revoke_figures(size: Size = WORLD, rounds: int = ROUNDS) -> list[Figure]:
    """Bounded: milliseconds from the acknowledged revoke to the first denial. FULL: allows after it, which must be none."""
    with (
        postgresql() as url,
        bench_server(url, size) as target,
        served(target.directory, url) as other,
        _client(target, target.endpoint, target.admin_token) as admin,
        _client(target, other.endpoint, target.token) as engine,
    ):
        _set_up(admin)
        full, bounded = engine.with_freshness("full"), engine.with_freshness("bounded")
        delays = [_delay(admin, bounded) for _ in range(rounds)]
        stale = sum(_is_stale(admin, full) for _ in range(rounds))
    return [
        Figure(
            "revoke_to_denied_bounded_ms",
            median_of(delays),
            {"p99_ms": percentile(delays, 0.99), "slowest_ms": max(delays), "rounds": rounds},
        ),
        Figure("revoke_stale_allows_full", stale, {"rounds": rounds}),
    ]


def _client(target: Target, endpoint: str, token: str) -> Client:
    return Client(endpoint, token=token, workspace=target.workspace)


def _set_up(admin: Client) -> None:
    admin.catalogs.create("revokes")
    admin.schemas.create("revokes.s")
    admin.tables.create(TABLE, columns=[{"name": "id", "type_text": "INT"}])
    admin.grants.grant(["USE CATALOG", "USE SCHEMA"], "catalog", "revokes", READER)


def _delay(admin: Client, engine: Client) -> float:
    """Milliseconds until the answer that denies has come, asked again and again."""
    admin.grants.grant("SELECT", "table", TABLE, READER)
    _wait_until(engine, allowed=True)
    admin.grants.revoke("SELECT", "table", TABLE, READER)
    acknowledged = perf_counter()
    _wait_until(engine, allowed=False)
    return (perf_counter() - acknowledged) * 1_000


def _is_stale(admin: Client, engine: Client) -> bool:
    admin.grants.grant("SELECT", "table", TABLE, READER)
    if not _allowed(engine):
        raise AssertionError("what was granted is denied, so a denial after the revoke would say nothing")
    admin.grants.revoke("SELECT", "table", TABLE, READER)
    return _allowed(engine)


def _wait_until(engine: Client, *, allowed: bool) -> None:
    give_up = perf_counter() + GIVE_UP_SECONDS
    while _allowed(engine) is not allowed:
        if perf_counter() > give_up:
            raise AssertionError(
                f"{TABLE} is not {'allowed' if allowed else 'denied'} after {GIVE_UP_SECONDS} s"
            )


def _allowed(engine: Client) -> bool:
    return bool(engine.authorization.check("SELECT", "table", TABLE, subject=READER, explain=False))
