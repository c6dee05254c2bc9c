"""A notice in words, the same ones on every channel for people."""

from __future__ import annotations

from collections.abc import Iterator

from connectors.notify.base import Language, Notice, Status

_DRILL: dict[Status, dict[Language, str]] = {
    "Actual": {"zh": "", "en": ""},
    "Exercise": {"zh": "【演练】", "en": "[EXERCISE] "},
    "Test": {"zh": "【测试】", "en": "[TEST] "},
}
_LABELS: dict[str, dict[Language, str]] = {
    "time": {"zh": "时间", "en": "Time"},
    "asset": {"zh": "设备", "en": "Asset"},
    "place": {"zh": "位置", "en": "Place"},
    "evidence": {"zh": "依据", "en": "Evidence"},
    "step": {"zh": "超时步骤", "en": "Overdue step"},
    "plan": {"zh": "预案", "en": "Plan"},
    "rule": {"zh": "规则", "en": "Rule"},
    "id": {"zh": "编号", "en": "Id"},
}


def drill(status: Status, language: Language) -> str:
    """What marks an exercise or a test; nothing for what is real."""
    return _DRILL[status][language]


def headline(notice: Notice, status: Status, language: Language) -> str:
    """`[EXERCISE] RED raised: Passengers trapped, L1`, in one line."""
    colour, word = notice.severity_word[language], notice.kind_word[language]
    title = notice.title[language]
    said = (
        f"{colour} {word}：{title}，{notice.asset}"
        if language == "zh"
        else f"{colour} {word}: {title}, {notice.asset}"
    )
    return drill(status, language) + one_line(said)


def details(notice: Notice, language: Language) -> Iterator[tuple[str, str]]:
    """Labels and values, in one line each; what is empty is left out."""
    at = notice.local(notice.t_ms)
    values = {
        "time": f"{at:%Y-%m-%d %H:%M:%S %z}",
        "asset": notice.asset,
        "place": notice.place,
        "evidence": notice.evidence[language],
        "step": notice.step,
        "plan": notice.plan,
        "rule": notice.rule,
        "id": notice.id,
    }
    for name, value in values.items():
        if value:
            yield _LABELS[name][language], one_line(value)


def one_line(text: str) -> str:
    """The text without line breaks, other control characters or marks that turn its direction."""
    return " ".join("".join(" " if _hidden(c) else c for c in text).split())


def _hidden(character: str) -> bool:
    return not character.isprintable() and character != "\u3000"  # the wide space is a space, too


def clipped(text: str, size: int) -> str:
    """The text in at most `size` bytes of UTF-8, whole characters, with … where it was cut."""
    data = text.encode()
    if len(data) <= size:
        return text
    return data[: size - len("…".encode())].decode("utf-8", "ignore") + "…"
