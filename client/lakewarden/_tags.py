"""Tags of catalogs, schemas, what schemas hold, and columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from lakewarden._connection import Connection
from lakewarden._errors import InvalidArgument
from lakewarden._paging import pages
from lakewarden.v1 import tags_pb2 as pb
from lakewarden.v1 import tags_pb2_grpc


class Tags:
    """What people say an object or a column is. Whoever sees the object sees its tags; they decide nothing."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = tags_pb2_grpc.TagServiceStub(connection.open_channel)

    def list(
        self, kind: str, full_name: str, *, column: str = "", page_size: int = 0, limit: int | None = None
    ) -> Iterator[pb.Tag]:
        """Yield the tags of an object, then those of its columns; only those of `column` where it is given."""
        securable_type = taggable_type(kind)

        def fetch(size: int, token: str) -> tuple[Sequence[pb.Tag], str]:
            request = pb.ListTagsRequest(
                securable_type=securable_type,
                full_name=full_name,
                column=column,
                page_size=size,
                page_token=token,
            )
            reply: pb.ListTagsResponse = self._connection.call(self._stub.ListTags, request)
            return reply.tags, reply.next_page_token

        return pages(fetch, page_size=page_size, limit=limit)

    def update(
        self,
        kind: str,
        full_name: str,
        *,
        set: Mapping[str, str] | None = None,
        remove: Iterable[str] = (),
        column: str = "",
        etag: str = "",
    ) -> pb.UpdateTagsResponse:
        """Set values by key and remove keys, of the object or of one column, all or nothing; return what there is now."""
        request = pb.UpdateTagsRequest(
            securable_type=taggable_type(kind),
            full_name=full_name,
            column=column,
            set=set or {},
            remove=[*remove],
            etag=etag,
        )
        return self._connection.call(self._stub.UpdateTags, request)


def taggable_type(name: str) -> pb.Tag.TaggableType.ValueType:
    """The enum value for `table`, `REGISTERED_MODEL` … Raises InvalidArgument."""
    kinds = dict(pb.Tag.TaggableType.items())
    key = name.upper().replace("-", "_").replace(" ", "_")
    if not kinds.get(key):
        known = ", ".join(kind.lower() for kind, value in kinds.items() if value)
        raise InvalidArgument(f"{name!r} cannot be tagged; there are {known}", reason="FIELD_INVALID")
    return kinds[key]
