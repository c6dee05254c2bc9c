"""Raw syntax to checked trees: names, states, operators and comparisons. Functions: check_calls."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from fractions import Fraction

from rules import check_calls
from rules.check_conditions import chain, compared, negated, span_compared
from rules.check_types import (
    MAX_FUNCTIONS,
    MILLISECOND,
    NOTHING,
    Checked,
    Fail,
    build,
    converted,
    described,
    literal,
    product,
    sort_of,
    total,
    unify,
)
from rules.errors import Invalid, near
from rules.grammar import Binary, Call, Compare, Logic, Member, Name, Node, Number, Quoted, Unary
from rules.model import Attribute, Signal, Text
from rules.tree import AttributeRef, Const, EventRef, Op, SignalRef, TextIn
from rules.units import known as is_unit
from rules.units import parse, whole_ms

COUNTS = ("alarms", "assets", "rules", "active", "active_assets", "share")
MAX_WINDOW_MS = 31 * 86_400_000
MAX_MS = 366 * 86_400_000
_OPS = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}
_TURNED = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "eq": "eq", "ne": "ne"}
_TRUTH = {"true": 1.0, "false": 0.0}


class Checker:
    """Checks one expression against the names of a class. The first error ends it (Fail)."""

    def __init__(
        self,
        signals: dict[str, Signal],
        attributes: dict[str, Attribute],
        derived: Callable[[str], Checked],
        derived_names: Collection[str],
        rules: frozenset[str],
        leaves: dict[str, Checked],
        *,
        counts: bool = False,
    ) -> None:
        self.signals = signals
        self.attributes = attributes
        self.derived = derived
        self.derived_names = derived_names
        self.rules = rules
        self.leaves = leaves        # signals and attributes used before
        self.counts = counts
        self.constant = False       # inside a duration: only literals and attributes
        self.functions = 0

    def check(self, node: Node) -> Checked:
        """The checked node. Raises Fail with the column of what is wrong."""
        try:
            return self._check(node)
        except Fail as error:
            if error.column < 0:
                error.column = node.at
            raise
        except Invalid as error:
            raise Fail(node.at, error.message, error.fix) from None

    def _check(self, node: Node) -> Checked:
        match node:
            case Number():
                unit = parse(node.unit)
                return literal(node.value, unit, sort_of(unit), bare=not node.unit)
            case Name():
                return self._name(node)
            case Binary(op="where"):
                return self._where(node)
            case Binary():
                left, right = self.number(node.left), self.number(node.right)
                join = product if node.op in "*/" else total
                sign = 1 if node.op in "*+" else -1
                return join(left, right, sign, node.left.at, node.right.at)
            case Compare():
                return self._compare(node)
            case Logic():
                return chain(node.op, [self.condition(item) for item in node.items])
            case Call():
                return check_calls.call(self, node)
            case Member():
                return self._member(node)
            case Unary(op="not"):
                return negated(self.condition(node.operand))
            case Unary():
                return self._minus(node)
            case Quoted():
                return Checked(Const(0.0), "quoted", quoted=node.text)

    # what a place expects ---------------------------------------------------------------------

    def condition(self, node: Node) -> Checked:
        """A condition, or Fail."""
        found = self.check(node)
        if found.kind == "bool":
            return found
        fix = ""
        if found.kind == "span":
            fix = "compare it with a duration: since(c) > 10 s"
        elif found.names:
            fix = f"compare it: == {next(iter(found.names))}"
        elif found.kind == "number":
            fix = "compare it with a limit"
        raise Fail(node.at, f"a condition is expected, found {described(found)}", fix)

    def number(self, node: Node) -> Checked:
        """A number, or Fail."""
        found = self.check(node)
        if found.kind == "number":
            return found
        fix = "write if(c, 1, 0) to count a condition" if found.kind == "bool" else ""
        if found.kind == "span":
            fix = "a time span can only be compared with a duration"
        raise Fail(node.at, f"a number is expected, found {described(found)}", fix)

    def value(self, node: Node) -> Checked:
        """A number, condition or state, or Fail."""
        found = self.check(node)
        if found.kind in ("number", "bool", "states"):
            return found
        raise Fail(node.at, f"a value is expected, found {described(found)}")

    def duration(self, node: Node, *, window: bool = False) -> Checked:
        """A constant duration in ms: `exact`, or rounded from literals and attributes."""
        before, self.constant = self.constant, True
        try:
            found = self.check(node)
        finally:
            self.constant = before
        bare_zero = found.bare and found.exact == 0
        if found.kind != "number" or not (found.unit.dims == MILLISECOND.dims or bare_zero):
            raise Fail(node.at, f"a duration is expected, found {described(found)}",
                       "write for example 15 s")  # fmt: skip
        if found.exact is None:
            ms = converted(found, MILLISECOND, "")
            return build(Op("round_ms", (ms.expr,)), "number", (ms,), MILLISECOND)
        factor = Fraction(1) if bare_zero else found.unit.factor(MILLISECOND)
        exact = Fraction(whole_ms(found.exact * factor))
        if exact < 0:
            raise Fail(node.at, "the duration is negative")
        if window and not exact:
            raise Fail(node.at, "the window must be longer than 0 s")
        if exact > (MAX_WINDOW_MS if window else MAX_MS):
            what = "window can be 31 d" if window else "duration can be 366 d"
            raise Fail(node.at, f"the {what} at most")
        return literal(exact, MILLISECOND)

    def count(self, at: int, more: int) -> None:
        """Counts functions of time."""
        self.functions += more
        if self.functions > MAX_FUNCTIONS >= self.functions - more:
            raise Fail(at, f"more than {MAX_FUNCTIONS} functions of time in one expression",
                       "split the rule")  # fmt: skip

    # names --------------------------------------------------------------------------------------

    def knows(self, name: str) -> bool:
        """Whether the name has a value of its own (else it may be a state's)."""
        if self.counts:
            return name in COUNTS or name in _TRUTH
        return (
            name in self.signals or name in self.derived_names or name in self.attributes
            or name in _TRUTH
        )  # fmt: skip

    def _name(self, node: Name) -> Checked:
        name = node.name
        if name in _TRUTH:
            return Checked(Const(_TRUTH[name]), "bool")
        if self.counts:
            if name in COUNTS:
                return Checked(SignalRef(name), "number", samples=NOTHING, varies=True)
            raise self._unknown(node, COUNTS)
        found = self.leaves.get(name)
        if found is None:
            found = self._named(node, name)
        if self.constant and found.varies:
            raise Fail(node.at, f"`{name}` changes: a duration is a literal or an attribute",
                       "make it an attribute of the class")  # fmt: skip
        return found

    def _named(self, node: Name, name: str) -> Checked:
        if name in self.derived_names:
            found = self.derived(name)
            self.count(node.at, found.functions)
            return found
        if name in self.signals:
            found = _signal(self.signals[name])
        elif name in self.attributes:
            found = _attribute(self.attributes[name])
        else:
            raise self._unknown(node, [*self.signals, *self.derived_names, *self.attributes])
        self.leaves[name] = found
        return found

    def _unknown(self, node: Name, names: Collection[str]) -> Fail:
        fix = near(node.name, names)
        if not fix and is_unit(node.name):
            fix = "a unit follows its number, and its parts have no spaces between: 5 m/s"
        if not fix and self.counts:
            fix = "known are " + ", ".join(names)
        return Fail(node.at, f"unknown name `{node.name}`", fix)

    # operators ----------------------------------------------------------------------------------

    def _where(self, node: Binary) -> Checked:
        x, c = self.value(node.left), self.condition(node.right)
        out = build(Op("where", (x.expr, c.expr)), x.kind, (x, c), x.unit, x.sort)
        out.samples, out.names, out.titles = x.samples, x.names, x.titles
        out.parts = ("where", (x, c)) if x.kind == "bool" else None
        return out

    def _minus(self, node: Unary) -> Checked:
        x = self.number(node.operand)
        if x.level:
            raise Fail(node.operand.at, "a temperature level cannot be turned into its negative")
        if x.exact is not None:
            return literal(-x.exact, x.unit, x.sort, bare=x.bare)
        sort = sort_of(x.unit, "difference")
        return replace(build(Op("neg", (x.expr,)), "number", (x,), x.unit, sort), bare=x.bare)

    def _compare(self, node: Compare) -> Checked:
        pairs = zip(node.items, node.ops, node.items[1:], strict=False)
        return chain("and", [self._pair(a, _OPS[op], at, b) for a, (op, at), b in pairs])

    def _pair(self, left_node: Node, op: str, op_at: int, right_node: Node) -> Checked:
        left, right = self._sides(left_node, right_node)
        if op == "ne":
            return negated(self._joined("eq", op_at, left, right, left_node, right_node))
        return self._joined(op, op_at, left, right, left_node, right_node)

    def _joined(
        self, op: str, op_at: int, left: Checked, right: Checked, left_node: Node, right_node: Node
    ) -> Checked:
        if left.kind == "number" and right.kind == "number":
            left, right = unify(left, right, left_node.at, right_node.at)
            return compared(op, left, right)
        if "span" in (left.kind, right.kind):
            if left.kind == "span":
                return self._span(op, op_at, left, right_node, right)
            return self._span(_TURNED[op], op_at, right, left_node, left)
        if op != "eq" and not (left.kind == "bool" and right.kind == "number"):
            raise Fail(op_at, f"{described(left)} can only be compared with ==, != or in")
        if left.kind == "bool" and right.kind == "bool":
            return build(Op("eq", (left.expr, right.expr)), "bool", (left, right))
        if left.kind in ("text", "events") or right.kind not in ("text", "events"):
            return self._one_of(left, [(right, right_node.at)])
        return self._one_of(right, [(left, left_node.at)])

    def _sides(self, left_node: Node, right_node: Node) -> tuple[Checked, Checked]:
        """Both sides of a comparison; a bare word beside a state is one of its states."""
        if isinstance(left_node, Name) and not self.knows(left_node.name):
            right = self.check(right_node) if self._may_be_state(right_node) else None
            if right is None or right.names is None:
                return self.check(left_node), self.check(right_node)     # raises: unknown name
            return self._state(right, left_node), right
        left = self.check(left_node)
        if left.names is not None and isinstance(right_node, Name):
            return left, self._state(left, right_node)
        right = self.check(right_node)
        names = right.names or {}
        if isinstance(left_node, Name) and left.names is None and left_node.name in names:
            return self._state(right, left_node), right
        return left, right

    def _may_be_state(self, node: Node) -> bool:
        return isinstance(node, Call) or (isinstance(node, Name) and self.knows(node.name))

    def _state(self, of: Checked, node: Name) -> Checked:
        """A state's (or event's) name as its code, or another value with the same states."""
        assert of.names is not None
        if node.name in of.names:
            code = of.names[node.name]
            return Checked(Const(float(code)), of.kind, exact=Fraction(code), names=of.names)
        if self.knows(node.name):
            other = self.check(node)
            if other.names == of.names and of.kind == "states":
                return other
            if other.kind != "bool" or of.kind != "states":
                raise Fail(node.at, f"cannot compare {described(of)} with {described(other)}, "
                                    f"and `{node.name}` is an unknown state",
                           "known are " + ", ".join(of.names))  # fmt: skip
        fix = near(node.name, of.names) or "known are " + ", ".join(list(of.names)[:20])
        raise Fail(node.at, f"unknown state `{node.name}`", fix)

    def _member(self, node: Member) -> Checked:
        left = self.check(node.left)
        if left.kind == "number":
            found = []
            for item in node.items:
                a, b = unify(left, self.number(item), node.left.at, item.at)
                found.append(compared("eq", a, b))
            out = chain("or", found)
        else:
            choices = []
            for item in node.items:
                if left.names is not None and isinstance(item, Name):
                    choices.append((self._state(left, item), item.at))
                else:
                    choices.append((self.check(item), item.at))
            out = self._one_of(left, choices)
        return negated(out) if node.negated else out

    def _one_of(self, x: Checked, choices: list[tuple[Checked, int]]) -> Checked:
        """Whether a state, an event or a text is one of these."""
        for choice, at in choices:
            if (x.kind, choice.kind) not in _COMPARABLE or (
                x.kind == "states" and x.names != choice.names
            ):
                fix = ""
                if x.names is not None:
                    fix = "compare it with one of its names: " + ", ".join(list(x.names)[:20])
                elif x.kind == "text":
                    fix = 'a text is compared with a quoted one: "A"'
                raise Fail(at, f"cannot compare {described(x)} with {described(choice)}", fix)
        match x.expr:
            case AttributeRef(name=name) if x.kind == "text":
                texts = dict.fromkeys(choice.quoted for choice, _ in choices)
                return build(TextIn(name, tuple(texts)), "bool", (x,))
            case SignalRef(name=name) if x.kind == "events":
                codes = frozenset(int(c.exact) for c, _ in choices if c.exact is not None)
                return build(EventRef(name, codes), "bool", (x,))
            case _:
                return chain("or", [compared("eq", x, choice) for choice, _ in choices])

    def _span(self, op: str, op_at: int, span: Checked, node: Node, other: Checked) -> Checked:
        """`since`, `age` or `time_to` compared with a duration."""
        if op == "eq":
            raise Fail(op_at, "a time span is compared with < <= > >=, not == or !=")
        if other.kind == "span":
            raise Fail(node.at, "a time span is compared with a duration, not with another one",
                       "compare each with a duration of its own")  # fmt: skip
        return span_compared(op, span, self.duration(node))


_COMPARABLE = {
    ("states", "states"), ("events", "events"), ("text", "quoted"), ("bool", "bool"),
}  # fmt: skip


def _signal(signal: Signal) -> Checked:
    """A signal's present value."""
    unit = parse(signal.unit)
    names = signal.names if signal.kind in ("states", "events") else None
    return Checked(
        SignalRef(signal.name), signal.kind, unit, sort_of(unit, "level"), names=names,
        titles=signal.titles, samples=frozenset((signal.name,)), varies=True,
    )  # fmt: skip


def _attribute(attribute: Attribute) -> Checked:
    """An attribute's value."""
    unit = parse(attribute.unit)
    names = attribute.names if attribute.kind == "states" else None
    titles = {code: Text(en=name) for name, code in (names or {}).items()}
    ref = AttributeRef(attribute.name)
    return Checked(ref, attribute.kind, unit, sort_of(unit), names=names, titles=titles)
