"""Loads rule files: everything given together becomes one checked `Pack`, or positioned problems.

    read (reader) → shapes (document) → names (declare) → expressions, rules, groups → circles

Names are settled before anything that uses them, so the order of files and keys never matters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from pathlib import Path
from typing import TypeVar

from rules.cases import Case
from rules.document import ClassDoc, Document, FileDoc, GroupDoc, PlanDoc, RuleDoc, check
from rules.errors import Problem, Problems, near
from rules.load_cases import CaseReader
from rules.load_checked import Expressions
from rules.load_classes import ClassParts, complete, declare
from rules.load_groups import Countable, group, plan
from rules.load_order import check_cycles
from rules.load_rules import RuleBuilder, health_rules
from rules.load_values import identifier
from rules.model import AssetClass, Group, Pack, Plan, Pos, Rule
from rules.overrides import Sources
from rules.reader import Mapping, Node, Scalar, describe, read
from rules.reader import Sequence as SequenceNode

SUFFIXES = (".yaml", ".yml")
_SECTIONS = tuple(FileDoc.model_fields)


@dataclass(frozen=True)
class Loaded:
    """What a load gave: a pack unless there are errors; the tests beside the rules, each with its
    own problems; problems sorted, errors first; the text of every file by its path.
    """

    pack: Pack | None
    cases: tuple[Case, ...]
    problems: tuple[Problem, ...]
    sources: dict[str, str]


def find(paths: Iterable[str | Path]) -> tuple[list[Path], list[Problem]]:
    """The rule files of files and folders (with their subfolders), each once, sorted."""
    found: dict[Path, Path] = {}
    problems: list[Problem] = []
    for given in paths:
        path = Path(given)
        if path.is_dir():
            inside = [one for one in sorted(path.rglob("*"))
                      if one.suffix in SUFFIXES and one.is_file()]
            if not inside:
                problems.append(Problem(Pos(str(path), 1, 1), "no rule files in this folder",
                                        "rule files end in .yaml or .yml"))
        elif path.is_file():
            inside = [path]
        else:
            problems.append(Problem(Pos(str(path), 1, 1), "no such file or folder"))
            continue
        for one in inside:
            found.setdefault(one.resolve(), one)
    return sorted(found.values(), key=str), problems


def named(path: Path, given: Iterable[Path]) -> str:
    """A rule file's name from the folder on that was given: the same wherever that lies."""
    above = next((one.parent for one in given if path.is_relative_to(one)), path.parent)
    return path.relative_to(above).as_posix()


def load(paths: Iterable[str | Path], zone: tzinfo = UTC) -> Loaded:
    """Reads files and folders as one pack. `zone` is the site's, for the `start` of tests."""
    files, missing = find(paths)
    texts: list[tuple[str, bytes]] = []
    for path in files:
        try:
            texts.append((str(path), path.read_bytes()))
        except OSError as error:
            missing.append(Problem(Pos(str(path), 1, 1), f"cannot be read: {error.strerror}"))
    return load_texts(texts, zone, missing)


def load_texts(texts: Sequence[tuple[str, bytes]], zone: tzinfo = UTC,
               problems: Iterable[Problem] = ()) -> Loaded:
    """As `load`, from (path, content) pairs; pure."""
    noted = Problems()
    noted.extend(problems)
    loader = _Loader(noted)
    for path, data in texts:
        loader.take(read(path, data, noted))
    pack = loader.pack()
    usable = None if noted.has_errors else pack
    cases: tuple[Case, ...] = ()
    if usable is not None:
        reader = CaseReader(usable, zone)
        cases = tuple(reader.read(node) for node in loader.tests)
    return Loaded(
        pack=usable,
        cases=cases,
        problems=tuple(noted.sorted()),
        sources={path: data.decode("utf-8-sig", "replace") for path, data in texts},
    )


D = TypeVar("D", bound=Document)


