"""`lakewarden federation-policy`."""

from __future__ import annotations

from typing import TextIO

import click

from lakewarden.cli._commands import Group
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import limit_option, yes_option

_EXAMPLE = "7d8a3f0e-5c55-4a0e-9b8e-0c6f1c2d3e4f"


@click.group("federation-policy", cls=Group, example="lakewarden federation-policy list")
def federation_policy() -> None:
    """Manage which tokens of identity providers are traded for access tokens, and whose client certificates are (account admins)."""


@federation_policy.command(
    "create",
    example="lakewarden federation-policy create https://id.example.com --audience lakewarden --jwks keys.json "
    "--subject-claim email",
)
@click.argument("issuer")
@click.option(
    "--audience", "audiences", multiple=True, required=True, metavar="TEXT",
    help="A token may be for these and for no others.",
)  # fmt: skip
@click.option(
    "--jwks",
    type=click.File("r", encoding="utf-8"),
    help="File with the provider's public keys.",
)
@click.option("--jwks-uri", default="", metavar="URL", help="Where the provider publishes them instead.")
@click.option("--service-principal", default="", metavar="ID", help="Whom its tokens stand for; else users.")
@click.option("--subject", default="", metavar="TEXT", help="What the claim says for the service principal.")
@click.option("--subject-claim", default="", metavar="NAME", help="The claim that says who it is (sub).")
@click.option("--comment", default="", metavar="TEXT", help="Free text for people.")
@pass_invocation
def create(
    invocation: Invocation,
    issuer: str,
    audiences: tuple[str, ...],
    jwks: TextIO | None,
    jwks_uri: str,
    service_principal: str,
    subject: str,
    subject_claim: str,
    comment: str,
) -> None:
    """Trust the tokens of an issuer, of one service principal or of all users."""
    if (jwks is None) == (not jwks_uri):
        raise click.UsageError("Say the keys with --jwks, or where they are with --jwks-uri.")
    made = invocation.open_client().federation_policies.create(
        issuer,
        audiences,
        jwks.read() if jwks else "",
        jwks_uri=jwks_uri,
        service_principal=service_principal,
        subject=subject,
        subject_claim=subject_claim,
        comment=comment,
    )
    invocation.show(made, name="id")


@federation_policy.command(
    "create-for-certificates",
    example="lakewarden federation-policy create-for-certificates spiffe://example.com/lake/spark "
    "--service-principal 3f0c9a52-1e0b-4a53-9a39-0d8f7c1e2b44",
)
@click.argument("uri")
@click.option("--service-principal", required=True, metavar="ID", help="Whom they stand for.")
@click.option("--comment", default="", metavar="TEXT", help="Free text for people.")
@pass_invocation
def create_for_certificates(invocation: Invocation, uri: str, service_principal: str, comment: str) -> None:
    """Let client certificates that name exactly this URI stand for a service principal."""
    made = invocation.open_client().federation_policies.create_for_certificates(
        uri, service_principal=service_principal, comment=comment
    )
    invocation.show(made, name="id")


@federation_policy.command("list", example="lakewarden federation-policy list -o json")
@limit_option
@pass_invocation
def list_policies(invocation: Invocation, limit: int | None) -> None:
    """List the policies."""
    rows = invocation.open_client().federation_policies.list(limit=limit)
    columns = ("id", "issuer", "audiences", "service_principal", "subject_claim", "subject")
    invocation.show_all(rows, columns, name="id")


@federation_policy.command("delete", example=f"lakewarden federation-policy delete {_EXAMPLE} --yes")
@click.argument("policy_id", metavar="ID")
@yes_option
@pass_invocation
def delete(invocation: Invocation, policy_id: str, yes: bool) -> None:
    """Delete a policy: certificates and access tokens that it admitted are refused from now on."""
    invocation.confirm(f"Delete federation policy {policy_id}?", yes=yes)
    invocation.open_client().federation_policies.delete(policy_id)
    invocation.note(f"deleted federation policy {policy_id}")
