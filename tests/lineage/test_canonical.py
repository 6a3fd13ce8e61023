"""Whichever reads and writes an event's JSON, its key is that of Python's own spelling, to the byte."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lakewarden_server.lineage.canonical import canonical, parsed, read_spelt, spelt
from lakewarden_server.lineage.events import Code, EventInvalid, event_key
from lineage.corpus import RECORDED, event, ours, read, recorded


def by_python(body: bytes) -> bytes:
    """The one spelling, as the keys of all stored events were made."""
    told = json.loads(body, parse_constant=_refuse)
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


def _refuse(text: str) -> None:
    raise ValueError(text)


def attempted(function, body: bytes) -> object:
    try:
        return function(body)
    except (ValueError, RecursionError):
        return "refused"


def spelling(body: bytes) -> bytes:
    return canonical(parsed(body))


def in_dataset(value: str) -> bytes:
    """An event with some JSON in a facet and at its top."""
    return f'{{"b": {value}, "inputs": [{{"facets": {{"z": {value}, "a": 1}}}}, 2], "a":[{value}]}}'.encode()


def in_facet(value: str) -> bytes:
    """An event with nothing but what the specification has, some JSON in its facets and where any may stand."""
    facets = f'{{"z": {value}, "a": {{"a": {value}}}}}'
    named = f'{{"name": {value}, "facets": {facets}}}'
    return f'{{"eventTime": {value}, "run": {named}, "outputs": [{named}, {{}}], "inputs":[]}}'.encode()


ODD = [
    "0", "-0", "-0.0", "1", "1.0", "1.50", "1e5", "1E+5", "1e-5", "0.00001", "1e16", "1e22", "1e400", "-1e400", "1e-400",
    "5e-324", "123456789012345678", "1234567890123456789", "9223372036854775807", "9223372036854775808",
    "-9223372036854775808", "-9223372036854775809", "18446744073709551615", "18446744073709551616", "9" * 4_000,
    "9" * 4_300, "-" + "9" * 4_300, "9" * 4_301, "9" * 5_000, "1" + "0" * 4_299, "0." + "9" * 5_000, "0.1000000000000000055511151231257827", "1.7976931348623157e308", "01", "1.", ".5", "+1", "0x1", "-", "NaN",
    "Infinity", "-Infinity", "nan", "tru", "nul", '{"a": 1, "a": 2}', '{"b": 1, "a": 2, "b": 3}', '{"": 0, "\\u0000": 1}',
    '{"\\uffff": 1, "\\ud83d\\ude00": 2, "z": 3}', '"\\ud800"', '"\\ud800\\udc00"', '"\\udc00\\ud800"', '{"\\ud800": 1}',
    '"\\u0000\\u001f\\u007f\\u0080\\u2028\\u2029\\/\\"\\\\\\b\\f\\n\\r\\t"', '"\\q"', '"\\u12"', '"\\u12G4"', '"\x01"', '"\n"',
    '"\x7f\x80ä\u2028😀\ufeff"', '"decimal(18,2)"', '"a,1.5"', '"\\":1.5"', '"10:00:00.5"', "[1 , 2.5]", '{"x" : 1.5}',
    "[[[1.5]]]", "[true,false,null]", "[]", "{}", "[,]", "[1,]", '{"a":}', '{"a" 1}', "{1: 2}", "'a'", "/**/1", "",
    "[" * 200 + "]" * 200, "[" * 400 + "1" + "]" * 400, "[" * 100_000, '{"a":' * 300 + "1.5" + "}" * 300,
]  # fmt: skip


@pytest.mark.parametrize("value", ODD)
def test_odd_json_is_spelt_as_python_spells_it_or_refused_as_python_refuses_it(value):
    for body in (in_dataset(value), in_facet(value)):
        # The second time its facets are known.
        for _ in range(2):
            assert attempted(spelling, body) == attempted(by_python, body)


@pytest.mark.parametrize(
    "body",
    [
        '{"a": "ä"}'.encode("utf-16"),
        '{"a": "ä"}'.encode("utf-16-le"),
        '{"a": 1.5}'.encode("utf-32-be"),
        '{"a": 1}'.encode("utf-8-sig"),
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": "\xff"}',
        b'{"a": "\xc0\x80"}',
        b'{"a": "\xf4\x90\x80\x80"}',
        b'\x00{"a": 1}',
        b'{"a": 1}\x00',
        b'{"a": 1} {',
        b" \t\r\n{} \t\r\n",
        b"\x0b{}",
        b"\xa0{}",
        b"",
    ],
)
def test_other_encodings_and_what_stands_around_are_read_as_python_reads_them(body):
    assert attempted(spelling, body) == attempted(by_python, body)


TEXTS = st.text(st.characters(exclude_categories=()), max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
DATASETS = st.lists(
    st.fixed_dictionaries({}, optional={"facets": VALUES, "name": TEXTS}) | VALUES, max_size=3
)
FACETS = st.dictionaries(TEXTS, VALUES, max_size=3)
SIDES = {"inputs": DATASETS | VALUES, "outputs": DATASETS}
EVENTS = st.fixed_dictionaries({"a": VALUES}, optional=SIDES) | st.fixed_dictionaries(
    {"eventType": VALUES},
    optional={
        "run": VALUES | st.fixed_dictionaries({"runId": VALUES, "facets": FACETS}),
        "job": VALUES | st.fixed_dictionaries({"name": TEXTS, "facets": FACETS}),
        "dataset": VALUES | st.fixed_dictionaries({"facets": FACETS}),
        "outputs": st.lists(st.fixed_dictionaries({"facets": FACETS}), max_size=2),
        "eventTime": VALUES,
        **SIDES,
    },
)


@settings(max_examples=400, deadline=None)
@given(EVENTS, st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t: ")]), st.booleans())
def test_made_up_json_is_spelt_as_python_spells_it(told, separators, is_ascii):
    text = json.dumps(told, separators=separators, ensure_ascii=is_ascii)
    body = text.encode("utf-8", "surrogatepass")
    for _ in range(2):
        assert attempted(spelling, body) == attempted(by_python, body)


@settings(max_examples=200, deadline=None)
@given(st.text('{}[]":,\\ue0159.-+ntf ', max_size=14).map(lambda text: f'{{"a":{text}}}'.encode()))
def test_what_is_hardly_json_is_read_or_refused_as_python_does(body):
    assert attempted(spelling, body) == attempted(by_python, body)


def test_the_events_of_the_corpus_keep_their_keys():
    bodies = [*ours("spark"), *ours("airflow"), *ours("flink"), event(inputs=["ä"], job="nightly 🚀")]
    scenarios = ["CLL", "spark_dataproc_simple_producer_test_complete"] if RECORDED.is_dir() else []
    bodies += [body for scenario in scenarios for body in recorded(scenario)]
    for body in bodies:
        assert read(body).key == event_key(by_python(body))
    # The fast way is the one that is taken: else nothing of the above said anything about it.
    assert all(parsed(body).plain for body in ours("spark"))


def test_a_key_is_what_it_has_always_been():
    body = b'{"eventTime":"2026-01-01T00:00:00.5Z","job":{"namespace":"n","name":"\xc3\xa4"},"x":{"b":[1,true,null],"a":""}}'
    assert read(body).key == "856acdba0295b885323619a8d2f4a91357ba5a17649f643f7d0c0f3e5ee9da88"


def test_msgspecs_own_spelling_of_every_number_would_be_caught():
    """The control: without the look at the numbers keys would be others."""
    body = in_dataset("1e16")
    assert msgspec.json.encode(msgspec.json.decode(body), order="sorted") != by_python(body)
    assert spelling(body) == by_python(body)


def test_facets_are_handed_on_as_they_were_spelt():
    told = json.loads(event(inputs=["a"], outputs=["b"]))
    told["inputs"][0]["facets"] = {"x": {"b": 1, "a": "ä"}}
    found = read(json.dumps(told).encode())
    (facet,) = found.inputs[0].facets.values()
    assert (bytes(facet.raw), facet.value, facet.weight) == (
        '{"a":"ä","b":1}'.encode(),
        {"a": "ä", "b": 1},
        16,
    )
    assert found.outputs[0].facets == {}


def test_a_nested_event_is_refused_with_its_reason():
    body = event(inputs=["a"]).replace(
        b'"facets": {}', b'"facets": {"x": ' + b"[" * 3_000 + b"]" * 3_000 + b"}"
    )
    with pytest.raises(EventInvalid) as refused:
        read(body)
    assert refused.value.code is Code.JSON_INVALID


@settings(max_examples=100, deadline=None)
@given(
    st.recursive(
        st.booleans() | TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=8
    )
)
def test_what_facets_say_is_written_and_read_back_whole(said):
    assert read_spelt(spelt(said)) == said
    assert read_spelt(json.dumps(said).encode()) == said
