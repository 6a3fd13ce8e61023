"""Every form in which lineage is shown, with names that try to break it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from lakewarden._rows import SHOWN_MAX, Rows
from lakewarden.lineage import Lineage, LineageEdge, LineageNode, to_dot, to_mermaid, to_svg, to_tree
from lakewarden.lineage.mermaid import CHARACTERS_MAX, EDGES_MAX

HOSTILE = 'x"]; click n0 "javascript:alert(1)" <script>alert(1)</script> \\ \n %% end'
SVG = "{http://www.w3.org/2000/svg}"


def lineage(*, named: str = "main.raw.orders", truncated_by: str = "") -> Lineage:
    nodes = (
        LineageNode("0", "main.sales.orders", "TABLE", 0),
        LineageNode("1", named, "TABLE", -1),
        LineageNode("2", "", "", -1, hidden=True),
        LineageNode("3", "main.sales.report", "VIEW", 1),
        LineageNode("4", "main.sales.old", "TABLE", 2, dropped=True),
    )
    edges = (
        LineageEdge("1", "0"),
        LineageEdge("2", "0"),
        LineageEdge("0", "3"),
        LineageEdge("3", "4", "PROVISIONAL"),
    )
    return Lineage(nodes, edges, truncated_by)


@pytest.mark.parametrize(
    ("edge", "note"),
    [
        (LineageEdge("1", "0"), ""),
        (LineageEdge("1", "0", subtype="FILTER"), "dashed: only chose or ordered rows"),
        (LineageEdge("1", "0", "PROVISIONAL"), "dashed: not made, or not yet, or not any more"),
        (LineageEdge("1", "0", subtype="FILTER", evidence="DECLARED"), "dotted: declared, not observed"),
    ],
)
def test_a_drawing_says_what_its_strokes_mean(edge: LineageEdge, note: str) -> None:
    nodes = tuple(LineageNode(id, f"a.b.{id}", "TABLE", -int(id)) for id in "01")
    root = ElementTree.fromstring(to_svg(Lineage(nodes, (edge,), "")))
    notes = [text.text for text in root.iter(f"{SVG}text") if text.get("class") == "note"]
    assert notes == ([note] if note else [])


def test_a_tree_of_lines() -> None:
    assert list(to_tree(lineage(truncated_by="DEPTH"))) == [
        "main.sales.orders",
        "  made of",
        "   ├─ main.raw.orders",
        "   └─ (hidden)",
        "  used by",
        "   └─ main.sales.report  view",
        "      └─ main.sales.old (dropped)",
        "There is more than this: cut by depth.",
    ]


def test_a_tree_follows_what_several_ways_lead_to_once_and_ends_in_cycles() -> None:
    nodes = tuple(LineageNode(str(number), f"t{number}", "TABLE", min(number, 2)) for number in range(4))
    pairs = [("0", "1"), ("0", "2"), ("1", "3"), ("2", "3"), ("3", "0")]
    edges = tuple(LineageEdge(*pair) for pair in pairs)
    assert (
        list(to_tree(Lineage(nodes, edges)))[-5:]
        == [
            "  used by",
            "   ├─ t1",
            "   │  └─ t3",
            "   │     └─ t0 … (above)",
            "   └─ t2",
            "      └─ t3 … (above)",
        ][-5:]
    )


@pytest.mark.parametrize(("direction", "title"), [("upstream", "made of"), ("downstream", "used by")])
def test_a_tree_of_one_direction_says_nothing_of_the_other_also_in_a_circle(
    direction: str, title: str
) -> None:
    nodes = (LineageNode("0", "a", "TABLE", 0), LineageNode("1", "b", "TABLE", 1))
    found = Lineage(nodes, (LineageEdge("0", "1"), LineageEdge("1", "0")), direction=direction)
    assert list(to_tree(found)) == ["a", f"  {title}", "   └─ b", "      └─ a … (above)"]


def test_what_is_only_declared_is_drawn_otherwise_in_every_form() -> None:
    nodes = [LineageNode(str(number), f"t{number}", "TABLE", number) for number in range(3)]
    edges = (LineageEdge("0", "1", evidence="PARSED"), LineageEdge("1", "2", evidence="DECLARED"))
    found = Lineage(nodes, edges)
    assert list(to_tree(found))[-2:] == ["   └─ t1", "      └─ t2  [declared]"]
    assert [line for line in to_dot(found).splitlines() if "->" in line] == [
        "  n0 -> n1;",
        '  n1 -> n2 [style=dashed, label="declared"];',
    ]
    assert [line for line in to_mermaid(found).splitlines() if "->" in line] == [
        "  n0 --> n1",
        '  n1 -.->|"declared"| n2',
    ]
    drawn = ElementTree.fromstring(to_svg(found))
    paths = [path for path in drawn.findall(f"{SVG}path") if "edge" in path.attrib["class"]]
    assert [path.attrib["class"] for path in paths] == ["edge", "edge unsure declared"]
    assert [path.findtext(f"{SVG}title") for path in paths] == [None, "declared"]
    assert "declared, not observed" in to_svg(found)
    assert "declared, not observed" not in to_svg(lineage())
    assert [edge["evidence"] for edge in found.to_dict()["edges"]] == ["PARSED", "DECLARED"]


def test_without_lineage_it_says_so() -> None:
    assert list(to_tree(Lineage((LineageNode("0", "t", "TABLE", 0),), ()))) == ["t", "  no lineage"]


def test_svg_is_one_well_formed_document_whatever_names_say() -> None:
    drawn = to_svg(lineage(named=HOSTILE, truncated_by="NODES"))
    root = ElementTree.fromstring(drawn)
    assert root.tag == f"{SVG}svg"
    tags = {element.tag for element in root.iter()}
    assert tags <= {
        SVG + tag for tag in ("svg", "style", "defs", "marker", "path", "rect", "g", "title", "text")
    }
    assert len(root.findall(f"{SVG}g")) == 5
    assert sum(path.get("class", "").startswith("edge") for path in root.findall(f"{SVG}path")) == 4
    assert "main.sales.report" in drawn
    assert "(hidden)" in drawn


def test_boxes_of_an_svg_do_not_lie_on_each_other() -> None:
    nodes = [LineageNode("0", "root", "TABLE", 0)]
    edges = []
    for number in range(1, 40):
        nodes.append(
            LineageNode(
                str(number), f"catalog.schema.table_{number}" * (number % 3 + 1), "TABLE", number % 4 + 1
            )
        )
        edges.append(LineageEdge(str(max(number - 1, 0) if number % 4 else 0), str(number)))
    root = ElementTree.fromstring(to_svg(Lineage(tuple(nodes), tuple(edges))))
    boxes = [
        tuple(float(rect.get(side, "")) for side in ("x", "y", "width", "height"))
        for rect in root.findall(f"{SVG}g/{SVG}rect")
    ]
    assert len(boxes) == 40
    for number, (x, y, width, height) in enumerate(boxes):
        assert x >= 0
        assert y >= 0
        assert x + width <= float(root.get("width", ""))
        assert y + height <= float(root.get("height", ""))
        for other_x, other_y, other_width, other_height in boxes[:number]:
            apart = x + width <= other_x or other_x + other_width <= x
            assert apart or y + height <= other_y or other_y + other_height <= y


@pytest.mark.parametrize("form", [to_dot, to_mermaid])
def test_a_name_does_not_leave_its_label(form: object) -> None:
    text = form(lineage(named=HOSTILE))  # type: ignore[operator]
    assert len(text.splitlines()) == len(form(lineage()).splitlines())  # type: ignore[operator]
    assert "<script>" not in to_mermaid(lineage(named=HOSTILE))


def test_a_name_of_a_column_does_not_leave_its_label_either() -> None:
    def of(name: str) -> Lineage:
        nodes = (
            LineageNode("0", name, "TABLE", 0, column=name),
            LineageNode("1", "t", "TABLE", 1, column="c"),
        )
        return Lineage(nodes, (LineageEdge("0", "1", "LIVE", "GROUP_BY", masking=True),))

    for form in (to_dot, to_mermaid):
        assert len(form(of(HOSTILE)).splitlines()) == len(form(of("name")).splitlines())
    assert "<script>" not in to_mermaid(of(HOSTILE))
    assert "<script>" not in to_svg(of(HOSTILE))
    ElementTree.fromstring(to_svg(of(HOSTILE)))
    assert list(to_tree(of("name")))[-1] == "   └─ t.c  [group by, masked]"


@pytest.mark.parametrize(("letter", "pixels"), [("W", 12.4), ("Q", 9.9), ("m", 12.2), ("漢", 12.5)])
def test_a_box_is_as_broad_as_its_widest_letters(letter: str, pixels: float) -> None:
    """Pixels are what DejaVu Sans, the broadest font of the list, takes at this size."""
    drawn = ElementTree.fromstring(to_svg(lineage(named=letter * 40)))
    boxes = [
        group.find(f"{SVG}rect")
        for group in drawn.iter(f"{SVG}g")
        if letter * 40 in group.attrib["aria-label"]
    ]
    assert boxes
    assert all(box is not None and float(box.attrib["width"]) >= 28 + 40 * pixels for box in boxes)


def _boxes(found: Lineage) -> dict[str, tuple[float, ...]]:
    """Left, top, width and height of each node of a drawing."""
    drawn = ElementTree.fromstring(to_svg(found))
    boxes = {group.attrib["aria-label"]: group.find(f"{SVG}rect") for group in drawn.iter(f"{SVG}g")}
    return {
        name: tuple(float(box.get(side, "")) for side in ("x", "y", "width", "height"))
        for name, box in boxes.items()
        if box is not None
    }


def test_a_source_stands_left_of_what_was_made_of_it_where_both_feed_a_third() -> None:
    nodes = tuple(
        LineageNode(name, name, "TABLE", distance)
        for name, distance in (("report", 0), ("raw", -1), ("clean", -1))
    )
    edges = (LineageEdge("raw", "clean"), LineageEdge("clean", "report"), LineageEdge("raw", "report"))
    boxes = _boxes(Lineage(nodes, edges))
    assert sorted(boxes, key=lambda name: boxes[name]) == ["raw", "clean", "report"]


def test_an_edge_over_several_layers_passes_no_box() -> None:
    nodes = tuple(LineageNode(name, name, "TABLE", number) for number, name in enumerate("abc"))
    edges = (LineageEdge("a", "b"), LineageEdge("b", "c"), LineageEdge("a", "c"))
    drawn = ElementTree.fromstring(to_svg(Lineage(nodes, edges)))
    (curve,) = [path.attrib["d"] for path in drawn.findall(f"{SVG}path") if "H" in path.attrib["d"]]
    passing = float(re.findall(r" ([\d.]+)H", curve)[0])
    _, top, _, height = _boxes(Lineage(nodes, edges))["b"]
    assert not top <= passing <= top + height


def test_a_circle_is_drawn_with_one_edge_that_leads_back() -> None:
    nodes = tuple(LineageNode(name, name, "TABLE", -min(number, 1)) for number, name in enumerate("abc"))
    pairs = [("b", "a"), ("c", "a"), ("b", "c"), ("c", "b")]
    boxes = _boxes(Lineage(nodes, tuple(LineageEdge(*pair) for pair in pairs)))
    assert sum(boxes[source][0] > boxes[target][0] for source, target in pairs) == 1
    assert len({left for left, *_ in boxes.values()}) == 3


def test_datasets_of_one_long_namespace_are_told_apart_in_an_svg() -> None:
    namespace = f"kafka://{'broker.' * 10}example.com:9092"
    names = ["department.one.orders", "department.two.orders"]
    nodes = [
        LineageNode(name, f"{namespace} {name}", "DATASET", -1, namespace=namespace, dropped=name == names[1])
        for name in names
    ]
    drawn = to_svg(Lineage((LineageNode("0", "main.sales.orders", "TABLE", 0), *nodes), (), ""))
    for label in ("department.one.orders", "department.two.orders (dropped)"):
        assert f">{label}</text>" in drawn


def test_mermaid_stays_within_its_limits_and_says_what_it_leaves_out() -> None:
    nodes = [LineageNode("0", "root", "TABLE", 0)]
    nodes += [
        LineageNode(str(number), f"main.s.t{number}", "TABLE", 1 + number // 400) for number in range(1, 900)
    ]
    edges = [LineageEdge("0", str(number)) for number in range(1, 900)]
    text = to_mermaid(Lineage(tuple(nodes), tuple(edges)))
    assert text.count("-->") <= EDGES_MAX
    assert len(text) <= CHARACTERS_MAX
    assert "further away are not drawn" in text


def test_an_answer_is_shown_in_the_same_order_however_it_came() -> None:
    found = lineage()
    turned = Lineage(found.nodes[::-1], found.edges[::-1])
    assert turned.to_dict() == found.to_dict()
    assert to_dot(turned) == to_dot(found)


def test_an_answer_is_written_out_where_it_is_printed_but_for_what_is_much() -> None:
    def rows(count: int) -> Rows[LineageEdge]:
        return Rows(LineageEdge, [str(number) for number in range(count)], ["x"] * count)

    assert repr(rows(1)) == f"[{LineageEdge('0', 'x')!r}]"
    assert repr(rows(SHOWN_MAX + 2)).endswith(", … 2 more]")
