"""`lakewarden profile`: named settings on this machine. A token in them is never printed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from lakewarden._config import (
    DEFAULT_ENDPOINT,
    Profile,
    ProfileFile,
    profile_name,
    read_profiles,
    write_profiles,
)
from lakewarden._errors import ConfigurationError
from lakewarden.cli._commands import Group
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._parameters import yes_option


@click.group("profile", cls=Group, example="lakewarden profile use production")
def profile() -> None:
    """Manage the profiles on this machine."""


def _existing(profile_file: ProfileFile, name: str) -> Profile:
    if name not in profile_file.profiles:
        raise ConfigurationError(
            f"there is no profile {name}. Make it: lakewarden login --profile {name}",
            reason="PROFILE_UNKNOWN",
        )
    return profile_file.profiles[name]


def _shown(name: str, values: Profile, *, current: bool) -> dict[str, object]:
    """What may be printed of a profile."""
    return {
        "name": name,
        "current": current,
        "endpoint": values.endpoint or DEFAULT_ENDPOINT,
        "workspace": values.workspace,
        "ca_file": values.ca_file,
        "cert_file": values.cert_file,
        "key_file": values.key_file,
        "insecure": values.insecure,
        "token": "set" if values.token else "",
    }


@profile.command("list", example="lakewarden profile list")
@pass_invocation
def list_profiles(invocation: Invocation) -> None:
    """List the profiles."""
    found = read_profiles()
    rows = (
        _shown(name, values, current=name == found.current) for name, values in sorted(found.profiles.items())
    )
    invocation.show_all(rows, ("name", "current", "endpoint", "workspace", "token"), name="name")


@profile.command("show", example="lakewarden profile show production")
@click.argument("name", required=False)
@pass_invocation
def show(invocation: Invocation, name: str | None) -> None:
    """Show one profile; the one in use when none is named."""
    found = read_profiles()
    chosen = name or profile_name(invocation.profile)
    invocation.show(_shown(chosen, _existing(found, chosen), current=chosen == found.current), name="name")


@profile.command("use", example="lakewarden profile use production")
@click.argument("name")
@pass_invocation
def use(invocation: Invocation, name: str) -> None:
    """Make a profile the one that is used when none is named."""
    found = read_profiles()
    _existing(found, name)
    write_profiles(replace(found, current=name))
    invocation.note(f"using profile {name}")


@profile.command(
    "set", example="lakewarden profile set production --endpoint lake.example.com:443 --workspace analytics"
)
@click.argument("name")
@pass_invocation
def set_profile(invocation: Invocation, name: str) -> None:
    """Set a profile's endpoint, workspace, ca-file, cert-file and key-file, or insecure, from the global options given; makes it if need be.

    A token is stored by login only. A changed endpoint drops the stored token: it belongs to the server before.
    """
    found = read_profiles()
    before = found.profiles.get(name, Profile())
    given: dict[str, Any] = {
        "endpoint": invocation.endpoint,
        "workspace": invocation.workspace,
        "ca_file": invocation.ca_file,
        "cert_file": invocation.cert_file,
        "key_file": invocation.key_file,
        "insecure": invocation.insecure or None,
    }
    changes = {key: value for key, value in given.items() if value is not None}
    if not changes:
        raise click.UsageError(
            "Say what to set: --endpoint, --workspace, --ca-file, --cert-file and --key-file, or --insecure."
        )
    after = replace(before, **changes)
    if (after.endpoint or DEFAULT_ENDPOINT) != (before.endpoint or DEFAULT_ENDPOINT):
        after = replace(after, token="")
    write_profiles(found.with_profile(name, after))
    invocation.note(
        f"{'set' if name in found.profiles else 'there was no profile of that name: made'} profile {name}"
    )


@profile.command("delete", example="lakewarden profile delete old --yes")
@click.argument("name")
@yes_option
@pass_invocation
def delete(invocation: Invocation, name: str, yes: bool) -> None:
    """Delete a profile and the token in it; the token itself stays valid until revoked."""
    found = read_profiles()
    _existing(found, name)
    invocation.confirm(f"Delete profile {name}?", yes=yes)
    write_profiles(found.without_profile(name))
    invocation.note(f"deleted profile {name}")
