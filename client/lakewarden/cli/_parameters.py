"""Options and arguments that several nouns share, and how their texts are read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from lakewarden.cli._invocation import Invocation

if TYPE_CHECKING:
    from lakewarden._client import Client

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

OBJECT_TYPES = (
    "cluster",
    "cluster_policy",
    "instance_pool",
    "job",
    "pipeline",
    "warehouse",
    "directory",
    "repo",
    "notebook",
    "file",
    "dashboard",
    "query",
    "alert",
    "genie_space",
    "experiment",
    "legacy_dashboard",
    "legacy_alert",
    "workspace_model",
    "serving_endpoint",
    "vector_search_endpoint",
    "app",
    "database_instance",
    "database_project",
    "knowledge_assistant",
    "supervisor_agent",
    "secret_scope",
    "passwords",
)
"""What belongs to a workspace."""
SECURABLE_TYPES = (
    "account",
    "metastore",
    "workspace",
    "group",
    "service_principal",
    "catalog",
    "schema",
    "table",
    "volume",
    "registered_model",
    "view",
    "materialized_view",
    "streaming_table",
    "function",
    "storage_credential",
    "service_credential",
    "external_location",
    "connection",
    "share",
    "recipient",
    "provider",
    "external_metadata",
    *OBJECT_TYPES,
)
COMPLETIONS_MAX = 100
COMPLETION_TIMEOUT_SECONDS = 2.0

_DURATION_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def comment_option(decorated: Decorated) -> Decorated:
    """`--comment TEXT`."""
    return click.option("--comment", metavar="TEXT", help="Free text for people.")(decorated)


def property_option(decorated: Decorated) -> Decorated:
    """`--property KEY=VALUE`, repeatable, as a dictionary."""
    return pairs_option("--property", "properties", "A property; repeat for more.")(decorated)


def pairs_option(flag: str, name: str, text: str) -> Callable[[Decorated], Decorated]:
    """An option `KEY=VALUE`, repeatable, as the dictionary `name`."""
    return click.option(flag, name, multiple=True, metavar="KEY=VALUE", callback=_properties, help=text)


def etag_option(decorated: Decorated) -> Decorated:
    """`--etag ETAG`."""
    return click.option("--etag", default="", metavar="ETAG", help="Refuse if it changed since this etag.")(
        decorated
    )


def yes_option(decorated: Decorated) -> Decorated:
    """`--yes`."""
    return click.option("-y", "--yes", is_flag=True, help="Do not ask.")(decorated)


def limit_option(decorated: Decorated) -> Decorated:
    """`--limit N`."""
    return click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Stop after so many.")(
        decorated
    )


_IN_SCHEMA = {
    "table": "tables",
    "view": "views",
    "materialized_view": "materialized_views",
    "streaming_table": "streaming_tables",
    "volume": "volumes",
    "function": "functions",
    "model": "models",
    "registered_model": "models",
}
"""The resource of each kind that lies in a schema, as groups of commands and TYPE call it."""


def type_argument(decorated: Decorated) -> Decorated:
    """`TYPE`: the kind of a securable."""
    kinds = click.Choice(SECURABLE_TYPES, case_sensitive=False)
    return click.argument("securable_type", metavar="TYPE", type=kinds)(decorated)


def name_argument(decorated: Decorated) -> Decorated:
    """`NAME`: a full name, completed from the server for catalogs, schemas and what lies in them."""
    return click.argument("full_name", metavar="NAME", shell_complete=complete_name)(decorated)


def as_of_option(decorated: Decorated) -> Decorated:
    """`--as-of WHEN`: a time, or a revision as text."""
    return click.option(
        "--as-of",
        callback=_as_of,
        metavar="WHEN",
        help="Answer from an earlier revision or time (2026-11-20T08:30Z, 7d); account admins only.",
    )(decorated)


def _as_of(context: click.Context, parameter: click.Parameter, text: str | None) -> datetime | str | None:
    """A revision as it stands in the audit or in a reply, else a time."""
    revision = text is not None and re.fullmatch(r"([0-9a-f-]{36}:)?[0-9]{1,18}", text)
    return text if revision else time_of(context, parameter, text)


def _properties(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> dict[str, str]:
    """The properties as a dictionary; a key may be given once."""
    pairs: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key or key in pairs:
            raise click.BadParameter(f"{text!r} is not KEY=VALUE with a key of its own", context, parameter)
        pairs[key] = value
    return pairs


def duration_seconds(text: str) -> int:
    """Read `90d`, `12h`, `30m`, `45s` or plain seconds. Raises click.BadParameter."""
    matched = re.fullmatch(r"([0-9]{1,9})([smhd]?)", text.strip().lower())
    if matched is None:
        raise click.BadParameter(f"{text!r} is no duration: write 90d, 12h, 30m or seconds")
    return int(matched[1]) * _DURATION_UNITS[matched[2]]


def lifetime_option(help_text: str, *, name: str = "--lifetime") -> Callable[[Decorated], Decorated]:
    """`--lifetime DURATION`, or another option of that kind, as seconds; 0 where it is not given."""

    def seconds(context: click.Context, parameter: click.Parameter, text: str | None) -> int:
        return duration_seconds(text) if text else 0

    return click.option(name, callback=seconds, metavar="DURATION", help=help_text)


def time_of(context: click.Context, parameter: click.Parameter, text: str | None) -> datetime | None:
    """Read a time in ISO 8601, UTC where it names no zone, or so long ago (`7d`). Raises click.BadParameter."""
    if text is None:
        return None
    if re.fullmatch(r"[0-9]+[smhd]", text.strip().lower()):
        return datetime.now(UTC) - timedelta(seconds=duration_seconds(text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is no time: write 2026-11-20, 2026-11-20T08:30Z or 7d", context, parameter
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def privileges_of(text: str) -> list[str]:
    """Read `SELECT,MODIFY` or `"USE CATALOG"`. Raises click.BadParameter."""
    names = [" ".join(part.split()) for part in text.split(",")]
    if not all(names):
        raise click.BadParameter(f"{text!r} names no privilege between two commas")
    return names


def merged(
    current: Mapping[str, str], *, changes: Mapping[str, str], removed: tuple[str, ...]
) -> dict[str, str]:
    """Properties after setting some and removing others."""
    return {key: value for key, value in {**current, **changes}.items() if key not in removed}


def complete_name(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete a full name level by level."""
    path, resource = incomplete.rpartition(".")[0], _resource_of(context)
    return complete(context, incomplete, lambda client: names_under(client, path, resource))


