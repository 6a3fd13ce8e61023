"""`lakewarden login`, `logout`, `whoami`, `status`, `version` and `completion`."""

from __future__ import annotations

import platform
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from lakewarden import __version__
from lakewarden._config import (
    Profile,
    environment_token,
    profile_name,
    profile_path,
    read_profiles,
    resolve,
    write_profiles,
)
from lakewarden._errors import (
    InvalidArgument,
    LakewardenError,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
)
from lakewarden.cli._commands import Command
from lakewarden.cli._invocation import Invocation, pass_invocation
from lakewarden.cli._terminal import is_interactive

if TYPE_CHECKING:
    from lakewarden._client import Client
    from lakewarden._config import Settings

EXIT_UNHEALTHY = 6
ONE_TIME_TOKEN = (
    "A one-time token works once, within 24 hours; if you used it, you are logged in already. Otherwise an account admin "
    "makes another:\nlakewarden token create --principal YOU (or, where no admin can log in, `lakewarden-server recover`)."
)
WORKSPACE_NEEDED = (
    "The profile is stored without it.\nCalls from no workspace: --workspace ''. So `lakewarden workspace list` shows those "
    "there are, and `create` makes one; `lakewarden profile set PROFILE --workspace NAME` stores it."
)


@click.command(
    "login",
    cls=Command,
    example="lakewarden login --endpoint localhost:50051 --workspace analytics\n"
    "lakewarden login --token-stdin --profile production < token.txt\n"
    "lakewarden login --client-id 3f0c9a52-1e0b-4a53-9a39-0d8f7c1e2b44 < client-secret",
)
@click.option("--token-stdin", is_flag=True, help="Read the token from stdin.")
@click.option(
    "--client-id",
    default="",
    metavar="ID",
    help="As this service principal; reads its client secret from stdin.",
)
@pass_invocation
def login(invocation: Invocation, token_stdin: bool, client_id: str) -> None:
    """Store a token in a profile, after trying it.

    Asks for the token where there is a terminal. A bootstrap token is traded for a lasting one, which uses it up. With a
    client id, the client secret is traded for an access token of an hour, and only that is stored. A workspace that is
    still to be made is not stored, and warned of.
    """
    from lakewarden._connection import BOOTSTRAP_PREFIX

    name = profile_name(invocation.profile)
    settings = _login_settings(invocation, name)
    invocation.endpoint, invocation.workspace = settings.endpoint, settings.workspace
    invocation.profile, invocation.insecure = None, settings.insecure
    invocation.ca_file = settings.ca_file
    invocation.cert_file, invocation.key_file = settings.cert_file, settings.key_file
    if client_id and (token_stdin or invocation.token):
        raise click.UsageError("Log in with a token or with --client-id, not with both.")
    if client_id:
        token = _access_token(invocation, client_id)
    else:
        token = _asked_token(invocation, token_stdin=token_stdin)
    client = invocation.open_client(token=token)
    if token.startswith(BOOTSTRAP_PREFIX):
        # Of no workspace: the one that is named may be still to be made.
        token = _traded(client.with_workspace(""))
        # Stored before it is tried: the bootstrap token is spent, and this secret exists nowhere else.
        _store(name, settings, token)
        client = client.as_token(token)
    warning = ""
    try:
        session = client.session.get()
        if settings.workspace and not session.workspace:
            warning = f"you are not assigned to workspace {settings.workspace}"
    except PermissionDenied as error:
        if error.reason != "WORKSPACE_DENIED":
            raise
        session = client.with_workspace("").session.get()
        settings, warning = replace(settings, workspace=""), f"{error.message}. {WORKSPACE_NEEDED}"
    _store(name, settings, token)
    invocation.note(f"logged in to {settings.endpoint} as {session.principal} (profile {name})")
    if warning:
        invocation.note(f"Warning: {warning}")


def _traded(client: Client) -> str:
    """The lasting token for the bootstrap token the client calls with."""
    try:
        return client.tokens.create(comment=f"lakewarden login on {platform.node()}").token_value
    except Unauthenticated as error:
        error.add_note(ONE_TIME_TOKEN)
        raise


def _login_settings(invocation: Invocation, name: str) -> Settings:
    """Where to log in; a profile that does not exist yet is no mistake here."""
    return resolve(
        endpoint=invocation.endpoint,
        token="",
        workspace=invocation.workspace,
        profile=name,
        ca_file=invocation.ca_file,
        cert_file=invocation.cert_file,
        key_file=invocation.key_file,
        insecure=invocation.insecure,
        profile_may_be_new=True,
    )


