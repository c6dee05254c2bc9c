"""YAML with positions: the text of a file becomes a tree whose every scalar knows where it stands.

The scanner is libyaml (through PyYAML's events, 40 times faster than a scanner in Python); what a
plain word means is decided here by YAML 1.2, so `off`, `on`, `yes` are words and only `true` and
`false` are booleans. Whatever is wrong with a file becomes a problem with a position.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

import yaml

from rules.errors import Problems
from rules.expression import SourceText
from rules.model import Pos

MAX_BYTES = 4 * 1024 * 1024  # of a file, the expansion of aliases included
MAX_DEPTH = 32
NULLS = frozenset({"", "~", "null", "Null", "NULL"})
BOOLS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_BREAKS = "\n\r\x85\u2028\u2029"
_STRING = "tag:yaml.org,2002:str"


@dataclass(frozen=True, eq=False)
class File:
    """A file that is being read: its path as the user gave it, and its text."""

    path: str
    text: str


@dataclass(slots=True, eq=False)  # not frozen: there are many, and freezing triples their cost
class Scalar:
    """A word, number or text. `line` and `column` count characters from 0, `start` and `end`
    are its place in the text of the file; `plain` ones are written without quotes.
    """

    file: File
    text: str
    line: int
    column: int
    start: int
    end: int
    plain: bool

    @property
    def at(self) -> Pos:
        """Where it starts."""
        return Pos(self.file.path, self.line + 1, self.column + 1)

    @property
    def is_null(self) -> bool:
        """Whether YAML 1.2 takes it for nothing."""
        return self.plain and self.text in NULLS

    @property
    def truth(self) -> bool | None:
        """The truth value that YAML 1.2 takes it for, or None."""
        return BOOLS.get(self.text) if self.plain else None

    def source(self) -> SourceText:
        """The text with the position of every character, for errors inside expressions."""
        raw = self.file.text[self.start : self.end]
        if not self.plain and raw[1:-1] == self.text and not any(mark in raw for mark in _BREAKS):
            return SourceText(self.text, Pos(self.file.path, self.line + 1, self.column + 2))
        if raw == self.text and not any(mark in raw for mark in _BREAKS):
            return SourceText(self.text, self.at)
        return SourceText(self.text, self.at, _positions(self, raw))


@dataclass(frozen=True, slots=True, eq=False)
class Sequence:
    """A list."""

    at: Pos
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Mapping:
    """Keys with values; keys are scalars and differ in their text."""

    at: Pos
    keys: dict[str, Scalar]
    values: dict[str, Node]

    def __iter__(self) -> Iterator[tuple[Scalar, Node]]:
        return ((key, self.values[name]) for name, key in self.keys.items())


Node = Scalar | Sequence | Mapping


def describe(node: object) -> str:
    """What a node is, for error messages."""
    match node:
        case Mapping():
            return "a mapping"
        case Sequence():
            return "a list"
        case Scalar() if node.is_null:
            return "nothing"
        case Scalar(text=text):
            return f"`{text if len(text) <= 40 else text[:37] + '…'}`"
        case _:
            return type(node).__name__


def plain(node: Node) -> object:
    """The tree as written: dictionaries, lists and strings."""
    match node:
        case Mapping():
            return {key.text: plain(value) for key, value in node}
        case Sequence(items=items):
            return [plain(item) for item in items]
        case Scalar(text=text):
            return text


def read(path: str, data: bytes, problems: Problems) -> Node | None:
    """The tree of a file, or None when it is empty or YAML ends in an error.

    Slips that can be bridged (a doubled key, a comma that wants quotes) are reported and reading
    goes on, so that all errors of a file come at once.
    """
    start = Pos(path, 1, 1)
    if len(data) > MAX_BYTES:
        problems.add(start, f"file of {len(data)} bytes; at most 4 MiB", "split it into several")
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        at = _at(path, before, len(before))
        problems.add(at, f"byte 0x{data[error.start]:02x} is not UTF-8", "save the file as UTF-8")
        return None
    return _Composer(File(path, text), problems).document()


class _Stop(Exception):  # noqa: N818 - not an error of ours: the problem is already noted
    """Reading of this file cannot go on."""


class _Composer:
    """Makes the tree of one file out of libyaml's events."""

    def __init__(self, file: File, problems: Problems) -> None:
        self.file = file
        self.problems = problems
        self.anchors: dict[str, tuple[Node, int, int]] = {}   # node, characters, height
        self.size = 0                                         # characters, aliases expanded
        self.height = 0                                       # of the node composed last

    def document(self) -> Node | None:
        """The only document of the file."""
        try:
            self.events = iter(yaml.parse(self.file.text, Loader=yaml.CLoader))
            node: Node | None = None
            for event in self.events:
                if isinstance(event, yaml.DocumentStartEvent):
                    if node is not None:
                        self._stop(self._pos(event.start_mark), "a second document in one file",
                                   "remove the line `---`")
                    node = self._node(next(self.events), 0)
                    if isinstance(node, Scalar) and node.is_null:
                        node = None
        except _Stop:
            return None
        except yaml.YAMLError as error:
            self._syntax(error)
            return None
        return node

    def _node(self, event: yaml.Event, depth: int) -> Node:
        if depth > MAX_DEPTH:
            self._stop(self._pos(event.start_mark), f"nested deeper than {MAX_DEPTH}")
        if isinstance(event, yaml.ScalarEvent) and event.anchor is None is event.tag:
            self.height = 0              # nearly all of them
            return self._scalar(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, depth)
        if event.tag not in {None, "!", _STRING}:
            self.problems.add(self._pos(event.start_mark), f"unexpected tag `{event.tag}`",
                              "remove it: values have no tags here")
        before = self.size
        if isinstance(event, yaml.ScalarEvent):
            node: Node = self._scalar(event)
            self.height = 0
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(event, depth)
        else:
            node = self._mapping(event, depth)
        if event.anchor is not None:
            self.anchors[event.anchor] = (node, self.size - before, self.height)
        return node

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        start = event.start_mark
        line, column, first, end = start.line, start.column, start.index, event.end_mark.index
        self.size += end - first
        if self.size > MAX_BYTES:
            self._grow(0, start)
        if event.tag is not None or event.anchor is not None:
            raw = self.file.text[first:end]              # step over `&name` and `!tag`
            skip = _properties(raw)
            lines = raw[:skip].count("\n")
            column = column + skip if not lines else skip - raw[:skip].rfind("\n") - 1
            line, first = line + lines, first + skip
        return Scalar(self.file, event.value, line, column, first, end, not event.style)

    def _sequence(self, event: yaml.SequenceStartEvent, depth: int) -> Sequence:
        self._grow(2, event.start_mark)
        items: list[Node] = []
        height = 0
        for inner in self.events:
            if isinstance(inner, yaml.SequenceEndEvent):
                break
            item = self._node(inner, depth + 1)
            height = max(height, self.height)
            last = items[-1] if items else None
            if event.flow_style and _open(last) and isinstance(item, Scalar) and item.plain:
                items[-1] = self._bridge(last, item)
            else:
                items.append(item)
        self.height = height + 1
        return Sequence(self._pos(event.start_mark), tuple(items))

    def _mapping(self, event: yaml.MappingStartEvent, depth: int) -> Mapping:
        self._grow(2, event.start_mark)
        keys: dict[str, Scalar] = {}
        values: dict[str, Node] = {}
        last = ""
        height = 0
        for inner in self.events:
            if isinstance(inner, yaml.MappingEndEvent):
                break
            key = self._node(inner, depth + 1)
            value = self._node(next(self.events), depth + 1)
            height = max(height, self.height)
            if not isinstance(key, Scalar):
                self.problems.add(self._pos(inner.start_mark),
                                  f"expected a key, found {describe(key)}",
                                  "put quotes around a text that starts with `{` or `[`")
                continue
            opened = values.get(last)
            if event.flow_style and _open(opened) and key.plain and _absent(value):
                values[last] = self._bridge(opened, key)
                continue
            if key.text in keys:
                self.problems.add(key.at, f"duplicate key `{key.text}`",
                                  f"the first is in line {keys[key.text].line + 1}")
                continue
            last = key.text
            keys[last], values[last] = key, value
        self.height = height + 1
        return Mapping(self._pos(event.start_mark), keys, values)

    def _alias(self, event: yaml.AliasEvent, depth: int) -> Node:
        found = self.anchors.get(event.anchor)
        if found is None:
            self._stop(self._pos(event.start_mark), f"unknown anchor `{event.anchor}`",
                       f"define `&{event.anchor}` before it, outside of itself")
        node, size, self.height = found
        self._grow(size, event.start_mark)
        if depth + self.height > MAX_DEPTH:
            self._stop(self._pos(event.start_mark), f"nested deeper than {MAX_DEPTH}")
        return node

    def _bridge(self, opened: object, rest: Scalar) -> Scalar:
        """An expression that a comma tore apart is put together again, and reported once."""
        assert isinstance(opened, Scalar)
        if "," not in opened.text:
            self.problems.add(rest.at, "a comma ends the value here",
                              "put quotes around an expression with commas inside {…} or […]")
        text = self.file.text[opened.start : rest.end]
        return Scalar(self.file, text, opened.line, opened.column, opened.start, rest.end, True)

    def _grow(self, characters: int, mark: yaml.Mark) -> None:
        self.size += characters
        if self.size > MAX_BYTES:
            self._stop(self._pos(mark), "more than 4 MiB once aliases are expanded")

    def _pos(self, mark: yaml.Mark) -> Pos:
        return Pos(self.file.path, mark.line + 1, mark.column + 1)

    def _stop(self, at: Pos, message: str, fix: str = "") -> NoReturn:
        self.problems.add(at, message, fix)
        raise _Stop

    def _syntax(self, error: yaml.YAMLError) -> None:
        """Notes an error of libyaml where the author erred, with the likely fix."""
        if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
            mark = _culprit(error)
            found = self.file.text[mark.index : mark.index + 1]
            if "nesting depth" in (error.problem or ""):
                self.problems.add(self._pos(mark), f"nested deeper than {MAX_DEPTH}")
                return
            problem = " ".join(part for part in (error.context, error.problem) if part)
            self.problems.add(self._pos(mark), f"not yaml: {problem}", _likely(problem, found))
            return
        where = getattr(error, "position", 0) or 0         # libyaml counts bytes here
        before = self.file.text.encode()[:where].decode(errors="ignore")
        character = getattr(error, "character", "")
        shown = f"U+{character:04X}" if isinstance(character, int) else repr(character)
        self.problems.add(_at(self.file.path, before, len(before)),
                          f"not yaml: character {shown} is not allowed", "remove it")


