"""What all contracts speak of: data, losses, figures, progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor, nn

#: One batch of a user's data, `(inputs, target)`; inputs are a tensor, a tuple of arguments or a dict of keywords.
Batch = tuple[Any, Any]
#: Data that can be walked through more than once: a list of batches, a DataLoader, …
Batches = Iterable[Batch]
#: `(output of the model, target) -> scalar`
Loss = Callable[[Any, Any], Tensor]
#: `(model) -> figures by name`, higher is better, or one such figure.
Quality = Callable[[nn.Module], "float | Mapping[str, float]"]
#: `(what is being done, steps done, steps in all)`; called often, must be cheap.
Progress = Callable[[str, int, int], None]
