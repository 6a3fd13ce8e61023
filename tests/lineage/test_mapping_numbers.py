"""What edges say of columns by number: the same one for the same hash, and the same pairs for the same number."""

from __future__ import annotations

import hashlib
import sys
import threading
from typing import Any

import numpy as np
import pytest

from lakewarden_server.lineage.column_book import ColumnBook, how
from lakewarden_server.lineage.mapping import Subtype
from lakewarden_server.lineage.mapping_numbers import MappingNumbers, digests_of

HASHES = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(200)]
ALIKE = ["ab" * 31 + "00", "00" * 31 + "01", "ab" * 30 + "0000"]
"""In their first bytes, or but for zeros at the end."""


@pytest.mark.parametrize("hashes", [HASHES, [*HASHES, *ALIKE]])
def test_a_hash_has_one_number_and_is_found_by_it(hashes: list[str]) -> None:
    numbers, first = MappingNumbers.of([digests_of(hashes[:50] * 2), digests_of(hashes[30:])])
    by_hash = dict(zip([*hashes[:50] * 2, *hashes[30:]], first.tolist(), strict=True))
    assert len(set(by_hash.values())) == len(hashes)
    assert {hashed: numbers.number(hashed) for hashed in hashes} == by_hash
    assert [numbers.hash_of(by_hash[hashed]) for hashed in hashes] == hashes


def test_a_hash_that_comes_later_has_the_next_number() -> None:
    numbers, first = MappingNumbers.of([digests_of(HASHES[:3])])
    later = [numbers.number(hashed) for hashed in HASHES[3:6]]
    assert later == [4, 5, 6]
    assert [numbers.number(hashed) for hashed in HASHES[:6]] == [*first.tolist(), *later]
    assert [numbers.hash_of(number) for number in later] == HASHES[3:6]


def test_what_has_no_hash_says_nothing() -> None:
    for numbers in (MappingNumbers(), MappingNumbers.of([])[0], MappingNumbers.of([digests_of(HASHES)])[0]):
        assert numbers.number("[]") == 0


def columns_of(mapping: int) -> list[list[Any]]:
    return [[f"t{mapping}", f"s{pair}", Subtype.IDENTITY.value, bool(pair % 2)] for pair in range(mapping)]


def spelt(book: ColumnBook, mapping: int) -> list[list[Any]]:
    pairs = book.pairs(np.array([mapping], dtype=np.int32))
    names = book.names(pairs.targets.tolist()), book.names(pairs.sources.tolist())
    rows = zip(*names, pairs.kinds.tolist(), strict=True)
    return [[target, source, *how(kind)] for target, source, kind in rows]


def test_what_a_number_stands_for_stays_while_threads_keep_more() -> None:
    book, wrong = ColumnBook(), []
    interval = sys.getswitchinterval()

    def keep(first: int) -> None:
        for mapping in range(first, 120, 2):
            book.keep(mapping, columns_of(mapping))
            book.keep(mapping - 1, columns_of(mapping - 1))
            wrong.extend(
                known for known in (mapping, mapping - 1, 1) if spelt(book, known) != columns_of(known)
            )

    book.keep(0, ())
    book.keep(1, columns_of(1))
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=keep, args=(first,)) for first in (1, 2, 3, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert wrong == []
    assert book.unknown(np.array([3, 500, 119, 500, 121], dtype=np.int32)) == [121, 500]
    assert book.sizes(np.arange(119, dtype=np.int32)).tolist() == list(range(119))
    pairs = book.pairs(np.array([2, 0, 3], dtype=np.int32))
    assert pairs.at.tolist() == [0, 0, 2, 2, 2]
    assert book.names(pairs.targets.tolist()) == ["t2", "t2", "t3", "t3", "t3"]


def test_what_is_no_hash_is_empty_also_where_all_of_them_together_are_as_long_as_hashes():
    told = ["ab" * 33, "cd" * 31, "[]", "ef" * 32]
    assert [digest.hex() for digest in digests_of(told).tolist()] == ["", "", "", "ef" * 32]
    assert [digest.hex() for digest in digests_of(told[:2]).tolist()] == ["", ""]
