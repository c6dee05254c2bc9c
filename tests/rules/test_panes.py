"""Crowded windows keep panes: what they say stays within a pane of the brute-force truth.

Run without compiling (NUMBA_DISABLE_JIT=1) the windows are made small, so that plain Python can
crowd them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from numba.core import config

from rules import layout as k
from rules.load import load_texts
from rules.model import Pack
from rules.records import Message
from streams.engine import Engine
from streams.parcels import restore, snapshot

Floats = npt.NDArray[np.float64]
SMALL = bool(config.DISABLE_JIT)  # type: ignore[attr-defined]
MOST = 32 if SMALL else k.WINDOW_SAMPLES
MANY = 4 if SMALL else 2                # times as many samples in a window as it keeps exactly
WIDTH = 100 * MANY * MOST               # ms, at a sample each 100
BACK = WIDTH // 4
ALL = (10 * MOST) if SMALL else (7 * MOST // 2)      # samples of a run
STARTED = 1_700_000_000_000

HELD = ("mean", "min", "max", "range", "total", "delta")
SAMPLES = ("count", "sum", "std", "rate", "increase")
WINDOWS = tuple(f"{name}(x over {WIDTH} ms)" for name in (*HELD, *SAMPLES))
ENDED = tuple(
    f"{name}(x over {WIDTH} ms ending {BACK} ms ago)" for name in ("total", "max", "count")
)
PACK = """
classes:
  tank: {{signals: {{x: {{}}, p: {{type: bool}}, code: {{events: {{1: look}}}}}}}}