def _culprit(error: yaml.MarkedYAMLError) -> yaml.Mark:
    """Of the two places that libyaml names, the one where the author erred: what was opened and
    never closed is noticed lines later.
    """
    context, problem = error.context_mark, error.problem_mark
    opened = error.context or ""
    unclosed = "flow" in opened or "quoted" in opened or "simple key" in opened
    return context if context is not None and unclosed and problem.line > context.line else problem


def _likely(problem: str, found: str) -> str:
    """The slip that mostly causes an error of libyaml."""
    if "cannot start any token" in problem:
        if found == "\t":
            return "indent with spaces, not with a tab"
        return f"put quotes around a value that starts with `{found}`"
    if "mapping values are not allowed" in problem:
        return "put quotes around a text with `: ` in it, or check the indentation"
    if "flow" in problem:
        return "close the bracket, or put quotes around an expression with `,` `[` `{` or `: `"
    if "quoted" in problem:
        return "close the quotes"
    if "simple key" in problem:
        return "a `:` is missing after the key"
    if "block" in problem:
        return "check the indentation; put quotes around the whole of a text that contains quotes"
    return ""


def _open(node: object) -> bool:
    """Whether a plain scalar has a parenthesis that is not closed."""
    return isinstance(node, Scalar) and node.plain and node.text.count("(") > node.text.count(")")


