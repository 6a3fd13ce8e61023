"""The registered model, third level of a name, with its versions and the aliases that point to them.

Versions and aliases are the model's: nothing is granted on them, and they are not in the authorization snapshot.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import DEFERRED, Base, ChangeLogged, KeyText, Stamped
from lakewarden_server.entities.securables import Securable, mapped_as


class RegisteredModel(Securable):
    """A model; its parent is its schema. `last_version` only grows, so that no number is used twice."""

    __tablename__ = "registered_models"
    __table_args__: Any = (CheckConstraint("last_version >= 0", name="last_version"),)
    __mapper_args__ = mapped_as("REGISTERED_MODEL")

    id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), primary_key=True)
    last_version: Mapped[int] = mapped_column(default=0)


class ModelVersion(Stamped, Base):
    """One version of a model, numbered from 1."""

    __tablename__ = "model_versions"
    __table_args__ = (
        CheckConstraint("version > 0", name="version"),
        CheckConstraint("status IN ('PENDING_REGISTRATION', 'READY', 'FAILED_REGISTRATION')", name="status"),
    )

    model_id: Mapped[str] = mapped_column(ForeignKey("registered_models.id", **DEFERRED), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    status: Mapped[str]
    source: Mapped[str] = mapped_column(default="")
    run_id: Mapped[str] = mapped_column(default="")
    run_link: Mapped[str] = mapped_column(default="")
    comment: Mapped[str] = mapped_column(default="")

    def change_kind(self) -> str:
        """Always `MODEL_VERSION`."""
        return "MODEL_VERSION"


class ModelAlias(ChangeLogged, Base):
    """A name that points to one version of a model; deleting the version deletes it."""

    __tablename__ = "model_aliases"
    __table_args__ = (
        ForeignKeyConstraint(
            ["model_id", "version"], ["model_versions.model_id", "model_versions.version"], **DEFERRED
        ),
        Index(None, "model_id", "version"),
    )

    model_id: Mapped[str] = mapped_column(primary_key=True)
    alias_key: Mapped[str] = mapped_column(KeyText, primary_key=True)
    alias: Mapped[str]
    version: Mapped[int]

    def change_kind(self) -> str:
        """Always `MODEL_ALIAS`."""
        return "MODEL_ALIAS"
