"""How figures are written, once for all kinds of report."""

from __future__ import annotations

TIMES = "\u00d7"
MINUS = "\u2212"
NOTHING = "\u2014"


def factor(better: float, worse: float, words: tuple[str, str]) -> str:
    """How many times `worse` is `better`, in words: "4.1 x fewer"; or the other way round, if it got worse.

    Args:
        better: the figure after, where smaller is better.
        worse: the figure before.
        words: what to call less and more: `("fewer", "more")`.
    """
    if better <= 0 or worse <= 0:
        return NOTHING
    times, word = (worse / better, words[0]) if better <= worse else (better / worse, words[1])
    return "unchanged" if better == worse else f"{_times(times)} {TIMES} {word}"


def ratio(value: float) -> str:
    """A ratio: "12.3 x"."""
    return f"{_times(value)} {TIMES}"


def count(value: int) -> str:
    """A whole number with separators: "431,080"."""
    return f"{value:,}"


def milliseconds(p50: float, p90: float) -> str:
    """Median and 90th percentile: "0.173 (0.180) ms"."""
    return f"{_three_digits(p50)} ({_three_digits(p90)}) ms"


def percent(value: float) -> str:
    """A fraction in per cent: "99.08 %"."""
    return f"{100 * value:.2f} %"


def share(value: float | None) -> str:
    """A part of a whole in per cent: "49.8 %"; a dash where it is not known."""
    return NOTHING if value is None else f"{100 * value:.1f} %"


def signed(value: float, form: str) -> str:
    """A difference with its sign, a real minus among them."""
    text = f"{abs(value):{form}}"
    if not float(text):
        return f"\u00b1{text}"
    return f"{MINUS if value < 0 else '+'}{text}"


def _times(value: float) -> str:
    """Two decimals where they matter, none where they do not: 1.07, 4.1, 12.3, 127."""
    return f"{value:.2f}" if value < 2 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _three_digits(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"
