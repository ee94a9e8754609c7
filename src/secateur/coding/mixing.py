"""Context mixing: several guesses of a bit's chance become one, by weights that learn; whole numbers throughout.

Formula: x_i = stretch(p_i) = ln(p_i / (1 - p_i));  p = squash(sum_i w_i x_i);  w_i += rate (bit - p) x_i;
         each p_i moves towards the bit by 1 / (n_i + prior), n_i the bits that its context has seen so far.
Files must decode on every machine, so tables are made with decimal arithmetic and the rest is integers: chances in
1/65536, stretched ones in 1/256, weights in 1/65536.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, localcontext
from functools import cache

import numpy as np

from secateur.coding.arithmetic import BitCoder

#: Stretched chances lie in [-WIDEST, WIDEST].
WIDEST = 2839
#: What a context saw longer ago than this counts less and less.
_LONGEST = 1023


@cache
def tables() -> tuple[list[int], list[int]]:
    """`(squash, stretch)`: stretched + WIDEST to chance, and chance to stretched."""
    with localcontext() as context:
        context.prec = 20
        step = (Decimal(1) / 256).exp()
        power, half = Decimal(1), []
        for _ in range(WIDEST + 1):
            half.append(int((65536 * power / (1 + power)).to_integral_value()))
            power *= step
    squash = [65536 - x for x in half[:0:-1]] + half
    squash = [min(65535, max(1, x)) for x in squash]
    # The stretched value whose chance is nearest from above; symmetric by construction of the two halves.
    upper = np.searchsorted(np.array(squash), np.arange(32768, 65536)) - WIDEST
    high = np.clip(upper, 0, WIDEST).tolist()
    return squash, [-x for x in [WIDEST, *high[:0:-1]]] + high


class Mixer:
    """Guesses bits from contexts.

    A context is any whole number below `contexts`; what it has seen is kept here. A context that is met for the first
    time starts from the guess of the context before it in the list, so lists go from general to special.
    """

    def __init__(self, contexts: int, inputs: int, sets: int, *, rate: int = 6) -> None:
        """Make one.

        Args:
            contexts: how many contexts there are.
            inputs: contexts per bit.
            sets: sets of weights, of which every bit selects one.
            rate: how fast weights learn.
        """
        self._squash, self._stretch = tables()
        self._chance = [32768] * contexts
        self._seen = [0] * contexts
        self._weights = [[(65536 * 5 // 4) // inputs] * inputs for _ in range(sets)]
        self._rate = rate

    def grow(self, contexts: int) -> None:
        """Make room for more contexts."""
        self._chance += [32768] * contexts
        self._seen += [0] * contexts

    def code(self, coder: BitCoder, bit: int, contexts: Sequence[int], priors: Sequence[int], chosen: int) -> int:
        """Code one bit and learn from it.

        Args:
            coder: an encoder or a decoder.
            bit: the bit; a decoder does not look at it.
            contexts: from the most general one to the most special one.
            priors: for each of them, in how many bits' worth its first guess counts.
            chosen: the set of weights.

        Returns:
            The bit.
        """
        chance, seen, stretch, weights = self._chance, self._seen, self._stretch, self._weights[chosen]
        total = 0
        guesses = []
        general = 32768
        for context, weight in zip(contexts, weights):  # noqa: B905  a check would cost a tenth of the time
            if not seen[context]:
                chance[context] = general
            general = chance[context]
            guess = stretch[general]
            guesses.append(guess)
            total += guess * weight
        mixed = total >> 16
        if not -WIDEST <= mixed <= WIDEST:
            mixed = WIDEST if mixed > 0 else -WIDEST
        found = self._squash[mixed + WIDEST]
        bit = coder.code(bit, found)
        target = 65535 if bit else 1
        step = (target - found) * self._rate
        place = 0
        for context, prior, guess in zip(contexts, priors, guesses):  # noqa: B905
            weights[place] += (guess * step + 524288) >> 20
            place += 1  # noqa: SIM113  quicker than enumerate
            times = seen[context]
            if times < _LONGEST:
                times += 1
                seen[context] = times
            before = chance[context]
            chance[context] = before + (target - before) // (times + prior)
        return bit
