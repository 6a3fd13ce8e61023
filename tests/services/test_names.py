"""Names: one key for every spelling, limits in bytes, and characters that could fool a reader or a parser."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pytest

from lakewarden import Client
from services.errors import fails

Fresh = Callable[[str], str]
SAME = {
    "case": ("Sales", "sALES"),
    "sharp s": ("straße", "STRASSE"),
    "kelvin sign": ("kilo", "\u212ailo"),
    "composed": (unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")),
    "full width": ("abc", "\uff41\uff42\uff43"),
    "ligature": ("office", "o\ufb03ce"),
}
FORBIDDEN = {
    "dot": "a.b",
    "slash": "a/b",
    "backslash": "a\\b",
    "star": "a*",
    "question": "a?",
    "percent": "a%20",
    "dollar": "a$",
    "quote": "a'b",
    "double quote": 'a"b',
    "backtick": "a`b",
    "space": "a b",
    "tab": "a\tb",
    "newline": "a\nb",
    "escape": "a\x1bb",
    "zero width space": "a\u200bb",
    "joiner": "a\u200db",
    "right to left": "a\u202eb",
    "no-break space": "a\u00a0b",
    "full-width dot": "a\uff0eb",
    "empty": "",
}


@pytest.mark.parametrize("pair", SAME)
def test_spellings_of_one_name_are_one_name(admin: Client, fresh: Fresh, pair: str) -> None:
    stem = fresh("n")
    first, second = (f"{stem}_{name}" for name in SAME[pair])
    made = admin.catalogs.create(first)
    assert admin.catalogs.get(second).id == made.id
    assert made.name == unicodedata.normalize("NFC", first)
    with fails("NAME_TAKEN", "ALREADY_EXISTS"):
        admin.catalogs.create(second)


@pytest.mark.parametrize("length", [1, 255])
def test_name_of_up_to_255_bytes_is_kept(admin: Client, length: int) -> None:
    assert admin.catalogs.create("z" * length).name == "z" * length


@pytest.mark.parametrize("name", ["y" * 256, "é" * 128])
def test_longer_name_is_refused(admin: Client, name: str) -> None:
    with fails("NAME_INVALID", "INVALID_ARGUMENT", saying="255 bytes"):
        admin.catalogs.create(name)


@pytest.mark.parametrize("kind", FORBIDDEN)
def test_forbidden_character_is_refused_on_create_and_rename(admin: Client, fresh: Fresh, kind: str) -> None:
    with fails("NAME_INVALID", "INVALID_ARGUMENT"):
        admin.catalogs.create(FORBIDDEN[kind])
    name = fresh("n")
    admin.catalogs.create(name)
    with fails("NAME_INVALID", "INVALID_ARGUMENT"):
        admin.catalogs.rename(name, FORBIDDEN[kind])
    assert admin.catalogs.get(name).name == name


def test_reserved_names_are_refused(admin: Client, fresh: Fresh) -> None:
    for name in ("system", "SYSTEM", "\uff53ystem"):
        with fails("NAME_INVALID", "INVALID_ARGUMENT", saying="reserved"):
            admin.catalogs.create(name)
    catalog = fresh("n")
    admin.catalogs.create(catalog)
    with fails("NAME_INVALID", "INVALID_ARGUMENT", saying="reserved"):
        admin.schemas.create(f"{catalog}.Information_Schema")


@pytest.mark.parametrize(
    "name", ["x", "x@", "@x", "a@b@c", "a b@c.io", "a`@c.io", "a\n@c.io", "é" * 130 + "@c.io", ""]
)
def test_what_is_no_email_names_no_user(admin: Client, name: str) -> None:
    with fails("NAME_INVALID", "INVALID_ARGUMENT"):
        admin.users.create(name)


@pytest.mark.parametrize(
    "name",
    [
        "a@b",
        " a",
        "a ",
        "account users",
        "ACCOUNT USERS",
        "0" * 8 + "-0000" * 3 + "-" + "0" * 12,
        "a\u200bb",
        "",
    ],
)
def test_what_could_be_taken_for_another_principal_names_no_group(admin: Client, name: str) -> None:
    with fails("NAME_INVALID", "INVALID_ARGUMENT"):
        admin.groups.create(name)


def test_principals_share_one_namespace_in_any_case(admin: Client, fresh: Fresh) -> None:
    name = f"{fresh('Ada')}@example.com"
    admin.users.create(name)
    with fails("NAME_TAKEN", "ALREADY_EXISTS"):
        admin.users.create(name.upper())
    assert admin.users.get(name.lower()).name == name


def test_long_foreign_name_still_gets_its_error(admin: Client) -> None:
    """The status travels in trailers of limited size: a long name in it must not turn the code into another."""
    for name in ("漢" * 20_000, "x" * 100_000, "\U0001f600" * 5_000):
        with fails("OBJECT_NOT_FOUND", "NOT_FOUND"):
            admin.groups.get(name)
