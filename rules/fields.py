"""The values of documents as pydantic fields: names, flags, texts, closed lists of words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from rules.errors import near
from rules.model import SEVERITIES, Pos, Text
from rules.reader import Mapping, Scalar, Sequence, describe


def expected(what: str, found: object, fix: str = "", at: Pos | None = None) -> PydanticCustomError:
    """The error "expected …, found …", at another place than the value's if wanted."""
    return refused(f"expected {what}, found {describe(found)}", fix, at)


def refused(message: str, fix: str = "", at: Pos | None = None) -> PydanticCustomError:
    """An error of ours that passes through pydantic."""
    return PydanticCustomError("tocsin", "{message}", {"message": message, "fix": fix, "at": at})


def _scalar(value: object) -> Scalar:
    if isinstance(value, Scalar) and not value.is_null:
        return value
    if isinstance(value, Mapping):
        raise expected("one value", value, "put quotes around a text that starts with `{`")
    raise expected("one value", value)


def _flag(value: object) -> bool:
    if isinstance(value, Scalar) and value.truth is not None:
        return value.truth
    raise expected("true or false", value)


def _one_of(what: str, words: Iterable[str]) -> PlainValidator:
    """A closed list of words; another one is "unknown WHAT"."""
    known = tuple(words)

    def check(value: object) -> str:
        word = value.text if isinstance(value, Scalar) else value    # keys come as strings
        if isinstance(word, str) and word in known:
            return word
        fix = near(word, known) if isinstance(word, str) else ""
        shown = f"`{word[:40]}`" if isinstance(word, str) else describe(value)
        raise refused(f"unknown {what} {shown}, expected {', '.join(known)}", fix)

    return PlainValidator(check)


def _enum(*words: str) -> WithJsonSchema:
    return WithJsonSchema({"enum": list(words)})


def languages(value: object) -> dict[str, Scalar]:
    """A text or `{zh: …, en: …}` as language -> scalar; a plain text counts for both."""
    if isinstance(value, Mapping):
        for key, text in value:
            if key.text not in {"zh", "en"}:
                raise refused(f"unknown key `{key.text}`", "texts are in `zh` and `en`", key.at)
            if not isinstance(text, Scalar):
                raise expected("a text", text, at=text.at)
        if not value.keys:
            raise expected("a text", value, "write a text, or {zh: …, en: …}")
        return {name: text for name, text in value.values.items() if isinstance(text, Scalar)}
    return {"en": _scalar(value)}


def _text(value: object) -> Text:
    return Text(**{language: scalar.text for language, scalar in languages(value).items()})


def entries(value: object) -> object:
    """A mapping's nodes by their keys."""
    if isinstance(value, Mapping):
        return value.values
    raise expected("a mapping", value)


def items(value: object) -> object:
    """A list's nodes."""
    if isinstance(value, Sequence):
        return list(value.items)
    raise expected("a list", value, "write [ … ]")


def one_or_more(value: object) -> object:
    """The nodes of a list, or the one node there is."""
    return list(value.items) if isinstance(value, Sequence) else [value]


_TEXT_SCHEMA = {"anyOf": [
    {"type": ["string", "number", "boolean"]},
    {"type": "object", "additionalProperties": False,
     "properties": {"zh": {"type": "string"}, "en": {"type": "string"}}},
]}  # fmt: skip
_VALUE_SCHEMA = {"type": ["string", "number", "boolean"]}

T = TypeVar("T")
#: One value as written: a name, an expression, a duration.
Value = Annotated[Scalar, PlainValidator(_scalar), WithJsonSchema(_VALUE_SCHEMA)]
Flag = Annotated[bool, PlainValidator(_flag), WithJsonSchema({"type": "boolean"})]
Texts = Annotated[Text, PlainValidator(_text), WithJsonSchema(_TEXT_SCHEMA)]
Template = Annotated[dict[str, Scalar], PlainValidator(languages), WithJsonSchema(_TEXT_SCHEMA)]
Severity = Annotated[str, _one_of("severity", SEVERITIES), _enum(*SEVERITIES)]
Mode = Annotated[str, _one_of("mode", ("live", "shadow")), _enum("live", "shadow")]
OnUnknown = Annotated[
    str, _one_of("on_unknown", ("keep", "raise", "clear")), _enum("keep", "raise", "clear")
]
SignalType = Annotated[str, _one_of("type", ("number", "bool")), _enum("number", "bool")]
AttributeType = Annotated[
    str, _one_of("type", ("number", "bool", "text")), _enum("number", "bool", "text")
]
SetBy = Annotated[str, _one_of("set_by", ("operator",)), _enum("operator")]
Table = Annotated[dict[str, T], BeforeValidator(entries)]
List = Annotated[list[T], BeforeValidator(items)]
Names = Annotated[
    list[Value], BeforeValidator(one_or_more, json_schema_input_type=Value | list[Value])
]
#: A value that is understood later, with the document around it.
Raw = Annotated[Any, PlainValidator(lambda node: node), WithJsonSchema({})]
