"""The report for the file: one page that stands alone, whatever texts it is made of."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rules.model import Asset
from streams.report import page
from streams.report_trend import trend
from streams.run.journal import DATABASE
from streams.store import Store
from streams.trace_ledger import story_of
from streams.trace_story import Story
from tests.streams.trace_kit import HOUR, MIN, Plant, S, usual

HOSTILE = "<script>alert(1)</script>\"'&"
VOID = frozenset({"meta", "br"})


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return told(usual(tmp_path_factory.mktemp("report")), "tank.pressure@T-1")


def told(plant: Plant, asked: str, zone: str | None = None) -> Story:
    with Store(plant.end() / DATABASE, readonly=True) as store:
        return story_of(store, asked, zone)


class Page(HTMLParser):
    """Reads a page; every element must be closed in its order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_says_what_the_story_says(story: Story) -> None:
    found = Page(page(story, "en", "run again: the same"))
    for said in (
        "Pressure high", "T-1", "2026-03-02 14:01:50", "lead before the trip", "1 min 40 s",
        "Relieve", "PSV-2", "blocked vent", "refused: step close", "run again: the same",
        "- rule: tank.pressure", "tank.yaml:27", "ORANGE 10 bar = 1.25 * limit", "Asia/Shanghai",
    ):  # fmt: skip
        assert said in found.text, said


def test_the_page_is_there_in_chinese(story: Story) -> None:
    html = page(story, "zh")
    assert 'lang="zh-CN"' in html
    found = Page(html)
    said = ("报警追溯报告", "压力高", "提前于联锁", "预案", "核对", "按时", "全过程", "当时的规则")
    for one in said:
        assert one in found.text, one


def test_it_stands_alone_without_script_or_network(story: Story) -> None:
    html = page(story, "en")
    found = Page(html)
    assert not {"script", "link", "img", "iframe", "object", "form", "a"} & set(found.tags)
    names = {name for name, _ in found.attributes}
    assert not {name for name in names if name.startswith("on")}
    assert not {"href", "src", "action", "style"} & names
    assert "default-src 'none'" in html
    urls = {x for x in re.findall(r"https?://[^\"' ]+", html) if x != "http://www.w3.org/2000/svg"}
    assert not urls
    assert set(re.findall(r"url\(([^)]*)\)", html)) <= {"#unknown"}


def test_the_same_story_gives_the_same_bytes(story: Story) -> None:
    assert page(story, "en") == page(story, "en")


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    plant = Plant(tmp_path, assets=(Asset(HOSTILE, "tank", {"place": HOSTILE}),))
    plant.says(0, HOSTILE, pressure=9.0, mode="filling", valve=True)
    plant.order(MIN, "comment", asset=HOSTILE, reason=f"{HOSTILE}\x00\x1b[2J\u202e", by=HOSTILE)
    plant.order(MIN + S, "step", asset=HOSTILE, step=HOSTILE, fields={HOSTILE: HOSTILE})
    plant.order(MIN + 2 * S, "step", asset=HOSTILE, step="vent", fields={HOSTILE: HOSTILE})
    plant.order(MIN + 3 * S, "acknowledge", asset=HOSTILE, reason=HOSTILE)
    story = told(plant, f"tank.pressure@{HOSTILE}")
    for language in ("zh", "en"):
        html = page(story, "zh" if language == "zh" else "en", HOSTILE)
        assert "<script" not in html
        assert not set("\x00\x1b\u202e") & set(html)
        found = Page(html)
        assert found.text.count("<script>alert(1)</script>") >= 8
        assert all(name in KNOWN for name, _ in found.attributes), found.attributes


KNOWN = frozenset({
    "lang", "charset", "http-equiv", "content", "name", "class", "viewbox", "role", "aria-label",
    "xmlns", "id", "width", "height", "patternunits", "patterntransform", "fill", "x", "y", "x1",
    "x2", "y1", "y2", "stroke", "stroke-width", "stroke-dasharray", "d", "opacity", "text-anchor",
    "font-weight",
})  # fmt: skip


# The picture --------------------------------------------------------------------------------------


def test_limits_marks_and_courses_are_drawn(story: Story) -> None:
    picture = trend(story, "en")
    found = Page(picture)
    for said in ("pressure  bar", "mode", "valve", "filling", "yes", "raised", "cleared",
                 "YELLOW 8 bar = limit", "14:05", "2026-03-02"):  # fmt: skip
        assert said in found.text, said
    assert found.tags.count("path") == 1
    assert "url(#unknown)" in picture


def test_numbers_in_a_picture_are_numbers(story: Story) -> None:
    for word in ("nan", "inf", "None"):
        assert word not in trend(story, "en")


def test_alarms_without_numbers_have_bands_and_strokes(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    plant.says(0, valve=True, mode="filling")
    plant.says(30 * S, code=[1, 2])
    plant.says(MIN, mode="idle", valve=False)
    plant.until(5 * MIN)
    folder = plant.end()
    with Store(folder / DATABASE, readonly=True) as store:
        busy, leak = story_of(store, "tank.busy@T-1"), story_of(store, "tank.leak@T-1")
    assert "<path" not in trend(busy, "en")
    assert {"filling", "idle", "yes", "no"} <= set(re.findall(r">(\w+)</text>", trend(busy, "en")))
    assert "leak" in trend(leak, "en")
    Page(page(leak, "zh"))


def test_an_alarm_without_any_reading_still_has_its_marks(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    plant.until(2 * HOUR)
    story = told(plant, "tank.silent@T-1")
    assert "raised" in Page(trend(story, "en")).text
    assert "pressure bar" not in page(story, "en")
    Page(page(story, "zh"))


def test_a_very_long_story_stays_readable(tmp_path: Path) -> None:
    plant = Plant(tmp_path)
    plant.says(0, pressure=9.0, mode="filling", valve=True)
    for i in range(200):
        plant.order((40 + 2 * i) * S, "acknowledge", request=f"a{i}", reason="x" * 500)
        plant.order((41 + 2 * i) * S, "unacknowledge", request=f"u{i}")
    story = told(plant, "tank.pressure@T-1")
    assert len(re.findall("<line", trend(story, "en"))) < 100
    assert Page(page(story, "en")).text.count("x" * 500) >= 200


def test_a_value_that_never_moves_has_a_scale(tmp_path: Path) -> None:
    for value in (0.0, 1e-9, 40.0):
        plant = Plant(tmp_path / f"{value}")
        plant.says(0, pressure=value, mode="filling", valve=True)
        plant.says(MIN, pressure=value)
        Page(trend(told(plant, "tank.busy@T-1"), "en"))


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/St_Johns", "Europe/Berlin"])
@pytest.mark.parametrize("length", [S, MIN, HOUR, 30 * HOUR, 40 * 24 * HOUR])
def test_the_axis_is_in_local_time_at_any_length(tmp_path: Path, zone: str, length: int) -> None:
    plant = Plant(tmp_path)
    plant.says(0, valve=True, mode="filling")
    plant.until(length)
    text = Page(trend(told(plant, "tank.busy@T-1", zone), "en")).text
    assert zone in text
    labels = re.findall(r"\d\d:\d\d(?!\d)", text)
    assert 1 <= len(labels) <= 24
