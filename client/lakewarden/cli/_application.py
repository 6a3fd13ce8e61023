"""The root command, and the one place where errors become messages and exit codes.

0 ok · 1 no by `check` or `lineage paths`, a difference by `diff`, a failure by `test`, a finding by `audit verify | replay` · 2 usage · 3 not found ·
4 unauthenticated or denied · 5 conflict or precondition ·
6 unavailable or timed out · 70 a bug · 74 the output cannot be written · 130 interrupted.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence

import click

from lakewarden import __version__
from lakewarden._config import debug_wanted
from lakewarden._errors import LakewardenError
from lakewarden.cli._commands import LazyGroup
from lakewarden.cli._fixes import without_statements, write_fixes
from lakewarden.cli._terminal import printable, styled

EXIT_USAGE = 2
EXIT_BUG = 70
EXIT_OUTPUT = 74
EXIT_INTERRUPTED = 130

_EXIT_CODES: Mapping[str, int] = {
    "INVALID_ARGUMENT": EXIT_USAGE,
    "NOT_FOUND": 3,
    "UNAUTHENTICATED": 4,
    "PERMISSION_DENIED": 4,
    "ALREADY_EXISTS": 5,
    "FAILED_PRECONDITION": 5,
    "ABORTED": 5,
    "RESOURCE_EXHAUSTED": 6,
    "DEADLINE_EXCEEDED": 6,
    "UNAVAILABLE": 6,
}

# By reason where there is one to say more about, else by code.
_HINTS: Mapping[str, str] = {
    "BOOTSTRAP_TOKEN_RESTRICTED": "A bootstrap token only makes the first token: run `lakewarden login` with it.",
    "CONCURRENT_CHANGE": "Retry.",
    "NOT_EMPTY": "Use --force to delete what is inside too.",
    "IN_USE": "To delete it nevertheless, use --force.",
    "WORKSPACE_REQUIRED": "Name the workspace: --workspace NAME, LAKEWARDEN_WORKSPACE, or for good "
    "`lakewarden profile set default --workspace NAME`.\n`lakewarden workspace list` shows those there are.",
    "WORKSPACE_DENIED": "Its name comes from --workspace, LAKEWARDEN_WORKSPACE or the profile. To call from none: --workspace ''.\n"
    "So `lakewarden workspace list` shows those there are, and `create` makes one.",
    "TOKEN_MISSING": "Run `lakewarden login`, or set LAKEWARDEN_TOKEN. `lakewarden-server init` made the first token of a server.",
    "DEADLINE_EXCEEDED": "Give it more time with --timeout. A change may have happened: look before you repeat it.",
    # Their messages say what to do already; the hint of their code would be wrong.
    "PRINCIPAL_DISABLED": "",
    "TOKEN_VALUE_LOST": "",
    "UNAUTHENTICATED": "Run `lakewarden login`, or set LAKEWARDEN_TOKEN.",
    "UNAVAILABLE": "Is the server running, and is the endpoint right? Try `lakewarden status`.",
    "UNIMPLEMENTED": "The server is older than this command line.",
    "INTERNAL": "The server's log has the details under the request id.",
}

COMMANDS: Mapping[str, tuple[str, str]] = {
    "login": ("session:login", "Store a token in a profile; trades a bootstrap token for a lasting one."),
    "logout": ("session:logout", "Remove the token from the profile."),
    "whoami": ("session:whoami", "Show who the server takes you for."),
    "status": ("session:status", "Show whether the server answers, and as whom."),
    "profile": ("profiles:profile", "Manage the profiles on this machine."),
    "version": ("session:version", "Show the version."),
    "completion": ("session:completion", "Print the completion script of a shell."),
    "ls": ("namespace:ls", "List what is inside a path: catalogs, schemas, or what a schema holds."),
    "tree": ("namespace:tree", "Draw the namespace as far as you may see it."),
    "metastore": ("metastores:metastore", "Manage metastores."),
    "workspace": ("workspaces:workspace", "Manage workspaces and their members."),
    "object": ("objects:object_", "Manage jobs, notebooks, folders and other objects of a workspace."),
    "binding": ("bindings:binding", "Manage which workspaces can reach what is isolated."),
    "catalog": ("catalogs:catalog", "Manage catalogs."),
    "schema": ("schemas:schema", "Manage schemas."),
    "table": ("tables:table", "Manage tables."),
    "volume": ("volumes:volume", "Manage volumes, the places for files."),
    "model": ("registered_models:model", "Manage registered models, their versions and aliases."),
    "view": ("views:view", "Manage views."),
    "materialized-view": ("materialized_views:materialized_view", "Manage materialized views."),
    "streaming-table": ("streaming_tables:streaming_table", "Manage streaming tables."),
    "function": ("functions:function", "Manage functions."),
    "storage-credential": ("credentials:storage_credential", "Manage what engines reach cloud storage with."),
    "service-credential": ("credentials:service_credential", "Manage what engines reach services with."),
    "external-location": ("external_locations:external_location", "Manage places in cloud storage."),
    "connection": ("connections:connection", "Manage how engines reach outside databases."),
    "share": ("shares:share", "Manage what is given to recipients outside."),
    "recipient": ("sharing:recipient", "Manage who is given shares."),
    "provider": ("sharing:provider", "Manage who gives us shares."),
    "external-metadata": ("external_metadata:external_metadata", "Manage stand-ins for outside systems."),
    "tags": ("tags:tags", "Set, remove and list the tags of an object or a column."),
    "grant": ("grants:grant", "Grant privileges on a securable to a principal."),
    "revoke": ("grants:revoke", "Revoke privileges on a securable from a principal."),
    "grants": ("grants:grants", "List and change the grants of a securable."),
    "check": ("authorization:check", "Ask whether a principal may; exits 0 for yes, 1 for no."),
    "export": ("governance:export", "Write what the server has as a governance file."),
    "validate": ("governance:validate", "Check governance files without a server."),
    "diff": ("governance:diff", "Show what applying governance files would change."),
    "apply": ("governance:apply", "Bring the server to what governance files say."),
    "test": ("governance:test", "Ask what governance files assert."),
    "explain": (
        "questions:explain",
        "Say why a principal may or may not, what would help and who can do it.",
    ),
    "who-can": ("questions:who_can", "List who may use a privilege on a securable."),
    "what-can": ("questions:what_can", "List what a principal may use a privilege on, or see."),
    "can-access": ("questions:can_access", "Print those of many names that a principal may use or see."),
    "simulate": ("questions:simulate", "Ask what check would say after changes that are not made."),
    "user": ("users:user", "Manage users."),
    "group": ("groups:group", "Manage groups and their members."),
    "service-principal": ("service_principals:service_principal", "Manage service principals."),
    "federation-policy": (
        "federation_policies:federation_policy",
        "Manage which identity providers are trusted.",
    ),
    "ip-access-list": (
        "ip_access_lists:ip_access_list",
        "Manage from which addresses calls may come.",
    ),
    "token": ("tokens:token", "Manage personal access tokens."),
    "audit": ("audit:audit", "Read, export and verify what was done and refused."),
    "lineage": ("lineage:lineage", "Show and record which data was made of which."),
    "system-table": ("system_tables:system_table", "Read the system tables, such as information_schema."),
}


@click.group(
    cls=LazyGroup,
    commands_by_name=COMMANDS,
    example="lakewarden grant SELECT table main.sales.orders bob@example.com",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="lakewarden")
def root() -> None:
    """Govern a Lakewarden server from the command line.

    Options stand before or after the command. What is not given comes from LAKEWARDEN_ENDPOINT, LAKEWARDEN_TOKEN,
    LAKEWARDEN_WORKSPACE and LAKEWARDEN_PROFILE, then from the profile that `lakewarden login` made.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; what the console script `lakewarden` calls."""
    try:
        result = root.main(args=arguments, prog_name="lakewarden", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Abort:
        # Ctrl-C and Ctrl-D: the shell's own convention, and no word about it.
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        _show_usage_error(error)
        return EXIT_USAGE
    except LakewardenError as error:
        show_error(error)
        return _EXIT_CODES.get(error.code, EXIT_BUG)
    except OSError as error:
        # Files that are read have errors of their own, so this is stdout: a full disk, a closed descriptor.
        click.echo(f"{styled('Error:', 'red')} cannot write the output: {error.strerror or error}", err=True)
        return EXIT_OUTPUT
    except Exception as error:  # noqa: BLE001 - the outermost frame: a traceback helps nobody who only wanted a grant
        if debug_wanted():
            traceback.print_exc()
        click.echo(
            f"{styled('Error:', 'red')} this is a bug: {type(error).__name__}: {error} [INTERNAL]", err=True
        )
        click.echo("Run it again with LAKEWARDEN_DEBUG=1 for the traceback.", err=True)
        return EXIT_BUG


def _show_usage_error(error: click.ClickException) -> None:
    """What click found wrong; a bare group shows its help instead."""
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        click.echo(error.format_message(), err=True)
        return
    click.echo(f"{styled('Error:', 'red')} {error.format_message()}", err=True)
    if context is not None:
        click.echo(f"Try `{context.command_path} --help`.", err=True)


def show_error(error: LakewardenError) -> None:
    """Print an error as one line for people and scripts, and a hint under it."""
    cause = f"{error.code}/{error.reason}" if error.reason else error.code
    request = f" (request_id={error.request_id})" if error.request_id else ""
    click.echo(
        f"{styled('Error:', 'red')} {printable(without_statements(error.message))} [{cause}]{request}",
        err=True,
    )
    # A command that knows more than the code says adds notes, which then stand in the place of the general hint.
    hint = "\n".join(getattr(error, "__notes__", ())) or _HINTS.get(error.reason, _HINTS.get(error.code, ""))
    if hint:
        click.echo(hint, err=True)
    fixes = error.metadata.get("fixes", "")
    write_fixes((fixes,) if fixes else (), err=True)
