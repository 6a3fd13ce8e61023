"""IP access lists: from which addresses the account and its workspaces are called, and whether that is enforced."""

from __future__ import annotations

from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import Base, ChangeLogged, JsonObject, Stamped


class IpAccessList(Stamped, Base):
    """A list of networks. `scope_id` is the account's id or a workspace's."""

    __tablename__ = "ip_access_lists"

    id: Mapped[str] = mapped_column(primary_key=True)
    scope_id: Mapped[str] = mapped_column(index=True)
    label: Mapped[str]
    list_type: Mapped[str]
    ip_addresses: Mapped[list[str]] = mapped_column(JsonObject)
    enabled: Mapped[bool]

    def change_kind(self) -> str:
        """Always `IP_ACCESS_LIST`."""
        return "IP_ACCESS_LIST"


class IpAccessSettings(ChangeLogged, Base):
    """Whether a scope enforces its lists; a scope without a row does not."""

    __tablename__ = "ip_access_settings"

    scope_id: Mapped[str] = mapped_column(primary_key=True)
    enforced: Mapped[bool]

    def change_kind(self) -> str:
        """Always `IP_ACCESS_SETTINGS`."""
        return "IP_ACCESS_SETTINGS"
