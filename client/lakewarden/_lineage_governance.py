"""Governance from lineage: where protected data is read without its protection, and what a revoke would do downstream."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from lakewarden._authorization import securable_type as kind_of
from lakewarden._resources import Resource
from lakewarden.v1 import lineage_governance_pb2, lineage_governance_pb2_grpc


class LineageGovernance(Resource[Any]):
    """Answers hold what the caller may see and whose grants it lists; the rest is left out as if it were not there."""

    messages: ClassVar[Any] = lineage_governance_pb2
    stub_class: ClassVar[type[Any]] = lineage_governance_pb2_grpc.LineageGovernanceServiceStub

    def leaks(
        self,
        tables: Iterable[str] = (),
        *,
        columns: Iterable[tuple[str, str]] = (),
        tags: Iterable[str] = (),
        max_depth: int = 0,
        include_indirect: bool = False,
    ) -> lineage_governance_pb2.FindLineageLeaksResponse:
        """Return the unprotected copies of what is masked or filtered, and who reads them without reading the source as it is.

        Of these tables' masks and filters, of these (table, column) pairs, masked or not, and of what bears one of these tags
        (`KEY` or `KEY=VALUE`); of all masks and filters that the caller sees without any. At most `max_depth` steps (20) away.
        """
        found: lineage_governance_pb2.FindLineageLeaksResponse = self._call(
            "FindLineageLeaks",
            sources=[
                *(lineage_governance_pb2.LeakSource(table=table) for table in tables),
                *(lineage_governance_pb2.LeakSource(table=table, column=column) for table, column in columns),
            ],
            tags=map(_tag, tags),
            max_depth=max_depth,
            include_indirect=include_indirect,
        )
        return found

    def simulate_revoke(
        self,
        privilege: str | Iterable[str],
        securable_type: str,
        full_name: str,
        principal: str,
        *,
        max_depth: int = 0,
    ) -> lineage_governance_pb2.SimulateRevokeResponse:
        """Return who could no longer read what if a grant went, and what downstream would break or no longer be fed."""
        found: lineage_governance_pb2.SimulateRevokeResponse = self._call(
            "SimulateRevoke",
            securable_type=kind_of(securable_type),
            full_name=full_name,
            privileges=[privilege] if isinstance(privilege, str) else privilege,
            principal=principal,
            max_depth=max_depth,
        )
        return found


def _tag(text: str) -> lineage_governance_pb2.LeakTag:
    """`pii` for any value, `pii=email` for one; keys hold no `=`."""
    key, equals, value = text.partition("=")
    return lineage_governance_pb2.LeakTag(key=key, value=value if equals else None)