def _asked_token(invocation: Invocation, *, token_stdin: bool) -> str:
    """The token: from stdin, the command line, the environment, or the keyboard."""
    if token_stdin:
        given = sys.stdin.readline().strip()
    else:
        given = (invocation.token or environment_token()).strip()
        if not given and is_interactive():
            given = str(click.prompt("Token", hide_input=True, err=True)).strip()
    if not given:
        raise click.UsageError("No token. Give it on stdin with --token-stdin, or log in at a terminal.")
    return given


def _access_token(invocation: Invocation, client_id: str) -> str:
    """The access token for the client secret that stands on stdin or is typed; there is no option for it, which others could read."""
    if is_interactive():
        secret = str(click.prompt("Client secret", hide_input=True, err=True)).strip()
    else:
        secret = sys.stdin.readline().strip()
    if not secret:
        raise click.UsageError("No client secret. Give it on stdin, or log in at a terminal.")
    return invocation.open_client(token="").tokens.create_access_token(client_id, secret).access_token


def _store(name: str, settings: Settings, token: str) -> None:
    """Write the profile; the first one becomes the current one."""
    found = read_profiles()
    stored = found.with_profile(
        name,
        Profile(
            endpoint=settings.endpoint,
            token=token,
            workspace=settings.workspace,
            ca_file=settings.ca_file,
            cert_file=settings.cert_file,
            key_file=settings.key_file,
            insecure=settings.insecure,
        ),
    )
    write_profiles(stored if found.profiles else replace(stored, current=name))


@click.command("logout", cls=Command, example="lakewarden logout --revoke")
@click.option("--revoke", is_flag=True, help="Revoke the token on the server as well.")
@pass_invocation
def logout(invocation: Invocation, revoke: bool) -> None:
    """Remove the token from the profile. The profile's other settings stay."""
    name = profile_name(invocation.profile)
    found = read_profiles()
    stored = found.profiles.get(name, Profile())
    if not stored.token:
        invocation.note(f"profile {name} holds no token")
        return
    if revoke:
        from lakewarden.v1 import sessions_pb2

        invocation.endpoint, invocation.profile = stored.endpoint, name
        client = invocation.open_client(token=stored.token)
        session = client.session.get()
        if session.credential_kind > sessions_pb2.PERSONAL_ACCESS_TOKEN:
            raise InvalidArgument(
                "an access token cannot be revoked: it ends within the hour, or at once with the client secret or federation policy "
                "it was traded for, or when its principal is disabled. The profile still holds it: `lakewarden logout` removes it",
                reason="CREDENTIAL_UNSUITABLE",
            )
        client.tokens.delete(session.token_id)
    write_profiles(found.with_profile(name, replace(stored, token="")))
    invocation.note(f"logged out of profile {name}{' and revoked its token' if revoke else ''}")


@click.command("whoami", cls=Command, example="lakewarden whoami -o json")
@pass_invocation
def whoami(invocation: Invocation) -> None:
    """Show who the server takes you for, your groups and your workspace."""
    invocation.show(invocation.open_client().session.get(), name="principal")


@click.command("status", cls=Command, example="lakewarden status --timeout 2")
@click.pass_context
@pass_invocation
def status(invocation: Invocation, context: click.Context) -> None:
    """Show whether the server answers, and as whom. Exits with 6 when it does not serve."""
    client = invocation.open_client()
    try:
        health = client.health()
    except Unavailable as error:
        error.add_note("Start it with `lakewarden-server serve`, or name another one: --endpoint HOST:PORT.")
        raise
    answer: dict[str, object] = {"endpoint": client.endpoint, "health": health, "client_version": __version__}
    try:
        session = client.session.get()
        answer |= {"server_version": session.server_version, "principal": session.principal}
        answer |= {
            "workspace": session.workspace,
            "metastore": session.metastore,
            "revision": session.revision,
        }
    except LakewardenError as error:
        answer["principal"] = ""
        invocation.note(f"no session: {error.message}")
    invocation.show(answer, name="health")
    context.exit(0 if health == "SERVING" else EXIT_UNHEALTHY)


@click.command("version", cls=Command, example="lakewarden version")
@pass_invocation
def version(invocation: Invocation) -> None:
    """Show the version of this command line, and of Python."""
    answer = {"version": __version__, "python": platform.python_version(), "profiles": str(profile_path())}
    invocation.show(answer, name="version")


@click.command("completion", cls=Command, example='eval "$(lakewarden completion bash)"')
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell, to be loaded from its start-up file."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(context.find_root().command, {}, "lakewarden", "_LAKEWARDEN_COMPLETE").source())
