"""Waiting for a server process to listen, by its port: to ask its health takes an interpreter each time."""

from __future__ import annotations

import socket
import subprocess
import time

START_SECONDS = 60.0
STEP_SECONDS = 0.02


def until_it_listens(address: str, process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    """Returns when somebody accepts connections at HOST:PORT. Raises AssertionError when the process ended or takes too long."""
    host, _, port = address.rpartition(":")
    give_up = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection((host, int(port))).close()
            return
        except ConnectionRefusedError:
            if process.poll() is not None or time.monotonic() > give_up:
                process.kill()
                raise AssertionError(f"the server does not listen: {process.communicate()}") from None
            time.sleep(STEP_SECONDS)
