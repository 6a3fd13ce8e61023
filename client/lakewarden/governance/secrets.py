"""Secrets in governance files: a file says where each one is, an environment variable or a file, and never what it is."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lakewarden._config import environment_secret
from lakewarden._errors import FailedPrecondition

_PLAIN = re.compile(r"[A-Z][A-Z0-9_]*")


def placeholder(*names: str) -> dict[str, str]:
    """Where an export says a secret is: an environment variable named after the object, always the same one."""
    text = "_".join(names).upper()
    if _PLAIN.fullmatch(text):
        return {"env": f"SECRET_{text}"}
    # What a variable's name cannot hold is replaced, and a checksum keeps different names apart.
    return {"env": f"SECRET_{re.sub('[^A-Z0-9_]', '_', text)}_{zlib.crc32(text.encode()):08X}"}


def resolve(reference: Mapping[str, str]) -> str:
    """The secret itself. Raises FailedPrecondition when it is not where the reference says: it is never guessed."""
    if "env" in reference:
        found = environment_secret(reference["env"])
        if not found:
            raise FailedPrecondition(f"the environment variable {reference['env']} with a secret is not set")
        return found
    path = Path(reference["file"])
    try:
        found = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FailedPrecondition(f"cannot read the secret in {path}: {error}") from None
    # An editor ends a file with a line break, which is no part of the secret.
    return found.removesuffix("\n")


def resolved(value: Any) -> Any:
    """The value of a field with every reference in it replaced by its secret."""
    if set(value) <= {"env", "file"} and all(isinstance(part, str) for part in value.values()):
        return resolve(value)
    return {name: resolve(reference) for name, reference in value.items()}
