"""The contract of factorizers."""

from __future__ import annotations

import copy
import math
from itertools import combinations, pairwise

import torch
from torch import Tensor, nn

from secateur.apply.verify import strengthen_
from secateur.core.contracts import Call, Factorizer, Ranks
from secateur.core.errors import IncompatibleError, UnsupportedError
from secateur.core.rng import generator
from secateur.measure.macs import macs
from secateur.testing.criterion import check_docstring, check_value
from secateur.testing.system import untouched

_EXACT = 1e-9


class FactorizerContract:
    """What every factorizer promises. Subclass it, and parametrise `factorizer` or define it as a fixture."""

    def test_full_rank_is_exact(self, factorizer: Factorizer) -> None:
        """At full rank the factors compute what the layer computes: shapes, bias, stride, padding, dilation."""
        for module in taken(factorizer):
            x = _input(module)
            with torch.no_grad():
                found, wanted = factorizer.factorize(module, factorizer.full(module))(x), module(x)
            assert found.shape == wanted.shape
            assert float((found - wanted).abs().max()) < _EXACT * float(wanted.abs().max())

    def test_weight_is_what_factors_compute(self, factorizer: Factorizer) -> None:
        """At any rank the factors are the layer with the weight that they stand for."""
        for module in taken(factorizer):
            for ranks in _some(factorizer, module):
                factors = factorizer.factorize(module, ranks)
                stands_for = copy.deepcopy(module)
                x = _input(module)
                with torch.no_grad():
                    stands_for.weight.copy_(factorizer.weight(factors))  # type: ignore[operator]
                    found, wanted = factors(x), stands_for(x)
                assert float((found - wanted).abs().max()) < _EXACT * max(1.0, float(wanted.abs().max()))

    def test_cost(self, factorizer: Factorizer) -> None:
        """Parameters and multiply-accumulates are those that are counted on the factors."""
        for module in taken(factorizer):
            x = _input(module)
            call = Call(math.prod(x.shape[:-1]))
            if isinstance(module, nn.Conv2d):
                call = Call(len(x), tuple(x.shape[2:]), tuple(module(x).shape[2:]))
            for ranks in _some(factorizer, module):
                factors = factorizer.factorize(module, ranks)
                params = sum(p.numel() for p in factors.parameters())
                counted = macs(factors, x)
                if factorizer.sparse:
                    keep = next(b for n, b in factors.named_buffers() if n.endswith("keep"))
                    params -= int((~keep).sum())
                    counted -= int((~keep).sum()) * call.batch * math.prod(call.outputs)
                assert factorizer.params(module, ranks) == params
                assert factorizer.macs(module, ranks, call) == counted

    def test_more_rank_loses_less(self, factorizer: Factorizer) -> None:
        """Along the curve costs rise and losses fall; none loses more than its curve says, or than at less ranks."""
        for module in taken(factorizer):
            curve = factorizer.curve(module)
            assert curve
            lost = [lost_by(factorizer, module, c.ranks) for c in curve]
            params = [factorizer.params(module, c.ranks) for c in curve]
            assert params == sorted(params)
            for a, b in combinations(range(len(curve)), 2):
                if all(x <= y for x, y in zip(curve[a].ranks, curve[b].ranks, strict=True)):
                    assert lost[b] <= lost[a] + 1e-12
            assert all(b.lost <= a.lost for a, b in pairwise(curve))
            assert all(found <= c.lost + 1e-12 for found, c in zip(lost, curve, strict=True))

    def test_tails(self, factorizer: Factorizer) -> None:
        """What is lost lies between the largest tail of a spectrum and the sum of the tails of all."""
        for module in taken(factorizer):
            spectra = [torch.linalg.svdvals(m).square() for m in factorizer.unfoldings(module)]
            if not spectra:
                continue
            for ranks in _some(factorizer, module):
                tails = [float(s[r:].sum() / s.sum()) for s, r in zip(spectra, ranks, strict=True)]
                assert max(tails) - 1e-12 <= lost_by(factorizer, module, ranks) <= sum(tails) + 1e-12

    def test_settings_are_kept(self, factorizer: Factorizer) -> None:
        """Dtype, device, training mode and whether parameters are trained are those of the layer."""
        for given in taken(factorizer)[:2]:
            module = copy.deepcopy(given).float().train()
            module.weight.requires_grad_(False)
            factors = factorizer.factorize(module, factorizer.full(module))
            assert all(m.training for m in factors.modules())
            assert not any(
                m.training for m in factorizer.factorize(module.eval(), (1,) * len(_one(factorizer, module))).modules()
            )
            for p in factors.parameters():
                assert p.dtype == torch.float32
                assert p.device == module.weight.device
            trained = [p for p in factors.parameters() if p.requires_grad]
            assert [p.numel() for p in trained] == ([] if module.bias is None else [module.bias.numel()])  # type: ignore[operator]

    def test_layer_untouched(self, factorizer: Factorizer) -> None:
        """The layer stays as it is and shares no memory with its factors; the global random state stays too."""
        for module in taken(factorizer):
            with untouched(module):
                factors = factorizer.factorize(module, _one(factorizer, module))
                with torch.no_grad():
                    for p in factors.parameters():
                        p.zero_()

    def test_same_every_time(self, factorizer: Factorizer) -> None:
        """Two calls give one answer to the bit."""
        for module in taken(factorizer):
            first, second = (factorizer.factorize(module, _one(factorizer, module)) for _ in range(2))
            assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))

    def test_zeros(self, factorizer: Factorizer) -> None:
        """A layer of zeros, and one with dead channels, is factorized without a NaN."""
        for given in taken(factorizer):
            for alive in (0.0, 1.0):
                module = copy.deepcopy(given)
                with torch.no_grad():
                    module.weight[:2] = 0  # type: ignore[operator]  # a layer
                    module.weight.mul_(alive)  # type: ignore[operator]
                for ranks in (_one(factorizer, module), *(c.ranks for c in factorizer.curve(module))):
                    weight = factorizer.weight(factorizer.factorize(module, ranks))
                    assert bool(torch.isfinite(weight).all())

    def test_refusals(self, factorizer: Factorizer) -> None:
        """What it does not take it refuses with a reason, ranks out of range too."""
        refused = [m for m in _layers() if factorizer.refusal(m)]
        for module in (*refused, nn.ReLU(), nn.Conv2d(4, 4, 3, groups=2)):
            try:
                factorizer.factorize(module, (1,))
            except UnsupportedError as error:
                assert str(error)
            else:
                raise AssertionError(f"{factorizer!r} took {module!r}")
        module = taken(factorizer)[0]
        full = factorizer.full(module)
        for ranks in ((0,) * len(full), tuple(r + 1 for r in full), (*full, 1), ()):
            try:
                factorizer.factorize(module, ranks)
            except IncompatibleError as error:
                assert str(full) in str(error)
            else:
                raise AssertionError(f"{factorizer!r} took the ranks {ranks!r}")

    def test_value(self, factorizer: Factorizer) -> None:
        """A factorizer is a value: its repr makes it again; it pickles, hashes and copies."""
        check_value(factorizer)

    def test_docstring(self, factorizer: Factorizer) -> None:
        """The docstring states formula, shapes and cost, cites, and holds an example that runs."""
        check_docstring(type(factorizer), ("Paper", "Formula", "Shapes", "Cost", "Differs", "Example"))
        assert factorizer.paper is not None
        assert factorizer.paper.cite()


