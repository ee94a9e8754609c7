"""A problem whose best answer is known: every block has a price for a unit and a loss that falls with its units."""

import math
from dataclasses import dataclass
from itertools import product

from secateur.core.contracts import Limits


@dataclass(frozen=True)
class Toy(Limits):
    units: dict
    price: dict
    worth: dict
    keep: float = 0.5
    step: int = 1

    @property
    def blocks(self):
        return self.units

    def round(self, block, wanted):
        if wanted >= self.units[block]:
            return self.units[block]
        return max(int(wanted + 1e-9) // self.step * self.step, self.step)

    def next_up(self, block, count):
        return min(count // self.step * self.step + self.step, self.units[block])

    def shape(self, block):
        return (self.units[block], 3, 3, 3)

    def spent(self, counts):
        return float(sum(self.price[name] * counts[name] for name in counts))

    @property
    def allowed(self):
        return self.keep * self.spent(self.units) * (1 + 1e-12)

    def fits(self, counts):
        return self.spent(counts) <= self.allowed

    def topology(self, block):
        return "block"

    def work(self, block):
        return self.price[block] * self.units[block] * 27

    def quality(self, counts):
        return 1 - sum(self.worth[n] * math.exp(-2.5 * counts[n] / self.units[n]) for n in self.units) / sum(
            self.worth.values()
        )

    def every(self):
        """All choices that fit."""
        widths = [[c for c in range(1, u + 1) if self.round(n, c) == c] for n, u in self.units.items()]
        made = (dict(zip(self.units, counts, strict=True)) for counts in product(*widths))
        return [counts for counts in made if self.fits(counts)]


SMALL = Toy(dict.fromkeys("abcd", 8), {"a": 1, "b": 2, "c": 3, "d": 4}, {"a": 0.5, "b": 3, "c": 0.3, "d": 2})
WIDE = Toy(
    dict.fromkeys("abcdefgh", 32),
    dict(zip("abcdefgh", (1, 5, 2, 4, 3, 1, 6, 2), strict=True)),
    dict(zip("abcdefgh", (1, 8, 0.2, 4, 0.1, 3, 0.3, 1), strict=True)),
)
