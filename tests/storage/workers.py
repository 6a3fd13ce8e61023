"""What other processes do in tests of several processes on one database."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing.synchronize import Barrier

from lakewarden_server.storage import create_database
from lakewarden_server.storage.migrations import migrate
from storage.worlds import committed, user

BARRIER_SECONDS = 120.0
_barriers: list[Barrier] = []


def meet_at(barrier: Barrier) -> None:
    """Where the processes of a pool meet before each call; said once to each of them."""
    _barriers.append(barrier)


def at_once(function: Callable[..., object], *arguments: object) -> object:
    """Calls a function when the other processes are about to, too; so none of them takes two calls."""
    _barriers[-1].wait(BARRIER_SECONDS)
    return function(*arguments)


def write_users(url: str, name: str, count: int) -> list[int]:
    """Commits users one by one and returns their revisions."""
    database = create_database(url)
    try:
        return [committed(database, user(f"{name}-{number}@example.com")) for number in range(count)]
    finally:
        database.close()


def migrate_now(url: str) -> str:
    """Migrates as a server does when it starts and returns the epoch it finds."""
    database = create_database(url)
    try:
        migrate(database)
        return database.head()[0].epoch
    finally:
        database.close()
