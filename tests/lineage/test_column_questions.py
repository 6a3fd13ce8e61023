"""Questions about columns put to a real server: what is shown, to whom, and what is not told."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from lakewarden import Client, DeadlineExceeded, LakewardenError
from lakewarden.cli import main
from lakewarden.lineage import Lineage, to_dot, to_mermaid, to_svg, to_tree
from lakewarden_server.lineage import column_uses, mapping_numbers
from lakewarden_server.lineage.column_book import ColumnBook
from lakewarden_server.lineage.follower import LineageFollower
from lakewarden_server.lineage.mapping_numbers import MappingNumbers
from lakewarden_server.lineage.nodes import LineageState
from lakewarden_server.storage.unit_of_work import UnitOfWork
from lakewarden_server.testing import serve
from lineage.corpus import microseconds
from lineage.lake import Lake, may_use

TABLES = (
    "raw.orders",
    "raw.prices",
    "raw.later",
    "raw.anew",
    "raw.past",
    "raw.often",
    "raw.newer",
    "sales.menu",
    "sales.report",
    "sales.copy",
    "sales.seen",
)


def record(lake: Lake) -> None:
    """The total of the menu is made of two tables, one of which chooses its rows; the report of it; the copy of nobody knows which columns."""
    lake.made_of_columns(
        "sales.menu",
        total=[("raw.orders", "amount", "TRANSFORMATION"), ("raw.prices", "price", "TRANSFORMATION")],
        day=[("raw.orders", "day", "IDENTITY"), ("raw.prices", "valid", "FILTER")],
    )
    lake.made_of_columns("sales.report", revenue=[("sales.menu", "total", "AGGREGATION")])
    lake.made("sales.menu", "sales.copy")


@pytest.fixture(scope="module")
def lake() -> Iterator[Lake]:
    with serve() as server:
        found = Lake(server, TABLES)
        record(found)
        yield found


@pytest.fixture(scope="module")
def reader(lake: Lake) -> Client:
    return may_use(lake, "ada", "sales.menu", "sales.report", "sales.seen")


def shown(answer: Lineage) -> set[tuple[str, str, str]]:
    """The edges of an answer between labels, and how."""
    labels = {node.id: node.label.removeprefix("main.") for node in answer.nodes}
    return {(labels[edge.source_id], labels[edge.target_id], edge.how) for edge in answer.edges}


def test_the_columns_a_column_was_made_of_and_those_made_of_it(lake: Lake) -> None:
    found = lake.admin.lineage.columns("main.sales.menu", "total")
    assert shown(found) == {
        ("raw.orders.amount", "sales.menu.total", "transformation"),
        ("raw.prices.price", "sales.menu.total", "transformation"),
        ("sales.menu.total", "sales.report.revenue", "aggregation"),
        ("sales.menu.total", "sales.copy", ""),
    }
    places = {(node.name.removeprefix("main."), node.column, node.distance) for node in found.nodes}
    assert {("sales.menu", "total", 0), ("raw.orders", "amount", -1), ("sales.copy", "", 1)} <= places
    assert found.truncated_by == ""


def test_filters_and_joins_are_told_when_they_are_asked_for(lake: Lake) -> None:
    direct = lake.admin.lineage.columns("main.sales.menu", "day", direction="upstream")
    assert shown(direct) == {("raw.orders.day", "sales.menu.day", "identity")}
    found = lake.admin.lineage.columns("main.sales.menu", "day", direction="upstream", include_indirect=True)
    assert shown(found) == {*shown(direct), ("raw.prices.valid", "sales.menu.day", "filter")}


def test_of_a_table_all_columns_are_told_that_anything_is_known_of(lake: Lake) -> None:
    found = lake.admin.lineage.columns("main.sales.menu", direction="upstream")
    assert {node.column for node in found.roots} == {"", "day", "total"}
    assert len(found.edges) == 3
    assert [line for line in to_tree(found) if not line.startswith(" ")] == [
        "main.sales.menu.day",
        "main.sales.menu.total",
    ]
    nothing = lake.admin.lineage.columns("main.raw.orders", "nothing")
    assert ([node.label for node in nothing.nodes], len(nothing.edges)) == (["main.raw.orders.nothing"], 0)


def test_of_a_hidden_table_not_even_the_columns_are_told(lake: Lake, reader: Client) -> None:
    found = reader.lineage.columns("main.sales.menu", "total", include_indirect=True)
    assert shown(found) == {
        ("(hidden)", "sales.menu.total", ""),
        ("sales.menu.total", "sales.report.revenue", "aggregation"),
        ("sales.menu.total", "(hidden)", ""),
    }
    hidden = [node for node in found.nodes if node.hidden]
    assert {(node.name, node.kind, node.column) for node in hidden} == {("", "", "")}
    assert len(hidden) == 3
    day = reader.lineage.columns("main.sales.menu", "day", direction="upstream")
    assert shown(day) == {("(hidden)", "sales.menu.day", "")}


def test_not_even_the_bytes_of_an_answer_tell_what_was_recorded_of_hidden_columns() -> None:
    """The same lake twice, in one of them with runs between hidden tables before, among and after the others."""
    told = []
    for secret in (False, True):
        with serve() as server:
            lake = Lake(server, (*TABLES, "raw.dark", "raw.darker"))
            reader = may_use(lake, "ada", "sales.menu", "sales.report", "sales.seen")
            if secret:
                lake.made_of_columns("raw.darker", x=[("raw.dark", "y", "IDENTITY")])
            lake.made_of_columns("sales.menu", total=[("raw.orders", "amount", "IDENTITY")])
            if secret:
                lake.made_of_columns("raw.orders", amount=[("raw.darker", "x", "AGGREGATION")])
                lake.made("raw.dark", "raw.orders")
            lake.made_of_columns("sales.report", revenue=[("sales.menu", "total", "AGGREGATION")])
            root = {"table": "main.sales.report"}
            answer = reader.lineage._call("TraverseLineage", root=root, level="COLUMN", include_indirect=True)
            told.append(answer.SerializeToString(deterministic=True))
    assert told[0] == told[1]
    assert b"revenue" in told[0]


def test_depth_and_number_of_columns_bound_the_answer_and_it_says_so(lake: Lake) -> None:
    near = lake.admin.lineage.columns("main.raw.orders", "amount", direction="downstream", max_depth=1)
    assert (len(near.edges), near.truncated_by) == (1, "DEPTH")
    few = lake.admin.lineage.columns("main.sales.menu", "total", max_nodes=1)
    assert (len(few.nodes), few.truncated_by) == (2, "NODES")


@pytest.mark.parametrize("columns", [("",), ("x" * 4_001,), tuple(map(str, range(1_001)))])
def test_columns_nothing_could_have_are_refused(lake: Lake, columns: tuple[str, ...]) -> None:
    with pytest.raises(LakewardenError) as refused:
        lake.admin.lineage.columns("main.sales.menu", *columns)
    assert (refused.value.reason, refused.value.metadata["field"]) == ("FIELD_INVALID", "columns")


def test_of_more_than_can_be_read_there_is_no_answer(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column_uses, "USES_READ_MAX", 3)
    with pytest.raises(DeadlineExceeded):
        lake.admin.lineage.columns("main.sales.menu")


def test_whether_there_is_an_answer_does_not_hang_on_what_hidden_assets_say(
    lake: Lake, reader: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither on how much that is nor on whether it is what a visible one says, too."""

    def hidden(client: Client) -> list[int]:
        """How many nodes are hidden in the answers about a table and about a column of it."""
        questions = [(), ("shown",)]
        told = [
            client.lineage.columns("main.sales.seen", *asked, direction="upstream") for asked in questions
        ]
        return [sum(node.hidden for node in answer.nodes) for answer in told]

    seen = [("sales.menu", f"c{number}", "IDENTITY") for number in range(5)]
    lake.made_of_columns("sales.seen", job="seen", shown=seen)
    monkeypatch.setattr(column_uses, "USES_READ_MAX", len(seen))
    assert hidden(reader) == [0, 0]
    for job, count in (("alike", 5), ("more", 40)):
        lake.made_of_columns(
            "sales.seen", job=job, shown=[("raw.orders", f"c{number}", "IDENTITY") for number in range(count)]
        )
        assert hidden(reader) == [1, 1]
    with pytest.raises(DeadlineExceeded, match="more than 5 pairs of columns"):
        hidden(lake.admin)
    monkeypatch.setattr(column_uses, "USES_READ_MAX", len(seen) - 1)
    with pytest.raises(DeadlineExceeded):
        hidden(reader)


