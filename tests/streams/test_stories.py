"""What goes wrong with alarms in the field, as stories on the real engine.

Each is of a fault that users of other alarm systems reported: what must hold here instead.
"""

from __future__ import annotations

import pytest

from rules.model import Asset
from tests.streams.story_kit import MIN, S, Story

HOUR = 60 * MIN
RULES = """
classes:
  pump:
    signals:
      pressure: {unit: bar, range: [0, 40], stale_after: 1 min}
      temp:     {unit: °C}
      service:  {type: bool, default: false, set_by: operator}
      leak:     {type: bool}
    silent_after: 3 h
    shelve_at_most: 2 h
plans:
  stop:
    steps:
    - {step: acknowledge, role: officer, within: 30 s}
    - {step: look, role: mechanic, within: 10 min}
    - {step: close, role: officer, needs: [cause_code]}
    overdue: {raise_to: red, notify: [desk]}
  rectify:
    steps:
    - {step: assign, role: owner, within: 1 d, needs: [measure, owner, time_limit]}
    - {step: close,  role: owner, needs: [corrective_action]}
    overdue: {raise_to: orange, notify: [district]}
rules:
- {rule: pump.pressure, class: pump, severity: yellow, when: pressure > 10 bar, unless: service,
   title: Pressure, message: "{pressure}"}
- {rule: pump.hot, class: pump, severity: yellow, when: temp > 90 °C, for: 15 min, title: Hot}
- {rule: pump.trip, class: pump, severity: orange, when: temp > 120 °C, latch: true, plan: stop}
- {rule: pump.leak, class: pump, severity: yellow, when: leak,
   escalate: {after: 20 min, to: red, until: acknowledge}}
groups:
- {group: pump.repeats, by: asset, over: [pump.pressure], when: alarms >= 3, within: 7 d,
   severity: yellow, hazard: true, plan: rectify}
"""
PRESSURE, HOT, TRIP, LEAK = "pump.pressure", "pump.hot", "pump.trip", "pump.leak"


def test_r8_a_source_that_goes_silent_never_clears_an_alarm() -> None:
    story = Story(RULES).hear(1 * S, pressure=12).does("acknowledge", PRESSURE).to(4 * MIN)
    assert story.said(PRESSURE)[-1] == (1 * MIN + 1 * S, "stale")
    assert story.word(PRESSURE) == "acknowledged"
    story.to(10 * HOUR)
    assert (story.row(PRESSURE)["active"], story.row(PRESSURE)["stale"]) == (True, True)
    assert story.said("pump.silent") == [(3 * HOUR + 1 * S, "raised")]
    story.hear(11 * HOUR, pressure=13)
    assert story.said(PRESSURE)[-1] == (11 * HOUR, "fresh")
    assert story.word(PRESSURE) == "acknowledged"


def test_r12_a_second_failure_is_a_new_alarm_however_soon() -> None:
    story = Story(RULES).hear(1 * S, pressure=12).hear(2 * S, pressure=5).hear(3 * S, pressure=12)
    assert [row["word"] for row in story.rows(PRESSURE)] == [
        "returned_unacknowledged", "unacknowledged",
    ]
    assert len({row["alarm"] for row in story.rows(PRESSURE)}) == 2


def test_r13_after_a_suppression_the_alarm_that_stands_is_announced() -> None:
    story = Story(RULES).does("set", "service", value=True).hear(1 * MIN, pressure=12)
    assert (story.word(PRESSURE), story.said(PRESSURE)) == ("suppressed", [])
    story.to(30 * MIN).does("set", "service", value=False)
    assert story.kept(PRESSURE) == [(1 * MIN, "raised"), (2 * MIN, "stale")]
    assert story.said(PRESSURE) == [(30 * MIN + 1, "raised")]
    assert story.word(PRESSURE) == "unacknowledged"


def test_r14_a_shelf_ends_on_time_though_nobody_was_there_to_end_it() -> None:
    story = Story(RULES).hear(1, pressure=12, temp=20).does("acknowledge", PRESSURE)
    story.does("shelve", PRESSURE, duration=10 * MIN - 2).to(8 * MIN).restart()
    assert story.word(PRESSURE) == "shelved"
    story.to(12 * MIN)                         # down from minute 8 to 12
    assert story.said(PRESSURE)[-1] == (10 * MIN, "unacknowledged")
    assert story.kept(PRESSURE)[-1] == (10 * MIN, "unshelved")
    assert story.word(PRESSURE) == "unacknowledged"


def test_r14_what_comes_on_the_shelf_is_announced_when_it_ends() -> None:
    story = Story(RULES).hear(0, pressure=1).does("shelve", PRESSURE, duration=10 * MIN - 1)
    story.hear(8 * MIN, pressure=12).restart().to(12 * MIN)
    assert story.said(PRESSURE) == [(10 * MIN, "raised")]
    assert story.row(PRESSURE)["raised_ms"] == 8 * MIN


