"""What a governed DuckDB connection asks, what it expects to hear, and the two ways it says no."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

Privilege = Literal["SELECT", "MODIFY", "CREATE_TABLE", "EXECUTE", "READ_VOLUME", "WRITE_VOLUME"]
SecurableType = Literal["TABLE", "VIEW", "SCHEMA", "FUNCTION", "VOLUME"]
CAPABILITIES = ("ROW_FILTER", "COLUMN_MASK", "VIEW_EXPANSION", "FUNCTION_EXPANSION")
"""What a governed connection applies by itself."""


class Access(NamedTuple):
    """One thing a statement does: a privilege used on a dotted full name."""

    full_name: str
    privilege: Privilege
    securable_type: SecurableType


class Denial(Protocol):
    """One access that was not allowed, why, and the grant that would allow it."""

    @property
    def full_name(self) -> str:
        """Dotted name of the securable."""

    @property
    def privilege(self) -> str:
        """The privilege that is missing."""

    @property
    def reason(self) -> str:
        """Why it was denied."""

    @property
    def fix(self) -> str:
        """What to ask for; empty when the caller may not be told."""


class Relation(Protocol):
    """A view, or something a view reads, as it must be read."""

    @property
    def kind(self) -> str:
        """`VIEW`, or the kind of something that holds rows."""

    @property
    def definition(self) -> str:
        """Of a view: the SELECT to put in its place, every name in full."""

    @property
    def dialect(self) -> str:
        """The SQL dialect of the definition, as sqlglot names it."""

    @property
    def columns(self) -> Sequence[str]:
        """Of a view: the names of its columns; empty when they are those of the SELECT."""

    @property
    def row_filter(self) -> str:
        """SQL condition of the rows that are shown; empty for all."""

    @property
    def column_masks(self) -> Mapping[str, str]:
        """Column -> SQL expression that is shown in its place."""


class Function(Protocol):
    """A function of Lakewarden, as a call of it must be computed."""

    @property
    def parameters(self) -> Sequence[str]:
        """Names of its parameters in order."""

    @property
    def definition(self) -> str:
        """DuckDB SQL expression over its parameters."""


class PlanAnswer(Protocol):
    """The answer for all accesses of one statement, decided at one revision.

    It may also have `row_filters` (full name -> SQL condition), `column_masks` (full name -> column -> SQL expression),
    `relations` (full name -> Relation, of each view and all that it reads) and `functions` (full name -> Function, of each that is
    called). Whatever of it is not understood is a denial.
    """

    @property
    def allowed(self) -> bool:
        """True only when every access is allowed."""

    @property
    def denials(self) -> Sequence[Denial]:
        """Every access that is not."""

    @property
    def revision(self) -> object:
        """The policy revision the answer was decided at."""


class PlanAuthorizer(Protocol):
    """The one call a governed connection makes; `lakewarden.Client` has it."""

    def authorize_plan(
        self, accesses: Sequence[Access], *, subject: str | None = None, capabilities: Sequence[str] = ()
    ) -> PlanAnswer:
        """Decide all accesses for `subject`, or for the client's own principal when it is None.

        `capabilities` names what the connection applies by itself, see CAPABILITIES.
        """


class GovernanceError(PermissionError):
    """A statement was not run. Base of the two reasons why."""


class StatementRefused(GovernanceError):
    """The statement is of a kind, or uses something, that the guard does not run for anybody."""


class AccessDenied(GovernanceError):
    """The statement is fine; the subject may not do what it does. `denials` lists every missing access."""

    def __init__(self, message: str, *, denials: Sequence[Denial] = ()) -> None:
        super().__init__(message)
        self.denials = tuple(denials)


def denial_message(subject: str | None, denials: Sequence[Denial]) -> str:
    """One line for each denied access: what, on which, why, and what to do."""
    lines = "\n".join(_denial_line(denial) for denial in denials)
    return f"access denied for {subject or 'the connected principal'}:\n{lines}"


def _denial_line(denial: Denial) -> str:
    # The server's reason is a whole sentence that names the access and the fix; another authorizer's may be two words.
    tells_what = " denied on " in denial.reason and denial.full_name in denial.reason
    what = "" if tells_what else f"{denial.privilege} denied on {denial.full_name}: "
    fix = f" Fix: {denial.fix}" if denial.fix and denial.fix not in denial.reason else ""
    return f"{what}{denial.reason}{fix}"
