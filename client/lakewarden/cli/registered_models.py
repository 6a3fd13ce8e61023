"""`lakewarden model`: registered models, their versions and the aliases that point to them."""

from __future__ import annotations

import click

from lakewarden.cli._commands import Group
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import (
    comment_option,
    complete_name,
    limit_option,
    name_argument,
    property_option,
    yes_option,
)
from lakewarden.cli._securable_commands import add_common_commands, add_delete_command, add_update_command

STATUSES = ("PENDING_REGISTRATION", "READY", "FAILED_REGISTRATION")


@click.group("model", cls=Group, example="lakewarden model list main.sales")
def model() -> None:
    """Manage registered models, their versions and aliases."""


@model.command("create", example="lakewarden model create main.sales.churn")
@click.argument("full_name", metavar="CATALOG.SCHEMA.NAME")
@comment_option
@property_option
@pass_invocation
def create(invocation: Invocation, full_name: str, comment: str | None, properties: dict[str, str]) -> None:
    """Create a model without versions, named in full."""
    client = invocation.open_client()
    invocation.show(client.models.create(full_name, comment=comment or "", properties=properties))


@model.command("list", example="lakewarden model list main.sales")
@click.argument("schema", metavar="CATALOG.SCHEMA", shell_complete=complete_name)
@limit_option
@pass_invocation
def list_models(invocation: Invocation, schema: str, limit: int | None) -> None:
    """List the models of a schema that you may see."""
    rows = invocation.open_client().models.list(schema, limit=limit)
    invocation.show_all(rows, ("full_name", "owner", "comment"))


add_common_commands(model, lambda client: client.models, example="main.sales.churn")
add_update_command(model, lambda client: client.models, example="main.sales.churn")
add_delete_command(model, lambda client: client.models, example="main.sales.churn", force=False)


@model.group("version", cls=Group, example="lakewarden model version list main.sales.churn")
def version() -> None:
    """Manage the versions of a model."""


@version.command(
    "create", example="lakewarden model version create main.sales.churn --source s3://models/churn/7"
)
@name_argument
@click.option("--source", default="", metavar="URL", help="Where the files came from.")
@click.option("--run-id", default="", metavar="ID", help="The run that made it.")
@click.option("--run-link", default="", metavar="URL", help="Where that run can be looked at.")
@click.option("--pending", is_flag=True, help="Its files are still being written: say `set-status` later.")
@comment_option
@pass_invocation
def create_version(
    invocation: Invocation,
    full_name: str,
    source: str,
    run_id: str,
    run_link: str,
    pending: bool,
    comment: str | None,
) -> None:
    """Add a version under the next number."""
    created = invocation.open_client().models.create_version(
        full_name,
        source=source,
        run_id=run_id,
        run_link=run_link,
        comment=comment or "",
        status="PENDING_REGISTRATION" if pending else "READY",
    )
    invocation.show(created, name="version")


@version.command("get", example="lakewarden model version get main.sales.churn champion")
@name_argument
@click.argument("version", metavar="VERSION")
@pass_invocation
def get_version(invocation: Invocation, full_name: str, version: str) -> None:
    """Show a version, by its number or an alias."""
    wanted = int(version) if version.isascii() and version.isdigit() else version
    invocation.show(invocation.open_client().models.get_version(full_name, wanted), name="version")


@version.command("list", example="lakewarden model version list main.sales.churn")
@name_argument
@limit_option
@pass_invocation
def list_versions(invocation: Invocation, full_name: str, limit: int | None) -> None:
    """List the versions of a model."""
    rows = invocation.open_client().models.versions(full_name, limit=limit)
    invocation.show_all(rows, ("version", "status", "aliases", "run_id", "comment"), name="version")


def _version_argument(decorated: click.decorators.FC) -> click.decorators.FC:
    return click.argument("version", metavar="VERSION", type=click.IntRange(min=1))(decorated)


@version.command(
    "update", example='lakewarden model version update main.sales.churn 3 --comment "on all data"'
)
@name_argument
@_version_argument
@click.option("--comment", metavar="TEXT", required=True, help="Free text for people.")
@pass_invocation
def update_version(invocation: Invocation, full_name: str, version: int, comment: str) -> None:
    """Change the comment of a version."""
    models = invocation.open_client().models
    invocation.show(models.update_version(full_name, version, comment=comment), name="version")


@version.command("set-status", example="lakewarden model version set-status main.sales.churn 3 READY")
@name_argument
@_version_argument
@click.argument("status", type=click.Choice(STATUSES, case_sensitive=False))
@pass_invocation
def set_status(invocation: Invocation, full_name: str, version: int, status: str) -> None:
    """Say how the registration of a pending version turned out; that is final."""
    models = invocation.open_client().models
    invocation.show(models.update_version(full_name, version, status=status), name="version")


@version.command("delete", example="lakewarden model version delete main.sales.churn 3 --yes")
@name_argument
@_version_argument
@yes_option
@pass_invocation
def delete_version(invocation: Invocation, full_name: str, version: int, yes: bool) -> None:
    """Delete a version with its aliases; its number is never used again."""
    invocation.confirm(f"Delete version {version} of {full_name}?", yes=yes)
    invocation.open_client().models.delete_version(full_name, version)
    invocation.note(f"deleted version {version} of {full_name}")


@model.group("alias", cls=Group, example="lakewarden model alias set main.sales.churn champion 3")
def alias() -> None:
    """Manage the aliases of versions."""


@alias.command("set", example="lakewarden model alias set main.sales.churn champion 3")
@name_argument
@click.argument("alias", metavar="ALIAS")
@_version_argument
@pass_invocation
def set_alias(invocation: Invocation, full_name: str, alias: str, version: int) -> None:
    """Point an alias to a version, away from the one it pointed to before."""
    invocation.show(invocation.open_client().models.set_alias(full_name, alias, version), name="version")


@alias.command("delete", example="lakewarden model alias delete main.sales.churn champion")
@name_argument
@click.argument("alias", metavar="ALIAS")
@pass_invocation
def delete_alias(invocation: Invocation, full_name: str, alias: str) -> None:
    """Delete an alias; the version stays."""
    invocation.open_client().models.delete_alias(full_name, alias)
    invocation.note(f"deleted alias {alias} of {full_name}")
