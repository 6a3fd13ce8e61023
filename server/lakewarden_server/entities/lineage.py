"""The tables of lineage: events as they came, runs as they fold, names with what they meant when, assets, and the edges between them.

Only the lineage repositories write them, with Core statements and under a head of their own: nothing here goes to the change log
or the audit chain, and no decision waits for it. Times of events are microseconds since 1970. Ids are dense, from the
head's counters, so that a graph can be kept in arrays; what refers to them has no foreign keys, which would cost a look-up
for every row of a table that only one transaction at a time writes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, Index, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import Base, JsonObject, KeyText

_NOT_OBSERVED = "evidence <> 'OBSERVED'"


def _id() -> Mapped[int]:
    return mapped_column(BigInteger, primary_key=True, autoincrement=False)


def _number(**more: Any) -> Mapped[int]:
    return mapped_column(BigInteger, **more)


class LineageHead(Base):
    """The single row every lineage transaction takes first; beside the sequence, the newest id of each kind."""

    __tablename__ = "lineage_head"
    __table_args__ = (CheckConstraint("id = 1", name="single_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sequence: Mapped[int] = _number()
    name_id: Mapped[int] = _number()
    job_id: Mapped[int] = _number()
    run_id: Mapped[int] = _number()
    asset_id: Mapped[int] = _number()
    edge_id: Mapped[int] = _number()
    changes_from: Mapped[int] = _number()
    """The sequence from which on all changes are kept."""
    bound_revision: Mapped[int] = _number(default=0)
    """The revision of the catalog up to which names that were registered after their lineage were bound."""
    mappings_time: Mapped[int] = _number(default=0)
    """When mappings that nothing says were looked for last, in microseconds since 1970."""


class LineageEvent(Base):
    """One event as it came, compressed (`lineage.compression`); its key makes a repetition nothing new."""

    __tablename__ = "lineage_events"
    __table_args__ = (Index("ix_lineage_events_received_time", "received_time"),)

    workspace_id: Mapped[str] = mapped_column(primary_key=True)
    principal_id: Mapped[str] = mapped_column(primary_key=True)
    """Who told it."""
    key: Mapped[str] = mapped_column(primary_key=True)
    sequence: Mapped[int] = _number()
    run_id: Mapped[int] = _number()
    time: Mapped[int] = _number()
    received_time: Mapped[datetime]
    flags: Mapped[list[str]] = mapped_column(JsonObject)
    dropped_facets: Mapped[list[list[str]]] = mapped_column(JsonObject)
    body: Mapped[bytes]


class LineageJob(Base):
    """What produces edges: a job of a scheduler, an application, a model. It belongs to the workspace it was told from."""

    __tablename__ = "lineage_jobs"
    __table_args__ = (UniqueConstraint("workspace_id", "digest"),)

    id: Mapped[int] = _id()
    metastore_id: Mapped[str]
    workspace_id: Mapped[str]
    digest: Mapped[str]
    namespace: Mapped[str]
    name: Mapped[str]
    evidence: Mapped[str] = mapped_column(default="OBSERVED")
    """What its runs are known by."""
    purged_until: Mapped[int] = _number(server_default=text("-1"))
    """The last time of any run of it that was purged."""


class LineageRun(Base):
    """The fold of a run's events; `key` names the run within those one principal told in one workspace: nobody speaks in another's."""

    __tablename__ = "lineage_runs"
    __table_args__ = (
        UniqueConstraint("workspace_id", "principal_id", "key"),
        Index("ix_lineage_runs_job_id_last_time", "job_id", "last_time"),
        Index("ix_lineage_runs_rollup_heard_time", "rollup", "heard_time"),
        CheckConstraint("state IN ('PROVISIONAL', 'LIVE', 'DROPPED')", name="state"),
    )

    id: Mapped[int] = _id()
    metastore_id: Mapped[str]
    workspace_id: Mapped[str]
    key: Mapped[str]
    job_id: Mapped[int] = _number()
    """0 for what no job did."""
    principal_id: Mapped[str]
    """Who told of it."""
    state: Mapped[str]
    first_time: Mapped[int] = _number()
    last_time: Mapped[int] = _number()
    flags: Mapped[list[str]] = mapped_column(JsonObject)
    """What of it was too much to be kept."""
    weight: Mapped[int] = _number()
    """What one more event of it costs: names, edges, and the length of the fold."""
    fold: Mapped[bytes]
    """Empty once it was purged."""
    heard_time: Mapped[int] = _number(default=0, server_default=text("0"))
    """When the newest of its events came, or happened if that is later."""
    rollup: Mapped[str] = mapped_column(default="RUN", server_default=text("'RUN'"))
    """RUN for a run, WHOLE for one that is kept for ever; DAY and VERSION for what purged ones said that say the same, see `lineage/rollups.py`."""
    run_count: Mapped[int] = mapped_column(default=1, server_default=text("1"))
    """How many runs these are; the newest of them gives the key and the times at which names are meant."""


class LineageName(Base):
    """A canonical name, unique in its metastore by the SHA-256 of its parts: names can be longer than an index takes."""

    __tablename__ = "lineage_names"
    __table_args__ = (
        UniqueConstraint("metastore_id", "digest"),
        Index(
            "ix_lineage_names_catalog_digest",
            "catalog_digest",
            sqlite_where=text("catalog_digest IS NOT NULL"),
            postgresql_where=text("catalog_digest IS NOT NULL"),
        ),
        Index(
            "ix_lineage_names_metastore_id_location",
            "metastore_id",
            "location",
            sqlite_where=text("location IS NOT NULL"),
            postgresql_where=text("location IS NOT NULL"),
        ),
    )

    id: Mapped[int] = _id()
    metastore_id: Mapped[str]
    digest: Mapped[str]
    kind: Mapped[str]
    namespace: Mapped[str]
    name: Mapped[str]
    principal_id: Mapped[str]
    """Who told of it first."""
    catalog_digest: Mapped[str | None]
    """Of the name alone, for one in a Unity Catalog; see `lineage.names.catalog_digest`."""
    location: Mapped[str | None] = mapped_column(KeyText)
    """Where a path lies; see `lineage.names.location`."""


class LineageMention(Base):
    """A run speaks of a name, and means what it meant at `time`."""

    __tablename__ = "lineage_mentions"
    __table_args__ = (Index("ix_lineage_mentions_name_id_time", "name_id", "time"),)

    run_id: Mapped[int] = _id()
    name_id: Mapped[int] = _id()
    time: Mapped[int] = _number()


class LineageLink(Base):
    """Two names were said to be one dataset's, first and last at these times."""

    __tablename__ = "lineage_links"

    one_id: Mapped[int] = _id()
    other_id: Mapped[int] = _id()
    binds: Mapped[bool] = mapped_column(primary_key=True)
    """Whether it was said by who may say that the names are a securable's."""
    first_time: Mapped[int] = _number()
    last_time: Mapped[int] = _number()

    __table_args__ = (Index("ix_lineage_links_other_id", "other_id"),)


