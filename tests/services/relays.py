"""Connections that come from another address of this machine: a relay whose own end is bound to it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PIECE_BYTES = 65_536


@contextmanager
def relayed(endpoint: str, source: str) -> Iterator[str]:
    """`host:port` of a relay; what connects to it calls `endpoint` from the address `source`."""
    host, _, port = endpoint.rpartition(":")
    open_sockets: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(
            target=_accept, args=(listening, (host, int(port)), source, open_sockets), daemon=True
        ).start()
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}"
        finally:
            for one in open_sockets:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()


def _accept(
    listening: socket.socket, target: tuple[str, int], source: str, open_sockets: list[socket.socket]
) -> None:
    with suppress(OSError):
        while True:
            near, _ = listening.accept()
            far = socket.create_connection(target, source_address=(source, 0))
            open_sockets += [near, far]
            for here, there in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(here, there), daemon=True).start()


def _pump(here: socket.socket, there: socket.socket) -> None:
    with suppress(OSError):
        while piece := here.recv(PIECE_BYTES):
            there.sendall(piece)
        there.shutdown(socket.SHUT_WR)
