"""Packed fields are what protobuf itself writes of the same values."""

from __future__ import annotations

import numpy as np
import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from lakewarden.v1 import lineage_graph_pb2 as pb
from lakewarden_server.services.packed_fields import packed_bytes, packed_fixed

FIELDS = pb.LineageNodes.DESCRIPTOR.fields_by_name


@given(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=300), st.lists(st.booleans(), max_size=300))
def test_columns_of_numbers_are_written_as_protobuf_writes_them(
    numbers: list[int], flags: list[bool]
) -> None:
    written = packed_fixed(FIELDS["distances"], np.array(numbers, dtype=np.int32))
    assert written == pb.LineageNodes(distances=numbers).SerializeToString()
    written = packed_bytes(FIELDS["hidden"], np.array(flags, dtype=np.uint8))
    assert written == pb.LineageNodes(hidden=flags).SerializeToString()


@given(st.lists(st.sampled_from(pb.LineageState.values()), max_size=300))
def test_a_column_of_an_enum_is_too(states: list[int]) -> None:
    field = pb.LineageEdges.DESCRIPTOR.fields_by_name["states"]
    written = packed_bytes(field, np.array(states, dtype=np.uint8))
    assert written == pb.LineageEdges(states=states).SerializeToString()


def test_control_a_message_does_not_take_what_is_cut_short() -> None:
    written = packed_fixed(FIELDS["distances"], np.arange(5))
    with pytest.raises(DecodeError):
        pb.LineageNodes().MergeFromString(written[:-1])
