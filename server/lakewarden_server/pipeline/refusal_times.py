"""How long a refusal takes that may stand for something hidden: the pipeline ends it at a time that does not say which."""

from __future__ import annotations

import time

from lakewarden_server.core.clock import monotonic
from lakewarden_server.core.errors import LakewardenError, Reason

STEP_SECONDS = 0.001
"""Several times what deciding takes, little to whoever was refused."""
_MISSING_OR_HIDDEN = frozenset({Reason.ACCESS_DENIED, Reason.OBJECT_NOT_FOUND})


def even_out(error: Exception, began: float) -> None:
    """Waits for the next whole step since the call began, where the refusal is the one for what is missing or hidden.

    What is hidden takes a decision, what is missing none, and no stand-in costs the same. The step hides the difference only while deciding
    takes well within one, as measured with SQLite; on a busy server or PostgreSQL it only blurs. `began` in monotonic seconds.
    """
    if isinstance(error, LakewardenError) and error.reason in _MISSING_OR_HIDDEN:
        time.sleep(STEP_SECONDS - (monotonic() - began) % STEP_SECONDS)
