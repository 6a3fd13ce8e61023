"""Tables are renamed without pause while lineage is asked: every answer is whole, under names that were true."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator

import pytest

from lakewarden.lineage import Lineage
from lakewarden_server.testing import serve
from lineage.lake import Lake

SEED = 20261127
TABLES = 30
EDGES = 90
RENAMES, RENAMES_LONG = 25, 1_000
READERS = 2
WAIT_SECONDS = 600
ROOT = "main.still.root"


class Storm:
    """A lake whose tables are called by their number and by how often they were renamed; 0 is the root, which never is."""

    def __init__(self, lake: Lake, chance: random.Random) -> None:
        self.lake, self._chance = lake, chance
        self.turns = dict.fromkeys(range(1, TABLES), 0)
        pairs = {(source, target) for target in range(1, TABLES) for source in (chance.randrange(target),)}
        while len(pairs) < EDGES:
            source, target = sorted(chance.sample(range(TABLES), 2))
            pairs.add((source, target))
        self.pairs = pairs
        for source, target in sorted(pairs):
            lake.made(*(self.name(number).removeprefix("main.") for number in (source, target)))

    def name(self, number: int) -> str:
        return f"main.moving.t{number}_{self.turns[number]}" if number else ROOT

    def rename_one(self) -> None:
        """One table gets a name it never had."""
        number = self._chance.randrange(1, TABLES)
        old = self.name(number)
        self.turns[number] += 1
        self.lake.admin.tables.rename(old, self.name(number).rpartition(".")[2])


def numbers(answer: Lineage) -> tuple[list[int], list[tuple[int, int]]]:
    """The numbers of the tables in an answer and of the ends of its edges, as often as they are told."""
    of = {node.id: _number(node.label) for node in answer.nodes}
    return sorted(of.values()), sorted((of[edge.source_id], of[edge.target_id]) for edge in answer.edges)


def _number(label: str) -> int:
    return 0 if label == ROOT else int(label.removeprefix("main.moving.t").partition("_")[0])


@pytest.fixture
def lake(database_url: str) -> Iterator[Lake]:
    with serve(database_url=database_url) as server:
        tables = [f"moving.t{number}_0" for number in range(1, TABLES)]
        yield Lake(server, ["still.root", *tables])


def test_no_answer_misses_a_table_or_tells_it_twice_while_tables_are_renamed(lake: Lake) -> None:
    storm(lake, RENAMES)


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_no_answer_misses_a_table_or_tells_it_twice_in_a_long_storm(lake: Lake) -> None:
    storm(lake, RENAMES_LONG)


def storm(lake: Lake, renames: int) -> None:
    raging = Storm(lake, random.Random(SEED))
    written = lake.changes()
    expected = list(range(TABLES)), sorted(raging.pairs)
    assert numbers(lake.admin.lineage.traverse(ROOT, max_depth=100)) == expected

    over, wrong, asked = threading.Event(), [], []

    def ask() -> None:
        with lake.server.client() as client:
            while not over.is_set():
                answer = client.lineage.traverse(ROOT, max_depth=100)
                asked.append(1)
                if numbers(answer) != expected:
                    wrong.append(answer)

    readers = [threading.Thread(target=ask) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    try:
        for _ in range(renames):
            raging.rename_one()
    finally:
        over.set()
        for reader in readers:
            reader.join(WAIT_SECONDS)
    assert wrong == []
    assert len(asked) > renames / 10
    assert lake.changes() == written
    after = lake.admin.lineage.traverse(ROOT, max_depth=100)
    assert {node.label for node in after.nodes} == {raging.name(number) for number in range(TABLES)}
