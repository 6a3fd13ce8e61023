"""Sharing with the outside: shares, what is in them and who is given them, recipients and providers."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import DEFERRED, Base, ChangeLogged
from lakewarden_server.entities.securables import Securable, mapped_as

BY_TOKEN_OR_METASTORE = "authentication_type IN ('TOKEN', 'METASTORE')"


class Share(Securable):
    """A named collection of tables and views; its parent is its metastore. It has no columns of its own."""

    __mapper_args__ = mapped_as("SHARE")


class ShareObject(ChangeLogged, Base):
    """A relation in a share, by id: another one that takes over its name is not in it."""

    __tablename__ = "share_objects"

    share_id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), primary_key=True)
    object_id: Mapped[str] = mapped_column(
        ForeignKey("securables.id", **DEFERRED), primary_key=True, index=True
    )
    create_time: Mapped[datetime]
    created_by: Mapped[str]

    def change_kind(self) -> str:
        """The `kind` its change-log rows carry."""
        return "SHARE_OBJECT"


class ShareRecipient(ChangeLogged, Base):
    """A recipient a share is given to."""

    __tablename__ = "share_recipients"

    share_id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), primary_key=True)
    recipient_id: Mapped[str] = mapped_column(
        ForeignKey("securables.id", **DEFERRED), primary_key=True, index=True
    )
    create_time: Mapped[datetime]
    created_by: Mapped[str]

    def change_kind(self) -> str:
        """The `kind` its change-log rows carry."""
        return "SHARE_RECIPIENT"


class Recipient(Securable):
    """Somebody outside who is given shares; its parent is its metastore."""

    __tablename__ = "recipients"
    __table_args__ = (CheckConstraint(BY_TOKEN_OR_METASTORE, name="authentication_type"),)
    __mapper_args__ = mapped_as("RECIPIENT")

    id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), primary_key=True)
    authentication_type: Mapped[str]
    global_metastore_id: Mapped[str]


class Provider(Securable):
    """Somebody outside who gives us shares; its profile file stands in `secrets`. Its parent is its metastore."""

    __tablename__ = "providers"
    __table_args__ = (CheckConstraint(BY_TOKEN_OR_METASTORE, name="authentication_type"),)
    __mapper_args__ = mapped_as("PROVIDER")

    id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), primary_key=True)
    authentication_type: Mapped[str]
    global_metastore_id: Mapped[str]
