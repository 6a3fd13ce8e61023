"""Read `model.conf` with Casbin, check what the candidate index relies on, and compile the matcher once.

Casbin parses and interprets the matcher at every call, which is slow and, on Python 3.11 with threads, wrong
(DESIGN 5.3). The text stays Casbin's; only the evaluation is compiled. The one module that imports casbin.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Container
from typing import Final, NamedTuple, Protocol, cast

ALLOW_OVERRIDE: Final = "some(where (p_eft == allow))"
_REQUEST: Final = ["r_sub", "r_ws", "r_obj", "r_act"]
_ROW: Final = ["p_sub", "p_obj", "p_act"]
_ARGUMENTS: Final = (*_REQUEST, *_ROW)
_FUNCTIONS: Final = ("g", "g2", "g3", "g4", "reachable")
_CONJUNCTS: Final = frozenset({"g(r_sub, p_sub)", "reachable(r_sub, r_ws, r_obj, r_act)"})
_HERE: Final = frozenset({"r_obj == p_obj", "g3(p_act, r_act)"})
_INSIDE: Final = frozenset({"r_obj != p_obj", "g2(r_obj, p_obj)", "g4(p_act, r_act)"})
_NODES: Final = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.Compare, ast.Eq, ast.NotEq, ast.Call,
    ast.Name, ast.Load,
)  # fmt: skip


class PolicyError(ValueError):
    """The policy files do not say what the decision code relies on."""


class Matches(Protocol):
    """The compiled matcher: does this row allow this request?"""

    def __call__(
        self, r_sub: str, r_ws: str | None, r_obj: str, r_act: str, p_sub: str, p_obj: str, p_act: str, /
    ) -> bool:
        """True when the row (p_*) allows the request (r_*)."""
        ...


class Related(Protocol):
    """A role relation: for each name, the names it has; unknown names have none."""

    def __getitem__(self, name: str, /) -> Container[str]:
        """Everything ``name`` is linked to, at any distance."""
        ...


class Relations(NamedTuple):
    """What the matcher consults: the four role relations and the workspace rule."""

    g: Related
    g2: Related
    g3: Related
    g4: Related
    reachable: Callable[[str, str | None, str, str], bool]


class Matcher:
    """The checked matcher of a model; ``bind`` compiles it against one snapshot's relations."""

    def __init__(self, model_text: str) -> None:
        """Parse and check ``model_text``. Raises PolicyError."""
        self.text = _matcher_text(model_text)
        tree = _translate(self.text)
        _check_conjuncts(tree)
        body = ast.unparse(_Inline().visit(tree))
        factory = f"lambda {', '.join(_FUNCTIONS)}: lambda {', '.join(_ARGUMENTS)}: {body}"
        # Every node of the text is on the whitelist, and no name but its arguments can be reached.
        self._factory = eval(compile(factory, "model.conf", "eval"), {"__builtins__": {}})  # noqa: S307

    def bind(self, relations: Relations) -> Matches:
        """The matcher as a function of (r_sub, r_ws, r_obj, r_act, p_sub, p_obj, p_act)."""
        return cast(Matches, self._factory(*relations))


class _Inline(ast.NodeTransformer):
    """Turn ``g(a, b)`` into ``b in g[a]``: a call per conjunct would cost more than all else in the matcher."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        if not isinstance(node.func, ast.Name) or node.func.id == "reachable":
            return node
        name, role = node.args
        links = ast.Subscript(value=node.func, slice=name, ctx=ast.Load())
        return ast.Compare(left=role, ops=[ast.In()], comparators=[links])


def _matcher_text(model_text: str) -> str:
    # Imported here, so that names, kinds and the matrix can be read where only the client is installed.
    from casbin.model import Model

    model = Model()
    model.load_model_from_text(model_text)
    sections = model.model
    for section, tokens in (("r", _REQUEST), ("p", _ROW)):
        found = _assertion(sections, section).tokens
        if found != tokens:
            raise PolicyError(
                f"model.conf: [{section}] is {found}, the decision code is written for {tokens}"
            )
    for extra in ("m2", "e2", "p2", "r2"):
        if extra in sections.get(extra[0], {}):
            raise PolicyError(f"model.conf: a second definition {extra} would never be consulted")
    effect = str(_assertion(sections, "e").value)
    if effect != ALLOW_OVERRIDE:
        raise PolicyError(
            f"model.conf: effect {effect!r}; one accepted row is an allow only under {ALLOW_OVERRIDE!r}"
        )
    return str(_assertion(sections, "m").value)


def _assertion(sections: dict[str, dict[str, _Assertion]], name: str) -> _Assertion:
    if name not in sections or name not in sections[name]:
        raise PolicyError(f"model.conf: the definition {name} is missing")
    return sections[name][name]


class _Assertion(Protocol):
    tokens: list[str]
    value: str


def _translate(text: str) -> ast.Expression:
    python = text.replace("&&", " and ").replace("||", " or ")
    python = re.sub(r"!(?!=)", " not ", python)
    try:
        tree = ast.parse(python.strip(), mode="eval")
    except SyntaxError as error:
        raise PolicyError(f"model.conf: the matcher cannot be read: {error.msg}") from error
    for node in ast.walk(tree):
        if not isinstance(node, _NODES):
            raise PolicyError(f"model.conf: the matcher may not use {type(node).__name__}")
        if isinstance(node, ast.Call):
            _check_call(node)
        if isinstance(node, ast.Name) and node.id not in (*_ARGUMENTS, *_FUNCTIONS):
            raise PolicyError(f"model.conf: the matcher names the unknown {node.id}")
    return tree


def _check_call(node: ast.Call) -> None:
    if not isinstance(node.func, ast.Name) or node.func.id not in _FUNCTIONS or node.keywords:
        raise PolicyError(f"model.conf: the matcher may not call {ast.unparse(node)}")
    wanted = 4 if node.func.id == "reachable" else 2
    if len(node.args) != wanted or not all(isinstance(argument, ast.Name) for argument in node.args):
        raise PolicyError(f"model.conf: {ast.unparse(node)} must name {wanted} fields")


def _check_conjuncts(tree: ast.Expression) -> None:
    """The index proposes rows of the caller's closure, on the object or a container, that confer the act.

    It never proposes too little only while the matcher demands all of that; further conjuncts may only narrow.
    """
    top = _operands(tree.body, ast.And)
    missing = _CONJUNCTS - {ast.unparse(operand) for operand in top}
    if missing:
        raise PolicyError(f"model.conf: the matcher does not demand {' and '.join(sorted(missing))}")
    for operand in top:
        branches = [
            frozenset(ast.unparse(part) for part in _operands(branch, ast.And))
            for branch in _operands(operand, ast.Or)
        ]
        if len(branches) == 2 and branches[0] >= _HERE and branches[1] >= _INSIDE:
            return
    raise PolicyError("model.conf: the matcher does not tell what is held here from what is conferred inside")


def _operands(node: ast.expr, operator: type[ast.boolop]) -> list[ast.expr]:
    if isinstance(node, ast.BoolOp) and isinstance(node.op, operator):
        return [leaf for value in node.values for leaf in _operands(value, operator)]
    return [node]
