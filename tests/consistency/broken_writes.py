"""Servers whose writes have a defect each, which the checker must catch. None of them exists in production."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import ClassVar

import pytest
from google.protobuf.message import Message
from sqlalchemy import Connection, text

from lakewarden_policy import Head
from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.ids import new_nonce
from lakewarden_server.pipeline.headers import message_class
from lakewarden_server.pipeline.pipeline import Incoming, Pipeline, Reply
from lakewarden_server.storage import Database, UnitOfWork, WriteUnit, engine
from lakewarden_server.storage.connections import create_engines
from lakewarden_server.storage.head import TakenHead, read_head

POOL_SIZE = 8
COMMIT_SECONDS = 0.05
WORK_SECONDS_MAX = 0.02
SLOW_CLOCK = timedelta(minutes=-10)


@contextmanager
def revisions_from_a_sequence(database: Database) -> Iterator[None]:
    """Every server of this process numbers its writes before they commit, outside any lock, and the head only ever rises.

    A write that commits after one with a higher number leaves the head where it is, so that nobody ever reads what it changed.
    """
    first = database.head()[0].revision + 1
    with database.transaction(deadline=monotonic() + 10) as connection:
        connection.execute(text(f"CREATE SEQUENCE broken_revisions START WITH {first}"))
        connection.commit()
    commit = WriteUnit.commit

    def commit_and_raise_head(uow: WriteUnit) -> None:
        uow.connection.execute(
            text(
                "UPDATE authz_head SET revision = :revision, previous_nonce = nonce, nonce = :nonce WHERE revision < :revision"
            ),
            {"revision": uow.head.revision, "nonce": uow.head.nonce},
        )
        commit(uow)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "take_head", _take_from_sequence)
        patch.setattr(WriteUnit, "commit", commit_and_raise_head)
        yield


def _take_from_sequence(connection: Connection) -> TakenHead:
    head, now = read_head(connection)
    revision = connection.execute(text("SELECT nextval('broken_revisions')")).scalar_one()
    # Writes do not all take as long; in production they would not have to be told so.
    time.sleep(random.random() * WORK_SECONDS_MAX)
    return TakenHead(Head(head.epoch, revision, new_nonce()), head, now)


_early = threading.local()


def slow_to_commit(url: str) -> Database:
    """A database that says when a write is complete but for its COMMIT, and takes a while for that."""

    def on_step(step: str) -> None:
        told: Future[None] | None = getattr(_early, "told", None)
        if step == "audit_written" and told is not None:
            told.set_result(None)
            time.sleep(COMMIT_SECONDS)

    return Database(create_engines(url, pool_size=POOL_SIZE), on_step=on_step)


class AcknowledgesBeforeCommit(Pipeline):
    """Answers a write when all of it is sent to the database, and commits then."""

    under_way: ClassVar[list[threading.Thread]] = []

    @classmethod
    def wait(cls) -> None:
        """Waits for the commits that were acknowledged early."""
        while cls.under_way:
            cls.under_way.pop().join()

    def handle(self, method_name: str, request: Message, incoming: Incoming) -> Reply:
        """As production does, but a change of what exists already is acknowledged early."""
        method = self.methods.get(method_name)
        if method is None or not method.rule.write or "/Create" in method_name:
            return super().handle(method_name, request, incoming)
        told: Future[None] = Future()
        replied: Future[Reply] = Future()

        def run() -> None:
            _early.told = told
            try:
                replied.set_result(
                    super(AcknowledgesBeforeCommit, self).handle(method_name, request, incoming)
                )
            except Exception as error:
                replied.set_exception(error)
            if not told.done():
                told.set_result(None)

        thread = threading.Thread(target=run)
        self.under_way.append(thread)
        thread.start()
        told.result()
        return replied.result() if replied.done() else Reply(message_class(method)(), ())


class OwnClock(Database):
    """The database of a replica that judges by its own clock, which is slow, instead of the database's."""

    def __init__(self, url: str) -> None:
        super().__init__(create_engines(url, pool_size=POOL_SIZE))

    def head(self) -> tuple[Head, datetime]:
        """The head, and the wrong time."""
        head, now = super().head()
        return head, now + SLOW_CLOCK

    @contextmanager
    def read(self, *, deadline: float | None = None) -> Iterator[UnitOfWork]:
        """A read transaction at the wrong time."""
        with super().read(deadline=deadline) as uow:
            uow.time += SLOW_CLOCK
            yield uow
