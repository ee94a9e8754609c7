"""Budgets in plain words, time limits beside them, and the costs they are written in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from secateur.core.errors import BudgetError

#: What a budget may be written in. `weights` counts entries of tensors with two or more dims, `params` counts all.
UNITS_OF_BUDGET = ("macs", "params", "weights", "units")

#: What a time limit may be written in. `latency` is the time of the dense network.
UNITS_OF_TIME = ("ms", "latency")

_WORDS = {"half": 1 / 2, "third": 1 / 3, "quarter": 1 / 4, "all": 1.0}
_TEXT = re.compile(r"(?P<amount>\d+\s*/\s*\d+|[\d.]+(?:e-?\d+)?\s*%?|[a-z]+)\s*(?:of\s+)?(?:the\s+)?(?P<of>[a-z]+)")
_TIME = re.compile(r"(?P<words>.+?)(?:\s+(?:in|with)\s+(?P<runtime>[a-z]+))?(?:\s+on\s+(?P<threads>\d+)\s+threads?)?")


@dataclass(frozen=True, slots=True)
class Budget:
    """What may remain: `Budget(keep=0.5, of="macs")` leaves half of the multiply-accumulates.

    The same in words: `Budget("0.5 macs")`, `Budget("50 % of the macs")`, `Budget("half the macs")`.

    Attributes:
        keep: fraction that remains, in (0, 1].
        of: one of `macs params weights units`.

    Raises:
        BudgetError: the text cannot be read, `keep` is out of range or `of` is not a known unit.

    Example:
        >>> Budget("25% macs")
        Budget(keep=0.25, of='macs')
    """

    keep: float
    of: str = "macs"

    def __init__(self, keep: float | str, of: str = "macs") -> None:
        amount, unit = _read(keep) if isinstance(keep, str) else (float(keep), of)
        if unit in UNITS_OF_TIME:
            raise BudgetError(
                f"{amount:g} {unit} is a time limit, and this needs a share of {', '.join(UNITS_OF_BUDGET)}. Time "
                'limits are for compress(budget="8 ms") and factorize(budget="8 ms"), which find it by measuring.'
            )
        if unit not in UNITS_OF_BUDGET:
            raise BudgetError(
                f"of must be one of {', '.join(UNITS_OF_BUDGET)}, got of={unit!r}. "
                'Write for instance Budget(keep=0.5, of="macs").'
            )
        if not 0 < amount <= 1:
            raise BudgetError(
                f"keep must be in (0, 1], got keep={amount!r}. "
                f'A budget states what remains: Budget(keep=0.3, of="{unit}") leaves 30 % of the {unit}.'
            )
        object.__setattr__(self, "keep", amount)
        object.__setattr__(self, "of", unit)

    def __str__(self) -> str:
        return f"{self.keep:g} {self.of}"


def _read(text: str) -> tuple[float, str]:
    match = _TEXT.fullmatch(text.strip().lower())
    amount = match["amount"].replace(" ", "") if match else ""
    try:
        if match is None:
            raise ValueError
        if amount in _WORDS:
            return _WORDS[amount], match["of"]
        if amount.endswith("%"):
            return float(amount[:-1]) / 100, match["of"]
        return float(Fraction(amount)), match["of"]
    except (ValueError, ZeroDivisionError):
        raise BudgetError(
            f"cannot read the budget {text!r}. Write how much remains of what: '0.5 macs', '30% params', "
            f"'half the weights'. Allowed units: {', '.join(UNITS_OF_BUDGET)}. Where networks are measured, '8 ms' too."
        ) from None


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """How long one forward pass on the example inputs may take: `TimeLimit("8 ms")`.

    The same with more words: `TimeLimit("8 ms in onnxruntime on 2 threads")`. Relative to the dense network, measured
    beside it: `TimeLimit("0.5 latency")`, `TimeLimit("half the latency")`.

    Attributes:
        amount: milliseconds, or the fraction of the dense network's time, in (0, 1].
        of: "ms" or "latency".
        runtime: where it holds: "torch", "onnxruntime" or "openvino".
        threads: threads that the runtime may use.

    Raises:
        BudgetError: the text cannot be read, or `amount` or `threads` is out of range.

    Example:
        >>> TimeLimit("8 ms in onnxruntime")
        TimeLimit(amount=8.0, of='ms', runtime='onnxruntime', threads=1)
    """

    amount: float
    of: str = "ms"
    runtime: str = "torch"
    threads: int = 1

    def __init__(self, amount: float | str, of: str = "ms", runtime: str = "torch", threads: int = 1) -> None:
        if isinstance(amount, str):
            found = _TIME.fullmatch(" ".join(amount.lower().split()))
            number, of = _read(found["words"] if found else amount)
            runtime = found["runtime"] or runtime if found else runtime
            threads = int(found["threads"] or threads) if found else threads
        else:
            number = float(amount)
        inside = 0 < number <= 1 if of == "latency" else 0 < number < float("inf") and "%" not in str(amount)
        if of not in UNITS_OF_TIME or not inside or threads < 1:
            raise BudgetError(
                f"a time limit is above 0 ms, or a share of the dense network's latency in (0, 1], on 1 thread or "
                f"more, got {amount!r} (of {of}, on {threads}). Write for instance '8 ms' or '0.5 latency'."
            )
        for name, value in (("amount", number), ("of", of), ("runtime", runtime), ("threads", threads)):
            object.__setattr__(self, name, value)

    def __str__(self) -> str:
        where = f" in {self.runtime}" if self.runtime != "torch" else ""
        return f"{self.amount:g} {self.of}{where}{f' on {self.threads} threads' if self.threads != 1 else ''}"

    def ms(self, dense: float) -> float:
        """Milliseconds that are allowed where the dense network takes `dense`."""
        return self.amount if self.of == "ms" else self.amount * dense


def read_budget(text: str) -> Budget | TimeLimit:
    """What the words mean: a share of some cost, or a time.

    Raises:
        BudgetError: they cannot be read.

    Example:
        >>> read_budget("half the macs"), read_budget("8 ms").ms(dense=20.0)
        (Budget(keep=0.5, of='macs'), 8.0)
    """
    found = _TIME.fullmatch(" ".join(text.lower().split()))
    timed = found is not None and re.search(rf"(?<![a-z])({'|'.join(UNITS_OF_TIME)})$", found["words"])
    return TimeLimit(text) if timed else Budget(text)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a network costs at given widths.

    Attributes:
        macs: multiply-accumulates of one forward pass on the example inputs.
        params: elements of all parameters.
        weights: elements of parameters with two or more dims.
        units: channels of all cuttable groups.
    """

    macs: int
    params: int
    weights: int
    units: int

    def of(self, unit: str) -> int:
        """The figure that a budget in `unit` speaks of."""
        figure: int = getattr(self, unit)
        return figure
