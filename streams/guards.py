"""Which commands are legal: a table of reasons against each. Pure.

Every reason for which a command may be refused stands in `GUARDS`, in the order in which they are
looked at. A refused command changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from rules.errors import Invalid
from rules.records import Command, CommandKind
from rules.units import milliseconds
from streams.alarms import Occurrence, Point, word
from streams.decode import Refuse, time_ms

MAX_TEXT = 2_000         # characters of a reason, a comment, a field
MAX_FIELDS = 32          # of a step
MAX_LIMIT = 10 * 366 * 86_400_000     # the furthest time limit, ms: ten years


def limit_of(text: str, t: int) -> int | None:
    """A time limit set at `t`: how long from then, or an instant; None when it is neither."""
    try:
        return t + milliseconds(text)
    except Invalid:
        pass
    try:
        return time_ms(text)
    except Refuse:
        return None


class Case(msgspec.Struct, frozen=True):
    """A command at `t` with what it is about.

    `steps`: of its plan, name -> fields that it needs; `limit`: the longest shelf (ms); `known`:
    there is such a rule (there may be alarms of one that is gone).
    """

    command: Command
    t: int
    point: Point
    occurrence: Occurrence | None
    steps: Mapping[str, tuple[str, ...]] = {}
    limit: int = 0
    known: bool = True

    @property
    def alarm(self) -> Occurrence:
        """The occurrence, for guards behind `_is_open`."""
        assert self.occurrence is not None
        return self.occurrence


Guard = Callable[[Case], str]      # why not, "" when nothing is against it


def _is_known(case: Case) -> str:
    return "" if case.known else "its rule is gone"


def _is_open(case: Case) -> str:
    return "" if case.occurrence else "there is no such alarm now"


def _is_current(case: Case) -> str:
    against, found = case.command.against, case.occurrence
    if against is None or found is None or found.moved <= against:
        return ""
    return (f"outdated: made against number {against}, the alarm has come to number {found.moved}; "
            "look at it again")


def _is_visible(case: Case) -> str:
    covered = case.point.covered or ("suppressed" if word(case.point, case.occurrence) ==
                                     "suppressed" else "")
    return f"it is {covered.replace('_', ' ')}" if covered else ""


def _is_unattended(case: Case) -> str:
    if case.alarm.unattended:
        return ""
    by = case.alarm.acknowledged
    return f"already acknowledged by {by.by}" if by else "it was not announced"


def _is_attended(case: Case) -> str:
    return "" if case.alarm.attended else "it is not acknowledged"


def _is_standing(case: Case) -> str:
    return "the alarm has ended" if case.alarm.condition == "normal" else ""


def _has_reason(case: Case) -> str:
    return "" if case.command.reason.strip() else "a reason is needed"


def _is_short(case: Case) -> str:
    texts = (case.command.reason, *case.command.fields.values(), *case.command.fields)
    if any(len(text) > MAX_TEXT for text in texts):
        return f"a text has more than {MAX_TEXT:,} characters"
    return f"more than {MAX_FIELDS} fields" if len(case.command.fields) > MAX_FIELDS else ""


def _has_author(case: Case) -> str:
    return "" if case.command.by.strip() else "it does not say who orders it"


def _is_on_shelf(case: Case) -> str:
    return "" if case.point.shelf else "it is not shelved"


def _is_off_shelf(case: Case) -> str:
    return f"already shelved by {case.point.shelf.by}" if case.point.shelf else ""


def _fits_limit(case: Case) -> str:
    asked = case.command.duration
    if asked is None or asked <= 0:
        return "a shelf needs a duration above 0"
    if asked > case.limit:
        return f"longer than the limit of {case.limit / 60_000:g} min for its class"
    return ""


def _is_in_service(case: Case) -> str:
    return f"already out of service, by {case.point.out.by}" if case.point.out else ""


def _is_out(case: Case) -> str:
    return "" if case.point.out else "it is in service"


def _is_latched(case: Case) -> str:
    match case.alarm.condition:
        case "latched":
            return ""
        case "active":
            return "still active: it can be reset once its condition has returned to normal"
    return "it is not latched"


def _has_step(case: Case) -> str:
    step = case.command.step
    if not case.alarm.plan:
        return "no plan has begun for it"
    if step not in case.steps:
        return f"its plan has no step {step!r}; it has: {', '.join(case.steps) or 'none'}"
    done = case.alarm.done.get(step)
    return f"step {step} was done by {done.by}" if done else ""


def _has_fields(case: Case) -> str:
    given = case.command.fields
    missing = [x for x in case.steps.get(case.command.step, ()) if not given.get(x, "").strip()]
    return f"step {case.command.step} needs {', '.join(missing)}" if missing else ""


def _can_close(case: Case) -> str:
    if case.command.step != "close":
        return ""
    match case.alarm.condition:
        case "active":
            return "the loop cannot be closed while the alarm is active"
        case "latched":
            return "the loop cannot be closed before the alarm is reset"
    return "acknowledge it before it is closed" if case.alarm.unattended else ""


def _has_limit(case: Case) -> str:
    text = case.command.fields.get("time_limit")
    if text is None:
        return ""
    until = limit_of(text, case.t)
    if until is None:
        return f"time_limit {text!r}: expected a duration as `30 d` or an instant as RFC 3339"
    if not case.t < until <= case.t + MAX_LIMIT:
        return f"time_limit {text!r}: expected within the next ten years"
    return ""


_ALWAYS: tuple[Guard, ...] = (_has_author, _is_short)
_OPEN: tuple[Guard, ...] = (*_ALWAYS, _is_open, _is_current)
GUARDS: Mapping[CommandKind, tuple[Guard, ...]] = {
    "acknowledge": (*_OPEN, _is_visible, _is_unattended),
    "unacknowledge": (*_OPEN, _is_visible, _is_standing, _is_attended),
    "comment": (*_OPEN, _has_reason),
    "step": (*_OPEN, _has_step, _can_close, _has_fields, _has_limit),
    "reset": (*_OPEN, _is_latched),
    "shelve": (
        *_ALWAYS, _is_known, _is_current, _has_reason, _is_in_service, _is_off_shelf, _fits_limit,
    ),
    "unshelve": (*_ALWAYS, _is_current, _is_on_shelf),
    "out_of_service": (*_ALWAYS, _is_known, _is_current, _has_reason, _is_in_service),
    "in_service": (*_ALWAYS, _is_current, _is_out),
    "set": _ALWAYS,
}


def refused(case: Case) -> str:
    """Why the command may not be carried out, "" when it may."""
    return next((why for guard in GUARDS[case.command.kind] if (why := guard(case))), "")
