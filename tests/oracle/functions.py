"""Functions of time, each worked out anew from its whole log at every evaluation."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from rules.tree import Fn
from tests.oracle.log import (
    Entry,
    Log,
    became_false,
    became_true,
    ceased,
    known_samples,
    note,
    spell,
    turned,
)
from tests.oracle.values import FUNCTION, Position, Value, negation, truth
from tests.oracle.windows import Window, delta, over_samples, window_value

TIME_TO = ("time_to_above", "time_to_below")


@dataclass(frozen=True)
class Here:
    """Where an evaluation stands.

    `instant`: it is one of the functions of time. `heard`: the asset's last message, or the start
    of an inventory's asset. `first`: the asset's first message.
    """

    at: Position
    step: int
    instant: bool
    heard: int
    first: int | None


def passed(here: Here, t: int) -> bool:
    """Whether the functions' instant `t` has been reached."""
    return (t, FUNCTION) <= here.at


def grid_step(width: int) -> int:
    """The distance of a window's instants, ms."""
    return max(1_000, math.floor(width / 60 + 0.5))


@dataclass
class Trace:
    """A function of time of one asset: its log, and the value that a window took last."""

    fn: Fn
    durations: tuple[int | None, ...]
    log: Log = field(default_factory=list)
    kept: Value = None

    def feed(self, here: Here, sample: bool, args: tuple[Value, ...]) -> Value:
        """Note the operands of this evaluation and return the function's value."""
        note(self.log, Entry(here.at[0], here.step, sample, args))
        if None in self.durations:
            return None
        if self.windowed() and self.renewed(here):
            self.kept = self.window(here)
        return self.value(here)

    def windowed(self) -> bool:
        """Whether the value is renewed at certain places only."""
        return self.fn.form != "plain" or self.fn.name == "delta" or self.fn.name in TIME_TO

    def renewed(self, here: Here) -> bool:
        """Whether a window takes a new value in this evaluation."""
        log, now = self.log, here.step
        if log[-1].step == now and (log[-1].sample or turned(log)):
            return True
        if self.fn.name == "times" and any(e.step == now for e in became_true(log, 0)):
            return True
        if self.fn.form == "since":
            return any(e.step == now for e in became_true(log, 1))
        return here.instant and here.at[0] % grid_step(self.ms(0)) == 0

    def ms(self, i: int) -> int:
        """A duration that is known."""
        duration = self.durations[i]
        assert duration is not None
        return duration

    def window(self, here: Here) -> Value:
        """The value that the window takes now."""
        now = here.at[0]
        if self.fn.name == "delta":
            return delta(self.log, now, self.ms(0))
        if self.fn.name in TIME_TO:
            return over_samples("rate", self.log, Window(now - self.ms(0), now))
        if self.fn.form == "since":
            starts = became_true(self.log, 1)
            if not starts:
                return None
            return window_value(self.fn.name, self.log, Window(starts[-1].t, now, starts[-1].step))
        end = now - self.ms(1)
        return window_value(self.fn.name, self.log, Window(end - self.ms(0), end))

    def value(self, here: Here) -> Value:
        """The function's value at this evaluation."""
        name = self.fn.name
        if name in TIME_TO:
            return self.time_to()
        if self.windowed():
            return self.kept
        simple = {
            "prev": self.prev, "change": self.change, "last": self.last, "lag": self.lag,
            "latched": self.latched, "at": self.at_when, "ewma": self.ewma,
            "zscore": self.zscore, "cusum": self.cusum, "cusum_low": self.cusum,
        }  # fmt: skip
        if name in simple:
            return simple[name]()
        placed = {
            "held": self.held, "since": self.since, "age": self.age, "silent": self.silent,
            "not_followed": self.not_followed, "rises": self.edge, "falls": self.edge,
        }  # fmt: skip
        return placed[name](here)

    # --- functions of instants

    def held(self, here: Here) -> Value:
        c, run = self.log[-1].args[0], spell(self.log, 0)
        if not c or run.since is None:
            return c
        left = self.ms(0) - run.before
        return truth(left <= 0 or passed(here, run.since + left))

    def since(self, here: Here) -> Value:
        c = self.log[-1].args[0]
        if c is None:
            return None
        end = ceased(self.log, 0)
        if c:
            return 0.0
        return math.inf if end is None else float(here.at[0] - end)

    def last_sample(self, here: Here) -> int | None:
        """When `x` last had a sample, else when the asset was first heard."""
        samples = [e.t for e in self.log if e.sample]
        return samples[-1] if samples else here.first

    def age(self, here: Here) -> Value:
        start = self.last_sample(here)
        return None if start is None else float(here.at[0] - start)

    def silent(self, here: Here) -> Value:
        return truth(passed(here, here.heard + self.ms(0)))

    def not_followed(self, here: Here) -> Value:
        starts = became_true(self.log, 0)
        if not starts:
            return 0.0
        start = starts[-1]
        if any(e.args[1] for e in self.log if e.t >= start.t):
            return 0.0
        if self.ms(0) > 0 and not passed(here, start.t + self.ms(0)):
            return 0.0
        return negation(self.log[-1].args[1])

    def edge(self, here: Here) -> Value:
        became = became_true if self.fn.name == "rises" else became_false
        return truth(any(e.step == here.step for e in became(self.log, 0)))

    def next_instant(self, here: Here) -> int | None:
        """The next time at which the value changes by itself, if any."""
        if None in self.durations:
            return None
        match self.fn.name:
            case "held":
                run = spell(self.log, 0)
                return None if run.since is None else run.since + self.ms(0) - run.before
            case "silent":
                return here.heard + self.ms(0)
            case "not_followed":
                starts = became_true(self.log, 0)
                return starts[-1].t + self.ms(0) if starts else None
        return self.next_grid(here) if self.windowed() and self.fn.form != "since" else None

    def next_grid(self, here: Here) -> int | None:
        """The window's next instant; none once all that it saw change has left it."""
        step = grid_step(self.ms(0))
        t, phase = here.at
        following = -(-t // step) * step if phase < FUNCTION else (t // step + 1) * step
        gone = self.log[-1].t + sum(self.ms(i) for i in range(len(self.durations)))
        return following if following < gone + step else None

    # --- functions of what was

    def prev(self) -> Value:
        samples = [e.args[0] for e in self.log if e.sample]
        before = [x for x in samples[:-1] if x is not None]
        return before[-1] if before else None

    def change(self) -> Value:
        x, before = self.log[-1].args[0], self.prev()
        return None if x is None or before is None else x - before

    def last(self) -> Value:
        values = [e.args[0] for e in self.log if e.args[0] is not None]
        return values[-1] if values else None

    def lag(self) -> Value:
        a, b = became_true(self.log, 0), became_true(self.log, 1)
        return float(b[-1].t - a[-1].t) if a and b else None

    def latched(self) -> Value:
        state: Value = None
        for entry in self.log:
            a, b = entry.args
            if b:
                state = 0.0
            elif a:
                state = 1.0
            elif a is not None and state is None:
                state = 0.0
        return state

    def at_when(self) -> Value:
        starts = became_true(self.log, 1)
        return starts[-1].args[0] if starts else None

    def ewma(self) -> Value:
        m: Value = None
        before = 0
        for entry, x in known_samples(self.log):
            m = x if m is None else m + self.weight(entry.t - before) * (x - m)
            before = entry.t
        return m

    def weight(self, dt: int) -> float:
        """1 - exp(-dt/W)."""
        return 1.0 - math.exp(-dt / self.ms(0)) if self.ms(0) else 1.0

    def zscore(self) -> Value:
        if self.log[-1].args[0] is None:
            return None
        m, s2, before, score = 0.0, 0.0, 0, None
        for n, (entry, x) in enumerate(known_samples(self.log), start=1):
            if n == 1:
                m, before = x, entry.t
                continue
            d, a = x - m, self.weight(entry.t - before)
            score = d / math.sqrt(s2) if n >= 31 and s2 > 0.0 else None
            m, s2, before = m + a * d, (1.0 - a) * (s2 + a * d * d), entry.t
        return score

    def cusum(self) -> Value:
        sign = 1.0 if self.fn.name == "cusum" else -1.0
        total: Value = None
        resets = {e.step for e in became_true(self.log, 4)}
        for entry in self.log:
            if entry.step in resets and total is not None:
                total = 0.0
            x, target, slack, cap, _ = entry.args
            if not entry.sample or x is None or target is None or slack is None or cap is None:
                continue
            total = min(cap, max(0.0, (total or 0.0) + sign * (x - target) - slack))
        return total

    def time_to(self) -> Value:
        x, limit = self.log[-1].args
        if x is None or limit is None:
            return None
        sign = 1.0 if self.fn.name == "time_to_above" else -1.0
        gap = sign * (limit - x)
        if gap < 0.0:
            return 0.0
        if self.kept is None:
            return None
        speed = sign * self.kept
        return gap / speed * 1000.0 if speed > 0.0 else math.inf
