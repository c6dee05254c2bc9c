"""Numbers that the compiler and the interpreter agree on: opcodes, table columns, state fields.

Everything an asset knows is a row of floats. A rule's part of the row is, in this order: its alarm
(ALARM_WIDTH fields), its machines (MACHINE_WIDTH each, NOFM_WIDTH more for `n of m samples`), the
functions of its conditions, of `unless` and `escalate`, and of its evidence and message. The parts
are apart so that an edit of a text keeps alarms and timers.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
Flags = npt.NDArray[np.uint8]

NEVER: Final = -(1 << 58)          # a time before all times
FOREVER: Final = 1 << 58           # a time after all times; times 8 it is still an int64

#: The longest duration in ms (3,000 years): an attribute may say more, and int64 must hold sums.
LONGEST: Final = 1e14

# Due keys are time * 8 + phase: what runs first at one instant has the smaller key.
FUNCTION, DELAY, ESCALATION, STALENESS = 1, 2, 3, 4
MESSAGE: Final = 0                 # a message or a command: before every instant of its time

# One instruction is a row of code: these are its columns.
OP, DST, A, B, C, OFF, SIG, X = range(8)
CODE_WIDTH: Final = 8

# Opcodes, by the way their operands count: none; unknown when an operand is; of one operand;
# known though an operand may not be; functions of time. Registers hold floats, NaN is
# unknown; conditions are 1.0 and 0.0.
(
    EVENT,
    GT, LT, GE, LE, EQ, NE, ADD, SUB, MUL, DIV, MIN, MAX, CLAMP,
    NOT, NEG, ABS, SQRT, EXP, LOG, ROUND, PINNED,
    AND, OR, IF, WHERE, KNOWN, VOTE_ADD, VOTE,
    SPAN, AGE, SILENT, ACTIVE, FROZEN, HOUR, WEEKDAY,
    SINCE, HELD, LATCHED, AT, RISES, FALLS, LAG, NOT_FOLLOWED, PREV, LAST, EWMA, ZSCORE, CUSUM,
    ANOMALY, OVER, SINCE_WINDOW,
) = range(52)  # fmt: skip
LAST_BINARY, LAST_SINGLE, LAST_CHOICE = CLAMP, PINNED, VOTE

# Windows (column X of OVER and SINCE_WINDOW).
(
    W_MEAN, W_MIN, W_MAX, W_RANGE, W_TOTAL, W_COUNT, W_SUM, W_STD, W_MEDIAN, W_RATE, W_INCREASE,
    W_TIMES, W_DELTA, W_TIME_ABOVE, W_TIME_BELOW,
) = range(15)  # fmt: skip

_NAN = math.nan
# The fields of a function's state, as they are for a new asset.
FN_BLANK: Final[dict[int, tuple[float, ...]]] = {
    HOUR: (_NAN,),                         # as of the last full hour
    WEEKDAY: (_NAN,),
    SINCE: (_NAN, 0.0),                    # when it ceased to be true; is true
    HELD: (0.0, _NAN),                     # ms counted; counting since
    LATCHED: (_NAN,),
    AT: (_NAN, _NAN),                      # value; last known condition
    RISES: (_NAN,),                        # last known condition
    FALLS: (_NAN,),
    LAG: (_NAN, _NAN, _NAN, _NAN),         # when a became true, a; when b did, b
    NOT_FOLLOWED: (_NAN, _NAN, _NAN),      # when a became true; when b was last true; a
    PREV: (_NAN, _NAN),                    # last known sample; the one before
    LAST: (_NAN,),
    EWMA: (_NAN, _NAN),                    # mean; its time
    ZSCORE: (_NAN, _NAN, _NAN, 0.0, _NAN), # mean, variance, time, samples, score
    CUSUM: (_NAN, _NAN),                   # sum; last known reset
    ANOMALY: (_NAN, _NAN, 0.0, _NAN),      # mean, variance, samples, score
    OVER: (0.0, 0.0, 0.0, 0.0, 0.0, _NAN, _NAN, _NAN, _NAN, float(FOREVER)),
    SINCE_WINDOW: (
        _NAN, _NAN, 0.0, 0.0, 0.0, 0.0, _NAN, _NAN, 0.0, _NAN, _NAN, _NAN,
    ),
}  # fmt: skip

# Fields of a window `over W` (OVER). The ring lies in the pool: see rules.ring, and rules.panes for
# what it holds when R_STEP (a pane's width in ms) is not 0.
R_BLOCK, R_CAP, R_HEAD, R_COUNT, R_STEP, R_OUT, R_KNOWN, R_TRUE, R_TIME_TO, R_DUE = range(10)
# Fields of a window `since c` (SINCE_WINDOW).
(
    S_TRUE, S_START, S_COUNT, S_SUM, S_TOTAL, S_LENGTH, S_MIN, S_MAX, S_SEGMENT, S_VALUE, S_OUT,
    S_KNOWN,
) = range(12)  # fmt: skip

WINDOW_SAMPLES: Final = 4_096      # kept exactly; beyond, panes
WINDOW_TIMES: Final = 1_000        # newest occurrences kept by times()
RING_START: Final = 4              # entries of a new ring
PANES: Final = WINDOW_SAMPLES - 2  # that fill a window; two are to spare for its edges
PANE_WIDTH: Final = 8              # floats of a pane (see rules.panes)

# Fields of an alarm, of a machine, and of the bits of `n of m samples`.
# UNDECIDED: since when a `when` of the rule is unknown (NaN: it is not).
FLAGS, RAISED, ESCALATE_AT, UNDECIDED = range(4)
ALARM_WIDTH: Final = 4
STATE, ELAPSED, STARTED, BEGAN = range(4)
MACHINE_WIDTH: Final = 4
NOFM_WIDTH: Final = 3              # two words of 32 samples each, and how many were seen
NORMAL, PENDING, ON = 0.0, 1.0, 2.0

# FLAGS of an alarm, packed into one float.
# OPEN: something of it was announced since it last was cleared; ANNOUNCED: this occurrence was.
STATUS, SEVERITY, FLOOR, ANNOUNCED, SUPPRESSED, STALE, OPEN, TOP = 0, 2, 5, 8, 9, 10, 11, 12
INACTIVE, ACTIVE_ALARM, RETURNED = 0, 1, 2

# Kinds of transitions.
KINDS: Final = (
    "raised", "level", "cleared", "returned", "stale", "fresh", "suppressed", "unsuppressed",
)  # fmt: skip
(
    T_RAISED, T_LEVEL, T_CLEARED, T_RETURNED, T_STALE, T_FRESH, T_SUPPRESSED, T_UNSUPPRESSED,
) = range(8)  # fmt: skip

# Columns of the table of rules.
(
    R_PC, R_PC_END, R_AUX, R_AUX_END, R_AUX_ALWAYS, R_M, R_M_END, R_ALARM, R_UNLESS, R_LATCH,
    R_SHADOW, R_UNKNOWN, R_ESC_AFTER, R_ESC_TO, R_PIECE, R_PIECE_END, R_DEP, R_CELL, R_RESULT,
) = range(19)  # fmt: skip
RULE_WIDTH: Final = 19
UNKNOWN_KEEP, UNKNOWN_RAISE, UNKNOWN_CLEAR = 0, 1, 2

# Columns of the table of machines.
(
    M_SEVERITY, M_WHEN, M_ONLY_IF, M_CLEAR, M_CLEAR_KIND, M_DELAY, M_N, M_OF, M_SIG, M_CDELAY,
    M_CN, M_CSIG, M_OFF, M_LEVEL,
) = range(14)  # fmt: skip
MACHINE_COLUMNS: Final = 14
CLEAR_NOT_WHEN, CLEAR_CONDITION, CLEAR_NOT_MOVED = 0, 1, 2

# Columns of the table of signals (ms; -1 none).
SIG_STALE, SIG_EXPIRES, SIG_FROZEN, SIG_CELL, SIG_WHILE, SIG_OPERATOR, SIG_EVENT = range(7)
SIGNAL_COLUMNS: Final = 7
# Columns of an asset's times.
SOONEST, CLOCK, FIRST, HEARD, MARK = range(5)
TIME_COLUMNS: Final = 5
# Rows of the scratch: samples of this message, events of this message, rules to evaluate now,
# rules to evaluate once more.
TOUCHED, EVENTS, DIRTY, AGAIN = range(4)
# The pool's heads: [0] first float never used, [1 + n] free blocks of 2 ** n entries; then the
# floor of all clocks, and counts of samples: duplicate, superseded, late.
H_FLOOR, H_DUPLICATE, H_SUPERSEDED, H_LATE = range(33, 37)
HEADS: Final = 37

# Flags of a signal of an asset.
F_STALE, F_FROZEN = 1, 2
# Flags of an asset.
A_HEARD, A_SILENT = 1, 2

# Columns of the outgoing table of transitions.
O_T, O_ASSET, O_RULE, O_KIND, O_SEVERITY, O_ANNOUNCED, O_RAISED, O_SINCE, O_LEVEL = range(9)
OUT_WIDTH: Final = 9
