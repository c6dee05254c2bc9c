"""The documents of the rule language as pydantic models, and the JSON Schema made of them.

The models take the reader's nodes, so every value of a checked document is still a `Scalar` that
knows its place; expressions and durations are text here and understood later. Problems are noted
all at once: an unknown key is reported and left out, whatever else is wrong goes through pydantic's
own errors, whose `loc` is walked back to a position.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeVar, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from rules.errors import Problems, near
from rules.fields import (
    AttributeType,
    Flag,
    List,
    Mode,
    Names,
    OnUnknown,
    Raw,
    SetBy,
    Severity,
    SignalType,
    Table,
    Template,
    Texts,
    Value,
    entries,
    expected,
    one_or_more,
)
from rules.model import Pos, Text
from rules.reader import Mapping, Node, Sequence


class Document(BaseModel):
    """A mapping with known keys. `at` is where it starts, `key_at` where one of its keys stands."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)
    _node: Mapping = PrivateAttr()

    @model_validator(mode="wrap")
    @classmethod
    def _of_node(cls, node: object, handler: ModelWrapValidatorHandler[Any],
                 info: ValidationInfo) -> Any:  # noqa: ANN401 - pydantic's own signature
        if not isinstance(node, Mapping):
            raise expected("a mapping", node)
        known = _keys_of(cls)
        values = {name: value for name, value in node.values.items() if name in known}
        if len(values) < len(node.values):
            _note_unknown(cls, node, values, cast("Problems", info.context))
        made = handler(values)
        made._node = node  # noqa: SLF001 - it is one of us
        return made

    @property
    def at(self) -> Pos:
        """Where the mapping starts."""
        return self._node.at

    @property
    def node(self) -> Mapping:
        """The mapping as written."""
        return self._node

    def key_at(self, key: str) -> Pos:
        """Where a key stands; where the mapping starts if it is not there."""
        found = self._node.keys.get(key)
        return found.at if found else self._node.at


def _note_unknown(model: type[Document], node: Mapping, values: dict[str, Node],
                  problems: Problems) -> None:
    """Reports the keys that a document does not know. One that is near a needed key that is not
    there is taken for it, so that one slip is one error."""
    known = _keys_of(model)
    for name, key in node.keys.items():
        if name in known:
            continue
        fix = near(name, known) or "known here: " + ", ".join(known)
        problems.add(key.at, f"unknown key `{name}`", fix)
        for meant, field in zip(known, model.model_fields.values(), strict=True):
            if field.is_required() and meant not in values and near(name, [meant]):
                values[meant] = node.values[name]


_KEYS: dict[type[Document], tuple[str, ...]] = {}


def _keys_of(model: type[Document]) -> tuple[str, ...]:
    """The keys of a document, by their names in YAML."""
    if model not in _KEYS:
        fields = model.model_fields.items()
        _KEYS[model] = tuple(field.alias or name for name, field in fields)
    return _KEYS[model]


class SignalDoc(Document):
    """A signal of a class."""

    title: Texts = Text()
    unit: Value | None = None
    type: SignalType | None = None
    range: List[Value] | None = None
    states: Raw = None
    events: Raw = None
    default: Value | None = None
    stale_after: Value | None = None
    frozen_after: Value | None = None
    frozen_while: Value | None = None
    period: Value | None = None
    set_by: SetBy | None = None
    expires: Value | None = None


class AttributeDoc(Document):
    """An attribute of a class."""

    title: Texts = Text()
    unit: Value | None = None
    type: AttributeType | None = None
    states: List[Value] | None = None
    default: Value | None = None
    by: Value | None = None
    table: Raw = None


class ClassDoc(Document):
    """What a kind of asset can say."""

    title: Texts = Text()
    signals: Table[SignalDoc] = {}
    attributes: Table[AttributeDoc] = {}
    derived: Table[Value] = {}
    silent_after: Value | None = None
    lateness: Value | None = None
    max_ahead: Value | None = None
    shelve_at_most: Value | None = None
    unless: Value | None = None


class ConditionsDoc(Document):
    """The keys of a level; written at the rule they hold for its levels."""

    when: Value | None = None
    delay: Value | None = Field(None, alias="for")
    clear_when: Value | None = None
    clear_for: Value | None = None
    plan: Value | None = None
    message: Template | None = None


class LevelDoc(ConditionsDoc):
    """A level of a rule."""

    deadband: Value | None = None
    only_if: Value | None = None


Levels = Annotated[
    dict[
        Severity,
        Annotated[
            list[LevelDoc],
            BeforeValidator(one_or_more, json_schema_input_type=LevelDoc | list[LevelDoc]),
        ],
    ],
    BeforeValidator(entries),
]
GroupLevels = Annotated[
    dict[
        Severity,
        Annotated[
            list[ConditionsDoc],
            BeforeValidator(
                one_or_more, json_schema_input_type=ConditionsDoc | list[ConditionsDoc]
            ),
        ],
    ],
    BeforeValidator(entries),
]


