"""What it takes to declare lineage are privileges that the objects have, by every kind that can be an end."""

from __future__ import annotations

import pytest

from lakewarden_policy import RELATIONS, load_policy
from lakewarden_policy.effective import listed_privileges
from lakewarden_policy.lineage import DECLARE_FROM, DECLARE_TO

ENDS = {*RELATIONS, "EXTERNAL_LOCATION", "VOLUME", "REGISTERED_MODEL", "EXTERNAL_METADATA"}


def test_every_end_has_a_privilege_on_either_side() -> None:
    assert DECLARE_FROM.keys() == DECLARE_TO.keys() == ENDS


@pytest.mark.parametrize(("kind", "privilege"), sorted({*DECLARE_FROM.items(), *DECLARE_TO.items()}))
def test_the_privilege_is_one_of_the_kind(kind: str, privilege: str) -> None:
    assert privilege in {*listed_privileges(load_policy(), kind), "MANAGE"}


def test_nobody_writes_by_a_right_to_read() -> None:
    shared = {kind for kind in ENDS if DECLARE_FROM[kind] == DECLARE_TO[kind]}
    assert shared == {"EXTERNAL_METADATA"}