def test_r15_acknowledged_silence_does_not_hide_what_comes_after_it() -> None:
    story = Story(RULES).hear(0, pressure=1).to(3 * HOUR).does("acknowledge", "pump.silent")
    assert story.word("pump.silent") == "acknowledged"
    story.hear(4 * HOUR, pressure=12)
    assert story.rows("pump.silent") == []     # over, and acknowledged
    assert story.word(PRESSURE) == "unacknowledged"
    assert story.row(PRESSURE)["acknowledged"] is None


def started() -> Story:
    """Acknowledged, shelved and delaying alarms, and a plan whose clocks run, at minute 5."""
    story = Story(RULES).hear(1 * S, pressure=12, temp=20, leak=True)
    story.does("acknowledge", PRESSURE, by="li").does("comment", PRESSURE, reason="known")
    story.does("shelve", LEAK, duration=1 * HOUR)
    story.hear(1 * MIN, temp=125).does("acknowledge", TRIP, by="li")
    return story.to(5 * MIN)


def states(story: Story) -> list[dict[str, object]]:
    """The list of alarms, without what an edit of texts may change."""
    shown = story.duty.alarms_list()
    return [{key: x for key, x in row.items() if key not in ("title", "text")} for row in shown]


@pytest.mark.parametrize(
    ("old", "new"),
    [("title: Hot}", "title: Too hot}"), ('message: "{pressure}"', 'message: "at {pressure}"'),
     ("title: Pressure, ", ""), ("notify: [desk]", "notify: [desk, chief]"),
     ("  stop:\n", "  stop:\n    title: Stop the pump\n"),
     ("severity: yellow, when: leak", "severity: orange, when: leak")],
)  # fmt: skip
def test_r16_an_edit_keeps_acknowledgements_shelves_delays_and_clocks(old: str, new: str) -> None:
    story = started()
    before = states(story)
    activation = story.edit(old, new)
    assert (activation["anew"], activation["gone"]) == ([], [])
    assert len(story.duty.alarms_list()) == 3
    if "severity" not in old:
        assert states(story) == before
    story.to(2 * HOUR)
    assert story.said(HOT) == [(16 * MIN, "raised")]              # 15 min from minute 1
    late = [x for x in story.alerts(TRIP) if x["kind"] == "overdue"]
    assert [(x["t_ms"], x["step"]) for x in late] == [(11 * MIN, "look")]
    unshelved = story.kept(LEAK)[-1]
    assert unshelved == (1 * HOUR + 1 * S + 1, "unshelved")


def test_r16_what_starts_anew_is_named_and_nothing_else_does() -> None:
    story = started()
    activation = story.edit("temp > 90 °C", "temp > 95 °C")
    assert (activation["anew"], activation["gone"]) == ([HOT], [])
    story.to(2 * HOUR)
    assert story.said(HOT) == [(20 * MIN + 1, "raised")]          # the full delay, from the edit on
    assert (11 * MIN, "overdue") in story.said(TRIP)


def test_r16_a_rule_that_goes_ends_its_alarm_and_can_be_worked_off() -> None:
    story = started()
    activation = story.edit("rule: pump.trip", "rule: pump.other")
    assert (activation["anew"], activation["gone"]) == (["pump.other"], [TRIP])
    assert story.said(TRIP)[-1] == (5 * MIN + 1, "cleared")
    assert story.row(TRIP)["loop"] == "open"
    assert story.order("shelve", TRIP, duration=MIN)["why"] == "its rule is gone"
    story.does("step", TRIP, step="close", fields={"cause_code": "wear"}).to(6 * MIN)
    assert story.rows(TRIP) == []


def test_r17_acknowledgements_with_who_when_and_comment_survive_everything() -> None:
    story = started()
    before, said = story.duty.alarms_list(), len(story.records)
    story.restart().to(5 * MIN + 1 * S).restart()
    assert story.duty.alarms_list() == before
    assert story.row(PRESSURE)["acknowledged"] == {"t_ms": 1 * S + 1, "by": "li"}
    assert story.row(PRESSURE)["comments"] == 1
    assert len(story.records) == said          # nothing sounds again


def test_r20_five_edits_leave_one_evaluation_and_one_notice() -> None:
    story = Story(RULES).hear(1, temp=95)
    for n in range(5):
        story.to((n + 1) * MIN)
        text = "title: Hot" if n == 0 else f"title: Hot {n - 1}"
        assert story.edit(text + "}", f"title: Hot {n}}}")["anew"] == []
    story.to(1 * HOUR)
    assert story.said(HOT) == [(15 * MIN + 1, "raised")]
    assert story.alerts(HOT)[0]["title"]["en"] == "Hot 4"


def test_r21_a_rule_that_was_disabled_waits_its_full_delay_again() -> None:
    story = Story(RULES).hear(1, temp=95).to(10 * MIN)
    story.edit("for: 15 min,", "for: 15 min, enabled: false,")
    story.to(1 * HOUR)
    assert story.alerts(HOT) == []
    story.edit("enabled: false, ", "")
    story.to(2 * HOUR)
    assert story.said(HOT) == [(1 * HOUR + 15 * MIN + 1, "raised")]


