"""`factorize`: a network, a factorizer and ranks in, a network of thin layers out, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from secateur.apply.layers import weight_of
from secateur.apply.replacing import Layer, check_same, layers_of, replaced
from secateur.core.budget import Budget, TimeLimit, read_budget
from secateur.core.contracts import Factorizer, Ranks
from secateur.core.errors import BudgetError, IncompatibleError, UnknownNameError, UnsupportedError
from secateur.core.example import Example
from secateur.core.report import InTime
from secateur.lowrank.base import FACTORIZERS, lost_share
from secateur.lowrank.choosing import by_bayes, by_budget, by_energy, cost
from secateur.measure.macs import macs
from secateur.measure.params import parameters
from secateur.measure.time_limit import within


@dataclass(frozen=True, slots=True)
class Factors:
    """What became of one layer.

    Attributes:
        ranks: its ranks.
        energy: `1 - ||W - W'||^2 / ||W||^2`, of the weight that the factors stand for, measured.
        macs: multiply-accumulates before and after.
        params: parameters before and after.
    """

    ranks: Ranks
    energy: float
    macs: tuple[int, int]
    params: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Factorized:
    """What `factorize` returns.

    Attributes:
        model: a copy of the network with thin layers in it.
        layers: the layers that were factorized, by name.
        whole: why the others were not.
        macs: multiply-accumulates of the network before and after.
        params: its parameters before and after.
        difference: largest relative difference between `model` and the network with the weights that the factors
            stand for, in float64 where it allows that: the surgery, not the loss.
        time: how a time limit was met; None if none was asked for.
    """

    model: nn.Module
    layers: Mapping[str, Factors]
    whole: Mapping[str, str]
    macs: tuple[int, int]
    params: tuple[int, int]
    difference: float
    time: InTime | None = None

    def __str__(self) -> str:
        """One line per layer, and one for the network."""
        lines = [
            f"{name}: ranks {', '.join(map(str, f.ranks))}, energy {f.energy:.4f}, "
            f"MACs {f.macs[0]:,} -> {f.macs[1]:,}, params {f.params[0]:,} -> {f.params[1]:,}"
            for name, f in self.layers.items()
        ]
        lines += [f"{name}: whole, {reason}" for name, reason in self.whole.items()]
        lines.append(
            f"network: MACs {self.macs[0]:,} -> {self.macs[1]:,}, params {self.params[0]:,} -> {self.params[1]:,}"
        )
        lines += [str(self.time)] if self.time is not None else []
        return "\n".join(lines)


def factorize(
    model: nn.Module,
    factorizer: str | Factorizer,
    *,
    example_inputs: Any,
    budget: Budget | TimeLimit | str | None = None,
    energy: float | None = None,
    ranks: Mapping[str, Ranks | int] | str | None = None,
    only: Sequence[str] = ("*",),
    frozen: Sequence[str] = (),
) -> Factorized:
    """Replace layers by thin ones in a row, on a copy, and check that it computes what its weights say.

    One of `budget`, `energy` and `ranks` says how thin. Layers for which nothing is saved stay whole, except where
    `ranks` names them.

    Args:
        model: a trained network; it is left as it was.
        factorizer: a name from `secateur list factorizers`, or one with settings of your own.
        example_inputs: a tensor, a tuple of arguments, or a dict of keyword arguments.
        budget: what may remain of the multiply-accumulates or parameters of the whole network, `"0.5 macs"`.
            Or how long a forward pass on the example inputs may take, `"8 ms"`: that is turned into a share of the
            multiply-accumulates by measuring, and the ranks of that share are taken.
        energy: share of the square of each weight that is kept, in (0, 1].
        ranks: by name of a layer; or "vbmf", for what variational Bayes takes for more than noise.
        only: patterns of the modules that may be factorized.
        frozen: patterns of modules that stay.

    Returns:
        The network, and what became of each layer.

    Raises:
        IncompatibleError: none or several of budget, energy, ranks; ranks that a layer does not have.
        BudgetError: the budget cannot be met, or is of something else.
        UnknownNameError: no such factorizer, no such layer.
        UnsupportedError: no layer can be factorized.
        VerificationError: the result computes something else than its weights say.

    Example:
        >>> import torch
        >>> from secateur.bench.zoo.lenet import lenet_300_100
        >>> found = factorize(lenet_300_100(), "svd", example_inputs=torch.zeros(1, 1, 28, 28), budget="0.3 macs")
        >>> found.macs[1] <= 0.3 * found.macs[0]
        True
    """
    one = FACTORIZERS[factorizer]() if isinstance(factorizer, str) else factorizer
    if [budget, energy, ranks].count(None) != 2:
        raise IncompatibleError(
            f"pass one of budget=, energy= and ranks=, got budget={budget!r}, energy={energy!r}, ranks={ranks!r}."
        )
    example = Example.of(example_inputs)
    layers, whole = layers_of(model, example, only=only, frozen=frozen)
    whole |= {name: reason for name, layer in layers.items() if (reason := one.refusal(layer.module))}
    layers = {name: layer for name, layer in layers.items() if name not in whole}
    if not layers:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in whole.items())
        raise UnsupportedError(f"{one!r} can factorize no layer ({reasons}). Choose another factorizer or layers.")
    before = (macs(model, example), parameters(model))
    limit, time = read_budget(budget) if isinstance(budget, str) else budget, None
    if isinstance(limit, TimeLimit):
        time = _in_time(model, one, layers, before, limit, example)
        limit = Budget(time.keep, "macs")
    chosen = _chosen(one, layers, whole, before, limit, energy, ranks)
    whole |= {
        name: "the best choice is the layer as it is"
        for name in layers
        if chosen.get(name) is None and name not in whole
    }
    final = {name: r for name in layers if (r := chosen.get(name)) is not None}
    made = _applied(model, one, example, {name: layers[name] for name in final}, final, whole, before)
    return replace(made, time=time)


def _in_time(
    model: nn.Module,
    one: Factorizer,
    layers: Mapping[str, Layer],
    before: tuple[int, int],
    limit: TimeLimit,
    example: Example,
) -> InTime:
    """The share of the multiply-accumulates at which the network with its thin layers keeps to a time limit."""

    def thin(keep: float) -> nn.Module:
        chosen = _by_share(one, layers, before, Budget(keep, "macs"))
        return replaced(model, {n: one.factorize(layers[n].module, r) for n, r in chosen.items() if r is not None})

    return within(limit, thin, model, example)


def _by_share(
    one: Factorizer, layers: Mapping[str, Layer], before: tuple[int, int], limit: Budget
) -> Mapping[str, Ranks | None]:
    if limit.of not in ("macs", "params"):
        raise BudgetError(
            f"the budget is {limit}; ranks follow a budget of macs or params, or a time. Write for instance '0.5 macs'."
        )
    dense = before[limit.of == "params"]
    rest = dense - sum(layer.macs if limit.of == "macs" else layer.params for layer in layers.values())
    return by_budget(one, layers, rest, int(limit.keep * dense), limit.of)


def _chosen(
    one: Factorizer,
    layers: Mapping[str, Layer],
    whole: dict[str, str],
    before: tuple[int, int],
    budget: Budget | None,
    energy: float | None,
    ranks: Mapping[str, Ranks | int] | str | None,
) -> Mapping[str, Ranks | None]:
    if energy is not None:
        return by_energy(one, layers, energy)
    if budget is not None:
        return _by_share(one, layers, before, budget)
    if isinstance(ranks, str):
        if ranks != "vbmf":
            raise UnknownNameError(f"ranks is {ranks!r}. Allowed are 'vbmf' and ranks by name of a layer.")
        return by_bayes(one, layers)
    assert ranks is not None
    for name in ranks:
        if name not in layers:
            raise UnknownNameError(
                f"ranks names {name!r}, which cannot be factorized ({whole.get(name, 'no such layer')}). "
                f"Layers that can: {', '.join(layers)}."
            )
    whole |= {name: "ranks does not name it" for name in layers if name not in ranks}
    return {name: (r,) if isinstance(r, int) else tuple(r) for name, r in ranks.items()}


def _applied(
    model: nn.Module,
    one: Factorizer,
    example: Example,
    layers: Mapping[str, Layer],
    ranks: Mapping[str, Ranks],
    whole: Mapping[str, str],
    before: tuple[int, int],
) -> Factorized:
    made = {name: one.factorize(layer.module, ranks[name]) for name, layer in layers.items()}
    weights = {name: one.weight(factors) for name, factors in made.items()}
    changed = replaced(model, made)
    difference = check_same(model, weights, changed, example)
    found = {
        name: Factors(
            ranks=ranks[name],
            energy=1 - lost_share(weight_of(layer.module), weights[name]),
            macs=(layer.macs, cost(one, layer, ranks[name], "macs")),
            params=(layer.params, one.params(layer.module, ranks[name])),
        )
        for name, layer in layers.items()
    }
    saved = [sum(a - b for a, b in pairs) for pairs in zip(*((f.macs, f.params) for f in found.values()), strict=True)]
    after = (before[0] - saved[0], before[1] - saved[1]) if found else before
    return Factorized(changed, found, whole, (before[0], after[0]), (before[1], after[1]), difference)
