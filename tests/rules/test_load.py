"""What files become: classes, rules, groups, plans, in any order of files and keys."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from rules.document import json_schema
from rules.errors import Problems, Refused
from rules.load import find, load, load_texts
from rules.load_assets import inventory, read_inventory
from rules.model import Asset, Message, Pack, Piece, Samples, Text
from rules.reader import Mapping, read
from rules.tree import ActiveRef, Const, Fn, FrozenRef, Op, SignalRef

ACCEPTANCE = Path(__file__).resolve().parent.parent / "acceptance"
GOOD = [
    *sorted((ACCEPTANCE / "language").glob("*.yaml")),
    ACCEPTANCE / "language" / "nested",
    *sorted((ACCEPTANCE / "packs").iterdir()),
    *sorted((ACCEPTANCE / "runs").glob("*.yaml")),
]
PACK = """
classes:
  tank:
    title: {zh: 储罐, en: Tank}
    signals:
      level: {unit: m, range: [0 m, 1000 cm], stale_after: 10 s, period: 1 s}
      pump:  {type: bool, default: off}
      vib:   {unit: mm/s, frozen_after: 1 h, frozen_while: pump}
      mode:  {states: {0: off, 1: {name: on, zh: 开, en: running}}, default: on}
      code:  {events: {7: opened}}
      maint: {type: bool, default: false, set_by: operator, expires: 8 h}
    attributes:
      h_max: {unit: m, default: 800 cm}
      area:  {type: text, default: a}
      t_max: {by: area, table: {a: 80 °C, b: 363.15 K}}
    derived:
      full: level > h_max
    silent_after: 3 min
    unless: maint
  other: {signals: {level: {unit: m}, pump: {type: bool}}}
plans:
  tank.plan: {overdue: {raise_to: red}, steps: [
    {step: acknowledge, role: desk, within: 30 s, do: Go}]}
rules:
- rule: tank.high
  class: [tank, other]
  levels:
    yellow: {when: level > 8 m}
    red: [{when: level > 9 m, for: 1 s, deadband: 2 m}, {when: level > 9.5 m, only_if: pump}]
  for: 3 of 10 samples of level
  deadband: 1 m
  clear_for: 2 samples
  message: "{asset} {level}: {max(level over 10 s)} {held} {if(pump, 1, 2)}"
  evidence: [pump]
  tags: [trap]
- {rule: tank.on, class: tank, when: mode == on and not active(tank.high), severity: blue,
   unless: false, mode: shadow, enabled: false, latch: true,
   escalate: {after: 30 s, to: red, until: acknowledge}}
