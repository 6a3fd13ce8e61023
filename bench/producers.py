"""Producers of lineage, a process of their own: send OpenLineage events over HTTP, as fast as they are answered or at a steady rate.

Requests are made and compressed beforehand, so that the time of the senders is the server's.
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from itertools import islice
from time import perf_counter, sleep
from typing import Any
from urllib.parse import urlsplit

from bench.commands import answer_commands
from bench.events import events
from bench.worlds import Size

PATH = "/api/v1/lineage"
TIMEOUT_SECONDS = 60.0


class Producers:
    """One stream of events, each of which is sent once."""

    def __init__(self, wanted: dict[str, Any]) -> None:
        self._address = urlsplit(wanted["http_url"]).netloc
        self._headers = {
            "Authorization": f"Bearer {wanted['token']}",
            "Lakewarden-Workspace": wanted["workspace"],
            "Content-Type": "application/json",
        }
        self._events = events(Size(**wanted["size"]), wanted["jobs"])
        self._lock = threading.Lock()

    def prepare(self, count: int, batch: int) -> dict[str, Any]:
        """Makes requests of so many events in all, `batch` in each: lists, compressed, or single ones as they are."""
        drawn = list(islice(self._events, count))
        self._batch, self._count = batch, count
        self._bodies = drawn if batch == 1 else list(_lists(drawn, batch))
        return {
            "event_bytes": sum(map(len, drawn)) / count,
            "sent_bytes": sum(map(len, self._bodies)) / count,
        }

    def send(self, clients: int, per_second: float = 0.0) -> dict[str, Any]:
        """Sends what was prepared: `per_second` events, or each client as soon as it is answered. Raises what any failed with.

        Seconds of each request count from when it was due: what waits for a client because the server is slow has waited for the server.
        """
        self._due = self._requests(perf_counter(), self._batch / per_second if per_second else 0.0)
        started = perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            sent = [pool.submit(self._client) for _ in range(clients)]
        seconds = [each for client in sent for each in client.result()]
        return {"seconds": seconds, "per_second": self._count / (perf_counter() - started)}

    def _requests(self, begin: float, interval: float) -> Iterator[tuple[float, bytes]]:
        for number, body in enumerate(self._bodies):
            yield begin + number * interval if interval else 0.0, body

    def _client(self) -> list[float]:
        connection = HTTPConnection(self._address, timeout=TIMEOUT_SECONDS)
        seconds = []
        try:
            while request := self._next():
                due, body = request
                early = due - perf_counter()
                if early > 0:
                    sleep(early)
                started = due if due and early <= 0 else perf_counter()
                self._post(connection, body)
                seconds.append(perf_counter() - started)
        finally:
            connection.close()
        return seconds

    def _next(self) -> tuple[float, bytes] | None:
        with self._lock:
            return next(self._due, None)

    def _post(self, connection: HTTPConnection, body: bytes) -> None:
        """Raises RuntimeError for any answer but that all of it is new and recorded."""
        if self._batch == 1:
            path, headers, wanted = PATH, self._headers, 201
        else:
            path, headers, wanted = f"{PATH}/batch", {**self._headers, "Content-Encoding": "gzip"}, 204
        connection.request("POST", path, body, headers)
        response = connection.getresponse()
        answer = response.read()
        if response.status != wanted:
            raise RuntimeError(f"{path} answered {response.status}: {answer.decode()}")


def _lists(drawn: list[bytes], batch: int) -> Iterator[bytes]:
    for start in range(0, len(drawn), batch):
        yield gzip.compress(b"[" + b",".join(drawn[start : start + batch]) + b"]", compresslevel=6)


if __name__ == "__main__":
    answer_commands(Producers)