class LineageEnding(Base):
    """A run dropped what a name meant, or renamed it."""

    __tablename__ = "lineage_endings"
    __table_args__ = (
        Index("ix_lineage_endings_name_id", "name_id"),
        Index("ix_lineage_endings_renamed_to_id", "renamed_to_id"),
    )

    run_id: Mapped[int] = _id()
    name_id: Mapped[int] = _id()
    renamed_to_id: Mapped[int] = _id()
    """0 for a drop."""
    time: Mapped[int] = _number()


class LineageAsset(Base):
    """One incarnation of a dataset, or a job that takes part in lineage itself; `name` is one of those it has."""

    __tablename__ = "lineage_assets"
    __table_args__ = (
        CheckConstraint("state IN ('LIVE', 'DROPPED', 'MERGED')", name="state"),
        Index("ix_lineage_assets_securable_id", "securable_id"),
    )

    id: Mapped[int] = _id()
    metastore_id: Mapped[str]
    kind: Mapped[str]
    securable_id: Mapped[str | None]
    state: Mapped[str]
    end_time: Mapped[int] = _number()
    merged_into_id: Mapped[int | None] = _number()
    """The asset that has its names now; it stays only so that who knew its id learns that."""
    namespace: Mapped[str]
    name: Mapped[str]
    principal_id: Mapped[str | None]
    """Who told first of each of its names; nobody where that was not always the same."""
    file_path: Mapped[str] = mapped_column(server_default="")
    """Which file of the securable it is, where that is a volume and it is not the volume itself."""


class LineageAlias(Base):
    """What a name meant after one time and until another; no asset where nobody has spoken of it then."""

    __tablename__ = "lineage_aliases"
    __table_args__ = (Index("ix_lineage_aliases_asset_id", "asset_id"),)

    name_id: Mapped[int] = _id()
    after: Mapped[int] = _id()
    until: Mapped[int] = _number()
    asset_id: Mapped[int | None] = _number()


