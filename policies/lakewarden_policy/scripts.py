"""Which scripts a name is written in: names of principals that can be taken for another one are refused (UTS #39, section 5).

`names.py` asks for emails and group names. Python knows no Script property; the first word of a letter's Unicode name is it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

# UTS #39, "moderately restrictive": scripts that are written together, beside any one script with Latin.
_TOGETHER: Final = (
    frozenset({"LATIN", "HIRAGANA", "KATAKANA", "CJK"}),
    frozenset({"LATIN", "HANGUL", "CJK"}),
    frozenset({"LATIN", "BOPOMOFO", "CJK"}),
)
# Never with Latin: half their letters look like Latin ones.
_LIKE_LATIN: Final = frozenset({"CYRILLIC", "GREEK", "CHEROKEE", "COPTIC", "ARMENIAN"})
# Marks, digits and signs of all scripts; a Katakana sound mark is drawn in Hiragana too.
_NEUTRAL: Final = frozenset({"COMBINING", "KATAKANA-HIRAGANA", "MODIFIER", "MIDDLE", "IDEOGRAPHIC"})
_WORDS: Final = re.compile(r"[^\s@._+/*?%$&#!=~^|{}-]+")
# Folded letters of other scripts that are drawn as Latin ones (UTS #39, confusables.txt).
_DRAWN_AS_LATIN: Final = frozenset("авеіјѕорсухһԁԛԝӏґкмнтпиьѵүҽѡѐёїӓӧӱғӊҫαβγενικορτυχωηόάίύήώϲϳʋօսոհցզքեԱԼՏ")
# Latin letters of phonetics that are drawn as plain ones; no language writes with them.
_DRAWN_AS_PLAIN: Final = frozenset("ɑɡɩɪʏʟʀɢʜɴʙ") | frozenset(map(chr, range(0x1D00, 0x1D2C)))


def disguised_letter(key: str) -> str | None:
    """The first letter that only phonetics uses and that is drawn as a plain one; None where there is none."""
    return next((letter for letter in key if letter in _DRAWN_AS_PLAIN), None)


def mixed_word(name: str) -> str | None:
    """The first word of a name that is written in scripts nobody writes one word in; None where there is none."""
    for word in _WORDS.findall(name):
        scripts = set(_scripts(word))
        foreign = scripts - {"LATIN"}
        if len(scripts) < 2 or any(scripts <= together for together in _TOGETHER):
            continue
        if len(foreign) > 1 or not foreign.isdisjoint(_LIKE_LATIN):
            return str(word)
    return None


def looks_latin(key: str) -> bool:
    """Whether a folded name that is not in Latin script could be read as one that is: every letter of it is drawn so."""
    foreign = [letter for letter in key if letter.isalpha() and _script(letter) != "LATIN"]
    return bool(foreign) and all(letter in _DRAWN_AS_LATIN for letter in foreign)


def _scripts(word: str) -> Iterator[str]:
    for character in word:
        if unicodedata.category(character)[0] == "L":
            script = _script(character)
            if script not in _NEUTRAL:
                yield script


def _script(letter: str) -> str:
    return unicodedata.name(letter, "").partition(" ")[0]
