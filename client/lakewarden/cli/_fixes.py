"""The GRANT statements of a denial as commands of this command line, to be copied."""

from __future__ import annotations

import re
import shlex

_STATEMENT = re.compile(r"GRANT ([A-Z_ ]+) ON ([A-Z]+) (\S+) TO `([^`]+)`")


def grant_commands(fixes: str) -> list[str]:
    """The command for each GRANT statement in a text; nothing for what this command line cannot read."""
    return [
        shlex.join(["lakewarden", "grant", privilege, kind.lower(), full_name, principal])
        for privilege, kind, full_name, principal in _STATEMENT.findall(fixes)
    ]
