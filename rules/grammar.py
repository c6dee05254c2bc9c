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

from rules import units
from rules.errors import Invalid

MAX_LENGTH = 2_000
MAX_NESTING = 32        # parentheses, calls, signs: keeps every walk far from the stack's end
MAX_ARITHMETIC = 64     # + - * / in one expression, for the same reason

#: Words between the arguments of a function.
CLAUSES = frozenset(
    ["over", "since", "ending", "for", "to", "by", "within", "until", "when", "of"]
)
_NO_UNITS = CLAUSES | {"and", "or", "not", "in", "where", "ago"}
_RESERVED = frozenset(["and", "or", "not", "in", "where"])
_COMPARE = frozenset(["<", "<=", "==", "!=", ">=", ">"])

_LETTER = r"A-Za-z_\u3400-\u9fff"
_NAME = rf"[{_LETTER}][{_LETTER}0-9]*"
_TOKEN = re.compile(
    rf"(?P<space>\s+)|(?P<name>{_NAME}(?:\.[{_LETTER}0-9]+)*)"
    r"|(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
    r"""|(?P<quoted>"[^"\n]*"|'[^'\n]*')|(?P<op><=|>=|==|!=|[-+*/<>(),])"""
)
_WORD = re.compile(rf"[{_LETTER}0-9]*")
_EXPONENT = re.compile(r"[eE][+-]?0*(?P<digits>[0-9]+)$")
_MAX_EXPONENT = 300
_MEANT = {
    "&": "write `and`", "|": "write `or`", "!": "write `not`, or `!=`", "=": "compare with `==`",
    "≥": "write >=", "≤": "write <=", "≠": "write !=", "×": "write *", "÷": "write /",
    "−": "write -", "^": "write a product: x * x", "[": "write ( )", "]": "write ( )",
    "（": "write (", "）": "write )", "，": "write a comma: ,", "“": 'write plain quotes: "',
    "”": 'write plain quotes: "', '"': "the quoted text does not end",
    "'": "the quoted text does not end", "%": "a share follows a number: 5 %",
    "{": "write the name alone", "}": "write the name alone",
}  # fmt: skip


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

#: kind, text, column, and of a number its unit
_Token = tuple[str, str, int, str]


def _unit_after(text: str, at: int) -> tuple[str, int]:
    """The unit that follows a number, and where it ends. Raises Invalid for an unknown one."""
    start = at
    while start < len(text) and text[start] == " ":
        start += 1
    found = units.UNIT.match(text, start)
    word = _WORD.match(text, start)
    assert word is not None
    if found is None and not word[0] or word[0] in _NO_UNITS:
        return "", at
    unit = found[0] if found is not None else word[0]
    if len(word[0]) > len(unit):
        unit = word[0]
    if units.known(unit):
        return unit, start + len(unit)
    head = unit      # `5 s/x` is 5 s divided by x
    while "/" in head and not units.repaired(unit):
        head = head.rpartition("/")[0]
        if head != "1" and units.known(head):
            return head, start + len(head)
    try:
        units.parse(unit)
    except Invalid as error:
        fix = error.fix or "a unit follows a number; multiply with *"
        raise Invalid(error.message, fix, start) from None
    return unit, start + len(unit)


def _tokens(text: str) -> list[_Token]:
    """The tokens of a text, with an end token after them."""
    if len(text) > MAX_LENGTH:
        raise Invalid(
            f"the expression has {len(text):,} characters, at most {MAX_LENGTH:,} are allowed",
            "name its parts under `derived`",
        )
    found: list[_Token] = []
    at, end = 0, len(text)
    match = _TOKEN.match
    while at < end:
        token = match(text, at)
        if token is None:
            char = text[at]
            raise Invalid(f"unexpected character `{char}`", _MEANT.get(char, ""), at)
        kind = token.lastgroup or ""
        start, at = at, token.end()
        if kind == "number":
            unit, at = _unit_after(text, at)
            found.append((kind, token[0], start, unit))
        elif kind != "space":
            found.append((token[0] if kind == "op" else kind, token[0], start, ""))
    found.append(("end", "", end, ""))
    return found


def parse(text: str) -> Node:
    """The raw syntax of an expression. Raises Invalid with the column."""
    return _Parser(_tokens(text)).whole()


class _Parser:
    """Recursive descent over tokens, with the current one at hand."""

    def __init__(self, tokens: list[_Token]) -> None:
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
            return Number(at, self.number(text, at), unit)
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

    @staticmethod
    def number(text: str, at: int) -> Fraction:
        exponent = _EXPONENT.search(text)
        if exponent is not None and int(exponent["digits"]) > _MAX_EXPONENT:
            raise Invalid(f"the number {text} is too large or too small", "", at)
        return Fraction(text)

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
