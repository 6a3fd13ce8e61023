"""TCP proxies that get in the way of what they forward, so that nobody knows what became of it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

CHUNK_BYTES = 65_536
CONNECT_SECONDS = 5.0


class Proxy:
    """Forwards each connection over one that `connect` makes; a subclass may get in the way of what is `_forwarding`."""

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._connect_upstream = connect
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._spawn(self._accept)

    def cut_all(self) -> None:
        """Ends every connection there is."""
        with self._lock:
            sockets = list(self._sockets)
        for each in sockets:
            _end(each)

    def close(self) -> None:
        """Ends everything."""
        # Shutting down wakes the thread in accept(); closing alone would not.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_all()
        for thread in list(self._threads):
            thread.join()

    def _forwarding(self, *, from_client: bool) -> None:
        """Called before each piece of traffic is passed on."""

    def _forwarded(self, *, from_client: bool) -> None:
        """Called after each piece of traffic was passed on."""

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = self._connect_upstream()
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            with self._lock:
                self._sockets |= {client, server}
            self._spawn(self._pump, client, server, from_client=True)
            self._spawn(self._pump, server, client, from_client=False)

    def _pump(self, source: socket.socket, target: socket.socket, *, from_client: bool) -> None:
        with suppress(OSError):
            while received := source.recv(CHUNK_BYTES):
                self._forwarding(from_client=from_client)
                target.sendall(received)
                self._forwarded(from_client=from_client)
        for ended in (source, target):
            with self._lock:
                self._sockets.discard(ended)
            _end(ended)

    def _spawn(self, target: Callable[..., None], *arguments: object, **options: object) -> None:
        thread = threading.Thread(target=target, args=arguments, kwargs=options, daemon=True)
        self._threads = [each for each in self._threads if each.is_alive()]
        self._threads.append(thread)
        thread.start()


class CuttingProxy(Proxy):
    """Forwards to one server; `cut_after` cuts every connection some time after the client's next bytes."""

    def __init__(self, upstream: str) -> None:
        host, _, port = upstream.rpartition(":")
        self._delay: float | None = None
        super().__init__(lambda: socket.create_connection((host, int(port)), CONNECT_SECONDS))

    def cut_after(self, seconds: float) -> None:
        """Arms the proxy: the next bytes of a client start the clock, then every connection ends."""
        self._delay = seconds

    def _forwarded(self, *, from_client: bool) -> None:
        if from_client and self._delay is not None:
            delay, self._delay = self._delay, None
            time.sleep(delay)
            self.cut_all()


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


@contextmanager
def cutting_proxy(upstream: str) -> Iterator[CuttingProxy]:
    """A proxy for the length of the block."""
    proxy = CuttingProxy(upstream)
    try:
        yield proxy
    finally:
        proxy.close()
