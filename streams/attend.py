"""Attention: what follows for people from transitions, clocks and commands. Pure.

`Alarms` decides which changes there are, and applies each to its book at once. Transitions of one
point come in their order; points do not see each other, so it does not matter how those of many are
mixed. The clocks of a point (shelves, plans) run, each at its own instant, before what comes later.

- What was announced is not announced again, and its end is always announced.
- Nothing is announced from the shelf or out of service; when that ends, what still stands is
  announced, unacknowledged. The same holds when suppression by design ends.
- A rise of the severity (by a level, an escalation, a step that is late) takes back the
  acknowledgement: it was given for less.
- A plan's clocks start when the alarm is first announced, or comes to the level that brings it.
  They stop with their step; without a step `close` with the end of the alarm, else with `close`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from typing import TypedDict, Unpack

from rules.model import SHELVE_AT_MOST, Group, Pack, Plan, Rule
from rules.records import Change, ChangeKind, Command, Held, Refusal, Transition
from streams.alarms import ENDS, MAX_OPEN, Book, Key, Occurrence, Point
from streams.guards import Case, limit_of, refused
from streams.render import catalogue

#: The class of an asset, None when it is not known.
ClassOf = Callable[[str], str | None]


class _Author(TypedDict, total=False):
    """Who ordered a change, and why."""

    by: str
    reason: str
    request: str


class _Begin(TypedDict, total=False):
    """The plan that begins with a change."""

    plan: str
    clocks: dict[str, int]
    closing: bool


class _More(_Author, _Begin, total=False):
    """What else a change may say (see `rules.records.Change`)."""

    held: Held
    step: str
    fields: dict[str, str]
    skipped: tuple[str, ...]
    until: int | None
    once: bool
    notify: tuple[str, ...]
    floor: int
    condition: Transition | None


class Alarms:
    """The alarms of a site as people work them off."""

    def __init__(self, pack: Pack, class_of: ClassOf) -> None:
        self.pack = pack
        self.book = Book()
        self._class_of = class_of
        self._rules = catalogue(pack)
        self._agenda: list[tuple[int, Key]] = []     # instants at which a point has to look …
        self._planned: dict[Key, int] = {}           # … and the one of each; others are out of date
        self._made: list[Change] = []

    # In ---------------------------------------------------------------------------------------

    def take(self, transitions: Iterable[Transition]) -> list[Change]:
        """Takes in what the engine and the groups say."""
        for tr in transitions:
            self._clocks((tr.rule, tr.asset), tr.t - 1)
            self._transition(tr)
        return self._out()

    def advance(self, to: int, groups_to: int | None = None) -> list[Change]:
        """Runs the clocks up to and with `to`; all transitions up to there have been taken.

        Of groups only up to and with `groups_to`, where they have not come so far.
        """
        groups_to = to if groups_to is None else min(groups_to, to)
        ahead = []
        while self._agenda and self._agenda[0][0] <= to:
            at, key = heappop(self._agenda)
            if self._planned.get(key) != at:
                continue
            point = self.book.points.get(key)     # None: finished and forgotten since
            end = groups_to if point is not None and point.group else to
            if at > end:
                ahead.append((at, key))
                continue
            del self._planned[key]
            self._clocks(key, end)
            self._plan(key)
        for one in ahead:
            heappush(self._agenda, one)
        self.book.tidy(min(to, groups_to))
        return self._out()

    def order(self, command: Command, t: int) -> tuple[Refusal | None, list[Change]]:
        """A command at `t`. What the engine has to do for it (`reset`, `set`) is its caller's."""
        key, occurrence = self.about(command)
        if command.kind == "set":
            why = refused(Case(command, t, Point(), None))
            return (Refusal(why) if why else None), []
        known = self.rule(key) is not None
        if not key[0] or not (known or occurrence):
            what = f"alarm {command.alarm!r}" if command.alarm else f"rule {command.target!r}"
            where = f" on {command.asset!r}" if command.asset else ""
            return Refusal(f"there is no {what}{where}"), self._out()
        self._clocks(key, t - 1)
        point = self.book.points.get(key) or Point(isinstance(self.rule(key), Group))
        steps = self._steps(occurrence)
        if command.kind == "step" and command.step == "acknowledge" and "acknowledge" in steps:
            command = _acknowledging(command)
        case = Case(command, t, point, occurrence, steps, self._limit(key), known)
        why = refused(case)
        if why:
            return Refusal(why), self._out()
        self._carry_out(key, case, t)
        return None, self._out()

    def activate(self, pack: Pack, t: int) -> list[Change]:
        """A changed pack takes over: what was shelved or out of service of rules that are gone is
        forgotten; alarms, acknowledgements, plans and their clocks stay as they are."""
        self.pack, self._rules = pack, catalogue(pack)
        for key in sorted(self.book.points):
            if self.rule(key) is None:
                point = self.book.points[key]
                if point.shelf:
                    self._of_point(key, "unshelved", t, reason="the rule is gone")
                if point.out:
                    self._of_point(key, "in_service", t, reason="the rule is gone")
        return self._out()

    def rule(self, key: Key) -> Rule | Group | None:
        """The rule or group of a point."""
        return self._rules.get((key[0], self._class_of(key[1]) or "")) or self._rules.get(
            (key[0], "")
        )

    # Transitions ------------------------------------------------------------------------------

    def _transition(self, tr: Transition) -> None:
        key = tr.rule, tr.asset
        point = self.book.points.get(key) or Point(tr.group)
        if tr.kind == "raised" and tr.raised not in point.open:
            self._make_room(key, point, tr.t)
        o = point.open.get(tr.raised) or Occurrence(tr.raised)
        severity = max(tr.severity, o.floor)
        held = self._held(point, o, tr, severity)
        kind: ChangeKind = tr.kind
        if kind == "unsuppressed" and not o.announced and not held:
            kind = "raised"
        more: _Begin = {}
        comes = kind in ("raised", "unsuppressed") or (kind == "level" and tr.level < o.level)
        if comes and held in ("", "unchanged"):
            more = self._begins(key, o, tr.level, tr.t)
        self._of(key, o, kind, tr.t, severity=severity, announced=not held, condition=tr,
                 held=held, **more)
        point = self.book.points[key]
        if kind == "cleared" and point.shelf and point.shelf.once:
            self._of_point(key, "unshelved", tr.t, reason="the alarm has ended")

    def _held(self, point: Point, o: Occurrence, tr: Transition, severity: int) -> Held:
        """Why it is not announced."""
        if tr.kind in ENDS:
            return self._unsaid((tr.rule, tr.asset), point, o)
        if not tr.announced:
            return self._by_design((tr.rule, tr.asset))
        if point.covered:
            return point.covered
        return "unchanged" if tr.kind == "level" and severity == o.severity else ""

    def _unsaid(self, key: Key, point: Point, o: Occurrence) -> Held:
        """Why an end is not announced: because nothing of the alarm was."""
        if o.announced:
            return ""
        return (point.covered if o.loud else "") or self._by_design(key)

    def _by_design(self, key: Key) -> Held:
        rule = self.rule(key)
        return "shadow" if isinstance(rule, Rule) and rule.shadow else "suppressed"

    def _make_room(self, key: Key, point: Point, t: int) -> None:
        """Before a new occurrence: one that waits for its reset ends, too many give way."""
        for o in list(point.open.values()):
            if o.condition != "normal":      # true again before it was reset: that ends it
                self._of(key, o, "cleared", t, announced=o.announced, reason="raised anew",
                         held=self._unsaid(key, point, o))
        normal = [o for o in point.open.values() if o.condition == "normal" and not o.finished]
        if len(normal) >= MAX_OPEN:
            self._of(key, normal[0], "superseded", t, reason=f"{MAX_OPEN} later ones are open")

    def _begins(self, key: Key, o: Occurrence, level: int, t: int) -> _Begin:
        """The plan that begins with this change, as fields of it. The plan that people work by
        gives way to that of a higher level only."""
        rule = self.rule(key)
        plans = [each.plan or "" for each in rule.levels] if rule is not None else []
        plan = self.pack.plans.get(plans[level]) if level < len(plans) else None
        if plan is None or (o.plan and o.plan in plans[:level + 1]):
            return {}
        clocks = {s.name: t + s.within for s in plan.steps if s.within is not None}
        return {"plan": plan.name, "clocks": clocks, "closing": _closes(plan)}

    # Clocks -----------------------------------------------------------------------------------

    def _clocks(self, key: Key, to: int) -> None:
        """Runs the clocks of a point up to and with `to`, in order of time."""
        while (point := self.book.points.get(key)) is not None:
            due = min(_instants(point), key=lambda x: x[:3], default=None)
            if due is None or due[0] > to:
                return
            t, raised, step = due
            if raised == 0:
                self._of_point(key, "unshelved", t, reason="its time is over")
                self._uncovered(key, t)
            else:
                self._overdue(key, point, point.open[raised], step, t)

    def _overdue(self, key: Key, point: Point, o: Occurrence, step: str, t: int) -> None:
        plan = self.pack.plans.get(o.plan)
        floor = (plan.raise_to if plan else None) or 0
        held = _cover(point, o)
        self._of(key, o, "overdue", t, severity=max(o.severity, floor), floor=floor, step=step,
                 announced=not held, held=held, notify=plan.notify if plan else ())

    def _uncovered(self, key: Key, t: int) -> None:
        """What stands is announced, now that nothing covers it."""
        point = self.book.points[key]
        if point.covered:
            return
        for o in list(point.open.values()):
            if o.condition == "normal" or o.suppressed or not o.loud:
                continue
            more = self._begins(key, o, o.level, t)
            if o.announced:
                self._of(key, o, "unacknowledged", t, announced=True, reason="back from cover",
                         **more)
            else:
                self._of(key, o, "raised", t, announced=True, **more)

    # Commands ---------------------------------------------------------------------------------

    def about(self, command: Command) -> tuple[Key, Occurrence | None]:
        """Which point, and which occurrence of it: the one named, else the newest."""
        if command.alarm:
            key, raised = self.book.ids.get(command.alarm, (("", ""), 0))
            fits = (command.target in ("", key[0])) and (command.asset in ("", key[1]))
            if not (key[0] and fits):
                return ("", ""), None
            return key, self.book.points[key].open[raised]
        key = command.target, command.asset
        point = self.book.points.get(key)
        if point is None:
            return key, None
        if command.kind == "acknowledge":    # the newest that waits for it
            waiting = [o for o in point.open.values() if o.unattended]
            return key, waiting[-1] if waiting else point.newest
        return key, point.newest

    def _steps(self, o: Occurrence | None) -> dict[str, tuple[str, ...]]:
        """The steps of its plan, with what each needs. Where the plan was edited since it began,
        those with clocks and the end of the loop can still be done."""
        if o is None:
            return {}
        plan = self.pack.plans.get(o.plan)
        steps: dict[str, tuple[str, ...]] = dict.fromkeys(o.clocks, ())
        if o.looped:
            steps["close"] = ()
        return steps | {step.name: step.needs for step in plan.steps} if plan else steps

    def _limit(self, key: Key) -> int:
        cls = self.pack.classes.get(self._class_of(key[1]) or "")
        return cls.shelve_at_most if cls is not None else SHELVE_AT_MOST

    def _carry_out(self, key: Key, case: Case, t: int) -> None:
        """What a command that is legal changes."""
        command = case.command
        said: _Author = {"by": command.by, "reason": command.reason, "request": command.request}
        match command.kind:
            case "acknowledge":
                self._acknowledge(key, case, t, said)
            case "unacknowledge":
                self._of(key, case.alarm, "unacknowledged", t, announced=True, **said)
            case "comment":
                self._of(key, case.alarm, "comment", t, **said)
            case "step":
                self._step(key, case, t, said)
            case "shelve":
                until = t + (command.duration or 0)
                self._of_point(key, "shelved", t, until=until, once=command.once, **said)
            case "unshelve":
                self._of_point(key, "unshelved", t, **said)
                self._uncovered(key, t)
            case "out_of_service":
                self._of_point(key, "out_of_service", t, **said)
            case "in_service":
                self._of_point(key, "in_service", t, **said)
                self._uncovered(key, t)

    def _acknowledge(self, key: Key, case: Case, t: int, said: _Author) -> None:
        """One occurrence by its id; without one all of the point that wait for it."""
        open_ = list(case.point.open.values())
        which = [case.alarm] if case.command.alarm else [o for o in open_ if o.unattended]
        for o in which:
            first = "acknowledge" not in o.done and "acknowledge" in self._steps(o)
            self._of(key, o, "acknowledged", t, announced=True,
                     step="acknowledge" if first else "", **said)

    def _step(self, key: Key, case: Case, t: int, said: _Author) -> None:
        command, o = case.command, case.alarm
        kind: ChangeKind = "closed" if command.step == "close" else "step"
        skipped = tuple(name for name in case.steps if name not in o.done and name != "close")
        limit = command.fields.get("time_limit") if kind == "step" else None
        held = _cover(case.point, o)
        self._of(key, o, kind, t, announced=not held, held=held, step=command.step,
                 fields=dict(command.fields), skipped=skipped if kind == "closed" else (),
                 until=limit_of(limit, t) if limit and "close" in case.steps else None, **said)

    # Out --------------------------------------------------------------------------------------

    def _of(self, key: Key, o: Occurrence, kind: ChangeKind, t: int, *, severity: int | None = None,
            announced: bool = False, **more: Unpack[_More]) -> None:
        """A change of an occurrence."""
        rule, asset = key
        point = self.book.points.get(key)
        condition = more.get("condition")
        group = point.group if point else bool(condition and condition.group)
        self._apply(key, Change(
            t, asset, rule, kind, o.severity if severity is None else severity, announced, group,
            o.raised, o.seq, **more,
        ))  # fmt: skip

    def _of_point(self, key: Key, kind: ChangeKind, t: int, **more: Unpack[_More]) -> None:
        """A change of a point."""
        rule, asset = key
        found = self.rule(key)
        point = self.book.points.get(key) or Point(isinstance(found, Group))
        levels = found.levels if found is not None else ()
        severity = point.newest.severity if point.newest else max(
            (level.severity for level in levels), default=1
        )
        self._apply(key, Change(t, asset, rule, kind, severity, False, point.group, 0, point.seq,
                                **more))

    def _apply(self, key: Key, change: Change) -> None:
        self.book.apply(change)
        self._made.append(change)
        self._plan(key)

    def _plan(self, key: Key) -> None:
        """Notes when a point has to look next."""
        point = self.book.points.get(key)
        soonest, *_ = min(_instants(point), default=(None,)) if point else (None,)
        if soonest is not None and soonest < self._planned.get(key, soonest + 1):
            self._planned[key] = soonest
            heappush(self._agenda, (soonest, key))

    def _out(self) -> list[Change]:
        made, self._made = self._made, []
        return made

    def state(self) -> object:
        """All state as plain data."""
        return self.book.state()

    def restore(self, data: object) -> None:
        """Takes over what `state` gave. Raises ValueError when it is no such data."""
        self.book.restore(data)
        self._agenda, self._planned = [], {}
        for key in self.book.points:
            self._plan(key)


def _cover(point: Point, o: Occurrence) -> Held:
    """Why people are not told of what happens to an alarm that has been announced."""
    return "suppressed" if o.suppressed else point.covered


def _closes(plan: Plan) -> bool:
    return any(step.name == "close" for step in plan.steps)


def _instants(point: Point) -> Iterator[tuple[int, int, str]]:
    """When something of a point runs out: (instant, raise or 0 for the shelf, step)."""
    if point.shelf:
        yield point.shelf.until, 0, ""
    for o in point.open.values():
        for at, step in o.running():
            yield at, o.raised, step


def _acknowledging(command: Command) -> Command:
    """The step `acknowledge` is the command of that name."""
    return Command(
        "acknowledge", command.target, command.asset, group=command.group, by=command.by,
        reason=command.reason, request=command.request, against=command.against,
        alarm=command.alarm,
    )  # fmt: skip
