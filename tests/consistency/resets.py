"""A TCP proxy that resets connections (RST) at the one moment that hurts: when the answer to a commit comes by, and nobody gets it."""

from __future__ import annotations

import random
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

CHUNK_BYTES = 65_536
_AT_ONCE = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing sends RST."""
_FRAME_HEADERS = 1


class Answers(Protocol):
    """Reads what a server sends on one connection."""

    def came(self, data: bytes) -> bool:
        """Whether an answer begins in these bytes, which follow the ones before."""


class GrpcAnswers:
    """HTTP/2 (RFC 9113 section 4.1): a HEADERS frame on a stream begins the answer to a call, which has ended by then."""

    def __init__(self) -> None:
        self._left = b""

    def came(self, data: bytes) -> bool:
        """Walks the frames."""
        self._left += data
        found = False
        while len(self._left) >= 9:
            length = int.from_bytes(self._left[:3])
            if len(self._left) < 9 + length:
                break
            found |= self._left[3] == _FRAME_HEADERS
            self._left = self._left[9 + length :]
        return found


class CommitAnswers:
    """PostgreSQL's protocol 3.0 without TLS: a CommandComplete message `COMMIT` says that the transaction is durable."""

    def __init__(self) -> None:
        self._left = b""

    def came(self, data: bytes) -> bool:
        """Walks the messages."""
        self._left += data
        found = False
        while len(self._left) >= 5:
            length = 1 + int.from_bytes(self._left[1:5])
            if len(self._left) < length:
                break
            found |= self._left[:length] == b"C\x00\x00\x00\x0bCOMMIT\x00"
            self._left = self._left[length:]
        return found


class ResettingProxy:
    """Forwards to one server; while `share` is above 0, that share of the answers is lost to a reset."""

    def __init__(
        self, connect: Callable[[], socket.socket], answers: Callable[[], Answers], *, seed: int
    ) -> None:
        self.share = 0.0
        self.resets = 0
        self._connect, self._answers = connect, answers
        self._chance = random.Random(seed)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        """Ends everything."""
        self._stopping.set()
        with suppress(OSError):
            # Wakes the thread in accept(), which closing alone would not.
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in list(self._threads):
            thread.join()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                client, _ = self._listener.accept()
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                return
            thread = threading.Thread(target=self._forward, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _forward(self, client: socket.socket) -> None:
        # One thread for both ways: a socket that another thread reads from would be reset only once that read ends.
        with suppress(OSError), client, self._connect() as server:
            answers = self._answers()
            others = {client: server, server: client}
            while not self._stopping.is_set():
                for source in select.select(list(others), [], [], 0.1)[0]:
                    data = source.recv(CHUNK_BYTES)
                    if not data:
                        return
                    if source is server and answers.came(data) and self._chance.random() < self.share:
                        self.resets += 1
                        for each in others:
                            if each.family is not socket.AF_UNIX:
                                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                        return
                    others[source].sendall(data)


@contextmanager
def resetting_proxy(
    connect: Callable[[], socket.socket], answers: Callable[[], Answers], *, seed: int
) -> Iterator[ResettingProxy]:
    """A proxy for the length of the block."""
    proxy = ResettingProxy(connect, answers, seed=seed)
    try:
        yield proxy
    finally:
        proxy.close()