rules:
- {{rule: tank.look, class: tank, severity: blue, when: code == look, evidence: {evidence}}}
- {{rule: tank.mean, class: tank, severity: blue, when: mean(x over {width} ms) > 2 and p}}
"""


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    if SMALL:
        monkeypatch.setattr(k, "WINDOW_SAMPLES", MOST)
        monkeypatch.setattr(k, "PANES", MOST - 2)


def pack(*windows: str, width: int = WIDTH) -> Pack:
    text = PACK.format(evidence=[f"{window}" for window in windows], width=width)
    found = load_texts([("pack.yaml", text.encode())])
    assert found.pack is not None, found.problems
    return found.pack


def say(t: int, x: float | None, *, look: bool = False) -> Message:
    values: dict[str, object] = {"x": x}
    return Message("A", "tank", STARTED + t, values | ({"code": 1} if look else {}))


def looked(engine: Engine, messages: list[Message]) -> list[tuple[float, ...]]:
    """What the windows said at each look."""
    found = engine.messages(messages)
    return [tr.values for tr in found if tr.kind == "raised" and tr.rule == "tank.look"]


def noise(seed: int, n: int, gap: int = 100, start: int = 0) -> tuple[Floats, Floats]:
    """Times (ms) about `gap` apart and a wandering value; a few are bad (NaN)."""
    rng = np.random.default_rng(seed)
    t = start + np.cumsum(rng.integers(1, 2 * gap, n)).astype(float)
    x = 50 + np.cumsum(rng.normal(size=n)) / 10 + rng.normal(size=n)
    x[rng.random(n) < 0.01] = np.nan
    return t, x


def messages(t: Floats, x: Floats, looks: set[int]) -> list[Message]:
    return [
        say(int(at), None if math.isnan(v) else float(v), look=i in looks)
        for i, (at, v) in enumerate(zip(t, x, strict=True))
    ]


# The truth -----------------------------------------------------------------------------------


def step(back: int = 0) -> int:
    return -(-(WIDTH + back) // (MOST - 2))


def of_samples(name: str, t: Floats, x: Floats) -> float:
    """A function of these samples, as numpy has it."""
    if name == "count":
        return float(len(x))
    if name == "sum":
        return float(x.sum())
    if name == "std":
        return float(np.std(x, ddof=1))
    if name == "median":
        return float(np.median(x))
    if name == "rate":
        return float(np.polyfit((t - t[0]) / 1000, x, 1)[0])
    return float(sum(b - a if b >= a else b for a, b in pairwise(x)))


def widened(t: Floats, low: float, end: float, width: int) -> npt.NDArray[np.bool_]:
    """The samples of all panes of which some sample lies, or might lie, in low < t <= end."""
    panes = (STARTED + t) // width
    inside = np.zeros(len(t), bool)
    for pane in np.unique(panes):
        of = panes == pane
        inside |= of & (t[of].max() > low) & (t[of].min() <= end)
    return inside


def held(t: Floats, x: Floats, low: float, end: float) -> dict[str, float]:
    """The functions of a held value over (low, end], by its stretches."""
    stop = np.append(t[1:], np.inf)
    length = np.minimum(stop, end) - np.maximum(t, low)
    on = (stop > low) & (t <= end) & ~np.isnan(x)
    total = float((x[on] * length[on]).sum())
    before = x[np.searchsorted(t, low, "right") - 1]
    return {
        "mean": total / length[on].sum(), "total": total / 1000, "min": x[on].min(),
        "max": x[on].max(), "range": x[on].max() - x[on].min(), "delta": float(x[-1] - before),
    }  # fmt: skip


def splits(t: Floats, at: float, width: int) -> bool:
    """Whether a pane has changes both up to a time and after it."""
    of = t[(STARTED + t) // width == (STARTED + at) // width]
    return len(of) > 0 and of.min() <= at < of.max()


# Tests ---------------------------------------------------------------------------------------


def runs() -> Iterator[tuple[int, list[int]]]:
    """Seeds, and which samples are looked at: a few while exact, most when crowded."""
    for seed in range(3 if SMALL else 1):
        rng = np.random.default_rng(seed)
        some = rng.integers(MOST, ALL, 40).tolist()
        yield seed, sorted({MOST // 2, MOST - 1, *some, ALL - 1})


@pytest.mark.parametrize(("seed", "looks"), list(runs()))
def test_windows_stay_within_a_pane_of_the_truth(seed: int, looks: list[int]) -> None:
    t, x = noise(seed, ALL)
    found = looked(Engine(pack(*WINDOWS)), messages(t, x, set(looks)))
    assert len(found) == len(looks)
    whole = 0
    for i, values in zip(looks, found, strict=True):
        if math.isnan(x[i]):
            continue
        said = dict(zip(WINDOWS, values, strict=True))
        now, known = t[i], ~np.isnan(x[: i + 1])
        low = now - WIDTH
        past, so_far = t[: i + 1][known], x[: i + 1][known]
        inside = past > low
        crowded = low > 0      # and has been: from here on some have left
        counted = widened(past, low, now, step()) if crowded else inside
        for name in SAMPLES:
            expected = of_samples(name, past[counted], so_far[counted])
            assert said[f"{name}(x over {WIDTH} ms)"] == pytest.approx(expected, rel=1e-6), name
        if low < t[0]:
            continue
        truth = held(t[: i + 1], x[: i + 1], low, now)
        if not splits(t[: i + 1], low, step()):
            whole += 1
            for name in HELD:
                assert said[f"{name}(x over {WIDTH} ms)"] == pytest.approx(truth[name]), name
        wider = held(t[: i + 1], x[: i + 1], max(low - step(), t[0]), now)
        most = step() * (wider["max"] - min(0, wider["min"])) * 2
        mean, total, least = (
            said[f"{name}(x over {WIDTH} ms)"] for name in ("mean", "total", "min")
        )
        assert abs(mean - truth["mean"]) <= most / (0.9 * WIDTH)
        assert abs(total - truth["total"]) <= most / 1000
        assert wider["min"] <= least <= truth["min"]
    assert whole > 0


@pytest.mark.parametrize("seed", range(2 if SMALL else 1))
def test_a_window_that_ended_some_time_ago_is_off_by_a_pane_at_each_edge(seed: int) -> None:
    t, x = noise(seed, ALL)
    looks = list(range(ALL * 4 // 5, ALL, MOST // 8))
    found = looked(Engine(pack(*ENDED)), messages(t, x, set(looks)))
    for i, (total, most, count) in zip(looks, found, strict=True):
        end, pane = t[i] - BACK, step(BACK)
        low = end - WIDTH
        known = ~np.isnan(x[: i + 1])
        if known[-1]:
            past = t[: i + 1][known]
            assert count == widened(past, low, end, pane).sum()
        truth = held(t[: i + 1], x[: i + 1], low, end)
        wider = held(t[: i + 1], x[: i + 1], low - pane, end + pane)
        assert truth["max"] <= most <= wider["max"]
        assert abs(total - truth["total"]) <= 2 * pane * wider["max"] / 1000


def test_a_median_is_that_of_the_newest() -> None:
    n = MOST + MOST // 8
    t, x = noise(3, n)
    x = np.nan_to_num(x)
    looks = {MOST - 2, MOST, n - 1}
    found = looked(Engine(pack(f"median(x over {WIDTH} ms)")), messages(t, x, looks))
    expected = [np.median(x[max(0, i + 1 - MOST) : i + 1]) for i in sorted(looks)]
    assert [value for value, in found] == expected


def crowd(engine: Engine, start: int) -> None:
    """More samples than are kept, 100 ms apart from `start` on."""
    engine.messages([say(start + 100 * i, 5.0 + i % 7) for i in range(MOST + 10)])


def coarse(engine: Engine) -> list[bool]:
    """For each window whether it keeps panes."""
    plant = engine.plants[0]
    code = plant.compiled.program.code
    offsets = sorted(set(code[code[:, k.OP] == k.OVER, k.OFF].tolist()))
    return [bool(plant.memory.state[0, o + k.R_STEP] > 0) for o in offsets]


def test_a_window_is_exact_again_once_it_was_empty() -> None:
    engine = Engine(pack(f"count(x over {WIDTH} ms)", f"std(x over {WIDTH} ms)"))
    crowd(engine, 0)
    assert coarse(engine) == [True, True, True]
    engine.run_until(STARTED + 3 * WIDTH)      # one value is held all the time
    assert coarse(engine) == [False, False, False]
    later = 4 * WIDTH
    [found] = looked(engine, [
        say(later, 1.0), say(later + 1000, 2.0), say(later + WIDTH + 500, 4.0, look=True),
    ])  # fmt: skip
    assert found == pytest.approx((2, math.sqrt(2)))


def test_memory_does_not_grow() -> None:
    engine = Engine(pack(*WINDOWS[:1], *WINDOWS[-1:]))
    used = []
    for cycle in range(4):
        crowd(engine, cycle * 3 * WIDTH)
        engine.run_until(STARTED + (cycle * 3 + 2) * WIDTH + 200 * MOST)
        used.append(int(engine.plants[0].memory.heads[0]))
    assert used[0] == used[1] == used[2] == used[3]


def test_a_snapshot_of_panes_goes_on_as_if_nothing_had_been() -> None:
    t, x = noise(7, 2 * MOST)
    half = MOST * 3 // 2
    looks = set(range(half, 2 * MOST, MOST // 8))
    every = messages(t, x, looks)
    windows = [WINDOWS[at] for at in (0, 2, 5, 8, 9, 10)]
    engine = Engine(pack(*windows))
    engine.messages(every[:half])
    assert any(coarse(engine))
    again = restore(pack(*windows), snapshot(engine))
    assert coarse(again) == coarse(engine)
    expected = looked(engine, every[half:])
    assert len(expected) == len(looks)
    assert np.array_equal(looked(again, every[half:]), expected, equal_nan=True)


def test_an_activation_gives_the_blocks_of_panes_back() -> None:
    engine = Engine(pack(f"std(x over {WIDTH} ms)"))
    crowd(engine, 0)
    before = int(engine.plants[0].memory.heads[0])
    assert all(coarse(engine))
    engine.activate(pack(f"count(x over {WIDTH} ms)", width=WIDTH + 1), STARTED + 200 * MOST)
    assert coarse(engine) == [False, False]
    crowd(engine, 200 * MOST + 1000)
    assert all(coarse(engine))
    assert int(engine.plants[0].memory.heads[0]) == before


def test_a_constant_value_needs_no_panes_and_total_counts_all_of_it() -> None:
    engine = Engine(pack(f"total(x over {WIDTH} ms)", f"mean(x over {WIDTH} ms)"))
    n = MANY * MOST + 10
    steady = [say(100 * i, 3.0, look=i == n - 1) for i in range(n)]
    [found] = looked(engine, steady)
    assert found == pytest.approx((3.0 * WIDTH / 1000, 3.0))
    assert not any(coarse(engine))
