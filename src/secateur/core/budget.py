"""Budgets in plain words, and the costs they are written in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from secateur.core.errors import BudgetError

#: What a budget may be written in. `weights` counts entries of tensors with two or more dims, `params` counts all.
UNITS_OF_BUDGET = ("macs", "params", "weights", "units")

_WORDS = {"half": 1 / 2, "third": 1 / 3, "quarter": 1 / 4, "all": 1.0}
_TEXT = re.compile(r"(?P<amount>\d+\s*/\s*\d+|[\d.]+(?:e-?\d+)?\s*%?|[a-z]+)\s*(?:of\s+)?(?:the\s+)?(?P<of>[a-z]+)")


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
            f"'half the weights'. Allowed units: {', '.join(UNITS_OF_BUDGET)}."
        ) from None


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
