"""The fields of what SQL defines, views and functions, and of the row filters and column masks that functions make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lakewarden.governance.fields import COMMON, POLICY, Field
from lakewarden.governance.shapes import MASKS, PARAMETERS, ROW_FILTER, VIEW_COLUMNS


def _redefine(resource: Any, name: str, values: Mapping[str, Any], etag: str) -> Any:
    return resource.redefine(
        name,
        values["definition"],
        dialect=values.get("dialect", ""),
        columns=values.get("columns", ()),
        etag=etag,
    )


def _redefine_function(resource: Any, name: str, values: Mapping[str, Any], etag: str) -> Any:
    return resource.redefine(name, values["definition"], etag=etag)


def _set_row_filter(resource: Any, name: str, values: Mapping[str, Any], etag: str) -> Any:
    row_filter = values.get("row_filter")
    if not row_filter:
        return resource.drop_row_filter(name, etag=etag)
    return resource.set_row_filter(name, row_filter["function"], row_filter["columns"], etag=etag)


def _set_column_mask(resource: Any, name: str, values: Mapping[str, Any], etag: str) -> Any:
    """`column_masks` holds the one mask that changes; without a function it goes."""
    mask = values["column_masks"]
    if "function" not in mask:
        return resource.drop_column_mask(name, mask["column"], etag=etag)
    using = mask.get("using_columns", ())
    return resource.set_column_mask(name, mask["column"], mask["function"], using=using, etag=etag)


def _masks(message: Any) -> list[dict[str, Any]]:
    """The masks of a table, which the API tells with its columns."""
    return [
        {
            "column": column.name,
            "function": column.mask.function,
            "using_columns": list(column.mask.using_columns),
        }
        for column in message.columns
        if column.HasField("mask")
    ]


POLICIES: Final = (
    Field("row_filter", ROW_FILTER, {}, at_create=False, stage=POLICY, set=_set_row_filter),
    Field(
        "column_masks",
        MASKS,
        (),
        at_create=False,
        stage=POLICY,
        read=_masks,
        each="column",
        set=_set_column_mask,
    ),
)
VIEW: Final = (
    *COMMON,
    Field("definition", set=_redefine),
    Field("dialect", default=None, set=_redefine),
    Field("columns", VIEW_COLUMNS, None, set=_redefine),
)
FUNCTION: Final = (
    *COMMON,
    Field("parameters", PARAMETERS, (), immutable=True),
    Field("return_type_text", immutable=True),
    Field("definition", set=_redefine_function),
)


def function_values(resource: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a function as its client takes them."""
    given = {name: value for name, value in values.items() if name != "return_type_text"}
    return {"parameters": (), "definition": "", **given, "returns": values.get("return_type_text", "")}
