"""Names that one principal links are bounded, as what one of them means is worked out of all while others wait; nobody else's are held up by it."""

from __future__ import annotations

import pytest

from lakewarden_server.core.errors import InvalidArgument
from lakewarden_server.lineage import components
from lineage.corpus import dataset, event, lifecycle, symlinks
from lineage.stored import Lineage

DB = "postgres://db"
NAMES = 20


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(components, "OWN_NAMES_MAX", NAMES)
    monkeypatch.setattr(components, "OWN_CUTS_MAX", 3 * NAMES)


def linked(run: int, *names: str, hub: str = "hub") -> bytes:
    """A run made a table that has these names too."""
    return event(
        run=run, second=run, outputs=[dataset(hub, symlinks=symlinks(*((DB, name) for name in names)))]
    )


def test_a_dataset_gets_no_more_names_of_one_principal_than_are_gone_through_at_a_time(
    ada: Lineage, eve: Lineage
) -> None:
    eve.record(linked(1, *(f"n{number}" for number in range(NAMES - 1))))
    before = eve.export()
    for late in (linked(2, "more"), linked(3, "hub", hub="other")):
        with pytest.raises(InvalidArgument, match="NAMES_TOO_MANY") as refused:
            eve.record(late)
        assert refused.value.metadata["retriable"] == "false"
    assert eve.export() == before
    # What adds no name is told as before, and so is what somebody else calls it.
    assert eve.record(event(run=4, second=4, inputs=["n3"], outputs=["t"])) == [True]
    assert ada.record(linked(5, "ada's")) == [True]
    assert ada.meaning("ada's") == ada.meaning("n3")


def test_drops_of_linked_names_are_bounded_too(eve: Lineage) -> None:
    eve.record(linked(1, *(f"n{number}" for number in range(NAMES - 1))))
    dropped = [
        event(
            run=number,
            second=number,
            outputs=[dataset(f"n{number}", lifecycleStateChange=lifecycle("DROP"))],
        )
        for number in range(2, 9)
    ]
    assert eve.record(*dropped[:3]) == [True] * 3
    with pytest.raises(InvalidArgument, match="NAMES_TOO_MANY"):
        eve.record(dropped[3])
