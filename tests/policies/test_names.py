"""Names: what may be stored, and which names are the same name."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakewarden_policy import (
    InvalidName,
    display_name,
    name_key,
    split_full_name,
    validate_application_id,
    validate_email,
    validate_group_name,
    validate_name,
)


@pytest.mark.parametrize(
    "name", ["orders", "Orders_2026-x", "größe", "日本語", "a" * 255, "q&a", "e\u0301tude"]
)
def test_good_name_is_displayed_as_nfc(name: str) -> None:
    assert validate_name(name) == unicodedata.normalize("NFC", name)


@pytest.mark.parametrize(
    "name",
    ["", "a" * 256, "é" * 128, "a b", "a.b", "a/b", "a\\b", "a*b", "a?b", "a%b", "a$b", "a'b", 'a"b', "a`b", "a\tb", "a\x00b",
     "a\u200bb", "a\u202eb", "a\u00a0b", "a\u3000b", "a\ufeffb", "a\u3164b", "a\ufe0fb", "a\ufe52b", "a\uff0eb", "a\uff0fb",
     "a\ud800b", "\ue000", "a\u2024b", "system", "SYSTEM", "ｓｙｓｔｅｍ", "Information_Schema"],
)  # fmt: skip
def test_bad_name_is_refused_with_what_to_do(name: str) -> None:
    with pytest.raises(InvalidName, match=r"(Give|Choose|Leave|Remove|Write) .*\."):
        validate_name(name)


def test_reserved_names_are_reserved_where_they_mean_something() -> None:
    assert validate_name("system", "TABLE") == "system"
    for name, kind in (("system", "CATALOG"), ("information_schema", "SCHEMA")):
        with pytest.raises(InvalidName, match="reserved"):
            validate_name(name, kind)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Orders", "ORDERS"), ("straße", "STRASSE"), ("ﬁle", "FILE"), ("é", "e\u0301"), ("K", "k")],
)
def test_names_that_look_alike_have_one_key(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


@given(st.text(max_size=30))
def test_key_is_a_fixed_point_and_the_same_for_the_displayed_name(name: str) -> None:
    assert name_key(name_key(name)) == name_key(name)
    assert name_key(display_name(name)) == name_key(name)


@pytest.mark.parametrize(("kind", "name"), [
    ("TABLE", "a.b"), ("TABLE", "a.b.c.d"), ("TABLE", "a..c"), ("SCHEMA", "a"), ("CATALOG", ""), ("TABLE", ""),
])  # fmt: skip
def test_full_name_with_the_wrong_number_of_parts_is_refused(kind: str, name: str) -> None:
    with pytest.raises(InvalidName, match="is not the full name"):
        split_full_name(kind, name)


def test_full_name_splits_by_kind() -> None:
    assert split_full_name("TABLE", "a.b.c") == ("a", "b", "c")
    assert split_full_name("USER", "a.b@x.io") == ("a.b@x.io",)


@pytest.mark.parametrize(
    "email", ["", "bob", "@x.io", "bob@", "a@b@c", "a b@x.io", "bob`@x.io", "bob@x\u200b.io", "a＠b@x.io"]
)
def test_bad_email_is_refused(email: str) -> None:
    with pytest.raises(InvalidName):
        validate_email(email)


def test_group_name_may_have_spaces_but_not_look_like_another_principal() -> None:
    assert validate_group_name("data engineers") == "data engineers"
    for name in (
        "a@b",
        "a＠b",
        "6f9619ff-8b86-4011-b42d-00c04fc964ff",
        " a",
        "a ",
        "",
        "Account Users",
        "a`b",
        "a\u200bb",
    ):
        with pytest.raises(InvalidName):
            validate_group_name(name)


def test_application_id_is_a_uuid_in_lower_case() -> None:
    assert (
        validate_application_id("6F9619FF-8b86-4011-b42d-00c04fc964ff")
        == "6f9619ff-8b86-4011-b42d-00c04fc964ff"
    )
    with pytest.raises(InvalidName):
        validate_application_id("robot")


@pytest.mark.parametrize(
    "name",
    ["аdmin", "admіn", "dаta team", "αdmin", "сосо", "оса", "ѕсоре", "Ѕеѕѕіоп", "ɑdmin", "ɡroup", "team ѡa", "ΑΒΕ",
     "ａｄｍｉｎа", "µusers"],
)  # fmt: skip
def test_principals_name_that_looks_like_another_is_refused(name: str) -> None:
    """Mixed scripts, and whole words of another script that are drawn as Latin ones."""
    with pytest.raises(InvalidName, match=r"(Latin letters|one script)"):
        validate_group_name(name)
    with pytest.raises(InvalidName, match=r"(Latin letters|one script)"):
        validate_email(f"{name.replace(' ', '.')}@example.com")
    with pytest.raises(InvalidName, match=r"(Latin letters|one script)"):
        validate_email(f"ada@{name.replace(' ', '.')}.com")


@pytest.mark.parametrize(
    "name",
    ["admin", "größe", "команда data", "аналитики", "с доступом", "データ 分析 team", "팀 data", "ομάδα", "İstanbul", "ışık",
     "équipe d’été", "新しいグループ", "ฝ่ายขาย", "data-команда", "ŋgɔ", "team 1", "Ærø"],
)  # fmt: skip
def test_honest_names_of_any_script_are_taken(name: str) -> None:
    assert validate_group_name(name)
    assert validate_email(f"{name.replace(' ', '.').replace('’', '')}@example.com")


def test_control_the_disguised_name_would_have_another_key() -> None:
    assert name_key("аdmin") != name_key("admin")
