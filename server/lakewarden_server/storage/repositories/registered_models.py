"""Rows of model versions and aliases, by their model."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from lakewarden_server.entities import ModelAlias, ModelVersion


def version(session: Session, model_id: str, number: int) -> ModelVersion | None:
    """The version of that number, if there is one."""
    return session.get(ModelVersion, (model_id, number))


def versions(session: Session, model_id: str, *, after: int, limit: int) -> Sequence[ModelVersion]:
    """Versions of a model in the order of their numbers, from behind `after` on, at most `limit`."""
    statement = select(ModelVersion).where(ModelVersion.model_id == model_id, ModelVersion.version > after)
    return session.scalars(statement.order_by(ModelVersion.version).limit(limit)).all()


def count_versions(session: Session, model_id: str) -> int:
    """How many versions a model has now."""
    statement = select(func.count()).select_from(ModelVersion).where(ModelVersion.model_id == model_id)
    return session.scalars(statement).one()


def alias(session: Session, model_id: str, alias_key: str) -> ModelAlias | None:
    """The alias of that key, if there is one."""
    return session.get(ModelAlias, (model_id, alias_key))


def aliases_of(session: Session, model_ids: Sequence[str]) -> dict[str, list[ModelAlias]]:
    """The aliases of several models by model id, each in the order of their keys; a model without any is left out."""
    statement = select(ModelAlias).where(ModelAlias.model_id.in_(model_ids))
    found: dict[str, list[ModelAlias]] = {}
    for row in session.scalars(statement.order_by(ModelAlias.model_id, ModelAlias.alias_key)):
        found.setdefault(row.model_id, []).append(row)
    return found


def aliases_of_version(session: Session, model_id: str, number: int) -> Sequence[ModelAlias]:
    """The aliases that point to one version, in the order of their keys."""
    statement = select(ModelAlias).where(ModelAlias.model_id == model_id, ModelAlias.version == number)
    return session.scalars(statement.order_by(ModelAlias.alias_key)).all()
