"""Messages and evidence: expressions that are shown to people."""

from __future__ import annotations

from rules.errors import Problems
from rules.expression import SourceText
from rules.load_checked import Expressions
from rules.model import Message, Piece
from rules.reader import Scalar

WORDS = frozenset({"asset", "group", "held"})
MAX_PIECES = 64


def message(template: dict[str, Scalar], expressions: Expressions, problems: Problems) -> Message:
    """A message's template, cut into texts and pieces."""
    return Message(**{
        language: _cut(scalar, expressions, problems) for language, scalar in template.items()
    })


def _cut(scalar: Scalar, expressions: Expressions, problems: Problems) -> tuple[str | Piece, ...]:
    source = scalar.source()
    text = source.text
    parts: list[str | Piece] = []
    index = 0
    while index < len(text):
        opening = text.find("{", index)
        if opening < 0:
            parts.append(text[index:])
            break
        if opening > index:
            parts.append(text[index:opening])
        closing = _closing(text, opening)
        if closing < 0:
            problems.add(part(source, opening, opening + 1).at, "`{` is not closed",
                         "write {expression}")
            break
        found = piece(part(source, opening + 1, closing), expressions, problems)
        if found is not None:
            parts.append(found)
        index = closing + 1
    if sum(isinstance(one, Piece) for one in parts) > MAX_PIECES:
        problems.add(scalar.at, f"a message has at most {MAX_PIECES} expressions")
        return ()
    return tuple(parts)


def _closing(text: str, opening: int) -> int:
    """The index of the `}` that closes, stepping over quoted texts and inner braces; -1 if none."""
    depth = 0
    quote = ""
    for index in range(opening, len(text)):
        character = text[index]
        if quote:
            quote = "" if character == quote else quote
        elif character == '"':
            quote = character
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                return index
    return -1


def part(source: SourceText, start: int, end: int) -> SourceText:
    """A part of a text with its positions; blanks around it are left out."""
    text = source.text[start:end]
    start += len(text) - len(text.lstrip())
    text = text.strip()
    columns = source.columns[start : start + len(text)] if source.columns is not None else None
    return SourceText(text, source.pos(start), columns)


def piece(source: SourceText, expressions: Expressions, problems: Problems) -> Piece | None:
    """An expression to be shown, or one of the words that stand for what the alarm is about."""
    if source.text in WORDS:
        return Piece(source.text, None)
    found = expressions.value(source, problems)
    if found is None:
        return None
    return Piece(source.text, found.expr, found.unit, found.kind, found.titles)