class LineageEdge(Base):
    """`target_id` was made of `source_id` by a job: what all its runs that count say together."""

    __tablename__ = "lineage_edges"
    __table_args__ = (
        UniqueConstraint("source_id", "target_id", "job_id"),
        CheckConstraint("state IN ('LIVE', 'PROVISIONAL', 'DROPPED', 'RETRACTED')", name="state"),
        Index("ix_lineage_edges_target_id", "target_id"),
        # Those whose evidence has to be looked up: that of the others is known.
        Index(
            "ix_lineage_edges_evidence",
            "id",
            "evidence",
            sqlite_where=text(_NOT_OBSERVED),
            postgresql_where=text(_NOT_OBSERVED),
        ),
    )

    id: Mapped[int] = _id()
    metastore_id: Mapped[str]
    source_id: Mapped[int] = _number()
    target_id: Mapped[int] = _number()
    job_id: Mapped[int] = _number()
    evidence: Mapped[str] = mapped_column(default="OBSERVED")
    """That of its job."""
    state: Mapped[str]
    """DROPPED with an asset it was between; RETRACTED when no run says it any more, or its job's runs have not for long."""
    first_time: Mapped[int] = _number()
    last_time: Mapped[int] = _number()
    end_time: Mapped[int] = _number()
    run_count: Mapped[int] = _number()
    mapping_hash: Mapped[str]
    changed_time: Mapped[int] = _number()
    """Since when the version holds that is its newest."""
    kept_until: Mapped[int] = _number()
    """Versions that began before are history that no contribution tells any more."""


class LineageEdgeVersion(Base):
    """What an edge was from one time until another, that one excluded; FOREVER until now."""

    __tablename__ = "lineage_edge_versions"
    __table_args__ = (
        CheckConstraint("reason IN ('FIRST', 'CHANGED', 'REOPENED', 'DROPPED', 'RETIRED')", name="reason"),
        # Whole rows of a walk at a past time, so that it reads no table.
        Index(
            "ix_lineage_edge_versions_source",
            "source_id",
            "valid_to",
            "valid_from",
            "target_id",
            "edge_id",
            "reason",
        ),
        Index(
            "ix_lineage_edge_versions_target",
            "target_id",
            "valid_to",
            "valid_from",
            "source_id",
            "edge_id",
            "reason",
        ),
    )

    edge_id: Mapped[int] = _id()
    valid_from: Mapped[int] = _id()
    valid_to: Mapped[int] = _number()
    source_id: Mapped[int] = _number()
    target_id: Mapped[int] = _number()
    reason: Mapped[str]
    """Why it began; there was no edge from DROPPED or RETIRED on."""
    mapping_hash: Mapped[str]


class LineageContribution(Base):
    """What one run says of one pair of names, and the edge that makes of it."""

    __tablename__ = "lineage_contributions"
    __table_args__ = (
        Index("ix_lineage_contributions_source", "source_name_id", "source_time"),
        Index("ix_lineage_contributions_target", "target_name_id", "target_time"),
        Index("ix_lineage_contributions_edge", "edge_id", "live", "since"),
    )

    run_id: Mapped[int] = _id()
    source_name_id: Mapped[int] = _id()
    target_name_id: Mapped[int] = _id()
    source_time: Mapped[int] = _number()
    target_time: Mapped[int] = _number()
    edge_id: Mapped[int] = _number()
    live: Mapped[bool]
    since: Mapped[int] = _number()
    """When what it says became so; of several runs that were purged, with the last."""
    first_time: Mapped[int] = _number()
    last_time: Mapped[int] = _number()
    mapping_hash: Mapped[str]
    defines: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether it is what the target is made of from then on, until a later run defines it otherwise."""
    first_since: Mapped[int | None] = _number()
    """When the first of several runs that were purged said so; nothing where there is one."""


class LineageMapping(Base):
    """Which columns were made of which, once for all runs that say the same: [target, source, subtype, masking] each."""

    __tablename__ = "lineage_mappings"

    hash: Mapped[str] = mapped_column(primary_key=True)
    columns: Mapped[list[Any]] = mapped_column(JsonObject)
    unused_time: Mapped[int | None] = _number()
    """When nothing was found to say it, and nothing that was recorded since does; in microseconds since 1970."""


class LineageChange(Base):
    """What a lineage transaction changed of the graph, in commit order: whoever keeps it in memory follows this."""

    __tablename__ = "lineage_changes"

    sequence: Mapped[int] = _id()
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str]
    """EDGE, or ASSET, which is then the source and alone."""
    edge_id: Mapped[int | None] = _number()
    source_asset_id: Mapped[int] = _number()
    target_asset_id: Mapped[int | None] = _number()
    state: Mapped[str]
