"""Work for a processor: always the same, so that what it costs more is what the server adds."""

LOOPS_PER_MICROSECOND = 13
"""Measured with CPython 3.11 on a processor of 2022; elsewhere the times are others, and the comparisons the same."""


def compute(microseconds: int) -> int:
    """Computes for about so long, and makes no object that outlives it."""
    value = 1
    for number in range(microseconds * LOOPS_PER_MICROSECOND):
        value = (value * 31 + number) & 0xFFFF
    return value