@dataclass
class _Loader:
    """Gathers the documents of all files, then makes the pack of them."""

    problems: Problems
    classes: dict[str, ClassParts | None] = field(default_factory=dict)   # None: refused already
    plans: dict[str, Plan] = field(default_factory=dict)
    rules: list[RuleDoc] = field(default_factory=list)
    groups: list[GroupDoc] = field(default_factory=list)
    tests: list[Node] = field(default_factory=list)
    keys: dict[tuple[str, str], Scalar] = field(default_factory=dict)     # (section, name)
    refused: set[str] = field(default_factory=set)     # ids of rules that are not understood

    def take(self, root: Node | None) -> None:
        """The documents of one file, each checked for its shape."""
        if root is None:
            return
        if not isinstance(root, Mapping):
            self.problems.add(root.at, f"expected {', '.join(_SECTIONS)}, found {describe(root)}",
                              "for example `rules:`")
            return
        for key in root.keys.values():
            if key.text not in _SECTIONS:
                self.problems.add(key.at, f"unknown key `{key.text}`",
                                  near(key.text, _SECTIONS) or "known: " + ", ".join(_SECTIONS))
        for key, node in self._entries(root, "classes"):
            if self._first("class", key) and identifier(key, "class", self.problems):
                doc = check(ClassDoc, node, self.problems)
                made = declare(key, doc, self.problems) if doc is not None else None
                self.classes[key.text] = made
        for key, node in self._entries(root, "plans"):
            plan_doc = check(PlanDoc, node, self.problems)
            made_plan = plan(key, plan_doc, self.problems) if plan_doc is not None else None
            if made_plan is not None and self._first("plan", key):
                self.plans[key.text] = made_plan
        self.rules += self._documents(root, "rules", RuleDoc)
        self.groups += self._documents(root, "groups", GroupDoc)
        self.tests += self._items(root, "tests")

    def pack(self) -> Pack:
        """The pack; it may be used if no problem is an error."""
        parts = {name: one for name, one in self.classes.items() if one is not None}
        health = {rule.id: rule for one in parts.values() for rule in health_rules(one.cls)}
        docs = self._unique(health)
        asked: dict[str, set[str]] = {name: set(self.refused) for name in parts}
        for rule in health.values():
            asked[rule.cls].add(rule.id)
        for doc in docs.values():
            for cls in doc.cls:
                asked.get(cls.text, set()).add(doc.rule.text)
        expressions = {
            name: one.expressions(frozenset(asked[name])) for name, one in parts.items()
        }
        classes = {
            name: complete(one, expressions[name], self.problems) for name, one in parts.items()
        }
        rules = [rule for cls in classes.values() for rule in health_rules(cls)]
        for doc in docs.values():
            rules += self._build(doc, classes, expressions)
        check_cycles(rules, docs, self.problems)
        sources = Sources(docs, classes, expressions, self.plans)
        return Pack(classes, tuple(rules), self._groups(docs, health, classes), self.plans,
                    variants=sources)

    def _unique(self, health: dict[str, Rule]) -> dict[str, RuleDoc]:
        """The rules by id; an id is taken once by rules and health alarms together."""
        docs: dict[str, RuleDoc] = {}
        for doc in self.rules:
            taken = health.get(doc.rule.text) or docs.get(doc.rule.text)
            if not identifier(doc.rule, "rule", self.problems):
                continue
            if taken is None:
                docs[doc.rule.text] = doc
            elif isinstance(taken, Rule):
                self.problems.add(doc.rule.at, f"duplicate id `{taken.id}`: it is the health alarm "
                                  f"of class `{taken.cls}`", "choose another id")
            else:
                self._duplicate(doc.rule, taken.rule)
        return docs

    def _build(self, doc: RuleDoc, classes: dict[str, AssetClass],
               expressions: dict[str, Expressions]) -> Iterator[Rule]:
        """The rule on each of its classes; what is wrong on one is not said again for the next."""
        seen: set[str] = set()
        failed = False
        for name in doc.cls:
            if name.text not in self.classes:
                self.problems.add(name.at, f"unknown class {describe(name)}",
                                  near(name.text, self.classes))
                failed = True
            elif name.text in seen:
                self.problems.add(name.at, f"duplicate class {describe(name)}")
            elif name.text in classes and not failed:
                seen.add(name.text)
                rule = RuleBuilder(doc, classes[name.text], expressions[name.text],
                                   self.plans, self.problems).build()
                if rule is None:
                    failed = True
                else:
                    yield rule
        if not doc.cls:
            self.problems.add(doc.key_at("class"), "no class", "name one: `class: elevator`")

    def _groups(self, docs: dict[str, RuleDoc], health: dict[str, Rule],
                classes: dict[str, AssetClass]) -> tuple[Group, ...]:
        countable = [Countable(name) for name in (*health, *sorted(self.refused))]
        countable += [Countable(name, frozenset(tag.text for tag in doc.tags))
                      for name, doc in docs.items()]
        groups: dict[str, Group] = {}
        for doc in self.groups:
            key = doc.group
            if identifier(key, "group", self.problems) is None:
                continue
            if key.text in docs:
                self._duplicate(key, docs[key.text].rule)
            elif key.text in health or key.text in groups:
                self.problems.add(key.at, f"duplicate id `{key.text}`", "choose another id")
            else:
                groups[key.text] = group(doc, countable, classes, self.plans, self.problems)
        return tuple(groups.values())

    def _duplicate(self, second: Scalar, first: Scalar) -> None:
        self.problems.add(second.at, f"duplicate id `{second.text}`",
                          f"the first is in {first.at.path}, line {first.at.line}")

    def _first(self, section: str, key: Scalar) -> bool:
        """Whether a class or plan is the first of its name."""
        taken = self.keys.setdefault((section, key.text), key)
        if taken is not key:
            self.problems.add(key.at, f"duplicate {section} `{key.text}`",
                              f"the first is in {taken.at.path}, line {taken.at.line}")
        return taken is key

    def _entries(self, root: Mapping, section: str) -> Iterator[tuple[Scalar, Node]]:
        node = root.values.get(section)
        if isinstance(node, Mapping):
            yield from node
        elif node is not None and not (isinstance(node, Scalar) and node.is_null):
            self.problems.add(node.at, f"{section}: expected a mapping, found {describe(node)}",
                              f"{section}: {{NAME: …}}")

    def _items(self, root: Mapping, section: str) -> Iterator[Node]:
        node = root.values.get(section)
        if isinstance(node, SequenceNode):
            yield from node.items
        elif node is not None and not (isinstance(node, Scalar) and node.is_null):
            self.problems.add(node.at, f"{section}: expected a list, found {describe(node)}",
                              f"start each with `- {section[:-1]}: …`")

    def _documents(self, root: Mapping, section: str, model: type[D]) -> Iterator[D]:
        for node in self._items(root, section):
            doc = check(model, node, self.problems, partly=True)
            if doc is not None:
                yield doc
                continue
            name = node.values.get("rule") if isinstance(node, Mapping) else None
            if isinstance(name, Scalar):
                self.refused.add(name.text)
