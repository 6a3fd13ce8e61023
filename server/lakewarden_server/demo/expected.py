"""What must come out: written by hand from what each query reads and who was granted what, never computed from grants."""

from __future__ import annotations

from typing import Final

ANALYST: Final = "ann@example.com"
SUPPLY_CHAIN: Final = "sam@example.com"
AUDITOR: Final = "ada@example.com"
PEOPLE: Final = (ANALYST, SUPPLY_CHAIN, AUDITOR)

CUSTOMERS, CUSTOMERS_SHOWN = 1500, 337
"""How many customers there are, and how many of them are in the one segment that the analyst is shown."""
PHONE, PHONE_SHOWN = "10-109-430-5638", "xx-xxx-1001"
"""The first of their phone numbers: as it is, and as the analyst is shown it."""

ALLOW: Final = "allowed"
DENY: Final = "denied"

EXPECTED: Final[dict[int, tuple[str, str, str]]] = {
    # Query: the analyst, the supply chain, the auditor; the tables it reads (* not the analyst's, + not the supply chain's).
    1: (ALLOW, ALLOW, ALLOW),  # lineitem
    2: (DENY, ALLOW, ALLOW),  # part* partsupp* supplier* nation region
    3: (ALLOW, DENY, ALLOW),  # customer+ orders+ lineitem
    4: (ALLOW, DENY, ALLOW),  # orders+ lineitem
    5: (DENY, DENY, ALLOW),  # customer+ orders+ lineitem supplier* nation region
    6: (ALLOW, ALLOW, ALLOW),  # lineitem
    7: (DENY, DENY, ALLOW),  # supplier* lineitem orders+ customer+ nation
    8: (DENY, DENY, ALLOW),  # part* supplier* lineitem orders+ customer+ nation region
    9: (DENY, DENY, ALLOW),  # part* supplier* lineitem partsupp* orders+ nation
    10: (ALLOW, DENY, ALLOW),  # customer+ orders+ lineitem nation
    11: (DENY, ALLOW, ALLOW),  # partsupp* supplier* nation
    12: (ALLOW, DENY, ALLOW),  # orders+ lineitem
    13: (ALLOW, DENY, ALLOW),  # customer+ orders+
    14: (DENY, ALLOW, ALLOW),  # lineitem part*
    15: (DENY, ALLOW, ALLOW),  # supplier* lineitem
    16: (DENY, ALLOW, ALLOW),  # partsupp* part* supplier*
    17: (DENY, ALLOW, ALLOW),  # lineitem part*
    18: (ALLOW, DENY, ALLOW),  # customer+ orders+ lineitem
    19: (DENY, ALLOW, ALLOW),  # lineitem part*
    20: (DENY, ALLOW, ALLOW),  # supplier* nation partsupp* part* lineitem
    21: (DENY, DENY, ALLOW),  # supplier* lineitem orders+ nation
    22: (ALLOW, DENY, ALLOW),  # customer+ orders+
}


def differences(outcomes: dict[tuple[int, str], str]) -> list[str]:
    """One line for each of the 66 outcomes that is not the expected one; `outcomes` by query and person."""
    lines = []
    for query, row in EXPECTED.items():
        for person, wanted in zip(PEOPLE, row, strict=True):
            found = outcomes.get((query, person), "not run")
            if found != wanted:
                lines.append(f"q{query:02d} as {person}: expected {wanted}, got {found}")
    unknown = outcomes.keys() - {(query, person) for query in EXPECTED for person in PEOPLE}
    return lines + [f"q{query:02d} as {person}: not expected at all" for query, person in sorted(unknown)]