def test_r23_an_escalation_ends_with_its_acknowledgement() -> None:
    story = Story(RULES).hear(1, leak=True).to(10 * MIN).does("acknowledge", LEAK).to(2 * HOUR)
    assert [kind for _, kind in story.said(LEAK)] == ["raised", "acknowledged"]


def test_r23_stopped_amid_its_wait_an_escalation_comes_on_time() -> None:
    story = Story(RULES).hear(1, leak=True).to(10 * MIN).restart().to(30 * MIN)
    assert story.said(LEAK)[-1] == (20 * MIN + 1, "level")
    assert story.row(LEAK)["severity"] == "red"


def test_r23_a_plans_steps_come_on_time_and_stop_when_they_are_done() -> None:
    story = Story(RULES).hear(1, temp=125).to(20 * S).restart().to(1 * MIN)
    assert story.said(TRIP)[-1] == (30 * S + 1, "overdue")
    story.does("acknowledge", TRIP).to(9 * MIN).restart().does("step", TRIP, step="look")
    story.to(1 * HOUR)
    assert [kind for _, kind in story.said(TRIP)].count("overdue") == 1


def test_r25_a_hundred_violations_are_one_alarm_and_the_next_after_normal_is_another() -> None:
    story = Story(RULES)
    for n in range(100):
        story.hear(1 + 10 * n, pressure=11 + n / 10)
    assert story.said(PRESSURE) == [(1, "raised")]
    first = story.row(PRESSURE)["alarm"]
    story.does("acknowledge", PRESSURE).hear(2 * S, pressure=5).hear(3 * S, pressure=12)
    assert story.row(PRESSURE)["alarm"] != first
    assert story.word(PRESSURE) == "unacknowledged"


def test_r30_of_many_orders_each_is_carried_out_or_says_why_and_comments_stay() -> None:
    assets = tuple(f"P{n}" for n in range(50))
    story = Story(RULES, assets)
    for n, asset in enumerate(assets):
        story.hear(1 * S, asset, pressure=12 if n % 5 else 5)
    answers = {x: story.order("acknowledge", PRESSURE, x, reason="all seen") for x in assets}
    refused = [x for x, answer in answers.items() if answer["result"] == "refused"]
    assert refused == list(assets[::5])
    assert all(answers[x]["why"] == "there is no such alarm now" for x in refused)
    assert story.order("acknowledge", PRESSURE, "P1")["why"] == "already acknowledged by ana"
    story.does("comment", PRESSURE, "P1", reason="valve 3").hear(9 * S, "P1", pressure=5)
    said = [
        x["reason"] for x in story.alerts(PRESSURE, "P1") if x.get("by")
    ]
    assert said == ["all seen", "valve 3"]


def test_r30_an_order_that_comes_twice_is_carried_out_once() -> None:
    story = Story(RULES).hear(1, pressure=12)
    first = story.order("acknowledge", PRESSURE, request="x")
    count = len(story.records)
    assert story.order("acknowledge", PRESSURE, request="x") == first
    assert story.restart().order("acknowledge", PRESSURE, request="x") == first
    assert len(story.records) == count


def test_repeated_alarms_open_a_hazard_that_is_closed_like_any_loop() -> None:
    story = Story(RULES)
    for hour in (1, 20, 40):
        story.hear(hour * HOUR, pressure=12).does("acknowledge", PRESSURE)
        story.hear(hour * HOUR + 1 * MIN, pressure=5)
    hazard = "pump.repeats"
    assert story.said(hazard) == [(40 * HOUR, "raised")]
    assert story.row(hazard)["hazard"] is True
    assert story.alerts(hazard)[0]["hazard"] is True
    assert story.order("step", hazard, step="assign")["why"] == (
        "step assign needs measure, owner, time_limit"
    )
    fields = {"measure": "new valve", "owner": "li", "time_limit": "30 d"}
    story.does("acknowledge", hazard).does("step", hazard, step="assign", fields=fields)
    done = {"corrective_action": "replaced"}
    why = story.order("step", hazard, step="close", fields=done)["why"]
    assert why == "the loop cannot be closed while the alarm is active"
    story.to(9 * 24 * HOUR)                    # nothing for a week: the condition is normal
    assert (story.word(hazard), story.row(hazard)["loop"]) == ("normal", "open")
    story.restart().to(33 * 24 * HOUR)
    late = story.alerts(hazard)[-1]
    limit = 40 * HOUR + 1 * MIN + 1 + 30 * 24 * HOUR
    assert (late["kind"], late["t_ms"], late["severity"]) == ("overdue", limit, "orange")
    story.does("acknowledge", hazard).does("step", hazard, step="close", fields=done)
    assert story.alerts(hazard)[-1]["kind"] == "closed"
    assert story.to(34 * 24 * HOUR).rows(hazard) == []


def test_a_shelf_is_no_longer_than_the_class_allows() -> None:
    story = Story(RULES, inventory=(Asset("P1", "pump"),)).hear(1, pressure=12)
    why = story.order("shelve", PRESSURE, duration=2 * HOUR + 1)["why"]
    assert why == "longer than the limit of 120 min for its class"
    story.does("shelve", PRESSURE, duration=2 * HOUR)
