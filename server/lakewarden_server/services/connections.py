"""Connections to databases and services outside the lakehouse."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from google.protobuf.empty_pb2 import Empty

from lakewarden.v1 import connections_pb2 as pb
from lakewarden_server.authn.keys import Keys
from lakewarden_server.core.errors import InvalidArgument, Reason
from lakewarden_server.entities import Connection, touch
from lakewarden_server.services import securables, validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.secrets import SecretKeeper, secret_text
from lakewarden_server.storage.repositories import places

CONNECTION_TYPES = (
    "BIGQUERY", "DATABRICKS", "DUCKDB", "GLUE", "HIVE_METASTORE", "HTTP", "ICEBERG_REST", "LAKEWARDEN", "MARIADB", "MONGODB",
    "MYSQL", "ORACLE", "POSTGRESQL", "REDSHIFT", "SALESFORCE_DATA_CLOUD", "SNOWFLAKE", "SQLDW", "SQLITE", "SQLSERVER",
    "TERADATA", "TRINO", "UNITY_CATALOG",
)  # fmt: skip
SECRET_OPTIONS_MAX = 20
_SECRET_NAME = re.compile(
    r"(password|passwd|passphrase|secret|token|(private|api|access|account|shared)[._-]?key|credentials?)$", re.IGNORECASE
)  # fmt: skip
"""Names whose values people mean to keep secret; a longer name such as `token_url` says something about one."""


class ConnectionService:
    """Implements `lakewarden.v1.ConnectionService`."""

    def __init__(self, keys: Keys) -> None:
        self._keeper = SecretKeeper(keys)
        self._setters = {
            **securables.SETTERS,
            "options": _set_options,
            "secret_options": self._set_secret_options,
            "credential": _set_credential,
            "read_only": securables.set_read_only,
        }

    def create_connection(self, request: pb.CreateConnectionRequest, call: Call) -> pb.Connection:
        """Creates a connection; its secret options are sealed."""
        secrets = read_secret_options(request.connection)
        connection = securables.create(
            call,
            Connection,
            request.connection,
            metastore_id=call.metastore_id,
            connection_type=_connection_type(request.connection.connection_type),
            options=read_options(request.connection),
            secret_option_names=sorted(secrets),
            credential_id=call.objects.get("credential"),
            read_only=request.connection.read_only,
        )
        self._keeper.keep(call, connection.id, secrets)
        call.uow.session.flush()
        return to_message(connection, call)

    def get_connection(self, request: pb.GetConnectionRequest, call: Call) -> pb.Connection:
        """Returns one connection."""
        return to_message(call.row(Connection, call.self_id), call)

    def list_connections(self, request: pb.ListConnectionsRequest, call: Call) -> pb.ListConnectionsResponse:
        """Lists the connections the caller may see."""
        page, token = securables.page(call, Connection, "CONNECTION", call.metastore_id, request)
        return pb.ListConnectionsResponse(
            connections=[to_message(row, call) for row in page], next_page_token=token
        )

    def update_connection(self, request: pb.UpdateConnectionRequest, call: Call) -> pb.Connection:
        """Changes what the mask names."""
        paths = request.update_mask.paths
        stored = call.row(Connection, call.self_id).secret_option_names
        if "options" in paths and "secret_options" not in paths and stored:
            # Else whoever may change the host, and was never told the password, would have it sent to a host of theirs.
            raise InvalidArgument(
                Reason.UPDATE_MASK_INVALID,
                "update_mask: options of a connection with secret options change only together with secret_options: send both",
                field="update_mask",
            )
        connection = securables.update(call, Connection, request.connection, paths, self._setters)
        call.uow.session.flush()
        return to_message(connection, call)

    def delete_connection(self, request: pb.DeleteConnectionRequest, call: Call) -> Empty:
        """Deletes a connection; one that a foreign catalog stands on needs `force`."""
        used = places.catalogs_use(call.uow.session, call.self_id)
        securables.refuse_used(used and not request.force, "foreign catalogs stand on this connection")
        securables.delete(call, force=False, sent_etag=request.etag)
        return Empty()

    def _set_secret_options(self, connection: Any, message: Any, call: Call) -> None:
        secrets = read_secret_options(message)
        connection.secret_option_names = sorted(secrets)
        self._keeper.keep(call, connection.id, secrets)
        # A new secret alone must move the etag too.
        touch(connection)


def to_message(connection: Connection, call: Call) -> pb.Connection:
    """The message of a connection's row, without its secrets."""
    credential = call.snapshot.securables.get(connection.credential_id or "")
    message = pb.Connection(
        metastore_id=connection.metastore_id or "",
        connection_type=connection.connection_type,
        options=connection.options,
        secret_option_names=connection.secret_option_names,
        credential=credential.name if credential else "",
        read_only=connection.read_only,
    )
    securables.fill(message, connection, call)
    return message


def read_options(message: pb.Connection) -> dict[str, str]:
    """The options that are no secret. Raises FIELD_INVALID for one whose name says it is."""
    for name in message.options:
        if _SECRET_NAME.search(name):
            raise validation.invalid("options", f"{name} is a secret by its name: send it in secret_options")
    return validation.properties(message.options, field="options")


def read_secret_options(message: pb.Connection) -> Mapping[str, str]:
    """The secret options. Raises FIELD_INVALID, never quoting a value."""
    if len(message.secret_options) > SECRET_OPTIONS_MAX:
        raise validation.invalid("secret_options", f"more than {SECRET_OPTIONS_MAX}")
    both = sorted(set(message.secret_options) & set(message.options))
    if both:
        raise validation.invalid("secret_options", f"{both[0]} is in options too: send it once")
    validation.properties(dict.fromkeys(message.secret_options, ""), field="secret_options")
    return {
        name: secret_text(value, f"secret_options[{name[:40]}]")
        for name, value in message.secret_options.items()
    }


def _connection_type(text: str) -> str:
    if text.upper() not in CONNECTION_TYPES:
        raise validation.invalid("connection_type", f"{text!r} is none of {', '.join(CONNECTION_TYPES)}")
    return text.upper()


def _set_options(connection: Any, message: Any, call: Call) -> None:
    connection.options = read_options(message)


def _set_credential(connection: Any, message: Any, call: Call) -> None:
    connection.credential_id = call.objects.get("credential")