def taken(factorizer: Factorizer) -> list[nn.Module]:
    """Layers in float64 that the factorizer takes."""
    found = [module for module in _layers() if not factorizer.refusal(module)]
    assert found, f"{factorizer!r} takes neither linear layers nor convolutions"
    return found


def lost_by(factorizer: Factorizer, module: nn.Module, ranks: Ranks) -> float:
    """Share of the square of the weight that is lost, counted by itself."""
    weight: Tensor = module.weight.detach()  # type: ignore[operator]  # a layer
    rest = weight - factorizer.weight(factorizer.factorize(module, ranks))
    return float(rest.square().sum() / weight.square().sum())


def _layers() -> list[nn.Module]:
    made: list[nn.Module] = [
        nn.utils.skip_init(nn.Linear, 12, 8),
        nn.utils.skip_init(nn.Linear, 6, 10, bias=False),
        nn.utils.skip_init(nn.Conv2d, 6, 4, 1, stride=2),
        nn.utils.skip_init(nn.Conv2d, 3, 6, 3, padding=1),
        nn.utils.skip_init(nn.Conv2d, 5, 4, (3, 2), stride=(2, 1), padding=(0, 1), dilation=(1, 2), bias=False),
        nn.utils.skip_init(nn.Conv2d, 4, 3, (2, 3), padding="same", padding_mode="circular"),
        nn.utils.skip_init(nn.Conv2d, 3, 4, 3, padding=(2, 1), padding_mode="reflect"),
    ]
    return [strengthen_(module).eval() for module in made]


def _input(module: nn.Module) -> Tensor:
    rng = generator(1, "factorizer")
    if isinstance(module, nn.Linear):
        return torch.randn(2, 3, module.in_features, generator=rng, dtype=torch.float64)
    assert isinstance(module, nn.Conv2d)
    return torch.randn(2, module.in_channels, 8, 7, generator=rng, dtype=torch.float64)


def _one(factorizer: Factorizer, module: nn.Module) -> Ranks:
    return (1,) * len(factorizer.full(module))


def _some(factorizer: Factorizer, module: nn.Module) -> list[Ranks]:
    full = factorizer.full(module)
    return [_one(factorizer, module), tuple(max(1, r // 2) for r in full), full]
