"""An asset's overrides of a rule: the rule is built again as if its document said so.

`elevator.overspeed.for: 500 ms` replaces a key of the rule (a level that sets the key itself keeps
its own), `pipeline.over_pressure.red.for: 1 s` that of every condition of one level.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rules.document import RuleDoc, check
from rules.errors import Problems, Refused, near
from rules.load_checked import Expressions
from rules.load_rules import RuleBuilder
from rules.model import SEVERITIES, AssetClass, Plan, Pos, Rule
from rules.reader import File, Node, Scalar, Sequence
from rules.reader import Mapping as MappingNode

KEYS = ("for", "clear_for", "deadband", "severity", "mode")
LEVEL_KEYS = ("for", "clear_for", "deadband")
_FIELDS = {"for": "delay"}


@dataclass(frozen=True)
class Sources:
    """What rules were built from, kept to build variants of them."""

    docs: dict[str, RuleDoc]
    classes: dict[str, AssetClass]
    expressions: dict[str, Expressions]
    plans: dict[str, Plan]
    _made: dict[tuple[str, str, tuple[tuple[str, str], ...]], Rule] = field(default_factory=dict)

    def variant(self, rule: Rule, overrides: Mapping[str, object]) -> Rule:
        """The rule as it is for an asset with these overrides; the rule itself if none concern it.

        Raises `Refused` for an override that means nothing; inventories are checked beforehand.
        """
        problems = Problems()
        found = self.apply(rule, overrides, Pos("overrides", 1, 1), problems)
        if problems.has_errors:
            raise Refused(problems)
        return found

    def apply(self, rule: Rule, overrides: Mapping[str, object], at: Pos,
              problems: Problems) -> Rule:
        """As `variant`, with problems noted: at a value's own position where it is a scalar of a
        file, else at `at`.
        """
        own = {key: value for key, value in overrides.items()
               if self.rule_of(key) == rule.id}
        if not own or rule.health:
            return rule
        texts = tuple(sorted((key, _text(value)) for key, value in own.items()))
        cached = self._made.get((rule.id, rule.cls, texts))
        if cached is not None:
            return cached
        before = len(problems)
        doc = self.docs[rule.id]
        for key, value in own.items():
            doc = _edited(doc, key, _scalar_of(value, at), problems)
        if len(problems) > before:
            return rule
        built = RuleBuilder(doc, self.classes[rule.cls], self.expressions[rule.cls], self.plans,
                            problems).build()
        if built is None:
            return rule
        made = replace(built, overridden=True)
        self._made[rule.id, rule.cls, texts] = made
        return made

    def rule_of(self, key: str) -> str | None:
        """The rule that an override's key names, or None."""
        head = key.rpartition(".")[0]
        if head in self.docs:
            return head
        shorter, _, level = head.rpartition(".")
        return shorter if level in SEVERITIES and shorter in self.docs else None

    def check(self, overrides: Mapping[str, Scalar], keys: Mapping[str, Pos], cls: str,
              rules: Mapping[tuple[str, str], Rule], problems: Problems) -> None:
        """Notes what is wrong with the overrides of an asset, at their keys or values."""
        for key, value in overrides.items():
            rule_id = self.rule_of(key)
            if rule_id is None:
                problems.add(keys[key], f"unknown rule in the override `{key}`",
                             near(key.rpartition(".")[0], self.docs)
                             or "write RULE.KEY or RULE.LEVEL.KEY")
                continue
            rule = rules.get((rule_id, cls))
            if rule is None:
                problems.add(keys[key], f"rule `{rule_id}` is not one of class `{cls}`")
                continue
            self.apply(rule, {key: value}, keys[key], problems)


def _edited(doc: RuleDoc, key: str, value: Scalar, problems: Problems) -> RuleDoc:
    """The document with one key replaced."""
    head, _, name = key.rpartition(".")
    level = "" if head == doc.rule.text else head.rpartition(".")[2]
    known = LEVEL_KEYS if level else KEYS
    if name not in known:
        problems.add(value.at, f"unknown key `{name}` in the override `{key}`",
                     near(name, known) or "can be replaced: " + ", ".join(known))
        return doc
    if name == "severity" and doc.levels is not None:
        problems.add(value.at, f"override `{key}`: the rule has levels, each with its severity")
        return doc
    if level and level not in (doc.levels or {}):
        problems.add(value.at, f"override `{key}`: the rule has no level `{level}`")
        return doc
    made = check(RuleDoc, _with(doc.node, level, name, value), problems)
    return made or doc


def _with(node: MappingNode, level: str, name: str, value: Scalar) -> MappingNode:
    """The mapping with the key set, in the level if one is named (in each of its conditions)."""
    if not level:
        return MappingNode(node.at, {**node.keys, name: value}, {**node.values, name: value})
    levels = node.values["levels"]
    assert isinstance(levels, MappingNode)
    entry = levels.values[level]
    if isinstance(entry, MappingNode):
        changed: Node = _with(entry, "", name, value)
    else:
        assert isinstance(entry, Sequence)
        changed = Sequence(entry.at, tuple(
            _with(one, "", name, value) for one in entry.items if isinstance(one, MappingNode)
        ))
    changed = MappingNode(levels.at, levels.keys, {**levels.values, level: changed})
    return MappingNode(node.at, node.keys, {**node.values, "levels": changed})


def _scalar_of(value: object, at: Pos) -> Scalar:
    if isinstance(value, Scalar):
        return value
    text = _text(value)
    return Scalar(File(at.path, text), text, at.line - 1, at.column - 1, 0, len(text), plain=True)


def _text(value: object) -> str:
    if isinstance(value, Scalar):
        return value.text
    return f"{value:.17g}" if isinstance(value, float) else str(value)
