"""JSON read, and written in the one spelling that the keys of events are made of, which is that of Python's `json`.

`msgspec` takes less than half the time to read and an eighth to write, and spells alike, to the byte, what has no number but whole ones:
it writes 1e16 where `json` writes 1e+16. What has a fraction, and what msgspec refuses (half letters, encodings that are not UTF-8,
deep nesting), is for `json` to read and write, so that a key does not hang on which of the two there was.
"""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple, NoReturn

import msgspec


class _Fraction(Exception):
    """A number that is spelt in two ways."""


def _refuse_fraction(text: str) -> NoReturn:
    raise _Fraction(text)


_decode: Final = msgspec.json.Decoder().decode
_decode_whole: Final = msgspec.json.Decoder(float_hook=_refuse_fraction).decode
_encode: Final = msgspec.json.Encoder(order="sorted").encode
_REFUSED: Final = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)


class Parsed(NamedTuple):
    """JSON that was read."""

    value: Any
    plain: bool = False
    """Whether msgspec spells it as `json` does."""


class Canonical(NamedTuple):
    """An event in its one spelling, and in theirs the facets of each of its `inputs` and `outputs`, where that cost nothing."""

    text: bytes
    facets: dict[str, list[dict[str, bytes]]]


def parsed(body: bytes) -> Parsed:
    """The JSON in `body`. Raises ValueError or RecursionError for what is none."""
    try:
        return Parsed(_decode_whole(body), plain=True)
    except (_Fraction, *_REFUSED):
        return Parsed(json.loads(body, parse_constant=_refuse_constant))


def canonical(event: Parsed) -> Canonical:
    """A JSON object, spelt. Raises ValueError or RecursionError where it is nested too deep."""
    if event.plain:
        try:
            facets = {field: _facets(event.value.get(field)) for field in ("inputs", "outputs")}
            whole = {
                field: _with_spelt(event.value[field], spelt) for field, spelt in facets.items() if spelt
            }
            return Canonical(_encode({**event.value, **whole}), facets)
        except _REFUSED:
            pass
    text = json.dumps(event.value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Canonical(text.encode("utf-8", "surrogatepass"), {})


def spelt(value: Any) -> bytes:
    """JSON without fractions in one spelling: of equal values the same, from this version on."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        # Half a letter: of what has one, always the same as well.
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def read_spelt(text: bytes) -> Any:
    """What `spelt` wrote."""
    try:
        return _decode(text)
    except _REFUSED:
        return json.loads(text)


def _facets(datasets: Any) -> list[dict[str, bytes]]:
    """Of each dataset its facets, spelt; of what is none, nothing."""
    return [_of_dataset(each) for each in datasets] if isinstance(datasets, list) else []


def _of_dataset(dataset: Any) -> dict[str, bytes]:
    facets = dataset.get("facets") if isinstance(dataset, dict) else None
    return {name: _encode(facet) for name, facet in facets.items()} if isinstance(facets, dict) else {}


def _with_spelt(datasets: list[Any], spelt: list[dict[str, bytes]]) -> list[Any]:
    """The datasets with their facets as they were spelt, so that nothing is spelt twice."""
    return [
        {**dataset, "facets": {name: msgspec.Raw(text) for name, text in facets.items()}}
        if facets
        else dataset
        for dataset, facets in zip(datasets, spelt, strict=True)
    ]


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")
