"""Every kind of object is in governance files, or has a reason why not."""

from __future__ import annotations

from lakewarden.governance.nouns import NOUNS
from lakewarden_policy import IN_WORKSPACE, KINDS

NOT_IN_FILES = {
    "ACCOUNT": "there is one, and nothing of it can be set; grants on it are in files",
    "DELETED_TABLE": "it is what a deletion leaves for a while, and no state to be reached",
    **dict.fromkeys(IN_WORKSPACE, "engines register what they have, under ids no file could bring back"),
}


def test_every_kind_is_in_files_or_has_a_reason() -> None:
    assert {noun.upper() for noun in NOUNS} | set(NOT_IN_FILES) == set(KINDS)
    assert not {noun.upper() for noun in NOUNS} & set(NOT_IN_FILES)
