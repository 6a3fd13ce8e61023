"""`lakewarden storage-credential` and `lakewarden service-credential`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from lakewarden.cli._commands import Group
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import comment_option, pairs_option, property_option
from lakewarden.cli._secrets import read_secret, secret_options
from lakewarden.cli._securable_commands import (
    Decorator,
    add_common_commands,
    add_delete_command,
    add_list_command,
    add_update_command,
)

# The secret field of each identity; empty where there is none.
SECRET_FIELDS: Mapping[str, str] = {
    "aws_iam_role": "",
    "aws_access_key": "secret_access_key",
    "azure_service_principal": "client_secret",
    "azure_managed_identity": "",
    "gcp_service_account": "private_key",
    "cloudflare_api_token": "secret_access_key",
    "secret": "value",
}
_STORAGE_ONLY, _SERVICE_ONLY = "cloudflare_api_token", "secret"


@click.group("storage-credential", cls=Group, example="lakewarden storage-credential list")
def storage_credential() -> None:
    """Manage what engines reach cloud storage with."""


@click.group("service-credential", cls=Group, example="lakewarden service-credential list")
def service_credential() -> None:
    """Manage what engines reach outside services with."""


def _identity_options(without: str, *, required: bool) -> list[Decorator]:
    kinds = [name.replace("_", "-") for name in SECRET_FIELDS if name != without]
    return [
        click.option("--identity", type=click.Choice(kinds), required=required, help="What kind it is."),
        pairs_option(
            "--field", "fields", "A field of the identity that is no secret, e.g. role_arn; repeat for more."
        ),
        secret_options,
    ]


_read_only_option = click.option(
    "--read-only/--writable", "read_only", default=None, help="Whether engines may only read with it."
)


def read_identity(
    *, identity: str | None, fields: dict[str, str], secret_stdin: bool, secret_file: Any, **more: Any
) -> dict[str, Any]:
    """The client's arguments from a command's. Raises click.UsageError, above all for a secret given as an argument."""
    if identity is None:
        if fields or secret_stdin or secret_file is not None:
            raise click.UsageError(
                "--field and a secret go with --identity: an identity is replaced as a whole."
            )
        return more
    kind = identity.replace("-", "_")
    secret_field = SECRET_FIELDS[kind]
    if secret_field in fields:
        raise click.UsageError(
            f"{secret_field} is a secret: give it with --secret-stdin or --secret-file, not as an argument."
        )
    secret = read_secret(secret_stdin=secret_stdin, secret_file=secret_file)
    if bool(secret_field) != (secret is not None):
        needs = f"needs {secret_field}" if secret_field else "takes no secret"
        raise click.UsageError(f"{identity} {needs}: see --secret-stdin and --secret-file.")
    return {**more, "identity": kind, "fields": {**fields, secret_field: secret} if secret else fields}


def _add_commands(group: Group, name: str, nouns: str, without: str, own: list[Decorator]) -> None:
    """The commands of both kinds of credential; `own` are the options only one of them has."""

    def resource(client: Any) -> Any:
        return getattr(client, name)

    def create(
        invocation: Invocation, full_name: str, comment: str | None, properties: dict[str, str], **more: Any
    ) -> None:
        arguments = {key: value for key, value in read_identity(**more).items() if value is not None}
        client = invocation.open_client()
        invocation.show(
            resource(client).create(full_name, comment=comment or "", properties=properties, **arguments)
        )

    decorated: Any = pass_invocation(create)
    argument = click.argument("full_name", metavar="NAME")
    options = [argument, *_identity_options(without, required=True), *own, comment_option, property_option]
    for option in reversed(options):
        decorated = option(decorated)
    group.command(
        "create",
        example=f"lakewarden {group.name} create lake --identity aws-access-key --field access_key_id=AKIA… "
        "--secret-stdin < key.txt",
        help="Create one. Its secret is read from stdin or a file and never shown again.",
    )(decorated)
    add_list_command(group, resource, ("full_name", "owner", "comment"), nouns=nouns)
    add_common_commands(group, resource, example="lake")
    add_update_command(
        group,
        resource,
        example="lake",
        options=[*_identity_options(without, required=False), *own],
        read=read_identity,
    )
    add_delete_command(group, resource, example="lake", force=True, consequence="although others use it")


_add_commands(
    storage_credential, "storage_credentials", "storage credentials", _SERVICE_ONLY, [_read_only_option]
)
_add_commands(service_credential, "service_credentials", "service credentials", _STORAGE_ONLY, [])
