"""What engines that watch a workspace are sent: slices of the state and what changed in them, encoded once for all who ask.

The service asks `Feed.answer` with the state the call was authorized on; nothing here waits for anything to happen.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from typing import NamedTuple

from lakewarden_policy import Head, Snapshot
from lakewarden_policy.slices import WorkspaceSlice
from lakewarden_policy.wire import encode_delta, encode_slice
from lakewarden_server.core.clock import monotonic
from lakewarden_server.storage import deltas
from lakewarden_server.storage.engine import Database
from lakewarden_server.storage.head import nonce_of

ANSWERS_KEPT_MAX = 16
"""Encoded answers kept for other pages and other watchers; the oldest goes first."""
ANSWER_SECONDS_KEPT = 60.0
"""How long a watcher may take to fetch all pages of an answer."""
READ_SECONDS_MAX = 10.0


class Answer(NamedTuple):
    """A whole slice, or what changed in one since a head that was held; `data` is as `lakewarden_policy.wire` writes it."""

    key: str
    """Names the answer in page tokens."""
    is_whole: bool
    head: Head
    data: bytes
    made: float
    """Monotonic seconds."""


class Feed:
    """One per process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # One encodes, the others wait for it: they ask for the same, and run in a pool of their own.
        self._encoding = threading.Lock()
        self._answers: OrderedDict[tuple[str, Head | None, Head], Answer] = OrderedDict()

    def answer(self, workspace_id: str, held: Head | None, snapshot: Snapshot) -> Answer:
        """What leads a watcher from the head it holds, None for nothing, to the snapshot's."""
        with self._encoding:
            wanted = (workspace_id, held, snapshot.head)
            return self._kept(wanted) or self._changes(wanted, snapshot) or self._whole(wanted, snapshot)

    def page(self, workspace_id: str, key: str) -> Answer | None:
        """The answer of that key, None where it is not kept any more."""
        with self._encoding:
            for (kept_for, _, _), answer in self._answers.items():
                if answer.key == key and kept_for == workspace_id and _is_fresh(answer):
                    return answer
        return None

    def _whole(self, wanted: _Wanted, snapshot: Snapshot) -> Answer:
        """A slice does not depend on what was held before."""
        wanted = (wanted[0], None, wanted[2])
        kept = self._kept(wanted)
        if kept is None:
            data = encode_slice(WorkspaceSlice(snapshot, wanted[0]).lists())
            kept = self._keep(wanted, _answer(True, snapshot.head, data))
        return kept

    def _changes(self, wanted: _Wanted, snapshot: Snapshot) -> Answer | None:
        """The change log cut to the slice; None where it does not lead from the held head to this one."""
        workspace_id, held, head = wanted
        if held is None or held.epoch != head.epoch or held.revision >= head.revision:
            return None
        with self._database.read(deadline=monotonic() + READ_SECONDS_MAX) as uow:
            # Stricter than the delta: a revision the log does not hold may be one of another history, which nobody here remembers.
            if uow.head.epoch != head.epoch or nonce_of(uow.connection, held.revision) != held.nonce:
                return None
            found = deltas.between(uow.connection, held, head)
        delta = found and WorkspaceSlice(snapshot, workspace_id).delta(found.removed, found.added)
        return self._keep(wanted, _answer(False, head, encode_delta(delta))) if delta else None

    def _kept(self, wanted: _Wanted) -> Answer | None:
        answer = self._answers.get(wanted)
        return answer if answer is not None and _is_fresh(answer) else None

    def _keep(self, wanted: _Wanted, answer: Answer) -> Answer:
        self._answers[wanted] = answer
        self._answers.move_to_end(wanted)
        while len(self._answers) > ANSWERS_KEPT_MAX or not _is_fresh(next(iter(self._answers.values()))):
            self._answers.popitem(last=False)
        return answer


_Wanted = tuple[str, Head | None, Head]


def _answer(is_whole: bool, head: Head, data: bytes) -> Answer:
    return Answer(secrets.token_hex(8), is_whole, head, data, monotonic())


def _is_fresh(answer: Answer) -> bool:
    return monotonic() - answer.made < ANSWER_SECONDS_KEPT
