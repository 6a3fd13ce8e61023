from __future__ import annotations

import pytest

from client.wire import Recorded, WireServer
from lakewarden import Client
from lakewarden._paging import pages
from lakewarden.v1 import catalogs_pb2


class _Rows:
    """A List RPC over `total` numbers that records the page sizes asked for."""

    def __init__(self, total: int, *, page: int) -> None:
        self.total, self.page, self.sizes = total, page, []

    def fetch(self, size: int, token: str) -> tuple[list[int], str]:
        self.sizes.append(size)
        start = int(token or 0)
        end = min(start + min(size or self.page, self.page), self.total)
        return list(range(start, end)), str(end) if end < self.total else ""


@pytest.mark.parametrize("total", [0, 1, 3, 4, 6, 7])
def test_all_pages_come_in_order_and_once(total: int) -> None:
    assert list(pages(_Rows(total, page=3).fetch)) == list(range(total))


@pytest.mark.parametrize(("limit", "sizes"), [(0, []), (1, [1]), (3, [3]), (5, [5, 2]), (100, [100, 97, 94])])
def test_limit_stops_and_never_asks_for_more_than_is_wanted(limit: int, sizes: list[int]) -> None:
    rows = _Rows(8, page=3)
    assert list(pages(rows.fetch, limit=limit)) == list(range(min(limit, 8)))
    assert rows.sizes == sizes


def test_server_that_sends_more_than_asked_does_not_break_the_limit() -> None:
    assert list(pages(lambda size, token: ([1, 2, 3, 4], "more"), limit=2)) == [1, 2]


def test_empty_page_with_a_token_is_not_the_end() -> None:
    answers = iter([([], "more"), ([1], "")])
    assert list(pages(lambda size, token: next(answers))) == [1]


def test_next_page_is_fetched_only_when_needed() -> None:
    rows = _Rows(9, page=3)
    iterator = pages(rows.fetch, page_size=3)
    assert [next(iterator) for _ in range(3)] == [0, 1, 2]
    assert rows.sizes == [3]


def test_list_follows_page_tokens_over_the_wire(wire: WireServer, client: Client) -> None:
    def answer(recorded: Recorded, context: object) -> catalogs_pb2.ListCatalogsResponse:
        page = int(recorded.request.page_token or 0)
        rows = [catalogs_pb2.Catalog(full_name=f"c{page}{row}") for row in "ab"]
        return catalogs_pb2.ListCatalogsResponse(
            catalogs=rows, next_page_token=str(page + 1) if page < 2 else ""
        )

    wire.answers["CatalogService/ListCatalogs"] = answer
    names = [catalog.full_name for catalog in client.catalogs.list(page_size=2)]
    assert names == ["c0a", "c0b", "c1a", "c1b", "c2a", "c2b"]
    assert [call.request.page_size for call in wire.calls] == [2, 2, 2]