class EscalateDoc(Document):
    """`escalate` of a rule."""

    after: Value
    to: Severity
    until: Value | None = None


class RuleDoc(LevelDoc):
    """A rule."""

    rule: Value
    cls: Names = Field(alias="class")
    title: Texts = Text()
    severity: Severity | None = None
    levels: Levels | None = None
    escalate: EscalateDoc | None = None
    latch: Flag = False
    unless: Value | None = None
    on_unknown: OnUnknown = "keep"
    evidence: List[Value] = []
    cause: Texts = Text()
    consequence: Texts = Text()
    action: Texts = Text()
    tags: List[Value] = []
    mode: Mode = "live"
    enabled: Flag = True


class GroupDoc(ConditionsDoc):
    """A rule over the alarms of many assets, or of one."""

    group: Value
    title: Texts = Text()
    by: Value
    over: List[Raw] | None = None
    within: Value | None = None
    severity: Severity | None = None
    levels: GroupLevels | None = None
    latch: Flag = False
    parent: Flag = False
    first_out: Flag = False
    hazard: Flag = False


class StepDoc(Document):
    """A step of a plan."""

    step: Value
    role: Value
    do: Texts = Text()
    within: Value | None = None
    needs: List[Value] = []


class OverdueDoc(Document):
    """What follows when a step of a plan is late."""

    raise_to: Severity | None = None
    notify: List[Value] = []


class PlanDoc(Document):
    """What people must do about an alarm."""

    title: Texts = Text()
    steps: List[StepDoc]
    overdue: OverdueDoc | None = None


class CaseDoc(Document):
    """A test beside the rules; what it holds is understood together with its class."""

    test: Value
    cls: Value | None = Field(None, alias="class")
    asset: Raw = None
    assets: Table[Raw] | None = None
    given: Table[Raw] = {}
    series: Table[Value] = {}
    do: Table[Raw] = {}
    start: Value | None = None
    until: Value | None = None
    expect: List[Raw] = []
    never: List[Value] = []


class FileDoc(Document):
    """A file: classes, plans, rules, groups and tests, in any order."""

    classes: Table[ClassDoc] = {}
    plans: Table[PlanDoc] = {}
    rules: List[RuleDoc] = []
    groups: List[GroupDoc] = []
    tests: List[CaseDoc] = []


class AssetDoc(Document):
    """An asset of an inventory in YAML; its other keys are attributes."""

    id: Value
    cls: Value = Field(alias="class")
    attributes: Table[Value] = {}
    overrides: Table[Value] = {}


D = TypeVar("D", bound=Document)


def check(model: type[D], node: Node, problems: Problems, *, partly: bool = False) -> D | None:
    """The document of a node, or None with its problems noted.

    partly: give what is left without the keys that are wrong (still present in its `node`), so
    that the rest of the document can be checked too.
    """
    try:
        return model.model_validate(node, context=problems)
    except ValidationError as error:
        for found in error.errors(include_url=False, include_input=False):
            context = found.get("ctx", {})
            loc = found["loc"]
            if found["type"] == "missing":
                problems.add(_place(node, loc[:-1]), f"{loc[-1]} missing")
            elif found["type"] == "tocsin":
                at = context["at"] or _place(node, loc)
                problems.add(at, context["message"], context["fix"])
            else:
                problems.add(_place(node, loc), found["msg"])
        wrong = {step["loc"][0] for step in error.errors(include_url=False) if step["loc"]}
        if not partly or not isinstance(node, Mapping) or not wrong <= node.keys.keys():
            return None
        return _rest(model, node, wrong)


def _rest(model: type[D], node: Mapping, wrong: set[int | str]) -> D | None:
    keys = {name: key for name, key in node.keys.items() if name not in wrong}
    rest = Mapping(node.at, keys, {name: node.values[name] for name in keys})
    made = check(model, rest, Problems())
    if made is not None:
        made._node = node  # noqa: SLF001 - it is one of us
    return made


def _place(node: Node, loc: tuple[int | str, ...]) -> Pos:
    """The position of the innermost node on the way of a `loc`; labels of pydantic's own that
    name no key are stepped over, `[key]` is the key itself.
    """
    for index, step in enumerate(loc):
        if isinstance(node, Sequence) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
        elif isinstance(node, Mapping) and isinstance(step, str) and step in node.values:
            if loc[index + 1 : index + 2] == ("[key]",):
                return node.keys[step].at
            node = node.values[step]
    return node.at


def json_schema() -> dict[str, Any]:
    """A JSON Schema of a file, for editors: completion, hover, errors while typing."""
    schema = FileDoc.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Tocsin rules"
    return schema
