"""The function: one SQL expression over its parameters."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from lakewarden_server.entities.base import DEFERRED
from lakewarden_server.entities.securables import Securable, mapped_as


class Function(Securable):
    """A function; `parameters` is a list of objects with name, type_text and comment."""

    __tablename__ = "functions"
    __mapper_args__ = mapped_as("FUNCTION")

    id: Mapped[str] = mapped_column(ForeignKey("securables.id", **DEFERRED), primary_key=True)
    parameters: Mapped[list[dict[str, Any]]] = mapped_column(JSON(none_as_null=True))
    return_type_text: Mapped[str]
    definition: Mapped[str]

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """The names of the parameters in order."""
        return tuple(str(parameter["name"]) for parameter in self.parameters)
