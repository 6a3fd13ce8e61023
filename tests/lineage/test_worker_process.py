"""What a worker sets of its whole process: the cyclic collector leaves alone what lineage it keeps for good, and threads change as suits what it answers."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest

from lakewarden_server import worker
from lakewarden_server.app import App
from lakewarden_server.lineage.nodes import Node
from lakewarden_server.testing import serve
from lineage.lake import Lake

AS_IT_WAS_SECONDS = 0.003
"""Between changes of threads before a worker serves: no server's, as others may have served in this process."""


@pytest.fixture
def as_it_was() -> Iterator[None]:
    """What a worker changes of its whole process."""
    seconds, thresholds = sys.getswitchinterval(), gc.get_threshold()
    yield
    sys.setswitchinterval(seconds)
    gc.set_threshold(*thresholds)
    gc.unfreeze()
    gc.enable()


def _walked() -> int:
    """Nodes of a lineage that the collector would look at."""
    return sum(isinstance(found, Node) for found in gc.get_objects())


def test_a_worker_keeps_its_lineage_from_the_collector(as_it_was: None) -> None:
    with serve() as server:
        lake = Lake(server, ("raw.orders", "sales.menu"))
        lake.made("raw.orders", "sales.menu")
        settings = replace(server.app.settings, listen="127.0.0.1:0")
        stop = threading.Event()
        seen: list[int] = []

        def look(app: App) -> None:
            app.warming.join()
            seen.append(_walked())
            threading.Thread(target=_end, args=(stop, seen)).start()

        worker.serve(settings, stop, shared_port=False, on_ready=look)
    assert seen[0] > 1, "there is something it could look at"
    assert seen[1] == 0
    assert gc.get_threshold() == worker.COLLECTOR_THRESHOLDS


def _end(stop: threading.Event, seen: list[int]) -> None:
    """Once the collector goes on."""
    while not gc.isenabled():
        stop.wait(0.01)
    seen.append(_walked())
    stop.set()


@pytest.mark.parametrize(
    ("addresses", "seconds"),
    [
        ({"listen": "127.0.0.1:0"}, worker.SWITCH_SECONDS),
        ({"listen": "127.0.0.1:0", "http": "127.0.0.1:0"}, worker.SWITCH_SECONDS),
        ({"listen": "", "http": "127.0.0.1:0"}, AS_IT_WAS_SECONDS),
    ],
    ids=["grpc", "both", "http"],
)
def test_threads_change_often_where_grpc_is_answered(
    as_it_was: None, addresses: dict[str, str], seconds: float
) -> None:
    sys.setswitchinterval(AS_IT_WAS_SECONDS)
    stop = threading.Event()
    seen: list[float] = []

    def look(_app: App) -> None:
        seen.append(sys.getswitchinterval())
        stop.set()

    with serve() as server:
        settings = replace(server.app.settings, **addresses)
        worker.serve(settings, stop, shared_port=False, on_ready=look)
    assert seen == [pytest.approx(seconds)]
