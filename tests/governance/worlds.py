"""Random worlds of governance, made on a real server through the public client."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from lakewarden import Client
from lakewarden_policy import load_policy
from lakewarden_server.testing import ADMIN, METASTORE, WORKSPACE, EmbeddedServer

TEXTS = (
    "",
    "plain",
    'quotes " and \\ backslashes',
    "two\nlines\n",
    'ends with """quotes"""',
    "\n",
    "tab\tand\rreturn\x07",
    "Grüße 漢字 \u202e",
    "'''",
    "#[table]\n[[user]]\nname = 1",
)
NAMES = ("alpha", "Beta", "gamma-3", "Δelta", "x_y", "straße", "İstanbul", "漢字")
TO_COME, DAY = datetime(2100, 1, 1, tzinfo=UTC), timedelta(days=1)
GROUPS = ("analysts", "Data Engineers", "interns", "Ägypten", "a,b", "group/else"[:5], "[x]")


class World:
    """Makes one world on a server whose admin it uses."""

    def __init__(self, server: EmbeddedServer, seed: int) -> None:
        self.rng = random.Random(seed)
        self.admin: Client = server.client()
        self.people: list[str] = []
        self.groups: list[str] = []

    def make(self) -> None:
        """Principals first, then everything they own and hold."""
        self._make_principals()
        self._make_account()
        self._make_places()
        for name in self.rng.sample(NAMES, 3):
            self._make_catalog(name)
        self._own("workspaces", WORKSPACE)
        for user in self.rng.sample([name for name in self.people if "@" in name], 2):
            self.admin.users.disable(user)

    @property
    def principals(self) -> Sequence[str]:
        """Whoever can hold something."""
        return [*self.people, *self.groups, "account users", "play users", f"{WORKSPACE} admins"]

    def _text(self) -> str:
        return self.rng.choice(TEXTS)

    def _properties(self) -> dict[str, str]:
        keys = ["a", "B c", 'd"e', "ü", "x.y"]
        return {key: self._text() for key in self.rng.sample(keys, self.rng.randrange(3))}

    def _make_principals(self) -> None:
        admin, rng = self.admin, self.rng
        for number in range(5):
            name = f"{rng.choice('Ua')}ser{number}@example.com"
            self.people.append(admin.users.create(name, display_name=self._text()).name)
        for name in rng.sample(["spark", "Spark", "d/b t", "nightly\tload"], 2):
            self.people.append(admin.service_principals.create(name).name)
        for name in rng.sample(GROUPS, 4):
            admin.groups.create(name)
            # Only what exists already: no cycle.
            members = rng.sample([*self.people, *self.groups], rng.randrange(4))
            admin.groups.update_members(name, add=members)
            self.groups.append(name)

    def _make_account(self) -> None:
        admin, rng = self.admin, self.rng
        admin.metastores.create("elsewhere", region="eu-central-1", comment=self._text())
        self._grant("metastore", "elsewhere")
        self._own("metastores", "elsewhere")
        for name, metastore in (("lab", "elsewhere"), ("attic", ""), ("play", METASTORE)):
            admin.workspaces.create(
                name,
                metastore=metastore,
                comment=self._text(),
                properties=self._properties(),
            )
            # Whoever owns it, the admin can go on working there: its catalog is isolated from everywhere else.
            admin.grants.grant("USER", "workspace", name, ADMIN)
            self._grant("workspace", name)
            self._own("workspaces", name)
        admin.metastores.update(METASTORE, comment=self._text(), properties=self._properties())
        self._grant("metastore", METASTORE)
        self._grant("account", "account")
        # So that the admin can work here whoever owns it.
        admin.grants.grant("USER", "workspace", WORKSPACE, ADMIN)
        self._grant("workspace", WORKSPACE)
        if rng.random() < 0.5:
            admin.groups.create("admins")
            admin.groups.update_members("admins", add=[ADMIN])
            admin.metastores.set_owner(METASTORE, "admins")

    def _make_places(self) -> None:
        """What lies outside: credentials with and without secrets, a location, a connection, and what is shared."""
        admin, rng = self.admin, self.rng
        role, key = (
            {"role_arn": "arn:aws:iam::1:role/a"},
            {"access_key_id": "AK", "secret_access_key": "hush"},
        )
        admin.storage_credentials.create("role", "aws_iam_role", role, comment=self._text())
        admin.storage_credentials.create(
            "key-1", "aws_access_key", key, read_only=True, properties=self._properties()
        )
        admin.service_credentials.create("mail", "secret", {"value": "hush"}, comment=self._text())
        admin.external_locations.create("lake", "s3://bucket/lake", "role", comment=self._text())
        admin.connections.create(
            "crm",
            "POSTGRESQL",
            options={"host": "db"},
            secret_options={"password": "hush"},
            credential="mail",
        )
        admin.recipients.create("acme", comment=self._text())
        admin.recipients.create("other", global_metastore_id="aws:eu:1")
        admin.providers.create("weather", recipient_profile="{}")
        admin.external_metadata.create(
            "board", "TABLEAU", "dashboard", columns=["b", "a"], url="https://x.example/1"
        )
        admin.catalogs.create("stored", storage_root="s3://bucket/lake/stored")
        admin.schemas.create("stored.s", comment=self._text())
        columns = [{"name": "id", "type_text": "INT"}]
        admin.tables.create("stored.s.t", columns, storage_location="s3://bucket/lake/t")
        admin.volumes.create("stored.s.v", storage_location="s3://bucket/lake/v")
        admin.shares.create("gift", comment=self._text())
        admin.shares.update_objects("gift", add=["stored.s.t"])
        admin.shares.add_recipient("gift", "acme")
        if rng.random() < 0.5:
            admin.shares.add_recipient("gift", "other")
        for kind, resource, name in (
            ("storage_credential", "storage_credentials", "role"),
            ("service_credential", "service_credentials", "mail"),
            ("external_location", "external_locations", "lake"),
            ("connection", "connections", "crm"),
            ("recipient", "recipients", "acme"),
            ("provider", "providers", "weather"),
            ("external_metadata", "external_metadata", "board"),
        ):
            self._grant(kind, name)
            self._own(resource, name)

    def _make_catalog(self, name: str) -> None:
        admin, rng = self.admin, self.rng
        admin.catalogs.create(name, comment=self._text(), properties=self._properties())
        if rng.random() < 0.3:
            admin.schemas.delete(f"{name}.default")
        for schema in rng.sample(NAMES, rng.randrange(1, 3)):
            admin.schemas.create(f"{name}.{schema}", comment=self._text(), properties=self._properties())
        for schema in [found.full_name for found in admin.schemas.list(name)]:
            for table in rng.sample(NAMES, rng.randrange(1, 3)):
                self._make_table(f"{schema}.{table}")
            for kind, resource in (("volume", "volumes"), ("registered_model", "models")):
                for name_inside in rng.sample(NAMES, rng.randrange(2)):
                    full_name = f"{schema}.{name_inside}"
                    create = getattr(admin, resource).create
                    create(full_name, comment=self._text(), properties=self._properties())
                    self._grant(kind, full_name)
                    self._own(resource, full_name)
            self._grant("schema", schema)
            self._own("schemas", schema)
        self._make_definitions(name)
        self._grant("catalog", name)
        self._own("catalogs", name)
        if rng.random() < 0.6:
            # Bound with READ_WRITE to one of the workspaces the admin works in, or not isolated at all.
            first, second = rng.sample([WORKSPACE, "play"], 2)
            bindings = {first: "READ_WRITE", second: rng.choice(["READ_WRITE", "READ_ONLY"])}
            if rng.random() < 0.5:
                del bindings[second]
            removed = [] if WORKSPACE in bindings else [WORKSPACE]
            isolated = rng.random() < 0.7
            admin.workspace_bindings.update("catalog", name, isolated=isolated, add=bindings, remove=removed)

    def _make_definitions(self, catalog: str) -> None:
        """Views over tables and over each other, and a function that filters or masks; while the admin owns all of it."""
        admin, rng = self.admin, self.rng
        schema = admin.schemas.create(f"{catalog}.defined", comment=self._text()).full_name
        admin.tables.create(
            f"{schema}.people", [{"name": name, "type_text": "VARCHAR"} for name in ("id", "ssn")]
        )
        parameters = [{"name": "value", "type_text": "VARCHAR", "comment": self._text()}]
        admin.functions.create(
            f"{schema}.mine", parameters, "BOOLEAN", "value = current_user()", comment=self._text()
        )
        admin.functions.create(f"{schema}.masked", ["ssn VARCHAR"], "VARCHAR", "left(ssn,\n 3)")
        kinds = ["views", "materialized_views", "streaming_tables"]
        admin.views.create(f"{schema}.z_below", "SELECT id, ssn AS number\nFROM people", comment=self._text())
        above = rng.choice(kinds)
        getattr(admin, above).create(
            f"{schema}.a_above",
            f'SELECT number FROM "{schema.replace(".", chr(34) + "." + chr(34))}".z_below',
        )
        if rng.random() < 0.6:
            admin.tables.set_row_filter(f"{schema}.people", f"{schema}.mine", ["id"])
        if rng.random() < 0.6:
            admin.tables.set_column_mask(f"{schema}.people", "ssn", f"{schema}.masked")
        for kind, resource, own in (
            ("function", "functions", "mine"),
            ("view", "views", "z_below"),
            (above.removesuffix("s"), above, "a_above"),
        ):
            self._grant(kind, f"{schema}.{own}")
            self._own(resource, f"{schema}.{own}")
        self._own("tables", f"{schema}.people")

    def _make_table(self, name: str) -> None:
        columns = [
            {
                "name": rng_name,
                "type_text": self.rng.choice(["BIGINT", "DECIMAL(15,2)", "STRUCT<a: INT>", "varchar"]),
                "required": self.rng.random() < 0.5,
                "comment": self._text(),
            }
            for rng_name in self.rng.sample(["id", "Amount due", 'c"x', "naïve"], self.rng.randrange(1, 4))
        ]
        kind = self.rng.choice(["", "PARQUET", "CSV"])
        self.admin.tables.create(
            name, columns, comment=self._text(), properties=self._properties(), data_source_format=kind
        )
        self._grant("table", name)
        self._own("tables", name)

    def _grant(self, kind: str, name: str) -> None:
        privileges = load_policy().grantable(kind.upper())
        # The groups of workspaces exist as soon as these do.
        principals = (
            self.principals if kind not in ("account", "metastore", "workspace") else self.principals[:-2]
        )
        for _ in range(self.rng.randrange(4) if privileges else 0):
            chosen = self.rng.sample(privileges, min(len(privileges), self.rng.randrange(1, 4)))
            ends = None if kind == "account" or self.rng.random() < 0.7 else TO_COME + self.rng.random() * DAY
            self.admin.grants.grant(
                chosen, kind, name, self.rng.choice(principals), expire_time=ends, reason=self._text()
            )

    def _own(self, resource: str, name: str) -> None:
        if self.rng.random() < 0.6:
            owner = self.rng.choice([*self.people, *self.groups])
            getattr(self.admin, resource).set_owner(name, owner)
