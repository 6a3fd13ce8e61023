"""`lakewarden share`: shares, what is in them, and who is given them."""

from __future__ import annotations

from typing import Any

import click

from lakewarden.cli._commands import Group
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import comment_option, limit_option, name_argument, property_option
from lakewarden.cli._securable_commands import (
    add_common_commands,
    add_delete_command,
    add_list_command,
    add_update_command,
)


@click.group("share", cls=Group, example="lakewarden share list")
def share() -> None:
    """Manage what is given to recipients outside."""


@share.command("create", example='lakewarden share create partners --comment "for our partners"')
@click.argument("full_name", metavar="NAME")
@comment_option
@property_option
@pass_invocation
def create(invocation: Invocation, full_name: str, comment: str | None, properties: dict[str, str]) -> None:
    """Create a share with nothing in it."""
    client = invocation.open_client()
    invocation.show(client.shares.create(full_name, comment=comment or "", properties=properties))


@share.command("objects", example="lakewarden share objects partners")
@name_argument
@limit_option
@pass_invocation
def objects(invocation: Invocation, full_name: str, limit: int | None) -> None:
    """List what is in a share, as far as you may see it."""
    rows = invocation.open_client().shares.objects(full_name, limit=limit)
    invocation.show_all(rows, ("full_name", "kind"))


@share.command("add", example="lakewarden share add partners main.sales.orders main.sales.items")
@name_argument
@click.argument("tables", nargs=-1, required=True, metavar="TABLE...")
@pass_invocation
def add(invocation: Invocation, full_name: str, tables: tuple[str, ...]) -> None:
    """Put tables and views into a share."""
    invocation.show(invocation.open_client().shares.update_objects(full_name, add=tables))


@share.command("remove", example="lakewarden share remove partners main.sales.items")
@name_argument
@click.argument("tables", nargs=-1, required=True, metavar="TABLE...")
@pass_invocation
def remove(invocation: Invocation, full_name: str, tables: tuple[str, ...]) -> None:
    """Take tables and views out of a share."""
    invocation.show(invocation.open_client().shares.update_objects(full_name, remove=tables))


@share.group("recipient", cls=Group, example="lakewarden share recipient list partners")
def recipient() -> None:
    """Manage who is given a share."""


@recipient.command("list", example="lakewarden share recipient list partners")
@name_argument
@limit_option
@pass_invocation
def list_recipients(invocation: Invocation, full_name: str, limit: int | None) -> None:
    """List the recipients of a share, as far as you may see them."""
    names = invocation.open_client().shares.recipients(full_name, limit=limit)
    invocation.show_all(({"name": name} for name in names), ("name",), name="name")


@recipient.command("add", example="lakewarden share recipient add partners acme")
@name_argument
@click.argument("recipient_name", metavar="RECIPIENT")
@pass_invocation
def add_recipient(invocation: Invocation, full_name: str, recipient_name: str) -> None:
    """Give a share to a recipient."""
    invocation.show(invocation.open_client().shares.add_recipient(full_name, recipient_name))


@recipient.command("remove", example="lakewarden share recipient remove partners acme")
@name_argument
@click.argument("recipient_name", metavar="RECIPIENT")
@pass_invocation
def remove_recipient(invocation: Invocation, full_name: str, recipient_name: str) -> None:
    """Take a share from a recipient."""
    invocation.open_client().shares.remove_recipient(full_name, recipient_name)
    invocation.note(f"{recipient_name} no longer has share {full_name}")


def _resource(client: Any) -> Any:
    return client.shares


add_list_command(share, _resource, ("full_name", "owner", "comment"), nouns="shares")
add_common_commands(share, _resource, example="partners")
add_update_command(share, _resource, example="partners")
add_delete_command(share, _resource, example="partners", force=False)
