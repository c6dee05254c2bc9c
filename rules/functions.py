"""Every function of the language, in one table: the checker, the handbook and editors read it.

A form is written as the author writes it; its parameters have roles:

    number     a number, not a condition            condition  true, false or unknown
    value      a number, condition or state         sampled    a value, or a signal of events
    window     a duration above 0                   duration   a duration of literals and attributes
    comparison `x > limit` or `x < limit`           whole      a whole number, written out
    plain      a number without unit                rule       the id of a rule
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Role = Literal[
    "number", "value", "sampled", "condition", "window", "duration", "comparison", "whole",
    "plain", "rule",
]  # fmt: skip

#: What comes out, seen from the first argument: of its kind and unit; a difference in its unit;
#: its unit times or by a second; a plain number; a condition; a time to compare with a duration;
#: a number of seconds.
Result = Literal[
    "same", "difference", "times a second", "by a second", "plain", "condition", "span", "seconds"
]


@dataclass(frozen=True)
class Form:
    """One way to call a function: `text` between the parentheses, and the parameters' roles.

    `more` says that the last parameter may be repeated after commas.
    """

    text: str
    roles: tuple[Role, ...]
    more: bool = False

    @cached_property
    def pattern(self) -> tuple[str, ...]:
        """What stands before each argument: nothing, a comma or a word."""
        if not self.roles:
            return ()
        text = self.text.replace("x > limit", "x").replace("x < limit", "x").replace(", …", "")
        return ("", *re.findall(r"[^\s,]+|,", text)[1::2][: len(self.roles) - 1])


@dataclass(frozen=True)
class Function:
    """A function of the language.

    `stateful` ones keep state per asset; `now` ones of these are unknown when `x` is unknown now.
    """

    name: str
    forms: tuple[Form, ...]
    result: Result
    zh: str
    en: str
    example: str
    stateful: bool = True
    now: bool = False

    @cached_property
    def windowed(self) -> bool:
        """Whether this is a function of a window, which may end some time ago."""
        return any("ending" in form.text for form in self.forms)

    @cached_property
    def signature(self) -> str:
        """All forms, as an error message names them."""
        texts = [f"{self.name}({form.text})" for form in self.forms]
        return " or ".join([", ".join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)


def _window(role: Role, *, since: bool) -> tuple[Form, ...]:
    """The forms of a window over `x`, or over how often `c` became true."""
    x = "c" if role == "condition" else "x"
    forms = (
        Form(f"{x} over W", (role, "window")),
        Form(f"{x} over W ending D ago", (role, "window", "duration")),
    )
    by = "b" if x == "c" else "c"
    return (*forms, Form(f"{x} since {by}", (role, "condition"))) if since else forms


_HELD = _window("number", since=True)
_SAMPLES = _window("number", since=False)
_VALUES = Form("a, b, …", ("number", "number"), more=True)
_CUSUM = (
    Form("x, target, slack", ("number", "number", "number")),
    Form("x, target, slack, cap", ("number", "number", "number", "number")),
    Form("x, target, slack since r", ("number", "number", "number", "condition")),
    Form("x, target, slack, cap since r", ("number", "number", "number", "number", "condition")),
)
_ONE = (Form("x", ("number",)),)
_CONDITION = (Form("c", ("condition",)),)
_PLAIN = (Form("x", ("plain",)),)
_VALUE = (Form("x", ("value",)),)
_OVER = (Form("x over W", ("number", "window")),)

_ALL = (
    Function(
        "abs", _ONE, "same",
        "x 的绝对值",
        "the size of x without its sign",
        "abs(speed) > 0.1 m/s",
        stateful=False,
    ),
    Function(
        "sqrt", _ONE, "same",
        "平方根，单位也开方",
        "the square root; its unit is the root of x's",
        "sqrt(2 * acceleration * height) > 1 m/s",
        stateful=False,
    ),
    Function(
        "exp", _PLAIN, "plain",
        "e 的 x 次方",
        "e to the power of x",
        "exp(index) < 2",
        stateful=False,
    ),
    Function(
        "log", _PLAIN, "plain",
        "自然对数，x <= 0 时未知",
        "the natural logarithm; unknown for x <= 0",
        "log(index) > 1",
        stateful=False,
    ),
    Function(
        "clamp", (Form("x, lo, hi", ("number", "number", "number")),), "same",
        "x，限制在 lo 与 hi 之间",
        "x, but at least lo and at most hi",
        "clamp(index, 0, 10) == 10",
        stateful=False,
    ),
    Function(
        "if", (Form("c, a, b", ("condition", "value", "value")),), "same",
        "c 为真取 a，为假取 b",
        "a while c is true, b while it is false",
        "level > if(pump, 8 m, 7 m)",
        stateful=False,
    ),
    Function(
        "known", _VALUE, "condition",
        "值或条件是否已知",
        "whether the value, or the truth of a condition, is not unknown",
        "known(level)",
        stateful=False,
    ),
    Function(
        "at_least", (Form("n of c, …", ("whole", "condition"), more=True),), "condition",
        "表决：至少 n 个条件为真",
        "voting: true when n of the conditions are true",
        "at_least(2 of pump, level > 8 m, pressure > 3 bar)",
        stateful=False,
    ),
    Function(
        "active", (Form("RULE", ("rule",)),), "condition",
        "同一设备上该规则的报警是否激活",
        "the alarm of that rule on the same asset is active",
        "active(tank.high)",
        stateful=False,
    ),
    Function(
        "hour", (Form("", ()),), "plain",
        "站点当地小时，0 到 23",
        "the hour in the site's time zone, 0 to 23",
        "hour() in (2, 3, 4)",
        stateful=False,
    ),
    Function(
        "weekday", (Form("", ()),), "plain",
        "站点当地星期，1 为星期一",
        "the day in the site's time zone, 1 is Monday",
        "weekday() <= 5",
        stateful=False,
    ),
    Function(
        "mean", _HELD, "same",
        "对时间的平均，两个样本之间保持前值",
        "the mean over time of the value held between samples",
        "mean(level over 5 min) > 8 m",
    ),
    Function(
        "min", (_VALUES, *_HELD), "same",
        "几个值中的最小者，或一段时间内的最小值",
        "the smallest of several values, or of one over time",
        "min(level over 5 min) > 8 m",
    ),
    Function(
        "max", (_VALUES, *_HELD), "same",
        "几个值中的最大者，或一段时间内的最大值",
        "the largest of several values, or of one over time",
        "max(level over 5 min) > 8 m",
    ),
    Function(
        "range", _HELD, "difference",
        "一段时间内最大值与最小值之差",
        "the largest less the smallest value over time",
        "range(level over 5 min) > 1 m",
    ),
    Function(
        "total", _HELD, "times a second",
        "对时间的积分，单位为 x 的单位乘秒",
        "the integral over time, in the unit of x times s",
        "total(flow over 1 h) > 50 L",
    ),
    Function(
        "count", _window("sampled", since=True), "plain",
        "已知样本的个数，没有则为 0",
        "how many known samples; 0 without any",
        "count(level over 10 s) >= 2",
    ),
    Function(
        "sum", _HELD, "same",
        "已知样本之和",
        "the sum of the known samples",
        "sum(index over 1 h) > 5",
    ),
    Function(
        "std", _SAMPLES, "difference",
        "样本标准差（n - 1），至少两个样本",
        "the standard deviation (n - 1) of the samples; needs two",
        "std(level over 1 h) > 0.2 m",
    ),
    Function(
        "median", _SAMPLES, "same",
        "样本的中位数",
        "the median of the samples",
        "median(level over 1 h) > 8 m",
    ),
    Function(
        "rate", _SAMPLES, "by a second",
        "样本的最小二乘斜率，至少两个样本",
        "the least-squares slope of the samples; needs two",
        "rate(level over 1 min) > 2 m/min",
    ),
    Function(
        "increase", _SAMPLES, "difference",
        "计数器的增量，允许归零重计，至少两个样本",
        "the growth of a counter, which may restart at 0; needs two samples",
        "increase(energy over 1 h) > 5 kWh",
    ),
    Function(
        "times", _window("condition", since=True), "plain",
        "c 变为真的次数",
        "how often c became true",
        "times(pump over 1 h) >= 3",
    ),
    Function(
        "delta", _OVER, "difference",
        "x 减去它在 W 之前的值",
        "x less the value it had W ago",
        "delta(level over 10 s) > 1 m",
        now=True,
    ),
    Function(
        "prev", _VALUE, "same",
        "上一个已知样本",
        "the known sample before this one",
        "prev(level) > 8 m",
    ),
    Function(
        "change", _ONE, "difference",
        "x 减去上一个样本",
        "x less the sample before",
        "change(level) > 1 m",
        now=True,
    ),
    Function(
        "last", _VALUE, "same",
        "最后的已知值，即使已过期",
        "the last known value, even when stale",
        "last(level) > 8 m",
    ),
    Function(
        "at", (Form("x when c", ("value", "condition")),), "same",
        "c 最近一次变为真时 x 的值",
        "the value that x had when c last became true",
        "level - at(level when rises(pump)) > 1 m",
    ),
    Function(
        "held", (Form("c for D", ("condition", "duration")),), "condition",
        "c 已连续为真至少 D",
        "c has been true without a break for at least D",
        "held(pump for 5 s)",
    ),
    Function(
        "since", _CONDITION, "span",
        "c 不再为真以来的时间；为真时是 0，从未为真则无穷大",
        "time since c ceased to be true; 0 while it is, infinite if never",
        "since(pump) > 10 s",
    ),
    Function(
        "age", (Form("x", ("sampled",)),), "span",
        "x 最近一个样本以来的时间，不论好坏",
        "time since the last sample of x, good or bad",
        "age(level) > 30 s",
    ),
    Function(
        "time_to", (Form("x > limit over W", ("comparison", "window")),
            Form("x < limit over W", ("comparison", "window"))), "span",
        "按当前斜率，多久之后比较成立",
        "how long until the comparison holds at the present slope",
        "time_to(level > 8 m over 10 min) < 1 h",
        now=True,
    ),
    Function(
        "silent", (Form("D", ("duration",)),), "condition",
        "设备已有 D 没有任何消息",
        "no message at all from the asset for D",
        "silent(3 min)",
    ),
    Function(
        "lag", (Form("a to b", ("condition", "condition")),), "seconds",
        "a 最近变为真到 b 最近变为真的时间；b 在前则为负",
        "from when a last became true to when b last did; negative when b came first",
        "lag(pump to level > 8 m) > 2 s",
    ),
    Function(
        "not_followed",
        (Form("a by b within D", ("condition", "condition", "duration")),),
        "condition",
        "a 变为真后已过 D，其间 b 从未为真",
        "D has passed since a became true and b was not true since",
        "not_followed(code == opened by code == closed within 10 s)",
    ),
    Function(
        "latched", (Form("a until b", ("condition", "condition")),), "condition",
        "a 为真起为真，直到 b 为真",
        "true from when a is true until b is",
        "latched(code == opened until code == closed)",
    ),
    Function(
        "rises", _CONDITION, "condition",
        "仅在 c 变为真的那条消息或那一刻为真",
        "true for the message or instant at which c became true",
        "rises(pump)",
    ),
    Function(
        "falls", _CONDITION, "condition",
        "仅在 c 变为假的那条消息或那一刻为真",
        "true for the message or instant at which c became false",
        "falls(pump)",
    ),
    Function(
        "ewma", _OVER, "same",
        "样本的指数加权平均，权重随 W 衰减",
        "the mean of the samples with weights that fade over W",
        "ewma(level over 10 s) > 6 m",
    ),
    Function(
        "zscore", _OVER, "plain",
        "x 偏离衰减均值几个标准差，第 31 个样本起已知",
        "how many standard deviations x is off its fading mean; known from the 31st sample",
        "zscore(level over 1 h) > 3",
        now=True,
    ),
    Function(
        "cusum", _CUSUM, "difference",
        "x 超出 target + slack 部分的累积和，不小于 0",
        "the sum of what x exceeds target + slack by, at least 0",
        "cusum(level, 8 m, 0.1 m) > 3 m",
    ),
    Function(
        "cusum_low", _CUSUM, "difference",
        "x 低于 target - slack 部分的累积和，不小于 0",
        "the sum of what x falls short of target - slack by, at least 0",
        "cusum_low(level, 8 m, 0.1 m) > 3 m",
    ),
    Function(
        "anomaly", _ONE, "plain",
        "0 到 1：自校准检测器认为 x 有多异常",
        "0 to 1: how unusual x is, by a detector that calibrates itself",
        "anomaly(level) > 0.9",
    ),
)  # fmt: skip

FUNCTIONS: dict[str, Function] = {function.name: function for function in _ALL}
