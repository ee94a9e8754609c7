"""Evidence: everything a criterion may know about a model, collected once, read-only, and aware of what was read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from torch import Tensor

from secateur.core.errors import MissingEvidenceError

if TYPE_CHECKING:
    from secateur.core.contracts import Collector


@dataclass(frozen=True, slots=True)
class Evidence:
    """Collected quantities, by collector class and then by tensor name.

    Attributes:
        values: collector class to tensor name to a detached tensor.
        samples: how many examples were seen; 0 for data-free evidence.
        reads: which collector classes were read so far (so that a test can compare declared with used needs).

    Example:
        `evidence[Gradient]["conv1.weight"]`
    """

    values: Mapping[type[Collector], Mapping[str, Tensor]]
    samples: int = 0
    reads: set[type[Collector]] = field(default_factory=set, compare=False, repr=False)

    def __getitem__(self, quantity: type[Collector]) -> Mapping[str, Tensor]:
        """The values of one quantity by tensor name.

        Raises:
            MissingEvidenceError: the quantity was not collected.
        """
        if quantity not in self.values:
            had = ", ".join(sorted(q.__name__ for q in self.values)) or "nothing"
            raise MissingEvidenceError(
                f"{quantity.__name__} was read but not collected (collected: {had}). "
                f"Add {quantity.__name__} to the class attribute `needs` of the method that reads it, "
                "and pass those needs to secateur.collect."
            )
        self.reads.add(quantity)
        return self.values[quantity]

    def __contains__(self, quantity: object) -> bool:
        return quantity in self.values


def merge(a: Evidence, b: Evidence) -> Evidence:
    """The evidence of both, as if their examples had been collected together.

    Raises:
        MissingEvidenceError: the two do not hold the same quantities.
    """
    if set(a.values) != set(b.values):
        names = [sorted(q.__name__ for q in e.values) for e in (a, b)]
        raise MissingEvidenceError(
            f"cannot merge evidence of {names[0]} with {names[1]}. Collect the same needs twice."
        )
    merged = {q: q.merge(a.values[q], b.values[q], a.samples, b.samples) for q in a.values}
    return Evidence(merged, a.samples + b.samples)
