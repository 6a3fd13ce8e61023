"""What has the form of a credential is written nowhere: a token that somebody pastes where a name belongs would be kept as it was sent.

The audit, the decision log and the texts of errors pass here. The id of a token stays, so that whoever reads it can delete the token.
"""

from __future__ import annotations

import re
from dataclasses import fields, replace
from typing import Any, Final, TypeVar

from lakewarden_server.authn.tokens import ID_LENGTH, PREFIXES
from lakewarden_server.storage.audit import AuditRecord
from lakewarden_server.storage.decisions import DecisionRecord

REDACTED: Final = "[redacted]"
SECRET_CHARACTERS_MIN: Final = 8
"""So much of a secret, and what is cut short is redacted too."""
_TOKEN: Final = re.compile(
    rf"((?:{'|'.join(PREFIXES.values())})_[0-9a-z]{{{ID_LENGTH}}}_)[0-9a-z]{{{SECRET_CHARACTERS_MIN},}}",
    # Names are compared without case, so some are kept without it.
    re.IGNORECASE,
)
# A signed token begins like a JSON object in base64. No name of three parts is as long as the shortest of them by chance.
_JWT: Final = re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{20,}", re.ASCII)
_SHORTEST: Final = min(len("lwsec__") + ID_LENGTH + SECRET_CHARACTERS_MIN, len("eyJ..") + 8 + 8 + 20)

Record = TypeVar("Record", AuditRecord, DecisionRecord)


def redacted(value: Any) -> Any:
    """The same value without what has the form of a credential, in texts, lists and mappings."""
    if isinstance(value, str):
        return redacted_text(value)
    if isinstance(value, dict):
        return {redacted(key): redacted(each) for key, each in value.items()}
    return [redacted(each) for each in value] if isinstance(value, list) else value


def redacted_text(text: str) -> str:
    """The same text without what has the form of a credential."""
    if len(text) < _SHORTEST:
        return text
    return _JWT.sub(REDACTED, _TOKEN.sub(rf"\1{REDACTED}", text))


def redacted_record(record: Record) -> Record:
    """The same record without it."""
    values = {field.name: getattr(record, field.name) for field in fields(record)}
    return replace(record, **{name: redacted(value) for name, value in values.items()})