def test_what_hidden_assets_say_is_read_no_longer_than_there_is_time(
    lake: Lake, reader: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That alone bounds it."""
    lake.made_of_columns("sales.seen", job="late", shown=[("raw.orders", "late", "IDENTITY")])
    with monkeypatch.context() as late:
        late.setattr(column_uses, "monotonic", lambda: float("inf"))
        with pytest.raises(DeadlineExceeded):
            reader.lineage.columns("main.sales.seen", "shown", direction="upstream")
    assert reader.lineage.columns("main.sales.seen", "shown", direction="upstream").nodes


def test_what_is_remembered_of_columns_is_bounded_and_changes_no_answer(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    books: list[ColumnBook] = []
    begun = MappingNumbers.book
    monkeypatch.setattr(MappingNumbers, "book", lambda numbers: books.append(begun(numbers)) or books[-1])

    def asked() -> tuple[list[tuple[str, str, str]], ColumnBook]:
        found = lake.admin.lineage.columns("main.sales.menu", include_indirect=True)
        return sorted(shown(found)), books[-1]

    before, book = asked()
    assert asked() == (before, book)
    assert book.bytes > 0
    monkeypatch.setattr(mapping_numbers, "BOOK_BYTES_MAX", book.bytes - 1)
    after, another = asked()
    assert after == before
    assert another is not book


def test_a_hidden_root_is_answered_like_one_that_does_not_exist(reader: Client) -> None:
    told = []
    for name in ("main.raw.orders", "main.raw.nothing"):
        with pytest.raises(LakewardenError) as refused:
            reader.lineage.columns(name, "amount")
        told.append((refused.value.reason, str(refused.value).replace(name, "X")))
    assert told[0] == told[1]


def test_columns_of_an_earlier_time_are_those_of_then(lake: Lake) -> None:
    for second, column in ((100, "first"), (200, "second")):
        lake.made_of_columns("raw.later", second=second, job="same", x=[("raw.orders", column, "IDENTITY")])
    for second, column in ((150, "first"), (250, "second")):
        then = datetime.fromtimestamp(microseconds(second) / 1_000_000, UTC)
        found = lake.admin.lineage.columns("main.raw.later", "x", direction="upstream", as_of=then)
        assert shown(found) == {(f"raw.orders.{column}", "raw.later.x", "identity")}
    now = lake.admin.lineage.columns("main.raw.later", direction="upstream")
    assert shown(now) == {("raw.orders.second", "raw.later.x", "identity")}


@pytest.fixture
def followers(monkeypatch: pytest.MonkeyPatch) -> list[LineageFollower]:
    """Who follows lineage for the questions that are asked meanwhile, the last of them at the end."""
    met: list[LineageFollower] = []
    at_head = LineageFollower.at_head

    def watched(follower: LineageFollower, uow: UnitOfWork) -> LineageState:
        met.append(follower)
        return at_head(follower, uow)

    monkeypatch.setattr(LineageFollower, "at_head", watched)
    return met


def numbered_later(follower: LineageFollower) -> int:
    """How many hashes came since the lineage was read."""
    assert follower._state is not None
    return len(follower._state.mappings._later)


def test_questions_about_an_earlier_time_leave_nothing_behind(
    lake: Lake, followers: list[LineageFollower]
) -> None:
    for second, column in ((100, "once"), (200, "now")):
        lake.made_of_columns("raw.past", second=second, job="past", x=[("raw.orders", column, "IDENTITY")])
    lake.admin.lineage.columns("main.raw.past", "x", direction="upstream")
    before = numbered_later(followers[-1])
    then = datetime.fromtimestamp(microseconds(150) / 1_000_000, UTC)
    found = lake.admin.lineage.columns("main.raw.past", "x", direction="upstream", as_of=then)
    assert shown(found) == {("raw.orders.once", "raw.past.x", "identity")}
    assert numbered_later(followers[-1]) == before


def test_lineage_whose_columns_change_with_every_run_is_read_anew_now_and_then(
    lake: Lake, followers: list[LineageFollower], monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(column: str) -> tuple[int, int]:
        lake.made_of_columns("raw.often", job="often", x=[("raw.orders", column, "IDENTITY")])
        found = lake.admin.lineage.columns("main.raw.often", "x", direction="upstream")
        assert shown(found) == {(f"raw.orders.{column}", "raw.often.x", "identity")}
        return followers[-1].rebuilds, numbered_later(followers[-1])

    rebuilds, later = told("often1")
    monkeypatch.setattr(mapping_numbers, "LATER_MAX", later)
    assert told("often2") == (rebuilds, later + 1)
    assert told("often3") == (rebuilds + 1, 0)
    assert told("often4") == (rebuilds + 1, 1)


def test_what_runs_say_anew_of_columns_is_told_from_then_on(lake: Lake) -> None:
    for column in ("first", "second", "first"):
        lake.made_of_columns("raw.anew", job="anew", x=[("raw.orders", column, "IDENTITY")])
        found = lake.admin.lineage.columns("main.raw.anew", "x", direction="upstream")
        assert shown(found) == {(f"raw.orders.{column}", "raw.anew.x", "identity")}


@pytest.mark.parametrize(("ahead", "answered"), [(1, True), (100, False)])
def test_a_lineage_that_is_newer_than_the_transaction_is_asked_about_in_another_one(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, ahead: int, answered: bool
) -> None:
    """What the newest edges say could not be read in it."""
    lake.made_of_columns("raw.newer", x=[("raw.orders", f"at_{ahead}", "IDENTITY")])
    left = iter(range(ahead))
    at_head = LineageFollower.at_head

    def newer(follower: LineageFollower, uow: UnitOfWork) -> LineageState:
        state = at_head(follower, uow)
        return state if next(left, None) is None else state._replace(sequence=state.sequence + 1)

    monkeypatch.setattr(LineageFollower, "at_head", newer)
    if answered:
        found = lake.admin.lineage.columns("main.raw.newer", "x", direction="upstream")
        assert shown(found) == {(f"raw.orders.at_{ahead}", "raw.newer.x", "identity")}
        assert next(left, None) is None
        return
    with pytest.raises(LakewardenError) as refused:
        lake.admin.lineage.columns("main.raw.newer", "x", direction="upstream")
    assert refused.value.reason == "CONCURRENT_CHANGE"


def test_every_form_shows_columns(lake: Lake) -> None:
    found = lake.admin.lineage.columns("main.sales.menu", "total")
    assert list(to_tree(found))[:4] == [
        "main.sales.menu.total",
        "  made of",
        "   ├─ main.raw.orders.amount  [transformation]",
        "   └─ main.raw.prices.price  [transformation]",
    ]
    assert 'label="aggregation"' in to_dot(found)
    assert '-->|"aggregation"|' in to_mermaid(found)
    drawn = to_svg(found)
    assert ">revenue</text>" in drawn
    assert ">main.sales.report</text>" in drawn
    assert "<title>aggregation</title>" in drawn


def test_the_command_line_shows_columns(
    lake: Lake, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKEWARDEN_ENDPOINT", lake.server.endpoint)
    monkeypatch.setenv("LAKEWARDEN_TOKEN", lake.server.admin_token)
    monkeypatch.setenv("LAKEWARDEN_WORKSPACE", "workspace")
    assert main(["lineage", "column", "main.sales.menu", "day", "--upstream", "--indirect"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "main.sales.menu.day",
        "  made of",
        "   ├─ main.raw.orders.day  [identity]",
        "   └─ main.raw.prices.valid  [filter]",
    ]
    assert main(["lineage", "column", "main.sales.menu", "day", "--upstream", "--downstream"]) == 0
    both = capsys.readouterr().out
    assert main(["lineage", "column", "main.sales.menu", "day"]) == 0
    assert capsys.readouterr().out == both
    assert "made of" in both
    for asked in (["column", "main.sales.report", "dya"], ["impact", "main.sales.report.dya"]):
        assert main(["lineage", *asked]) == 0
        assert "lakewarden lineage column main.sales.report shows" in capsys.readouterr().err
    for form in ("json", "dot", "mermaid", "svg"):
        assert main(["lineage", "column", "main.sales.menu", "total", "--format", form]) == 0
        assert "revenue" in capsys.readouterr().out
