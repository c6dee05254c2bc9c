"""JSON's numbers out of bytes, in compiled loops: exactly Python's float(), or not at all. Pure.

A reader returns where the number ends; -1 where it is malformed or not of the common kind, which
the slow path then settles. Every buffer ends in a newline, where each loop stops by itself.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from rules.jit import kernel_inline

Bytes = npt.NDArray[np.uint8] | bytes

MINUS, DOT, ZERO, NINE = 45, 46, 48, 57
EXACT = 1 << 53  # integers up to here are floats
POWERS = np.array([float(10**k) for k in range(23)])  # and so are these powers of ten
SPLIT = 134_217_729.0  # 2^27 + 1, halves a float's digits (Veltkamp)
DOUBT = 2.0**-48  # more than the error of a quotient's second half (about 2^-52)


@kernel_inline
def divide(m: int, d: float) -> tuple[bool, float]:
    """m / d rounded once, for EXACT < m < 10^18 and d a power of ten; whether it is certain.

    A quotient and its remainder (Dekker's product) give twice the digits; where even these lie too
    close to the middle of two floats, it is not certain.
    """
    high = float(m)
    low = float(m - int(high))
    quotient = high / d
    product = quotient * d
    c = SPLIT * quotient
    q1 = c - (c - quotient)
    q2 = quotient - q1
    c = SPLIT * d
    d1 = c - (c - d)
    d2 = d - d1
    error = ((q1 * d1 - product) + q1 * d2 + q2 * d1) + q2 * d2
    rest = (((high - product) + low) - error) / d  # the first sums are of integers, exact
    value = quotient + rest * (1.0 + DOUBT)
    return value == quotient + rest * (1.0 - DOUBT), value


@kernel_inline
def scale(m: int, exponent: int) -> tuple[bool, float]:
    """m · 10^exponent rounded once, for 0 ≤ m < 10^18; whether it is certain (else 0)."""
    if exponent == 0 or m == 0:
        return True, float(m)
    if m <= EXACT:
        if -22 <= exponent < 0:
            return True, float(m) / POWERS[-exponent]
        if 0 < exponent <= 22:
            return True, float(m) * POWERS[exponent]
    elif -22 <= exponent < 0:
        return divide(m, POWERS[-exponent])
    return False, 0.0


@kernel_inline
def read_number(buf: Bytes, p: int) -> tuple[int, float]:
    """The number that begins at p: where it ends (-1: for the slow path), its value."""
    negative = buf[p] == MINUS
    if negative:
        p += 1
    begin = p
    m = 0
    while ZERO <= buf[p] <= NINE:
        m = m * 10 + (buf[p] - ZERO)
        p += 1
    digits = p - begin
    if digits == 0 or (digits > 1 and buf[begin] == ZERO):
        return -1, 0.0
    exponent = 0
    if buf[p] == DOT:
        p += 1
        point = p
        while ZERO <= buf[p] <= NINE:
            m = m * 10 + (buf[p] - ZERO)
            p += 1
        exponent = point - p
        digits -= exponent
        if exponent == 0:
            return -1, 0.0
    if digits > 18:  # m may have wrapped; leading zeros do not count
        q = begin
        while q < p and (buf[q] == ZERO or buf[q] == DOT):
            if buf[q] == ZERO:
                digits -= 1
            q += 1
        if digits > 18:
            return -1, 0.0
    if buf[p] == 101 or buf[p] == 69:  # e E
        p, power = read_power(buf, p + 1)
        if p < 0:
            return -1, 0.0
        exponent += power
    certain, value = scale(m, exponent)
    if not certain:
        return -1, 0.0
    if negative and m != 0:
        value = -value
    return p, value


@kernel_inline
def read_power(buf: Bytes, p: int) -> tuple[int, int]:
    """The power of ten that begins at p, of at most three digits: where it ends, its value."""
    negative = buf[p] == MINUS
    if negative or buf[p] == 43:  # +
        p += 1
    begin = p
    power = 0
    while ZERO <= buf[p] <= NINE and p - begin < 4:
        power = power * 10 + (buf[p] - ZERO)
        p += 1
    if p == begin or p - begin > 3:
        return -1, 0
    return p, -power if negative else power


@kernel_inline
def read_integer(buf: Bytes, p: int) -> tuple[int, int]:
    """The integer ≥ 0 below 9·10^18 that begins at p: where it ends (-1: not one), its value."""
    begin = p
    m = 0
    while ZERO <= buf[p] <= NINE and p - begin < 20:
        m = m * 10 + (buf[p] - ZERO)
        p += 1
    digits = p - begin
    if digits == 0 or digits > 19 or (digits == 19 and buf[begin] == NINE):
        return -1, 0
    if digits > 1 and buf[begin] == ZERO:
        return -1, 0
    return p, m