groups:
- {group: tank.many, by: area, over: [tank.*], when: assets >= 2, within: 5 min, severity: red}
- {group: tank.trap, by: asset, over: ["tag: trap", tag: trap], when: active >= 1, severity: red}
- {group: tank.all, by: asset, when: active >= 1, severity: red, message: "{group}: {active}"}
""".replace("default: off}", "default: false}")


def pack_of(*texts: str) -> Pack:
    loaded = load_texts([(f"{i}.yaml", text.encode()) for i, text in enumerate(texts)])
    assert loaded.pack is not None, "\n".join(map(str, loaded.problems))
    return loaded.pack


@pytest.fixture(scope="module")
def pack() -> Pack:
    return pack_of(PACK)


@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.stem)
def test_every_file_of_the_language_loads(path: Path) -> None:
    loaded = load([path])
    assert [str(one) for one in loaded.problems if one.kind == "error"] == []
    assert loaded.pack is not None
    assert loaded.pack.rules
    assert [str(one) for case in loaded.cases for one in case.problems] == []


def test_a_folder_is_read_with_its_subfolders_and_a_file_only_once() -> None:
    folder = ACCEPTANCE / "language" / "nested"
    files, problems = find([folder, folder / "class.yaml", folder / "none"])
    assert [path.name for path in files] == ["class.yaml", "rules.yml"]
    assert [one.message for one in problems] == ["no such file or folder"]


def test_the_order_of_files_and_keys_does_not_matter(pack: Pack) -> None:
    sections = ["classes:" + PACK.split("classes:")[1].split("plans:")[0]]
    sections += ["plans:" + PACK.split("plans:")[1].split("rules:")[0]]
    sections += ["rules:" + PACK.split("\nrules:")[1].split("groups:")[0]]
    sections += ["groups:" + PACK.split("groups:")[1]]
    for seed in range(4):
        shuffled = random.Random(seed).sample(sections, len(sections))
        assert pack_of(*shuffled) == pack
        assert pack_of("\n".join(shuffled)) == pack


def test_signals(pack: Pack) -> None:
    signals = pack.classes["tank"].signals
    level, mode, maint = signals["level"], signals["mode"], signals["maint"]
    assert (level.low, level.high, level.stale_after, level.period) == (0, 10, 10_000, 1_000)
    assert (mode.names, mode.titles[1], mode.default) == (
        {"off": 0, "on": 1}, Text(zh="开", en="running"), 1)
    assert (maint.operator, maint.expires, maint.default) == (True, 8 * 3_600_000, 0)
    assert signals["pump"].default == 0
    assert signals["vib"].frozen_while == SignalRef("pump")
    assert signals["code"].names == {"opened": 7}
    assert pack.classes["tank"].derived.keys() == {"full"}


def test_attributes(pack: Pack) -> None:
    attributes = pack.classes["tank"].attributes
    assert attributes["h_max"].default == 8
    assert attributes["t_max"].table == {"a": 80.0, "b": 90.0}
    assert (attributes["t_max"].by, attributes["t_max"].unit) == ("area", "°C")
    assert attributes["area"].default == "a"


def test_a_rule_on_two_classes_is_one_rule_each(pack: Pack) -> None:
    assert [rule.cls for rule in pack.rules if rule.id == "tank.high"] == ["tank", "other"]
    assert [rule.unless for rule in pack.rules if rule.id == "tank.high"] == [
        SignalRef("maint"), None]


def test_levels_stand_highest_first_and_say_their_own(pack: Pack) -> None:
    [rule] = [rule for rule in pack.rules_of("tank") if rule.id == "tank.high"]
    first, second, third = rule.levels
    assert [level.severity for level in rule.levels] == [4, 4, 2]
    assert first.delay == Const(1_000)
    assert second.delay == third.delay == Samples(3, 10, frozenset({"level"}))
    assert second.only_if == SignalRef("pump")
    assert third.clear_delay == Samples(2, 0, frozenset({"level"}))
    assert first.when != first.moved is not None
    assert rule.source["deadband"] == "1 m"
    assert rule.tags == ("trap",)


def test_messages_are_cut_into_texts_and_pieces(pack: Pack) -> None:
    [rule] = [rule for rule in pack.rules_of("tank") if rule.id == "tank.high"]
    parts = rule.levels[0].message.en
    assert [part if isinstance(part, str) else part.source for part in parts] == [
        "asset", " ", "level", ": ", "max(level over 10 s)", " ", "held", " ", "if(pump, 1, 2)"]
    shown = parts[2]
    assert isinstance(shown, Piece)
    assert (shown.unit, shown.expr) == ("m", SignalRef("level"))
    assert [piece.kind for piece in rule.evidence] == ["bool"]
    assert rule.levels[0].message.zh == ()


def test_the_keys_of_a_rule(pack: Pack) -> None:
    [rule] = [rule for rule in pack.rules if rule.id == "tank.on"]
    assert (rule.shadow, rule.enabled, rule.latch, rule.unless) == (True, False, True, None)
    assert rule.escalate is not None
    assert (rule.escalate.after, rule.escalate.to, rule.escalate.until) == (
        Const(30_000), 4, "acknowledge")
    when = rule.levels[0].when
    assert isinstance(when, Op)
    assert when.args[1] == Op("not", (ActiveRef("tank.high"),))
    assert rule.levels[0].message == Message()


def test_health_alarms_are_rules(pack: Pack) -> None:
    health = {rule.id: rule for rule in pack.rules if rule.health}
    assert health.keys() == {"tank.silent", "tank.vib.frozen"}
    silent, frozen = health["tank.silent"], health["tank.vib.frozen"]
    assert silent.levels[0].when == Fn("silent", (), (Const(180_000.0),))
    assert frozen.levels[0].when == FrozenRef("vib")
    assert (frozen.health_signal, frozen.levels[0].severity) == ("vib", 2)
    assert silent.unless == frozen.unless == SignalRef("maint")
    assert silent.title == Text(zh="储罐无数据", en="Tank silent")


def test_groups_resolve_what_they_count(pack: Pack) -> None:
    over = {group.id: group.over for group in pack.groups}
    rules = {"tank.high", "tank.on", "tank.silent", "tank.vib.frozen"}
    assert over == {"tank.many": rules, "tank.trap": {"tank.high"}, "tank.all": rules}
    assert {group.id: group.within for group in pack.groups}["tank.many"] == 300_000


def test_plans(pack: Pack) -> None:
    plan = pack.plans["tank.plan"]
    assert (plan.steps[0].name, plan.steps[0].within, plan.raise_to) == ("acknowledge", 30_000, 4)


def test_a_plan_that_is_not_loaded_is_a_hint_only() -> None:
    text = PACK.replace("deadband: 1 m", "plan: tank.paln")
    loaded = load_texts([("a.yaml", text.encode())])
    assert loaded.pack is not None
    assert [(one.kind, one.fix) for one in loaded.problems] == [
        ("lint", "did you mean `tank.plan`?")]


def test_words_of_other_dialects_are_words() -> None:
    problems = Problems()
    root = read("a", b"{a: yes, b: off, c: true, d: ~, e: 'true', f: 010}", problems)
    assert isinstance(root, Mapping)
    assert {key: (node.truth, node.is_null) for key, node in root.values.items()} == {  # type: ignore[union-attr]
        "a": (None, False), "b": (None, False), "c": (True, False), "d": (None, True),
        "e": (None, False), "f": (None, False)}
    assert len(problems) == 0


def test_anchors_are_allowed() -> None:
    text = PACK.replace("level: {unit: m}", "level: &l {unit: m}, depth: *l")
    assert pack_of(text).classes["other"].signals["depth"].unit == "m"


# Overrides ------------------------------------------------------------------------------------


def test_an_override_leaves_a_level_alone_that_says_the_key_itself(pack: Pack) -> None:
    [rule] = [rule for rule in pack.rules_of("tank") if rule.id == "tank.high"]
    varied = pack.variant(rule, {"tank.high.for": "5 s", "tank.on.mode": "live"})
    assert varied.overridden
    assert [level.delay for level in varied.levels] == [Const(1_000), Const(5_000), Const(5_000)]
    assert pack.variant(rule, {"tank.high.for": "5 s"}) is varied
    assert pack.variant(rule, {"tank.on.mode": "live"}) is rule


def test_an_override_of_a_level_holds_for_each_of_its_conditions(pack: Pack) -> None:
    [rule] = [rule for rule in pack.rules_of("tank") if rule.id == "tank.high"]
    varied = pack.variant(rule, {"tank.high.red.for": "2 samples", "tank.high.red.deadband": "3 m"})
    assert [isinstance(level.delay, Samples) for level in varied.levels] == [True, True, True]
    assert varied.levels[0].delay == Samples(2, 0, frozenset({"level"}))
    assert varied.levels[2] == rule.levels[2]


def test_overrides_of_severity_and_mode(pack: Pack) -> None:
    [rule] = [rule for rule in pack.rules if rule.id == "tank.on"]
    varied = pack.variant(rule, {"tank.on.severity": "red", "tank.on.mode": "live"})
    assert (varied.levels[0].severity, varied.shadow) == (4, False)


@pytest.mark.parametrize(("key", "value", "expected"), [
    ("tank.high.severity", "red", "has levels"),
    ("tank.high.for", "5", "duration"),
    ("tank.high.blue.for", "5 s", "no level `blue`"),
    ("tank.high.latch", "true", "unknown key `latch`"),
    ("tank.on.mode", "silent", "unknown mode"),
])
def test_an_override_that_means_nothing_is_refused(
    pack: Pack, key: str, value: str, expected: str
) -> None:
    [rule] = [rule for rule in pack.rules_of("tank") if rule.id in key and not rule.health]
    with pytest.raises(Refused, match=expected):
        pack.variant(rule, {key: value})


# Inventories ----------------------------------------------------------------------------------


def test_an_inventory_in_csv(pack: Pack) -> None:
    text = 'id,class,h_max,area,tank.high.for\nA,tank,750 cm,"x, y",\n\nB,tank,,,2 s\nC,other\n'
    assets, problems = inventory("i.csv", text.encode(), pack)
    assert problems == ()
    assert assets == (
        Asset("A", "tank", {"h_max": 7.5, "area": "x, y"}),
        Asset("B", "tank", {}, {"tank.high.for": "2 s"}),
        Asset("C", "other"),
    )


def test_an_inventory_in_yaml(pack: Pack) -> None:
    text = "- {id: A, class: tank, attributes: {h_max: 7}, overrides: {tank.on.severity: red}}"
    assets, problems = inventory("i.yaml", text.encode(), pack)
    assert problems == ()
    assert assets == (Asset("A", "tank", {"h_max": 7.0}, {"tank.on.severity": "red"}),)


@pytest.mark.parametrize(("text", "expected"), [
    ("id,class,colour\nA,tank,red", "2:8: unknown attribute `colour`"),
    ("id,class\nA,pump", "2:3: unknown class `pump`"),
    ("id,class,h_max\nA,tank,high", "2:8: h_max:"),
    ("id,class,t_max\nA,tank,5", "2:8: attribute `t_max` is looked up by `area`"),
    ("id,class\nA,tank\nA,tank", "3:1: duplicate asset `A`"),
    ("id,class,tank.low.for\nA,tank,5 s", "2:8: unknown rule in the override"),
    ("id,class,tank.high.for\nA,tank,5", "2:8: "),
    ("id,class,tank.on.mode\nA,other,live", "2:9: rule `tank.on` is not one of class `other`"),
    ("id,class\nA", "2:1: class missing"),
    ("id,class\nA,tank,x", "2:8: 3 cells, but the header has 2"),
    ("name,class\nA,tank", "1:1: column id missing"),
    ("id,class,class\nA,tank,x", "1:10: duplicate column"),
    ('id,class\n"A,tank', "2:1: not csv"),
    ("id,class\n\x00,tank", ""),
])  # fmt: skip
def test_a_bad_inventory_is_refused_with_its_place(pack: Pack, text: str, expected: str) -> None:
    assets, problems = inventory("i.csv", text.encode(), pack)
    assert expected == "" or (
        assets == () and str(problems[0]).removeprefix("i.csv:").startswith(expected))


def test_an_inventory_that_is_not_there() -> None:
    _, [problem] = read_inventory("/none.csv", pack_of(PACK))
    assert "cannot be read" in problem.message


# Schema ---------------------------------------------------------------------------------------


def test_the_schema_names_every_key_and_closes_every_mapping() -> None:
    schema = json_schema()
    assert schema["properties"].keys() == {"classes", "plans", "rules", "groups", "tests"}
    rule = schema["$defs"]["RuleDoc"]
    assert {"class", "for", "levels", "escalate"} <= rule["properties"].keys()
    assert rule["required"] == ["rule", "class"]
    assert all(one["additionalProperties"] is False for one in schema["$defs"].values())