def complete(
    context: click.Context, incomplete: str, names: Callable[[Client], Iterable[str]]
) -> list[CompletionItem]:
    """Complete with names that are asked of the server. Whatever fails, the shell just completes nothing."""
    from lakewarden._errors import LakewardenError

    invocation = context.ensure_object(Invocation)
    invocation.timeout = min(invocation.timeout or COMPLETION_TIMEOUT_SECONDS, COMPLETION_TIMEOUT_SECONDS)
    try:
        # Entered, so that the client is closed with it: click only makes contexts current when commands run.
        with context:
            found = [name for name in names(invocation.open_client()) if name.startswith(incomplete)]
    except LakewardenError:
        return []
    return [CompletionItem(name) for name in found[:COMPLETIONS_MAX]]


def _resource_of(context: click.Context) -> str:
    """Which of the client's resources a command is about: by its TYPE, else by its group; tables when neither says."""
    group = context.parent.info_name if context.parent else ""
    noun = str(context.params.get("securable_type") or group or "").lower()
    return _IN_SCHEMA.get(noun.replace("-", "_").replace(" ", "_"), "tables")


def names_under(client: Client, path: str, resource: str) -> list[str]:
    """Full names directly inside a path; the empty path holds the catalogs, a schema what `resource` lists."""
    depth = path.count(".") + 1 if path else 0
    if depth == 0:
        return [catalog.full_name for catalog in client.catalogs.list()]
    if depth == 1:
        return [schema.full_name for schema in client.schemas.list(path)]
    if depth == 2:
        options = {"omit_columns": True} if resource == "tables" else {}
        return [found.full_name for found in getattr(client, resource).list(path, **options)]
    return []
