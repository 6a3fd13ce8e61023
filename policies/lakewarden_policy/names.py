"""Names of securables and principals: what is allowed, what is displayed, and the key under which a name is unique.

The server calls these before it stores a name, the snapshot when it looks one up.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from lakewarden_policy.kinds import ACCOUNT_USERS_NAME, KINDS
from lakewarden_policy.scripts import disguised_letter, looks_latin, mixed_word

NAME_BYTES_MAX: Final = 255

_FORBIDDEN: Final = frozenset("./\\*?%$'\"`")
# Control, format (bidi and zero-width), surrogate, private and unassigned code points, and every kind of space.
_FORBIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"})
# Letters and marks that draw nothing: two names that look alike must not be two names.
_INVISIBLE: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | frozenset(
    map(chr, (*range(0x180B, 0x1810), *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))
)
_RESERVED: Final = {"CATALOG": frozenset({"system"}), "SCHEMA": frozenset({"information_schema"})}
_ALL_RESERVED: Final = frozenset().union(*_RESERVED.values())
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_KEY_ROUNDS_MAX: Final = 4


class InvalidName(ValueError):
    """A name that may not be stored or looked up; the message says what is wrong and what to do."""


def name_key(name: str) -> str:
    """The key under which a name is unique: NFKC and casefold, repeated until nothing changes (DESIGN 2)."""
    if name.isascii():
        return name.lower()
    key = name
    # One round is not enough for every code point: casefolding may leave text that normalizes further.
    for _ in range(_KEY_ROUNDS_MAX):
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", key).casefold())
        if folded == key:
            break
        key = folded
    return key


def display_name(name: str) -> str:
    """The name as it is stored and shown: NFC."""
    return unicodedata.normalize("NFC", name)


def validate_name(name: str, kind: str | None = None) -> str:
    """Check the name of a securable and return it as displayed.

    ``kind`` narrows the reserved names to those of that kind; without it all of them are refused. Raises InvalidName.
    """
    _check_length(name, what="A name")
    key = name_key(name)
    # The key is checked too: a full-width dot is harmless to the eye and a plain dot to everything that splits names.
    for character in (*name, *key):
        _check_character(character, name, spaces=False)
    reserved = _ALL_RESERVED if kind is None else _RESERVED.get(kind, frozenset())
    if key in reserved:
        raise InvalidName(f"The name {name!r} is reserved for the system. Choose another name.")
    return display_name(name)


def split_full_name(kind: str, full_name: str) -> tuple[str, ...]:
    """Split a dotted full name into the parts an object of ``kind`` has. Raises InvalidName."""
    wanted = KINDS[kind].name_parts
    parts = tuple(full_name.split(".")) if wanted > 1 else (full_name,)
    if len(parts) != wanted or "" in parts:
        shape = ".".join(("catalog", "schema", "table")[:wanted]) if wanted > 1 else "one part"
        raise InvalidName(
            f"{full_name!r} is not the full name of a {KINDS[kind].label}. Write it as {shape}."
        )
    return parts


def principal_key(name: str) -> str:
    """The key of a principal's name; emails, group names and application ids share one namespace."""
    return name_key(name)


def email_key(email: str) -> str:
    """The key of a user's email."""
    return principal_key(email)


def validate_email(email: str) -> str:
    """Check a user's email and return it as displayed. Raises InvalidName."""
    _check_length(email, what="An email")
    local, at, domain = email.partition("@")
    if not (local and at and domain) or "@" in domain:
        raise InvalidName(f"{email!r} is not an email. Write it as name@domain.")
    for character in (*email, *name_key(email)):
        if character in "`'\"\\":
            raise InvalidName(f"The email {email!r} holds {character!r}. Leave quotes and backslashes out.")
        if character not in "./*?%$":
            _check_character(character, email, spaces=False)
    if name_key(email).count("@") != 1:
        raise InvalidName(
            f"{email!r} is not an email: it holds a second at sign in disguise. Write it as name@domain."
        )
    # The two sides are two names: a Cyrillic one at a Latin domain is no disguise.
    for side in name_key(email).split("@"):
        _check_scripts(side, email)
    return display_name(email)


def validate_group_name(name: str) -> str:
    """Check a group's name and return it as displayed: spaces allowed, nothing an email or id could be taken for."""
    _check_length(name, what="A group name")
    key = name_key(name)
    if name != name.strip():
        raise InvalidName(f"The group name {name!r} begins or ends with a space. Remove it.")
    for character in (*name, *key):
        _check_character(character, name, spaces=True)
    if "@" in key:
        raise InvalidName(
            f"The group name {name!r} holds an @, which marks a user's email. Choose a name without it."
        )
    if _UUID.fullmatch(key):
        raise InvalidName(f"The group name {name!r} looks like an application id. Choose another name.")
    if " ".join(key.split()) == ACCOUNT_USERS_NAME:
        raise InvalidName(f"The group name {name!r} is reserved for the system. Choose another name.")
    _check_scripts(key, name)
    return display_name(name)


def validate_application_id(application_id: str) -> str:
    """Check a service principal's application id, a UUID, and return it in lower case. Raises InvalidName."""
    if not _UUID.fullmatch(application_id):
        raise InvalidName(
            f"{application_id!r} is not an application id. Give a UUID or let the server choose one."
        )
    return application_id.lower()


def _check_length(name: str, *, what: str) -> None:
    if not name:
        raise InvalidName(f"{what} is empty. Give it at least one character.")
    # A lone surrogate cannot be encoded; the check of characters reports it.
    if len(display_name(name).encode("utf-8", "surrogatepass")) > NAME_BYTES_MAX:
        raise InvalidName(
            f"{what} of more than {NAME_BYTES_MAX} bytes: {name[:40]!r}... Choose a shorter one."
        )


def _check_scripts(key: str, name: str) -> None:
    """Refuse what could be taken for another principal's name: mixed scripts, and other letters drawn as Latin ones (UTS #39)."""
    if key.isascii():
        return
    mixed, disguised = mixed_word(key), disguised_letter(key)
    if mixed is not None:
        raise InvalidName(
            f"The name {name!r} mixes scripts that look alike within {mixed!r}. Write each word in one script."
        )
    if disguised is not None or looks_latin(key):
        raise InvalidName(
            f"The name {name!r} looks like one in Latin letters and is none. Write it in Latin letters, or choose another."
        )


def _check_character(character: str, name: str, *, spaces: bool) -> None:
    if spaces and character == " ":
        return
    if character in _FORBIDDEN:
        raise InvalidName(f"The name {name!r} holds {character!r}, which names may not hold. Leave it out.")
    if character in _INVISIBLE or unicodedata.category(character) in _FORBIDDEN_CATEGORIES:
        shown = f"U+{ord(character):04X}"
        raise InvalidName(
            f"The name {name!r} holds {shown}, a space or an invisible character. Leave it out."
        )
