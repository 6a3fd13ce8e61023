"""Lakewarden's thin client: `from lakewarden import Client`.

Names are imported on first use, so that the command line's `--help` does not pay for gRPC.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lakewarden._authorization import Denial, PlanAnswer, PlanFunction, PlanRelation, Verdict
    from lakewarden._client import Client
    from lakewarden._errors import (
        Aborted,
        AlreadyExists,
        ConfigurationError,
        DeadlineExceeded,
        FailedPrecondition,
        Internal,
        InvalidArgument,
        LakewardenError,
        NotFound,
        PermissionDenied,
        ResourceExhausted,
        Unauthenticated,
        Unavailable,
    )

__version__ = "0.1.0"

__all__ = [
    "Aborted",
    "AlreadyExists",
    "Client",
    "ConfigurationError",
    "DeadlineExceeded",
    "Denial",
    "FailedPrecondition",
    "Internal",
    "InvalidArgument",
    "LakewardenError",
    "NotFound",
    "PermissionDenied",
    "PlanAnswer",
    "PlanFunction",
    "PlanRelation",
    "ResourceExhausted",
    "Unauthenticated",
    "Unavailable",
    "Verdict",
    "__version__",
]

_HOMES = {
    "Client": "lakewarden._client",
    "Denial": "lakewarden._authorization",
    "PlanAnswer": "lakewarden._authorization",
    "PlanFunction": "lakewarden._authorization",
    "PlanRelation": "lakewarden._authorization",
    "Verdict": "lakewarden._authorization",
}


def __getattr__(name: str) -> object:
    """Import a public name from the module it lives in (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module 'lakewarden' has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "lakewarden._errors")), name)


def __dir__() -> list[str]:
    """Show the public names to completion, imported or not."""
    return sorted([*globals(), *__all__])
