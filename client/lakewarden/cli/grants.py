"""`lakewarden grant`, `lakewarden revoke` and `lakewarden grants`."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lakewarden._errors import LakewardenError
from lakewarden.cli._commands import Command, Group
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import (
    duration_seconds,
    limit_option,
    name_argument,
    privileges_of,
    type_argument,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lakewarden._client import Client
    from lakewarden.v1.grants_pb2 import GrantChange, HeldGrant, PrivilegeAssignment

COLUMNS = ("principal", "privileges")
COLUMNS_WHERE_THERE_ARE_ANY = ("expires", "reason")


def show_held(invocation: Invocation, held: Iterable[PrivilegeAssignment]) -> None:
    """Print who holds what; a table has a line for each end and reason, and their columns where there are any."""
    if invocation.output != "table":
        invocation.show_all(held, COLUMNS, name="principal")
        return
    rows = [row for each in held for row in _rows(each)]
    more = [column for column in COLUMNS_WHERE_THERE_ARE_ANY if any(row[column] for row in rows)]
    invocation.show_all(rows, (*COLUMNS, *more))


def _rows(held: PrivilegeAssignment) -> Iterator[dict[str, Any]]:
    privileges: dict[tuple[str, str], list[str]] = {}
    for grant in held.grants:
        privileges.setdefault((_end(grant), grant.reason), []).append(grant.privilege)
    for (expires, reason), names in privileges.items() or [(("", ""), list(held.privileges))]:
        yield {"principal": held.principal, "privileges": names, "expires": expires, "reason": reason}


def _end(grant: HeldGrant) -> str:
    if not grant.HasField("expire_time"):
        return ""
    return f"{grant.expire_time.ToJsonString()}{' (over)' if grant.expired else ''}"


@click.command(
    "grant", cls=Command, example='lakewarden grant "USE SCHEMA,SELECT" schema main.sales analysts'
)
@click.argument("privileges", metavar="PRIVILEGE[,…]")
@type_argument
@name_argument
@click.argument("principal")
@click.option("--for", "duration", metavar="DURATION", help="How long, e.g. 30d, 12h (for ever).")
@click.option("--reason", default="", metavar="TEXT", help="Why, for people.")
@pass_invocation
def grant(
    invocation: Invocation,
    privileges: str,
    securable_type: str,
    full_name: str,
    principal: str,
    duration: str | None,
    reason: str,
) -> None:
    """Grant privileges on a securable to a principal, and show what it holds there now.

    Granted again, a privilege has the end and the reason of this grant: without --for it no longer ends.
    """
    names = privileges_of(privileges)
    expire_time = None
    if duration is not None:
        seconds = duration_seconds(duration)
        if not seconds:
            raise click.BadParameter(
                "a grant that ends at once would be none: say how long", param_hint="--for"
            )
        expire_time = datetime.now(UTC) + timedelta(seconds=seconds)
    client = invocation.open_client()
    ending = [] if expire_time else _ending(client, names, securable_type, full_name, principal)
    held = client.grants.grant(
        names, securable_type, full_name, principal, expire_time=expire_time, reason=reason
    )
    for limited in ending:
        invocation.note(f"Note: {limited.privilege} was to end at {_end(limited)}; now it does not end.")
    show_held(invocation, held)


def _ending(
    client: Client, names: list[str], securable_type: str, full_name: str, principal: str
) -> list[HeldGrant]:
    """Those of the privileges that the principal holds for a limited time."""
    wanted = {name.upper().replace(" ", "_") for name in names}
    try:
        found = list(client.grants.list(securable_type, full_name, principal))
    except LakewardenError:
        # What is wrong is for the grant itself to say.
        return []
    grants = (grant for each in found for grant in each.grants)
    return [
        grant
        for grant in grants
        if grant.privilege in wanted and grant.HasField("expire_time") and not grant.expired
    ]


@click.command(
    "revoke", cls=Command, example="lakewarden revoke SELECT table main.sales.orders bob@example.com"
)
@click.argument("privileges", metavar="PRIVILEGE[,…]")
@type_argument
@name_argument
@click.argument("principal")
@pass_invocation
def revoke(
    invocation: Invocation, privileges: str, securable_type: str, full_name: str, principal: str
) -> None:
    """Revoke privileges on a securable from a principal, and show what it still holds there."""
    names = privileges_of(privileges)
    held = invocation.open_client().grants.revoke(names, securable_type, full_name, principal)
    show_held(invocation, held)


@click.group("grants", cls=Group, example="lakewarden grants list schema main.sales")
def grants() -> None:
    """List and change the grants of a securable."""


@grants.command("list", example="lakewarden grants list catalog main --principal analysts")
@type_argument
@name_argument
@click.option("--principal", metavar="NAME", help="Only this principal's.")
@click.option(
    "--deleted", is_flag=True, help="Also those of deleted principals, by id; `revoke` takes such an id."
)
@limit_option
@pass_invocation
def list_grants(
    invocation: Invocation,
    securable_type: str,
    full_name: str,
    principal: str | None,
    deleted: bool,
    limit: int | None,
) -> None:
    """List the grants made on the securable itself: not ownership, and not what it inherits."""
    held = invocation.open_client().grants.list(
        securable_type, full_name, principal, include_deleted_principals=deleted, limit=limit
    )
    show_held(invocation, held)


@grants.command(
    "effective", example="lakewarden grants effective table main.sales.orders --principal bob@x.io"
)
@type_argument
@name_argument
@click.option("--principal", metavar="NAME", help="Whose; your own without it.")
@pass_invocation
def effective(invocation: Invocation, securable_type: str, full_name: str, principal: str | None) -> None:
    """List every privilege a principal holds on a securable, what it comes from, and whether it can be used here."""
    from lakewarden.cli._sources import source_words

    held = invocation.open_client().grants.effective(securable_type, full_name, principal)
    if not invocation.is_brief:
        invocation.show_all(held, (), name="privilege")
        return
    rows = (
        {
            "privilege": each.privilege,
            "usable": each.usable,
            "comes_from": [source_words(source) for source in each.sources],
        }
        for each in held
    )
    invocation.show_all(rows, ("privilege", "usable", "comes_from"), name="privilege")


@grants.command(
    "update",
    example="lakewarden grants update schema main.sales --json @changes.json\n"
    """lakewarden grants update schema main.sales --json '{"changes": [{"principal": "analysts", "add": ["SELECT"]}]}'""",
)
@type_argument
@name_argument
@click.option("--json", "document", required=True, metavar="JSON|@FILE", help="The changes; @- reads stdin.")
@pass_invocation
def update_grants(invocation: Invocation, securable_type: str, full_name: str, document: str) -> None:
    """Make several changes at once, all or none: {"changes": [{"principal", "add": […], "remove": […]}]}."""
    changes = changes_of(_document(document))
    held = invocation.open_client().grants.update(securable_type, full_name, changes)
    show_held(invocation, held)


def _document(text: str) -> Any:
    """The JSON given in place, or in the file after `@`."""
    try:
        if text == "@-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        return json.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise click.BadParameter(f"cannot read {text[1:]}: {error}", param_hint="--json") from None
    except json.JSONDecodeError as error:
        raise click.BadParameter(f"not JSON: {error}", param_hint="--json") from None


def changes_of(document: Any) -> list[GrantChange]:
    """Read the changes strictly: a key that is spelt wrong must not become a change that is left out."""
    from lakewarden._authorization import change
    from lakewarden.v1.grants_pb2 import GrantChange

    wrong = click.BadParameter(
        'expected {"changes": [{"principal": "…", "add": ["…"], "remove": ["…"]}]}', param_hint="--json"
    )
    if (
        not isinstance(document, dict)
        or set(document) != {"changes"}
        or not isinstance(document["changes"], list)
    ):
        raise wrong
    found = []
    for row in document["changes"]:
        if not isinstance(row, dict) or not set(row) <= {"principal", "add", "remove"}:
            raise wrong
        principal, added, removed = row.get("principal"), row.get("add", []), row.get("remove", [])
        if (
            not isinstance(principal, str)
            or not _is_names(added)
            or not _is_names(removed)
            or not (added or removed)
        ):
            raise wrong
        found += [change(GrantChange.GRANT, principal, added)] if added else []
        found += [change(GrantChange.REVOKE, principal, removed)] if removed else []
    return found


def _is_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(name, str) and name for name in value)
