"""Outcomes of assertions as JUnit XML, the form in which CI systems read test reports."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from lakewarden.governance.asserting import Outcome

SUITE: Final = "lakewarden test"
# Characters XML 1.0 cannot hold in any spelling (section 2.2): one of them would make the whole report unreadable.
_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write one test suite, a test case for each assertion. Raises OSError."""
    failed = sum(not outcome.passed for outcome in outcomes)
    counts = {"tests": str(len(outcomes)), "failures": str(failed), "errors": "0", "skipped": "0"}
    suites = ElementTree.Element("testsuites", {"name": SUITE, **counts})
    suite = ElementTree.SubElement(suites, "testsuite", {"name": SUITE, **counts})
    for outcome in outcomes:
        _add_case(suite, outcome)
    ElementTree.indent(suites)
    path.write_bytes(ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True) + b"\n")


def _add_case(suite: ElementTree.Element, outcome: Outcome) -> None:
    told, asked = outcome.record(), outcome.assertion
    name = f"{asked.privilege} on {asked.kind} {asked.object} for {asked.principal}"
    if asked.workspace:
        name += f" from {asked.workspace}"
    case = ElementTree.SubElement(
        suite,
        "testcase",
        {"name": _plain(f"{name} is {told['expected']}"), "classname": _plain(told["place"])},
    )
    if not outcome.passed:
        message = f"expected {told['expected']}, got {told['actual']}"
        failure = ElementTree.SubElement(case, "failure", {"message": message, "type": "assertion"})
        lines = [asked.reason, outcome.reason, *(f"fix: {fix}" for fix in outcome.fixes)]
        failure.text = _plain("\n".join(filter(None, lines)))


def _plain(text: str) -> str:
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)
