"""Which names mean one dataset, from when to when."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from lakewarden_server.lineage.identities import BEGINNING, FOREVER, Asset, LinkSpan, assets
from lakewarden_server.lineage.names import AssetName, dataset_name, securable_name
from lakewarden_server.lineage.statements import Ending

PATH, OLD_PATH, TABLE, OLD_TABLE = (
    dataset_name("n", name) for name in ("path", "old path", "table", "old table")
)
ONE, TWO = securable_name("1"), securable_name("2")


def link(one: AssetName, other: AssetName, first: int, last: int | None = None) -> LinkSpan:
    return LinkSpan(min(one, other), max(one, other), first, first if last is None else last)


def meaning(found: list[Asset], name: AssetName, time: int) -> Asset:
    """The one asset a name means at a time."""
    (asset,) = [
        asset
        for asset in found
        if any(alias.name == name and alias.after < time <= alias.until for alias in asset.aliases)
    ]
    return asset


def test_a_name_means_one_asset_for_ever():
    (asset,) = assets([PATH], [], [])
    assert asset == Asset(((PATH, BEGINNING, FOREVER),), FOREVER, None)


def test_a_link_that_comes_late_unites_what_was_before_it():
    (asset,) = assets([PATH, TABLE], [link(PATH, TABLE, 100)], [])
    assert {alias.name for alias in asset.aliases} == {PATH, TABLE}


def test_a_drop_ends_the_asset_under_all_its_names():
    found = assets([PATH, TABLE], [link(PATH, TABLE, 1, 9)], [Ending(PATH, 5, None)])
    before, after = meaning(found, TABLE, 5), meaning(found, TABLE, 6)
    assert (before.end_time, after.end_time) == (5, FOREVER)
    assert meaning(found, PATH, 5) == before
    assert meaning(found, PATH, 6) == after


def test_a_link_of_one_incarnation_is_not_one_of_the_next():
    found = assets([PATH, TABLE], [link(PATH, TABLE, 1, 4)], [Ending(TABLE, 5, None)])
    assert meaning(found, PATH, 4) == meaning(found, TABLE, 4)
    assert meaning(found, PATH, 6) != meaning(found, TABLE, 6)


def test_a_rename_takes_the_asset_along_under_all_its_new_names():
    found = assets(
        [PATH, OLD_PATH, TABLE, OLD_TABLE],
        [link(OLD_PATH, OLD_TABLE, 1), link(PATH, TABLE, 4, 5)],
        [Ending(OLD_PATH, 5, PATH)],
    )
    renamed = meaning(found, OLD_TABLE, 5)
    assert meaning(found, PATH, 6) == meaning(found, TABLE, 6) == renamed
    assert meaning(found, OLD_PATH, 6) != renamed
    assert meaning(found, OLD_TABLE, 6) != renamed
    assert renamed.end_time == FOREVER


def test_a_new_name_in_the_old_place_renames_the_name_alone():
    found = assets(
        [PATH, TABLE, OLD_TABLE],
        [link(PATH, OLD_TABLE, 1, 4), link(PATH, TABLE, 5, 9)],
        [Ending(OLD_TABLE, 5, TABLE)],
    )
    assert meaning(found, PATH, 1) == meaning(found, PATH, 9) == meaning(found, TABLE, 9)
    assert meaning(found, OLD_TABLE, 9) != meaning(found, PATH, 9)


def test_a_securable_outlives_its_names_and_what_engines_say_of_them():
    found = assets(
        [PATH, TABLE, ONE], [link(PATH, ONE, 1, 9), link(TABLE, ONE, 1, 9)], [Ending(TABLE, 5, None)]
    )
    assert meaning(found, TABLE, 9) == meaning(found, ONE, 9) == meaning(found, PATH, 1)
    assert meaning(found, ONE, 9).securable_id == "1"


def test_a_name_that_another_securable_took_over_means_it_from_then_on():
    found = assets([TABLE, ONE, TWO], [link(TABLE, ONE, 1, 4), link(TABLE, TWO, 8, 9)], [])
    assert [meaning(found, TABLE, time).securable_id for time in (0, 4, 7, 8, 9)] == ["1", "1", "1", "2", "2"]


def test_two_securables_are_never_united():
    found = assets(
        [PATH, TABLE, ONE, TWO], [link(PATH, ONE, 1, 9), link(TABLE, TWO, 1, 9), link(PATH, TABLE, 1, 9)], []
    )
    assert meaning(found, PATH, 5).securable_id == "1"
    assert meaning(found, TABLE, 5).securable_id == "2"


NAMES = [PATH, OLD_PATH, TABLE, OLD_TABLE]
LINKS = st.builds(
    LinkSpan._replace,
    st.builds(
        link, st.sampled_from(NAMES), st.sampled_from([*NAMES, ONE, TWO]), st.integers(0, 9), st.none()
    ),
    binds=st.booleans(),
).filter(lambda found: found.one != found.other)
ENDINGS = st.builds(
    Ending, st.sampled_from(NAMES), st.integers(1, 9), st.one_of(st.none(), st.sampled_from(NAMES))
).filter(lambda ending: ending.name != ending.renamed_to)


@settings(max_examples=300, deadline=None)
@given(st.lists(LINKS, max_size=6), st.lists(ENDINGS, max_size=5), st.randoms())
def test_every_name_means_exactly_one_asset_at_every_time_in_whatever_order_it_is_told(
    links, endings, shuffle
):
    everything = [*NAMES, ONE, TWO]
    found = assets(everything, links, endings)
    for name in everything:
        for time in range(11):
            meaning(found, name, time)
    securables = [asset.securable_id for asset in found if asset.securable_id]
    assert sorted(securables) == ["1", "2"]
    for told in (everything, links, endings):
        shuffle.shuffle(told)
    assert assets(everything, links, endings) == found


def test_a_long_history_is_gone_through_once():
    endings = [Ending(PATH, time, None) for time in range(1, 300)]
    assert len(assets([PATH, TABLE], [link(PATH, TABLE, 1, 300)], endings)) == 300


def test_what_a_link_that_does_not_bind_unites_is_no_securables():
    loose = link(PATH, OLD_PATH, 1, 9)._replace(binds=False)
    found = assets([PATH, OLD_PATH, ONE], [link(PATH, ONE, 1, 9), loose], [])
    assert (meaning(found, PATH, 5).securable_id, meaning(found, OLD_PATH, 5).securable_id) == ("1", None)
    # Neither where it was said alone at first: the drop parts the times.
    links = [loose._replace(last_time=2), link(PATH, TABLE, 6, 9), link(TABLE, ONE, 1, 9)]
    names = [PATH, OLD_PATH, TABLE, OLD_TABLE, ONE]
    found = assets(names, links, [Ending(OLD_TABLE, 4, None)])
    assert (meaning(found, TABLE, 9).securable_id, meaning(found, OLD_PATH, 9).securable_id) == ("1", None)
