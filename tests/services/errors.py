"""One way to say that a call fails, with which code and why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from lakewarden import LakewardenError


class Failure:
    """What was raised, once the block is left."""

    error: LakewardenError


@contextmanager
def fails(reason: str, code: str = "", *, saying: str = "") -> Iterator[Failure]:
    """The block must raise a LakewardenError with that reason (and code, and words in its message)."""
    failure = Failure()
    with pytest.raises(LakewardenError) as raised:
        yield failure
    failure.error = raised.value
    assert (raised.value.reason, raised.value.code) == (reason, code or raised.value.code), raised.value
    assert saying in raised.value.message
