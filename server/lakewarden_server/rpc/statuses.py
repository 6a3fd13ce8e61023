"""How a call ends with a status."""

from __future__ import annotations

from typing import NoReturn

import grpc
from google.rpc import status_pb2
from grpc_status import rpc_status


def abort(found: status_pb2.Status, context: grpc.ServicerContext) -> NoReturn:
    """Ends the call of `context`."""
    status = rpc_status.to_status(found)
    context.set_trailing_metadata(status.trailing_metadata)
    context.abort(status.code, status.details)
    raise AssertionError("abort always raises")
