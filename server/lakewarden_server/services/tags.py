"""Tags of securables and of columns (semantics 7.2): listed for whoever sees the object, changed by who may tag it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final, NamedTuple

from lakewarden.v1 import tags_pb2 as pb
from lakewarden_policy import name_key
from lakewarden_server.core.errors import Reason, ResourceExhausted
from lakewarden_server.entities import OF_THE_OBJECT, Defined, Securable, Tag, touch
from lakewarden_server.services import securables, validation
from lakewarden_server.services.call import Call
from lakewarden_server.services.paging import page_size_of
from lakewarden_server.storage.repositories import columns as column_rows
from lakewarden_server.storage.repositories import tags as tag_rows

TAGS_MAX: Final = 50
"""On one object, and on one column."""
COLUMN_TAGS_MAX: Final = 10_000
"""On all columns of one table together: a new definition may drop them all in one transaction."""
KEY_CHARACTERS_MAX: Final = 255
VALUE_CHARACTERS_MAX: Final = 1_000
REFUSED_IN_KEYS: Final = frozenset(",.:/-=")


class _Column(NamedTuple):
    """What the tags of a request are on: a column, or the object itself."""

    key: str
    name: str


class TagService:
    """Implements `lakewarden.v1.TagService`."""

    def list_tags(self, request: pb.ListTagsRequest, call: Call) -> pb.ListTagsResponse:
        """Lists the tags of an object with those of its columns, or of one column."""
        securable, session = call.row(Securable, call.self_id), call.uow.session
        column_key = _column(request.column, securable, call).key if request.column else None
        size = page_size_of(request.page_size)
        listed = f"tags/{securable.id}/{column_key}"
        after = None
        if request.page_token:
            key, _, column = call.pager.read(listed, request.page_token).partition("\0")
            after = (column, key)
        rows = tag_rows.page(session, securable.id, column_key=column_key, after=after, limit=size + 1)
        page, last = rows[:size], rows[size - 1 : size]
        names = column_names(call, securable, {tag.column_key for tag in page})
        return pb.ListTagsResponse(
            tags=[_message(tag, names, call) for tag in page],
            next_page_token=call.pager.write(listed, f"{last[0].key}\0{last[0].column_key}")
            if len(rows) > size
            else "",
            etag=securables.etag(securable),
        )

    def update_tags(self, request: pb.UpdateTagsRequest, call: Call) -> pb.UpdateTagsResponse:
        """Sets and removes tags of an object or of one of its columns."""
        securable, session = call.row(Securable, call.self_id), call.uow.session
        securables.check_etag(securable, request.etag)
        values = _checked(request.set)
        validation.repeated(request.remove, "remove")
        if values.keys() & set(request.remove):
            raise validation.invalid("remove", "a tag is set and removed at once")
        if not values and not request.remove:
            raise validation.invalid("set", "there is nothing to set or to remove")
        column = _column(request.column, securable, call)
        if _change(call, column.key, values, request.remove):
            # The etag is the object's, so it moves with what belongs to it.
            touch(securable)
        session.flush()
        tags = tag_rows.on(session, securable.id, column.key)
        _check_room(call, column, len(tags))
        call.detail.update(set=sorted(values), remove=sorted(set(request.remove)))
        if column.name:
            call.detail["column"] = column.name
        names = {column.key: column.name}
        return pb.UpdateTagsResponse(
            tags=[_message(tag, names, call) for tag in tags], etag=securables.etag(securable)
        )


def column_names(call: Call, securable: Securable, keys: Collection[str]) -> Mapping[str, str]:
    """The names, as the relation spells them, of its columns of these keys; those it does not have are left out."""
    if isinstance(securable, Defined):
        return {name_key(column["name"]): column["name"] for column in securable.columns}
    return column_rows.names(call.uow.session, securable.id, keys)


def _column(name: str, securable: Securable, call: Call) -> _Column:
    """The named column. Raises FIELD_INVALID."""
    if not name:
        return _Column(OF_THE_OBJECT, "")
    key = name_key(name)
    found = column_names(call, securable, {key}).get(key)
    if found is None:
        kind = securable.kind.lower().replace("_", " ")
        raise validation.invalid("column", f"the {kind} has no column {name[:100]!r}")
    return _Column(key, found)


def _checked(pairs: Mapping[str, str]) -> dict[str, str]:
    """Tags to set, within their limits. Raises FIELD_INVALID."""
    validation.repeated(pairs, "set", count_max=TAGS_MAX)
    for key, value in pairs.items():
        if not 0 < len(key) <= KEY_CHARACTERS_MAX:
            raise validation.invalid("set", f"a key has 1 to {KEY_CHARACTERS_MAX} characters: {key[:40]!r}")
        if key != key.strip() or not key.isprintable() or REFUSED_IN_KEYS & set(key):
            raise validation.invalid(
                "set",
                f"the key {key[:40]!r} has a space at an end, a control character or one of {' '.join(sorted(REFUSED_IN_KEYS))}",
            )
        if len(value) > VALUE_CHARACTERS_MAX or "\0" in value:
            raise validation.invalid(
                "set", f"the value of {key[:40]!r} has more than {VALUE_CHARACTERS_MAX} characters, or a NUL"
            )
    return dict(pairs)


def _change(call: Call, column_key: str, values: Mapping[str, str], removed: Sequence[str]) -> bool:
    """Makes the change; whether there was one."""
    session = call.uow.session
    held = {tag.key: tag for tag in tag_rows.on(session, call.self_id, column_key)}
    changed = False
    for key, value in values.items():
        tag = held.get(key)
        if tag is None:
            session.add(Tag(securable_id=call.self_id, column_key=column_key, key=key, value=value))
        elif tag.value == value:
            continue
        else:
            tag.value = value
        changed = True
    for key in held.keys() & set(removed):
        session.delete(held[key])
        changed = True
    return changed


def _check_room(call: Call, column: _Column, count: int) -> None:
    """Raises QUOTA_EXCEEDED."""
    if count > TAGS_MAX:
        what = f"column {column.name}" if column.name else "the object"
        raise ResourceExhausted(
            Reason.QUOTA_EXCEEDED, f"{what} would have {count} tags, and at most {TAGS_MAX}"
        )
    if column.name and tag_rows.count_of_columns(call.uow.session, call.self_id) > COLUMN_TAGS_MAX:
        raise ResourceExhausted(
            Reason.QUOTA_EXCEEDED, f"the columns of one table have at most {COLUMN_TAGS_MAX} tags together"
        )


def _message(tag: Tag, names: Mapping[str, str], call: Call) -> pb.Tag:
    message = pb.Tag(
        key=tag.key,
        value=tag.value,
        column=names.get(tag.column_key, ""),
        updated_by=call.principal_name(tag.updated_by),
    )
    message.update_time.FromDatetime(tag.update_time)
    return message
