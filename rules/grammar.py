"""The grammar of expressions: text to raw syntax, every part with the column it stands at.

    loose    = or ["where" or]                           binds loosest
    or       = and {"or" and}          and = not {"and" not}          not = "not" not | compare
    compare  = sum {("<" | "<=" | "==" | "!=" | ">=" | ">") sum} | sum ["not"] "in" "(" sum, … ")"
    sum      = product {("+" | "-") product}             product = minus {("*" | "/") minus}
    minus    = "-" minus | atom
    atom     = NUMBER [UNIT] | QUOTED | NAME | call | "(" loose ")"
    call     = NAME "(" [loose {("," | WORD) loose}] ")"

Words such as `over` mean something only where an operator is expected, so they may be names, too.
A hand-written parser: it names what is missing at its column, and takes a tenth of the time of a
generated one. Columns count characters from 0.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from rules.errors import Invalid
from rules.tokens import CLAUSES, Token, tokens

MAX_NESTING = 32        # parentheses, calls, signs: keeps every walk far from the stack's end
MAX_ARITHMETIC = 64     # + - * / in one expression, for the same reason

_RESERVED = frozenset(["and", "or", "not", "in", "where"])
_COMPARE = frozenset(["<", "<=", "==", "!=", ">=", ">"])

_EXPONENT = re.compile(r"[eE][+-]?0*(?P<digits>[0-9]+)$")
_MAX_EXPONENT = 300


@dataclass(slots=True)
class Number:
    """A literal; `unit` is a known one, or empty."""

    at: int
    value: Fraction
    unit: str


@dataclass(slots=True)
class Quoted:
    """A text in quotes."""

    at: int
    text: str


@dataclass(slots=True)
class Name:
    """A bare word, possibly dotted."""

    at: int
    name: str


@dataclass(slots=True)
class Unary:
    """`-x` or `not c`."""

    at: int
    op: str
    operand: Node


@dataclass(slots=True)
class Binary:
    """Arithmetic, or `where`."""

    at: int
    op: str
    left: Node
    right: Node


@dataclass(slots=True)
class Logic:
    """`and` or `or` of two or more."""

    at: int
    op: str
    items: list[Node]


@dataclass(slots=True)
class Compare:
    """Comparisons in a row; `ops` are operators and their columns."""

    at: int
    items: list[Node]
    ops: list[tuple[str, int]]


@dataclass(slots=True)
class Member:
    """`x in (a, b)` or `x not in (a, b)`."""

    at: int
    left: Node
    items: list[Node]
    negated: bool


@dataclass(slots=True)
class Call:
    """A function; each item with the word or comma before it (none before the first)."""

    at: int
    name: str
    items: list[tuple[str, Node]]


Node = Number | Quoted | Name | Unary | Binary | Logic | Compare | Member | Call


@lru_cache(maxsize=4096)
def _number(text: str) -> Fraction | None:
    """The exact value of a literal; None beyond what is sensible."""
    exponent = _EXPONENT.search(text)
    if exponent is not None and (
        len(exponent["digits"]) > 3 or int(exponent["digits"]) > _MAX_EXPONENT
    ):
        return None
    return Fraction(text)


def parse(text: str) -> Node:
    """The raw syntax of an expression. Raises Invalid with the column."""
    return _Parser(tokens(text)).whole()


class _Parser:
    """Recursive descent over tokens, with the current one at hand."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.index = 0
        self.depth = 0
        self.arithmetic = 0
        self.kind, self.text, self.at, self.unit = tokens[0]

    def advance(self) -> None:
        self.index += 1
        self.kind, self.text, self.at, self.unit = self.tokens[self.index]

    def word(self, word: str) -> bool:
        """Whether the current token is that word; then it is taken."""
        if self.kind == "name" and self.text == word:
            self.advance()
            return True
        return False

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise Invalid(
                f"nested too deeply, at most {MAX_NESTING} levels are allowed",
                "name its parts under `derived`",
                self.at,
            )

    def unexpected(self, expected: str, fix: str = "") -> Invalid:
        if self.kind == "end":
            return Invalid(f"expected {expected} at the end", fix, self.at)
        return Invalid(f"unexpected `{self.text}`, expected {expected}", fix, self.at)

    def whole(self) -> Node:
        if self.kind == "end":
            raise Invalid("expected a value, found nothing", "", self.at)
        node = self.loose()
        if self.kind != "end":
            fix = "join conditions with `and` or `or`" if self.kind in ("name", "number") else ""
            raise self.unexpected("an operator or the end", fix)
        return node

    def loose(self) -> Node:
        node = self.either()
        while self.word("where"):
            self.count()
            node = Binary(node.at, "where", node, self.either())
        return node

    def either(self) -> Node:
        node = self.both()
        if not (self.kind == "name" and self.text == "or"):
            return node
        items = [node]
        while self.word("or"):
            items.append(self.both())
        return Logic(node.at, "or", items)

    def both(self) -> Node:
        node = self.negation()
        if not (self.kind == "name" and self.text == "and"):
            return node
        items = [node]
        while self.word("and"):
            items.append(self.negation())
        return Logic(node.at, "and", items)

    def negation(self) -> Node:
        if self.kind == "name" and self.text == "not":
            at = self.at
            self.advance()
            self.deeper()
            node = Unary(at, "not", self.negation())
            self.depth -= 1
            return node
        return self.comparison()

    def comparison(self) -> Node:
        node = self.total()
        if self.kind in _COMPARE:
            items, ops = [node], []
            while self.kind in _COMPARE:
                ops.append((self.kind, self.at))
                self.advance()
                items.append(self.total())
            return Compare(node.at, items, ops)
        if self.kind == "name" and self.text in ("in", "not"):
            negated = self.text == "not"
            self.advance()
            if negated and not (self.kind == "name" and self.text == "in"):
                raise self.unexpected("`in` after `not`", "write `a and not b`")
            if negated:
                self.advance()
            return Member(node.at, node, self.choices(), negated)
        return node

    def choices(self) -> list[Node]:
        if self.kind != "(":
            raise self.unexpected("`(`", "write `x in (a, b)`")
        self.advance()
        self.deeper()
        items = [self.total()]
        while self.kind == ",":
            self.advance()
            items.append(self.total())
        self.close()
        return items

    def count(self) -> None:
        self.arithmetic += 1
        if self.arithmetic > MAX_ARITHMETIC:
            raise Invalid(
                f"more than {MAX_ARITHMETIC} arithmetic operators in one expression",
                "name its parts under `derived`",
                self.at,
            )

    def total(self) -> Node:
        node = self.product()
        while self.kind in ("+", "-"):
            op = self.kind
            self.count()
            self.advance()
            node = Binary(node.at, op, node, self.product())
        return node

    def product(self) -> Node:
        node = self.minus()
        while self.kind in ("*", "/"):
            op = self.kind
            self.count()
            self.advance()
            node = Binary(node.at, op, node, self.minus())
        return node

    def minus(self) -> Node:
        if self.kind != "-":
            return self.atom()
        at = self.at
        self.advance()
        self.deeper()
        node = Unary(at, "-", self.minus())
        self.depth -= 1
        return node

    def atom(self) -> Node:
        kind, text, at = self.kind, self.text, self.at
        if kind == "number":
            unit = self.unit
            self.advance()
            value = _number(text)
            if value is None:
                raise Invalid(f"the number {text} is too large or too small", "", at)
            return Number(at, value, unit)
        if kind == "name" and text not in _RESERVED:
            self.advance()
            return self.call(text, at) if self.kind == "(" else Name(at, text)
        if kind == "quoted":
            self.advance()
            return Quoted(at, text[1:-1])
        if kind == "(":
            self.advance()
            self.deeper()
            node = self.loose()
            self.close()
            return node
        found = "" if kind == "end" else f", found `{text}`"
        raise Invalid(f"expected a value{found}", "", at)

    def close(self) -> None:
        if self.kind != ")":
            raise self.unexpected("`)`")
        self.advance()
        self.depth -= 1

    def call(self, name: str, at: int) -> Call:
        self.advance()
        self.deeper()
        items: list[tuple[str, Node]] = []
        if self.kind != ")":
            items.append(("", self.loose()))
        while self.kind != ")":
            word = self.text
            if not (self.kind == "," or (self.kind == "name" and word in CLAUSES)):
                raise self.unexpected("`,` or `)`")
            self.advance()
            items.append((word, self.loose()))
            if word == "ending" and not self.word("ago"):
                raise self.unexpected("`ago`", "write `ending D ago`")
        self.close()
        return Call(at, name, items)
