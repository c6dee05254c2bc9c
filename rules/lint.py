"""Findings about rules that are correct and yet probably not what was meant.

`CHECKS` is the list of all of them: an id, what it says in both languages, what to do, and the
function that finds the places. A finding never stops a pack from loading.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass

from rules.errors import Problem
from rules.lint_limits import beyond_range, no_hysteresis, unreachable
from rules.lint_places import Found, Subject, subjects
from rules.lint_time import (
    at_in_clearing,
    delay_longer,
    delay_of_instant,
    delay_shorter,
    endless_instant,
    few_samples,
    instant_active,
)
from rules.lint_words import (
    foreign_message,
    gate_unheard,
    many_severe,
    no_response,
    no_test,
    or_unheard,
    unless_lingers,
)
from rules.model import Pack, Text


@dataclass(frozen=True)
class Check:
    """One kind of finding. `{…}` in the texts are the words of a `Found`."""

    id: str
    text: Text
    fix: Text
    find: Callable[[Subject], Iterable[Found]]


CHECKS: tuple[Check, ...] = (
    Check(
        "no-hysteresis",
        Text("模拟量限值没有回差：值在限值附近时会反复报警",
             "an analogue limit without hysteresis: it will chatter while the value is near it"),
        Text("加 `deadband:`、`clear_when:` 或 `clear_for:`",
             "give it a `deadband:`, a `clear_when:` or a `clear_for:`"),
        no_hysteresis,
    ),
    Check(
        "delay-shorter-than-period",
        Text("延时 {delay} 短于 {signal} 的采样周期 {period}：延时不起作用",
             "the delay of {delay} is shorter than the period of {signal} ({period}): one sample "
             "is enough, so the delay filters nothing"),
        Text("延长到几个周期，或写 `for: N samples`",
             "make it some periods long, or write `for: N samples`"),
        delay_shorter,
    ),
    Check(
        "delay-longer-than-stale",
        Text("延时 {delay} 长于 {signal} 的 stale_after {stale}：条件先变为未知",
             "the delay of {delay} is longer than stale_after of {signal} ({stale}): without new "
             "samples the condition is unknown first and the delay pauses"),
        Text("缩短延时或放宽 stale_after", "shorten the delay or lengthen `stale_after`"),
        delay_longer,
    ),
    Check(
        "unreachable-level",
        Text("级别 {level} 不可能出现：{why}", "the level {level} can never be reached: {why}"),
        Text("检查各级的限值和条件", "check the limits and conditions of the levels"),
        unreachable,
    ),
    Check(
        "limit-outside-range",
        Text("比较 {compared} 在量程 {range} 内总是{always_zh}",
             "the comparison of {compared} is always {always} within its range {range}"),
        Text("改限值或信号的 `range`", "correct the limit or the signal's `range`"),
        beyond_range,
    ),
    Check(
        "gate-unheard",
        Text("only_if 依赖 {signal}，它没有 default，可能从未收到：那时永不报警",
             "`only_if` depends on {signal}, which has no `default` and may never be heard: then "
             "nothing is ever raised"),
        Text("给信号写 `default:`，或用 `known({signal})` 说明未知时怎么办",
             "give the signal a `default:`, or say with `known({signal})` what counts until then"),
        gate_unheard,
    ),
    Check(
        "or-unheard",
        Text("`or` 的一支依赖 {signal}，它没有 default，可能从未收到：那时报警不会结束",
             "a branch of an `or` depends on {signal}, which has no `default` and may never be "
             "heard: then the whole is never false, so the alarm never ends"),
        Text("给信号写 `default:`，或写 `known({signal}) and …`",
             "give the signal a `default:`, or write `known({signal}) and …`"),
        or_unheard,
    ),
    Check(
        "unless-lingers",
        Text("`unless` 加上 {delay} 的 clear_for：抑制期间开始的报警在抑制结束时发出",
             "`unless` with a `clear_for` of {delay}: an alarm that began under suppression is "
             "announced when suppression ends"),
        Text("也许要用 `only_if`", "`only_if` may be meant"),
        unless_lingers,
    ),
    Check(
        "delay-of-instant",
        Text("瞬时条件加延时：它只在一个时刻为真，永远等不到延时结束",
             "a delay on a condition of an instant: it is true for one moment only, so the delay "
             "never runs out"),
        Text("去掉 `for:`，或写 `latched(… until …)`、`times(… over …) >= N`",
             "leave out `for:`, or write `latched(… until …)` or `times(… over …) >= N`"),
        delay_of_instant,
    ),
    Check(
        "endless-instant",
        Text("条件只在一个时刻为真，报警同时结束",
             "the condition is true for one moment only, so the alarm ends as it begins"),
        Text("加 `clear_when:`、`clear_for:` 或 `latch: true`",
             "give it a `clear_when:`, a `clear_for:` or `latch: true`"),
        endless_instant,
    ),
    Check(
        "no-response",
        Text("缺少{missing_zh}：不需要响应的报警是事件",
             "no {missing}: an alarm that needs no response is an event"),
        Text("写明原因、后果和处置", "say what causes it, what follows and what to do"),
        no_response,
    ),
    Check(
        "no-test",
        Text("没有测试", "it has no test"),
        Text("在 `tests:` 里写一个期望它出现的用例", "write one under `tests:` that expects it"),
        no_test,
    ),
    Check(
        "foreign-message",
        Text("消息里的 {signal} 不是规则读取的信号",
             "the message names {signal}, which the rule does not read"),
        Text("也许写错了；若要展示，请列入 `evidence:`",
             "it may be a slip; list it under `evidence:` if it is to be shown"),
        foreign_message,
    ),
    Check(
        "many-severe",
        Text("{total} 条规则中有 {severe} 条红或橙：都紧急等于都不紧急",
             "{severe} of {total} rules are red or orange: where all is urgent, nothing is"),
        Text("降低后果较轻的规则的级别", "lower those whose consequences can wait"),
        many_severe,
    ),
    Check(
        "few-samples",
        Text("{function} 用于没有 `period` 的 {signal}，且没有 count 守护：可能不结束",
             "{function} of {signal}, which has no `period`, without a `count` guard: unknown with "
             "too few samples, so the alarm may never end"),
        Text("写 `period:`，或在条件里加 `count({signal} over …) >= 2`",
             "give the signal a `period:`, or add `count({signal} over …) >= 2`"),
        few_samples,
    ),
    Check(
        "instant-active",
        Text("{rule} 是带 latch 的瞬时规则，立即变为 returned，不算 active",
             "{rule} is latched and of an instant: it is `returned` at once, so never active"),
        Text("也许要用 `latched(… until …)`", "`latched(… until …)` may be meant"),
        instant_active,
    ),
    Check(
        "at-in-clearing",
        Text("`at(… when …)` 用作恢复基准：条件再次出现时会重取",
             "`at(… when …)` as a baseline of clearing is taken anew as its condition comes again"),
        Text("用限值或另一个信号判断恢复", "clear by a limit or by another signal"),
        at_in_clearing,
    ),
)  # fmt: skip


def lint(pack: Pack, tested: Collection[str], language: str = "en") -> list[Problem]:
    """All findings in a checked pack, each once. `tested`: ids that some test expects."""
    found: dict[object, Problem] = {}
    for subject in subjects(pack, frozenset(tested)):
        for check in CHECKS:
            for one in check.find(subject):
                # The same of several levels is said once, at the first.
                what = tuple(one.words.values()) or one.at
                found.setdefault((check.id, one.subject, what), _problem(check, one, language))
    return sorted(found.values(), key=lambda p: (p.at.path, p.at.line, p.at.column, p.message))


def _problem(check: Check, found: Found, language: str) -> Problem:
    text = check.text.get(language).format(**found.words)
    fix = check.fix.get(language).format(**found.words)
    return Problem(found.at, f"{found.subject}: {text} [{check.id}]", fix, "lint")


def ids() -> Iterator[str]:
    """The ids of all findings."""
    return (check.id for check in CHECKS)
