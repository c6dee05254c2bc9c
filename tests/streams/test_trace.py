"""Which alarm is meant, and all that belongs to its story."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rules.model import Asset
from streams.ledger import Record
from streams.run.journal import DATABASE
from streams.store import Store
from streams.trace import Search, TraceError, alarms
from streams.trace_ledger import story_of
from streams.trace_story import Story, entries, plain
from streams.trace_text import columns, lines, safe
from tests.streams.trace_kit import MIN, RULES, T0, ZONE, Plant, S, usual


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return usual(tmp_path_factory.mktemp("trace")).end()


@pytest.fixture(scope="module")
def store(folder: Path) -> Iterator[Store]:
    with Store(folder / DATABASE, readonly=True) as store:
        yield store


@pytest.fixture(scope="module")
def story(store: Store) -> Story:
    return story_of(store, "tank.pressure@T-1")


def found(story: Story) -> list[tuple[str, str]]:
    return [(one.what.en, one.by) for one in entries(story)]


# Which alarm --------------------------------------------------------------------------------------


def test_an_alarm_is_found_by_its_id_a_beginning_of_it_and_its_rule_and_asset(
    store: Store, story: Story
) -> None:
    alarm = story.chronicle.alarm
    for asked in (alarm.id, alarm.id[:6].upper(), "tank.pressure@T-1"):
        assert Search(asked).look(store.records()) == alarm


def test_rule_and_asset_mean_the_newest_occurrence(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    for i in range(3):
        plant.says((20 * i + 10) * S, valve=True, mode="filling")
        plant.says((20 * i + 20) * S, mode="idle")
    folder = plant.end()
    with Store(folder / DATABASE, readonly=True) as store:
        newest = Search("tank.busy@T-1").look(store.records())
        assert newest.raised_ms == T0 + 50 * S
        assert len({one.id for one in alarms(store.records())}) == 3


@pytest.mark.parametrize("asked", ["", "abc", "xyz0", "0" * 33, "@T-1", "tank.pressure@", "tank.x"])
def test_what_is_no_name_of_an_alarm_is_refused_with_what_is_expected(asked: str) -> None:
    with pytest.raises(TraceError, match="expected an alarm's id"):
        Search(asked)


def test_an_alarm_that_is_not_there_is_said_to_be_missing(store: Store) -> None:
    with pytest.raises(TraceError, match="no alarm's id begins with '0000000'"):
        Search("0000000").look(store.records())
    with pytest.raises(TraceError, match=r"tank\.pressure has never been raised on T-9"):
        Search("tank.pressure@T-9").look(store.records())


def test_a_beginning_of_several_ids_lists_them() -> None:
    def record(n: int, digits: str) -> Record:
        alarm = digits.ljust(32, "0")
        body = {"type": "alert", "alarm": alarm, "rule": "r", "asset": f"A{n}", "raised_ms": n,
                "n": n}  # fmt: skip
        return Record(n, b"", json.dumps(body).encode())

    with pytest.raises(TraceError) as error:
        Search("abcd").look([record(1, "abcd1"), record(2, "abcd2"), record(3, "abce")])
    said = str(error.value).splitlines()
    assert said[0] == "'abcd' is the beginning of 2 alarms; give more digits:"
    assert [line.split()[1] for line in said[1:]] == ["r@A1", "r@A2"]


def test_of_very_many_candidates_some_are_listed() -> None:
    rows = ({"type": "alert", "alarm": f"abcd{i:028x}", "rule": "r", "asset": "A", "raised_ms": 1,
             "n": i + 1} for i in range(50))  # fmt: skip
    records = (Record(row["n"], b"", json.dumps(row).encode()) for row in rows)  # type: ignore[arg-type] # n is one
    with pytest.raises(TraceError, match="more than 20") as error:
        Search("abcd").look(records)
    assert len(str(error.value).splitlines()) == 22


def test_a_record_that_cannot_be_read_is_named() -> None:
    for body in (b"abcd", b"[]abcd", b'["abcd"]'):
        with pytest.raises(TraceError, match="record 7"):
            Search("abcd").look([Record(7, b"", body)])


# The story ----------------------------------------------------------------------------------------


def test_every_record_of_the_alarm_is_told_in_order_with_who(story: Story) -> None:
    assert found(story) == [
        ("raised", ""), ("acknowledged", "li"), ("refused: step close", "li"), ("comment", "li"),
        ("level", ""), ("acknowledged", "li"), ("step: vent", "li"), ("cleared", ""),
        ("closed: close", "li"),
    ]  # fmt: skip
    assert [c["n"] for c in story.chronicle.records()] == sorted(
        c["n"] for c in story.chronicle.records()
    )
    assert story.chronicle.standing == "finished"


def test_what_came_after_the_alarm_was_over_is_not_of_its_story(story: Story) -> None:
    assert not any("shelve" in what for what, _ in found(story))


def test_a_shelf_in_force_at_the_raise_belongs_to_the_story(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    plant.says(0, pressure=5.0, mode="filling", valve=True)
    plant.order(5 * S, "shelve", reason="first", duration=MIN)
    plant.order(10 * S, "unshelve")
    plant.order(20 * S, "shelve", reason="second", duration=5 * MIN)
    plant.says(30 * S, pressure=9.0)
    plant.until(10 * MIN)
    with Store(plant.end() / DATABASE, readonly=True) as store:
        story = story_of(store, "tank.pressure@T-1")
    told = [(one.what.en, one.detail.en) for one in entries(story)]
    assert told[0] == ("shelved", "second · for 5 min")
    assert told[1][0] == "raised"
    assert told[1][1].endswith("not announced (shelved)")
    assert [what for what, _ in told[2:5]] == ["stale", "unshelved", "raised"]
    assert not any("first" in detail for _, detail in told)


def test_figures_hold_the_reactions_against_the_clocks(story: Story) -> None:
    figures = story.figures
    assert (figures.condition_ms, figures.active_ms) == (30 * S, 190 * S)
    assert (figures.acknowledged_ms, figures.acknowledged_by) == (15 * S, "li")
    assert figures.closed_ms == 290 * S
    assert [(lead.to, lead.rule, lead.ms) for lead in figures.leads] == [
        ("trip", "tank.leak", 100 * S)
    ]
    assert [(task.step, task.state, task.took_ms, task.within_ms) for task in figures.tasks] == [
        ("acknowledge", "in time", 15 * S, 30 * S), ("vent", "in time", 110 * S, 5 * MIN),
        ("close", "done", 290 * S, None),
    ]  # fmt: skip
    assert figures.tasks[2].fields == {"cause_code": "blocked vent"}


def test_a_step_that_is_late_or_never_done_says_by_how_much(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    plant.says(0, pressure=9.0, mode="filling", valve=True)    # raised at 30 s
    plant.order(90 * S, "acknowledge")
    plant.says(10 * MIN, pressure=9.1)
    plant.until(11 * MIN)
    plant.says(11 * MIN + S, pressure=9.2)
    with Store(plant.end() / DATABASE, readonly=True) as store:
        story = story_of(store, "tank.pressure@T-1")
    tasks = {task.step: (task.state, task.late_ms) for task in story.figures.tasks}
    assert tasks["acknowledge"] == ("late", 30 * S)
    assert tasks["vent"][0] == "overdue"
    assert tasks["close"] == ("open", None)
    assert story.chronicle.worst == "red"       # raised by the late step
    assert story.chronicle.ended_ms is None


def test_the_rule_is_shown_as_it_stood_at_the_raise(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    plant.says(0, pressure=9.0, mode="filling", valve=True)
    plant.until(MIN)
    plant.activate(2 * MIN, RULES.replace("pressure > limit}", "pressure > 0.5 * limit}"))
    plant.says(3 * MIN, pressure=9.1)
    with Store(plant.end() / DATABASE, readonly=True) as store:
        story = story_of(store, "tank.pressure@T-1")
    assert story.basis is not None
    assert "pressure > limit}" in story.basis.cuts[0].text
    told = [one for one in entries(story) if one.kind == "activation"]
    assert [(one.by, one.detail.en.partition("; ")[2]) for one in told] == [
        ("zhao", "this rule starts anew")
    ]
    assert plain(story)["basis"]["matches"] is True


def test_a_pack_that_is_not_kept_leaves_the_records(folder: Path, tmp_path: Path) -> None:
    import shutil  # noqa: PLC0415 - of this test alone
    import sqlite3  # noqa: PLC0415 - of this test alone

    shutil.copytree(folder, tmp_path / "copy")
    with sqlite3.connect(tmp_path / "copy" / DATABASE) as db:
        db.execute("DELETE FROM texts")
    db.close()
    with Store(tmp_path / "copy" / DATABASE, readonly=True) as store:
        story = story_of(store, "tank.pressure@T-1")
    assert story.basis is None
    assert len(found(story)) == 9
    text = "\n".join(line for _, line in lines(story, "en"))
    assert "the texts of that time are not kept" in text
    assert "no readings are kept" in text


def test_a_group_tells_the_course_of_the_alarms_under_it(store: Store) -> None:
    story = story_of(store, "site.both@T-1")
    assert [one.title.en for one in story.series] == ["T-1 Pressure high", "T-1 tank.leak"]
    pressure = story.series[0].points
    assert [(t - T0, x) for t, x in pressure[1:]] == [(110 * S, 1.0), (300 * S, 0.0)]
    assert story.basis is not None
    assert story.basis.cuts[0].text.startswith("- group: site.both")


def test_json_says_all_of_it_and_no_number_that_json_lacks(story: Story) -> None:
    found = json.loads(json.dumps(plain(story), allow_nan=False))
    assert found["alarm"] == story.chronicle.alarm.id
    assert found["zone"] == ZONE
    assert found["place"] == "east"
    assert found["basis"]["texts"][0]["path"] == "tank.yaml"
    assert {limit["value"] for limit in found["basis"]["limits"]} == {8.0, 10.0, 9.5, 7.6}
    assert [one["name"] for one in found["readings"]["signals"]] == ["pressure", "mode", "valve"]
    assert found["figures"]["plan"] == "tank.relieve"
    assert found["records"][0]["kind"] == "raised"
    assert set(found) == {
        "alarm", "rule", "asset", "group", "class", "title", "text", "severity", "standing",
        "raised_ms", "since_ms", "ended_ms", "zone", "place", "desk", "tags", "hazard", "version",
        "basis", "readings", "records", "around", "figures",
    }  # fmt: skip


def test_lines_are_in_the_sites_time_and_in_either_language(story: Story) -> None:
    english = "\n".join(line for _, line in lines(story, "en"))
    chinese = "\n".join(line for _, line in lines(story, "zh"))
    assert "2026-03-02 14:01:50" in english
    assert "lead before the trip        1 min 40 s" in english
    assert "in time · 2026-03-02 14:02:05 (+15 s) · within 30 s · li · seen" in english
    assert "提前于联锁" in chinese
    assert "当 pressure > limit 持续 30 s" in chinese


def test_no_text_of_the_ledger_steers_the_terminal(story: Story) -> None:
    assert any("calling" in line for _, line in lines(story, "en"))
    for _, line in lines(story, "en"):
        assert line.isprintable(), line
    assert safe("a\x1b[31m\u202eb\nc") == "a\ufffd[31m\ufffdb c"
    assert columns("压力 x") == 6


def test_an_asset_with_overrides_has_its_own_limits_and_delay(tmp_path: Path) -> None:
    asset = Asset("T-3", "tank", {"limit": 6.0}, {"tank.pressure.for": "0 s"})
    plant = Plant(tmp_path, assets=(asset,))
    plant.says(0, "T-3", pressure=6.5, mode="filling", valve=True)
    with Store(plant.end() / DATABASE, readonly=True) as store:
        story = story_of(store, "tank.pressure@T-3")
    assert story.figures.condition_ms == 0
    assert story.basis is not None
    assert sorted(x.value for x in story.basis.limits if x.role == "raise") == [6.0, 7.5]
    assert plain(story)["basis"]["matches"] is True    # of the rule, whatever assets override


def test_what_the_pressure_did_before_is_there_and_a_stale_signal_is_unknown(story: Story) -> None:
    pressure = story.series[0]
    assert (pressure.low, pressure.high) == (5.0, 10.6)
    assert pressure.points[0] == (T0, 5.0)
    last = pressure.points[-1]
    assert last[0] == T0 + 300 * S + 2 * MIN
    assert last[1] != last[1]
    assert story.window.begin == T0 + 80 * S - 10 * MIN
