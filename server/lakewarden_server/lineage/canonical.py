"""JSON read, and written in the one spelling that the keys of events are made of, which is that of Python's `json`.

`msgspec` takes less than half the time to read and an eighth to write, and spells alike, to the byte, what has no number but whole ones:
it writes 1e16 where `json` writes 1e+16. What has a fraction, and what msgspec refuses (half letters, encodings that are not UTF-8,
deep nesting), is for `json` to read and write, so that a key does not hang on which of the two there was.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final, NamedTuple, NoReturn, TypeVar

import msgspec

from lakewarden_server.lineage.remembering import ENTRY_BYTES, Remembered


class _Fraction(Exception):
    """A number that is spelt in two ways."""


def _refuse_fraction(text: str) -> NoReturn:
    raise _Fraction(text)


_decode: Final = msgspec.json.Decoder().decode
_decode_whole: Final = msgspec.json.Decoder(float_hook=_refuse_fraction).decode
_encode: Final = msgspec.json.Encoder(order="sorted", enc_hook=attrgetter("raw")).encode
_REFUSED: Final = (msgspec.MsgspecError, ValueError, OverflowError, RecursionError)


class _Owner(msgspec.Struct, forbid_unknown_fields=True):
    """A run, a job or a dataset with its facets as text."""

    runId: Any = msgspec.UNSET
    namespace: Any = msgspec.UNSET
    name: Any = msgspec.UNSET
    facets: dict[str, msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    inputFacets: Any = msgspec.UNSET
    outputFacets: Any = msgspec.UNSET


class _Event(msgspec.Struct, forbid_unknown_fields=True):
    """An event with its job and datasets as text."""

    eventTime: Any = msgspec.UNSET
    eventType: Any = msgspec.UNSET
    producer: Any = msgspec.UNSET
    schemaURL: Any = msgspec.UNSET
    run: _Owner | msgspec.UnsetType = msgspec.UNSET
    job: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    dataset: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    inputs: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET
    outputs: list[msgspec.Raw] | msgspec.UnsetType = msgspec.UNSET


_decode_event: Final = msgspec.json.Decoder(_Event, float_hook=_refuse_fraction).decode
_decode_owner: Final = msgspec.json.Decoder(_Owner, float_hook=_refuse_fraction).decode


class Spelt:
    """JSON without fractions that is kept as text, in the one spelling. Each is itself alone: what was found out about one is not compared by its text."""

    __slots__ = ("raw",)

    def __init__(self, text: bytes) -> None:
        self.raw = msgspec.Raw(text)

    @property
    def value(self) -> Any:
        """What it says."""
        return read_spelt(self.raw)

    @property
    def weight(self) -> int:
        """What remembering it counts for, in bytes of text."""
        return len(self.raw)


class SpeltOwner(Spelt):
    """A job or a dataset so kept, and what it was said to have, its facets as `Spelt`."""

    __slots__ = ("members",)

    def __init__(self, members: dict[str, Any]) -> None:
        super().__init__(_encode(members))
        self.members = members

    @property
    def weight(self) -> int:
        """Each facet is an object of its own, however short its text."""
        return len(self.raw) + ENTRY_BYTES * len(self.members.get("facets", ()))


S = TypeVar("S", bound=Spelt)


class Parsed(NamedTuple):
    """JSON that was read."""

    value: Any
    plain: bool = False
    """Whether msgspec spells it as `json` does. Where nothing else stands in an event than the specification has, facets are `Spelt`
    then, and its job and datasets `SpeltOwner`."""


_SPELT: Final = Remembered[Spelt]()
_OWNERS: Final = Remembered[SpeltOwner]()
"""Facets, and jobs and datasets whole, by their text as it came: producers send the same ones with every run."""


def parsed(body: bytes) -> Parsed:
    """The JSON in `body`. Raises ValueError or RecursionError for what is none."""
    try:
        return Parsed(_plain(body), plain=True)
    except (_Fraction, *_REFUSED):
        return Parsed(json.loads(body, parse_constant=_refuse_constant))


def canonical(event: Parsed) -> bytes:
    """A JSON object, spelt. Raises ValueError or RecursionError where it is nested too deep."""
    if event.plain:
        try:
            return _encode(event.value)
        except _REFUSED:
            pass
    text = json.dumps(
        event.value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=attrgetter("value")
    )
    return text.encode("utf-8", "surrogatepass")


def spelt(value: Any) -> bytes:
    """JSON without fractions in one spelling: of equal values the same, from this version on."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        # Half a letter: of what has one, always the same as well.
        return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def read_spelt(text: bytes | msgspec.Raw) -> Any:
    """What `spelt` wrote."""
    try:
        return _decode(text)
    except _REFUSED:
        return json.loads(bytes(text))


def _plain(body: bytes) -> Any:
    """JSON without fractions. Raises what `parsed` takes for a reason to read it in another way."""
    try:
        value = _members(_decode_event(body))
        for name, member in value.items():
            value[name] = _read_member(member)
    except msgspec.ValidationError:
        # It has members that no event has, or others than an event's: it is read as whatever it is.
        return _decode_whole(body)
    return value


def _read_member(member: Any) -> Any:
    if isinstance(member, msgspec.Raw):
        return _remembered(_OWNERS, bytes(member), _owner)
    if isinstance(member, _Owner):
        return _owner_members(member)
    if isinstance(member, list):
        return [_read_member(each) for each in member]
    return member


def _owner(text: bytes) -> SpeltOwner:
    """A job or a dataset in the one spelling."""
    return SpeltOwner(_owner_members(_decode_owner(text)))


def _owner_members(owner: _Owner) -> dict[str, Any]:
    value = _members(owner)
    if "facets" in value:
        value["facets"] = {
            name: _remembered(_SPELT, bytes(said), _facet) for name, said in value["facets"].items()
        }
    return value


def _facet(text: bytes) -> Spelt:
    """A facet in the one spelling."""
    return Spelt(_encode(_decode_whole(text)))


def _remembered(memory: Remembered[S], text: bytes, read: Callable[[bytes], S]) -> S:
    """What is known of a text that was read before, else what reading it gives."""
    known = memory.get(text)
    if known is None:
        known = read(text)
        memory.keep(text, known, known.weight)
    return known


def _members(read: msgspec.Struct) -> dict[str, Any]:
    """What it was said to have."""
    return {
        name: member
        for name in read.__struct_fields__
        if (member := getattr(read, name)) is not msgspec.UNSET
    }


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")
