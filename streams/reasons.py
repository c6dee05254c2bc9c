"""Why something that came in was not used: one closed list, the same words everywhere.

Metrics, the log, the ledger, the console, the `refused` topic and the documents use these words.
"""

from __future__ import annotations

from enum import Enum

from rules.model import Text


class Reason(Enum):
    """Why a message or one value of it was refused or is not applied.

    The words stand in the order in which a message is looked at.
    """

    TOO_LARGE = "too_large"
    BAD_UTF8 = "bad_utf8"
    NOT_JSON = "not_json"
    DUPLICATE_KEY = "duplicate_key"
    NOT_AN_OBJECT = "not_an_object"
    UNKNOWN_KEY = "unknown_key"
    MISSING_KEY = "missing_key"
    WRONG_TYPE = "wrong_type"
    BAD_ASSET = "bad_asset"
    BAD_TIME = "bad_time"
    MISPLACED = "misplaced"
    UNKNOWN_CLASS = "unknown_class"
    UNKNOWN_ASSET = "unknown_asset"
    CLASS_CHANGED = "class_changed"
    NOT_FROM_OUTSIDE = "not_from_outside"
    HISTORICAL = "historical"
    FUTURE = "future"
    UNKNOWN_SIGNAL = "unknown_signal"
    BAD_QUALITY = "bad_quality"
    OUT_OF_RANGE = "out_of_range"
    UNKNOWN_STATE = "unknown_state"
    UNKNOWN_EVENT = "unknown_event"

    @property
    def text(self) -> Text:
        """The reason in a sentence, for people."""
        zh, en = _TEXTS[self]
        return Text(zh=zh, en=en)


_TEXTS: dict[Reason, tuple[str, str]] = {
    Reason.TOO_LARGE: (
        "超过上限：1 MiB，一个数组 20,000 条消息，一条消息 1,024 个值，嵌套 8 层",
        "above a bound: 1 MiB, 20,000 messages an array, 1,024 values a message, nesting of 8",
    ),
    Reason.BAD_UTF8: ("不是 UTF-8 文本", "not text in UTF-8"),
    Reason.NOT_JSON: (
        "不是一个 JSON 值（NaN、Infinity 和多余字节也不允许）",
        "not one JSON value (nor are NaN, Infinity or bytes after the end)",
    ),
    Reason.DUPLICATE_KEY: ("同一个键出现两次", "a key occurs twice"),
    Reason.NOT_AN_OBJECT: ("消息不是对象", "a message is an object {…}"),
    Reason.UNKNOWN_KEY: ("未知的键", "a key that messages do not have"),
    Reason.MISSING_KEY: (
        "缺少 asset、t、values（或 signal 与 v）",
        "asset, t, or values (else signal and v) is missing",
    ),
    Reason.WRONG_TYPE: ("类型不对", "a value of a type that this key or signal does not take"),
    Reason.BAD_ASSET: (
        "设备编号应为 1 到 128 个字符，且无控制字符",
        "an asset's id has 1 to 128 characters, none of them a control character",
    ),
    Reason.BAD_TIME: (
        "时间应为整数（毫秒、微秒、纳秒）或带时区的 RFC 3339 文本（无闰秒）",
        "a time is an integer (ms, µs or ns) or RFC 3339 text with an offset (no leap second)",
    ),
    Reason.MISPLACED: (
        "设备属于该主题的另一个分区：请以设备编号为记录的键，并用 Kafka 默认的 murmur2 分区器",
        "the asset is of another partition: key records by asset, Kafka's default way (murmur2)",
    ),
    Reason.UNKNOWN_CLASS: ("没有这个设备类别", "no pack that is loaded has this class"),
    Reason.UNKNOWN_ASSET: (
        "设备不在台账中，或首次出现时未给出类别",
        "the asset is not in the inventory, or was first heard without a class",
    ),
    Reason.CLASS_CHANGED: ("与该设备已知的类别不符", "the asset is known with another class"),
    Reason.NOT_FROM_OUTSIDE: (
        "该信号只能由操作员的命令设置",
        "this signal is set by an operator's command only",
    ),
    Reason.HISTORICAL: ("标为历史数据，只归档", "marked as historical: archived only"),
    Reason.FUTURE: (
        "时间超前于到达时间太多（max_ahead）",
        "its time is further ahead of its arrival than max_ahead allows",
    ),
    Reason.UNKNOWN_SIGNAL: ("该类别没有这个信号", "the asset's class has no such signal"),
    Reason.BAD_QUALITY: ("质量不好", "of bad quality"),
    Reason.OUT_OF_RANGE: ("超出量程", "outside the signal's range"),
    Reason.UNKNOWN_STATE: ("未列出的状态", "a state that the signal does not list"),
    Reason.UNKNOWN_EVENT: ("未列出的事件码（忽略）", "an event code not listed (it is ignored)"),
}
