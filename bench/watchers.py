"""Engines that watch, a process of their own: each polls WatchPolicy as a replica does, from the state it holds to the newest.

They do not decode what they get: that is work of the engines' machines, and would only take the core from the callers here.
"""

from __future__ import annotations

import threading
from typing import Any

from bench.commands import answer_commands
from lakewarden import Client
from lakewarden.replica import POLL_SECONDS
from lakewarden.v1 import authorization_pb2 as pb

READY_SECONDS_MAX = 120.0


class Watchers:
    """So many clients, each with a connection of its own as an engine has."""

    def __init__(self, wanted: dict[str, Any]) -> None:
        self._clients = [
            Client(wanted["endpoint"], token=wanted["token"], workspace=wanted["workspace"])
            for _ in range(wanted["watchers"])
        ]
        self._positions = [""] * len(self._clients)
        self._failures: list[Exception] = []

    def follow(self) -> dict[str, Any]:
        """Has all of them watch; returns when each holds a whole state."""
        self._resting = threading.Event()
        self._answers, self._changes = [0] * len(self._clients), [0] * len(self._clients)
        holding = threading.Barrier(len(self._clients) + 1)
        self._threads = [
            threading.Thread(target=self._watch, args=(number, holding))
            for number in range(len(self._clients))
        ]
        for thread in self._threads:
            thread.start()
        holding.wait(READY_SECONDS_MAX)
        return {"watchers": len(self._clients)}

    def rest(self) -> dict[str, Any]:
        """Ends the watching. Raises what a watcher failed with."""
        self._resting.set()
        for thread in self._threads:
            thread.join()
        if self._failures:
            raise self._failures[0]
        return {"answers": sum(self._answers), "changes": sum(self._changes)}

    def _watch(self, number: int, holding: threading.Barrier) -> None:
        try:
            self._catch_up(number)
            holding.wait(READY_SECONDS_MAX)
            # Not all at once: engines start when they start.
            delay = POLL_SECONDS * number / len(self._clients)
            while not self._resting.wait(delay):
                self._catch_up(number)
                delay = POLL_SECONDS
        except Exception as error:  # noqa: BLE001 - told by `rest`
            self._failures.append(error)
            holding.abort()

    def _catch_up(self, number: int) -> None:
        watch = self._clients[number].authorization.watch_policy
        response = watch(position=self._positions[number])
        position, changed = response.position, response.change != pb.WatchPolicyResponse.UNCHANGED
        while response.next_page_token:
            response = watch(position=position, page_token=response.next_page_token)
        self._positions[number] = position
        self._answers[number] += 1
        self._changes[number] += changed


if __name__ == "__main__":
    answer_commands(Watchers)
