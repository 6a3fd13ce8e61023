"""What strangers send takes no memory of a server, however many send at once: a real process is measured."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest

from durability.processes import Installation, ServerProcess, install, launched
from lakewarden.v1 import authorization_pb2
from lakewarden_server.authn.tokens import TokenKind, mint

MIB = 1 << 20
CONNECTIONS = 2
STREAMS = 40
"""On each connection."""
SENT = 8 * MIB - 64
GROWTH_MAX = 32 * MIB
"""What is in the windows and buffers of the connections, and the calls themselves."""
GROWTH_OF_ONE_MAX = 512 * MIB
"""RECEIVED_PER_CALLER_MAX requests as they arrive, and LARGE_REQUESTS_MAX with what is made of them: about 400 MiB."""
SECONDS = 60.0
METHOD = "/lakewarden.v1.AuthorizationService/FilterSecurables"


def peak(server: ServerProcess) -> int:
    """The most memory the process has had, in bytes."""
    status = Path(f"/proc/{server.process_id}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    directory = tmp_path_factory.mktemp("reception")
    return install(f"sqlite:///{directory / 'lake.db'}", directory / "data")


def flooded(
    installation: Installation, authorization: str, command: Sequence[str] = ()
) -> tuple[int, set[str]]:
    """How much the server grew while large requests came from everywhere at once, and how they ended."""
    with installation.serve(command=command) as server, ExitStack() as stack:
        with installation.client(server) as client:
            assert client.session.get().principal
        before = peak(server)
        calls = []
        message = authorization_pb2.FilterSecurablesRequest(
            full_names=["x" * 90] * (SENT // 92)
        ).SerializeToString()
        metadata = (("authorization", authorization),) if authorization else ()
        for number in range(CONNECTIONS):
            # Channels with the same options would share one connection.
            options = [("grpc.use_local_subchannel_pool", 1), ("lakewarden.number", number)]
            channel = stack.enter_context(grpc.insecure_channel(server.endpoint, options))
            stub: Any = channel.unary_unary(METHOD)
            calls += [stub.future(message, timeout=SECONDS, metadata=metadata) for _ in range(STREAMS)]
        codes = {call.code().name for call in calls}
        # It answers others all the while, and afterwards.
        with installation.client(server) as client:
            assert client.session.get().principal
        return peak(server) - before, codes


@pytest.mark.parametrize("shown", ["nothing", "an unknown token"])
def test_strangers_that_send_take_no_memory(installation: Installation, shown: str) -> None:
    authorization = "" if shown == "nothing" else f"Bearer {mint(TokenKind.PAT).render()}"
    growth, codes = flooded(installation, authorization)
    assert codes == {"UNAUTHENTICATED"}
    assert growth < GROWTH_MAX, (
        f"{growth / MIB:.0f} MiB for {CONNECTIONS * STREAMS * SENT / MIB:.0f} MiB sent"
    )


def test_control_a_server_that_asks_strangers_for_their_requests_grows(installation: Installation) -> None:
    unknown = f"Bearer {mint(TokenKind.PAT).render()}"
    growth, codes = flooded(installation, unknown, launched("--asks-strangers"))
    assert "UNAUTHENTICATED" in codes
    assert growth > 4 * GROWTH_MAX, f"{growth / MIB:.0f} MiB"


def test_of_one_principal_as_much_is_received_as_is_said(installation: Installation) -> None:
    growth, _ = flooded(installation, f"Bearer {installation.token}")
    assert growth < GROWTH_OF_ONE_MAX, f"{growth / MIB:.0f} MiB"