def _absent(node: Node) -> bool:
    return isinstance(node, Scalar) and node.plain and node.start == node.end


def _at(path: str, text: str, index: int) -> Pos:
    before = text[:index]
    return Pos(path, before.count("\n") + 1, index - (before.rfind("\n") + 1) + 1)


def _properties(raw: str) -> int:
    """How many characters the anchor and the tag before a scalar take."""
    index = 0
    while index < len(raw) and raw[index] in "&!":
        while index < len(raw) and not raw[index].isspace():
            index += 1
        while index < len(raw) and raw[index].isspace():
            index += 1
    return index


_ESCAPES = {"x": 2, "u": 4, "U": 8}


def _positions(scalar: Scalar, raw: str) -> tuple[Pos, ...]:
    """The place of every character of a quoted or folded scalar, by walking text and source side
    by side. A break with its indentation stands for one space or for line feeds.
    """
    path, line, column = scalar.file.path, scalar.line + 1, scalar.column + 1
    places: list[Pos] = []
    for character in raw:
        places.append(Pos(path, line, column))
        line, column = (line + 1, 1) if character in "\n\x85\u2028\u2029" else (line, column + 1)
    places.append(Pos(path, line, column))
    index = raw.find("\n") + 1 if raw[:1] in {"|", ">"} else int(not scalar.plain)
    double = raw[:1] == '"' and not scalar.plain
    single = raw[:1] == "'" and not scalar.plain
    found: list[Pos] = []
    for character in scalar.text:
        if character not in " \t\n":
            while index < len(raw) and raw[index] in " \t\r\n":
                index += 1
        if double and raw[index : index + 2] == "\\\n":
            index += 2
            while index < len(raw) and raw[index] in " \t":
                index += 1
        found.append(places[min(index, len(raw))])
        if double and raw[index : index + 1] == "\\":
            index += 2 + _ESCAPES.get(raw[index + 1 : index + 2], 0)
        elif single and raw[index : index + 2] == "''":
            index += 2
        else:
            index += 1
    return tuple(found)
