"""Random rules and groups as a rule author would write them."""

from __future__ import annotations

from random import Random

SEVERITIES = ("blue", "yellow", "orange", "red")
SPANS = ("500 ms", "1 s", "1500 ms", "2 s", "3 s", "4 s", "5 s", "8 s", "wait", "2 * wait")
WIDTHS = ("1 s", "2 s", "3 s", "5 s", "10 s", "20 s", "60 s", "90 s", "2 min", "wait")
BOOLS = ("p", "q", "r", "maint", "steep", "both")
NUMBERS = ("x", "y", "s", "f", "hand")
SAMPLED = ("x", "y", "s", "f", "x - y", "x + s", "abs(y - s)", "if(p, x, y)")


class Author:
    """Writes rules; `names` are those written so far, whose alarms a later rule may read."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.names: list[str] = []
        self.simple = True
        self.both = self.condition(1)      # of the class: it may use no derived name and no rule
        self.simple = False
        self.names.append("ca.f.frozen")

    def pick(self, *choices: str) -> str:
        """One of these."""
        return self.random.choice(choices)

    def chance(self, p: float) -> bool:
        """True that often."""
        return self.random.random() < p

    def span(self) -> str:
        """A short duration."""
        return self.random.choice(SPANS)

    def width(self) -> str:
        """The width of a window."""
        return self.random.choice(WIDTHS)

    # --- conditions

    def boolean(self) -> str:
        """A condition of one signal."""
        return self.pick(*(BOOLS[:4] if self.simple else BOOLS))

    def condition(self, depth: int) -> str:
        """Any condition; what the rule reads of other alarms is known already."""
        if depth <= 0 or self.chance(0.2):
            return self.leaf()
        a, b, c = (self.condition(depth - 1) for _ in range(3))
        return self.pick(
            f"({a}) and ({b})", f"({a}) or ({b})", f"not ({a})", f"({a}) and not ({b})",
            f"if({a}, {b}, {c})", f"at_least(2 of {a}, {b}, {c})", f"known({a})",
            f"held({a} for {self.span()})", f"held({a} for {self.span()})",
            f"rises({a})", f"falls({a})", f"since({a}) {self.less()} {self.span()}",
            f"since({a}) {self.less()} {self.span()}",
            f"not_followed({a} by {b} within {self.span()})", f"latched({a} until {b})",
            f"lag({a} to {b}) {self.less()} {self.span()}",
            f"times({a} over {self.width()}) >= {self.random.randint(1, 3)}",
            f"times({a} over {self.width()} ending {self.span()} ago) >= 1",
            f"times({a} since {b}) >= {self.random.randint(1, 2)}",
            self.comparison(depth), self.comparison(depth), self.comparison(depth),
        )  # fmt: skip

    def leaf(self) -> str:
        """A condition without functions of time, mostly."""
        active = [f"active({self.pick(*self.names)})"] if self.names else []
        return self.pick(
            self.boolean(), self.boolean(), self.boolean(), *active,
            f"{self.pick(*NUMBERS)} {self.any_order()} {self.random.randint(2, 8)}",
            f"{self.pick(*NUMBERS)} {self.less()} lim", "x > top", "x > none",
            f"{self.random.randint(1, 4)} < x <= {self.random.randint(5, 9)}",
            "pr > 5 bar", "pr <= 600 kPa", "m == high", "m != off", "m in (low, high)",
            "code == ea", "code in (ea, ec)", "x in (2, 5, 7)", "p and kind == two",
            'x > 3 and site == "s1"',
            "p == q", f"silent({self.span()})", f"age({self.pick('x', 'r', 'code', 'y')}) "
            f"{self.less()} {self.span()}", "known(x)", "known(r)", "hour() >= 1", "weekday() == 3",
            "x / y > 1.37", "sqrt(s) > 1.5", "log(s) > 0.37", "exp(s / 10) > 1.37",
        )  # fmt: skip

    def less(self) -> str:
        """A comparison of order."""
        return self.pick("<", "<=", ">", ">=")

    def any_order(self) -> str:
        """A comparison."""
        return self.pick("<", "<=", ">", ">=", "==", "!=")

    def sampled(self, depth: int) -> str:
        """Something with samples."""
        x = self.pick(*SAMPLED)
        return f"{x} where {self.condition(depth - 1)}" if self.chance(0.25) else x

    def comparison(self, depth: int) -> str:
        """A function of samples against a limit."""
        return " ".join(self.measured(depth))

    def measured(self, depth: int) -> tuple[str, str, str]:
        """A function of samples, a comparison, a limit."""
        x, w, c = self.sampled(depth), self.width(), self.condition(depth - 1)
        n = self.random.randint(0, 7)
        back = self.pick("", "", f" ending {self.span()} ago")
        order, any_order = self.less(), self.any_order()
        plain = x if "where" not in x else f"({x})"
        return self.random.choice([
            (f"mean({x} over {w}{back})", order, f"{n}.37"),
            (f"{self.pick('min', 'max', 'median', 'sum')}({x} over {w}{back})", order, str(n)),
            (f"{self.pick('range', 'std')}({x} over {w}{back})", order, f"{n // 2}.37"),
            (f"total({x} over {w}{back})", order, f"{n * 3}.37 s"),
            (f"total(if({c}, 1, 0) over {w}{back})", order, f"{n % 4}.37 s"),
            (f"rate({x} over {w}{back})", order, f"{self.pick('0.37', '-0.37', '1.13')} Hz"),
            (f"increase({x} over {w}{back})", order, str(n)),
            (f"count({x} over {w}{back})", order, f"{n % 4 + 1}"),
            (f"count(code over {w}{back})", order, f"{n % 3 + 1}"),
            (f"{self.pick('min', 'max', 'sum')}({x} since {c})", order, str(n)),
            (f"count({x} since {c})", order, f"{n % 4 + 1}"),
            (f"mean({x} since {c})", order, f"{n}.37"),
            (f"total({x} since {c})", order, f"{n * 3}.37 s"),
            (f"range({x} since {c})", order, f"{n // 2}.5"),
            (f"delta({x} over {w})", order, self.pick("-2", "2", "0.5")),
            (f"prev({plain})", any_order, str(n)), (f"change({plain})", any_order, f"{n - 3}"),
            (f"last({plain})", any_order, str(n)), (f"at({plain} when {c})", order, str(n)),
            (f"x - at(x when {c})", order, f"{n - 3}"),
            (f"ewma({x} over {w})", order, f"{n}.37"), (f"zscore({x} over {w})", order, "0.61"),
            (f"cusum({plain}, 5, 1)", order, str(n)),
            (f"cusum_low({plain}, lim, 0.5, 9)", order, str(n)),
            (f"cusum({plain}, 4, 1 since {c})", order, str(n)),
            (f"cusum({plain}, 4, 1, 6 since {c})", order, str(n)),
            (f"time_to({plain} > {n + 1}.37 over {w})", order, self.span()),
            (f"time_to({plain} < {n - 1}.37 over {w})", order, self.span()),
            (f"max({plain}, y) - min({plain}, y)", order, str(n)),
            (f"clamp({plain}, 2, 6)", order, str(n)),
            (f"time_to({plain} > lim + 0.37 over {w})", order, self.span()),
            (f"cusum({plain}, y, 1)", order, str(n)), (f"age({x.split(' where')[0]})", order,
                                                       self.span()),
            (f"mean(pr over {w}{back})", order, f"{n}.37 bar"),
        ])  # fmt: skip

    def depth(self) -> int:
        """How deep a condition goes."""
        return self.random.choice([0, 1, 1, 2, 2, 3])

    # --- rules

    def delay(self, *, sampled: bool) -> str:
        """A value of `for` or `clear_for`."""
        if sampled and self.chance(0.2):
            return f"{self.random.randint(2, 3)} samples"
        return self.pick("0 s", self.span(), self.span())

    def level(self, when: str) -> dict[str, object]:
        """The keys of one level."""
        made: dict[str, object] = {"when": when}
        plain = not any(word in when for word in ("maint", "hand", "active", "silent", "hour"))
        if self.chance(0.5):
            made["for"] = self.delay(sampled=plain)
        if self.chance(0.1):
            made["for"] = f"{self.pick('2', '3')} of {self.pick('3', '4', '5')} samples of x"
        if self.chance(0.3):
            made["clear_for"] = self.delay(sampled=plain)
        if self.chance(0.25) and "samples" not in str(made.get("clear_for")):
            made["clear_when"] = self.condition(1)
        if self.chance(0.2):
            made["only_if"] = self.condition(1)
        return made

    def banded(self) -> dict[str, object]:
        """A level with a deadband."""
        x, n = self.pick("x", "y", "s"), self.random.randint(3, 7)
        when = self.pick(
            f"{x} > {n}", f"{x} < {n}", f"{n} < {x}", f"not ({n - 1} <= {x} <= {n + 2})",
            f"x > {n} and p", f"x > {n} or q", "x > lim",
        )  # fmt: skip
        made = self.level(when)
        made["deadband"] = self.pick("1", "2", "20 % of limit", "10 % of limit")
        if x == "x" and self.chance(0.3):
            made["deadband"] = "2 % of range"
        return made

    def one_level(self) -> dict[str, object]:
        """Any level."""
        return self.banded() if self.chance(0.2) else self.level(self.condition(self.depth()))

    def rule(self, number: int) -> dict[str, object]:
        """One rule."""
        name = f"t.r{number}"
        made: dict[str, object] = {"rule": name, "class": "ca"}
        if self.chance(0.15):
            made["class"] = ["ca", "cb"]
            made |= {"when": self.pick("x > 5", "p", "held(p for 2 s)", "mean(x over 5 s) > 4.37")}
            made["severity"] = self.pick(*SEVERITIES)
        elif self.chance(0.3):
            chosen = self.random.sample(SEVERITIES, self.random.randint(1, 3))
            made["levels"] = {
                severity: self.one_level() if self.chance(0.7) else
                [self.one_level() for _ in range(self.random.randint(1, 2))]
                for severity in chosen
            }  # fmt: skip
            if self.chance(0.3):
                made["for"] = self.span()
        else:
            made |= {**self.one_level(), "severity": self.pick(*SEVERITIES)}
        if self.chance(0.25):
            until = self.pick("acknowledge", "release", "end", "end")
            made["escalate"] = {"after": self.pick(*SPANS[:-2]), "to": self.pick("orange", "red"),
                                "until": until}
            made["plan"] = "pl"
        if self.chance(0.25):
            made["latch"] = True
        if self.chance(0.25) and made["class"] == "ca":
            made["unless"] = self.condition(1)
        if self.chance(0.1):
            made["unless"] = False
        if self.chance(0.1):
            made["on_unknown"] = self.pick("raise", "clear")
        if self.chance(0.1):
            made["mode"] = "shadow"
        if self.chance(0.05):
            made["enabled"] = False
        if self.chance(0.3) and made["class"] == "ca":
            made["evidence"] = ["x", "since(p)", *(self.measured(2)[0] for _ in range(2))]
            made["message"] = "{asset}: {x} for {held}"
        if self.chance(0.4):
            made["tags"] = [self.pick("one", "two")]
        if made["class"] == "ca":
            self.names.append(name)
        return made

    # --- groups

    def counts(self) -> str:
        """A condition of a group."""
        n = self.random.randint(1, 3)
        return self.pick(
            f"alarms >= {n + 1}", f"assets >= {n}", f"rules >= {n}", f"active >= {n}",
            f"active_assets >= {n}", "share > 40 %", f"assets >= 2 and alarms >= {n}",
            f"active >= {n} or rules >= 3", f"not (active < {n})",
        )  # fmt: skip

    def group(self, number: int) -> dict[str, object]:
        """One group."""
        made: dict[str, object] = {
            "group": f"g.g{number}", "by": self.pick("site", "asset"),
            "within": self.pick("2 s", "5 s", "10 s", "30 s"),
        }  # fmt: skip
        if self.chance(0.5):
            made["over"] = self.random.choice([["t.*"], ["t.r0"], ["t.r0", "ca.*"]])
        if self.chance(0.3):
            made["levels"] = {s: {"when": self.counts()} for s in self.random.sample(SEVERITIES, 2)}
        else:
            made |= {"when": self.counts(), "severity": self.pick(*SEVERITIES)}
        if self.chance(0.3):
            made["clear_when"] = self.pick("alarms < 1", "active < 1", "assets < 1")
        for key in ("for", "clear_for"):
            if self.chance(0.3):
                made[key] = self.pick("1 s", "2 s", "5 s")
        if self.chance(0.3):
            made["latch"] = True
        return made
