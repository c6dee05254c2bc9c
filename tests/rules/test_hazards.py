"""`hazard: true` of a group, and `shelve_at_most` of a class: what is taken, what is refused."""

from __future__ import annotations

import pytest

from rules.document import json_schema
from rules.load import Loaded, load_texts
from rules.model import SHELVE_AT_MOST

PACK = """
classes:
  lift:
    signals: {x: {}}
    attributes: {district: {type: text}}
    shelve_at_most: 90 min
plans:
  rectify:
    steps:
    - {step: assign, role: owner, needs: [measure, owner, time_limit]}
    - {step: close,  role: owner, needs: [corrective_action]}
  short:
    steps:
    - {step: assign, role: owner, needs: [measure, owner]}
    - {step: close,  role: owner}
  endless:
    steps:
    - {step: assign, role: owner, needs: [measure, owner, time_limit]}
    - {step: close,  role: owner}
    - {step: verify, role: owner}
rules:
- {rule: lift.x, class: lift, severity: yellow, when: x > 1}
groups:
- {group: lift.again, by: asset, when: alarms >= 3, within: 3 d, severity: yellow, plan: rectify,
   hazard: true}
"""


def loaded(old: str = "", new: str = "") -> Loaded:
    assert old in PACK
    return load_texts([("a.yaml", PACK.replace(old, new).encode())])


def errors(old: str, new: str) -> list[str]:
    return [str(one) for one in loaded(old, new).problems if one.kind == "error"]


def test_a_group_may_be_a_hazard_and_is_none_unless_it_says_so() -> None:
    pack, plain = loaded().pack, loaded(",\n   hazard: true", "").pack
    assert pack is not None
    assert plain is not None
    assert [group.hazard for group in (*pack.groups, *plain.groups)] == [True, False]


def test_what_a_hazard_needs_may_be_spread_over_steps() -> None:
    old = "needs: [measure, owner, time_limit]}\n    - {step: close,  role: owner, needs: [corr"
    new = "needs: [measure]}\n    - {step: close,  role: owner, needs: [owner, time_limit, corr"
    assert errors(old, new) == []


def test_a_hazard_is_of_one_asset() -> None:
    [error] = errors("by: asset", "by: district")
    assert error.startswith("a.yaml:24:27: a hazard is of one asset, found `by: district`")


@pytest.mark.parametrize("plan", ["", "plan: short,", "plan: endless,"])
def test_a_hazard_has_a_plan_that_puts_it_right(plan: str) -> None:
    [error] = errors("plan: rectify,", plan)
    assert error.startswith("a.yaml:25:4: a hazard needs a plan that has it put right")
    assert "measure, owner, time_limit" in error
    assert "the last is `close`" in error


def test_every_level_of_a_hazard_has_such_a_plan() -> None:
    old = "when: alarms >= 3, within: 3 d, severity: yellow, plan: rectify"
    levels = ("within: 3 d, levels: {yellow: {when: alarms >= 3, plan: rectify}, "
              "red: {when: alarms >= 9, plan: %s}}")
    assert errors(old, levels % "rectify") == []
    [error] = errors(old, levels % "short")
    assert "a hazard needs a plan" in error


@pytest.mark.parametrize("value", ["maybe", "1", "[true]", "'true'"])
def test_hazard_is_true_or_false(value: str) -> None:
    [error] = errors("hazard: true", f"hazard: {value}")
    assert error.startswith("a.yaml:25:12: ")


def test_only_groups_are_hazards() -> None:
    [error] = errors("when: x > 1", "when: x > 1, hazard: true")
    assert "hazard" in error


def test_how_long_a_class_may_be_shelved() -> None:
    pack, plain = loaded().pack, loaded("    shelve_at_most: 90 min\n", "").pack
    assert pack is not None
    assert plain is not None
    assert pack.classes["lift"].shelve_at_most == 90 * 60_000
    assert plain.classes["lift"].shelve_at_most == SHELVE_AT_MOST == 8 * 3_600_000


@pytest.mark.parametrize("value", ["0 s", "-1 h", "8", "long", "5 bar", "x", "[8 h]"])
def test_it_is_a_duration_above_nothing(value: str) -> None:
    found = errors("shelve_at_most: 90 min", f"shelve_at_most: {value}")
    assert len(found) == 1
    assert found[0].startswith("a.yaml:6:")


def test_the_schema_offers_both_keys() -> None:
    defs = json_schema()["$defs"]
    assert "hazard" in defs["GroupDoc"]["properties"]
    assert "hazard" not in defs["RuleDoc"]["properties"]
    assert "shelve_at_most" in defs["ClassDoc"]["properties"]
