"""The contract of compact blocks."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from secateur.apply.verify import strengthen_
from secateur.core.contracts import Call, CompactBlock
from secateur.core.errors import UnsupportedError
from secateur.core.rng import generator
from secateur.measure.macs import macs
from secateur.testing.criterion import check_docstring, check_value
from secateur.testing.system import untouched


class CompactContract:
    """What every compact block promises. Subclass it, and parametrise `compact` or define it as a fixture."""

    def test_shapes(self, compact: CompactBlock) -> None:
        """The block answers in the shape of the layer: stride, padding, dilation; a batch or a single example."""
        for module in taken(compact):
            block, x = compact.rebuild(module), _input(module)
            assert block(x).shape == module(x).shape
            assert block(x[0]).shape == module(x[0]).shape

    def test_cost(self, compact: CompactBlock) -> None:
        """Parameters and multiply-accumulates are those that are counted on the block."""
        for module in taken(compact):
            block, x = compact.rebuild(module), _input(module)
            call = Call(len(x), tuple(x.shape[2:]), tuple(module(x).shape[2:]))
            assert compact.params(module) == sum(p.numel() for p in block.parameters())
            assert compact.macs(module, call) == macs(block, x)

    def test_near(self, compact: CompactBlock) -> None:
        """On positive inputs the block is nearer to the layer than with fresh weights, and it has the bias."""
        for module in taken(compact):
            block, x = compact.rebuild(module), _input(module).abs()
            fresh = copy.deepcopy(block)
            rng = generator(2, "compact")
            with torch.no_grad():
                for new, old in zip(fresh.parameters(), block.parameters(), strict=True):
                    if new.ndim > 1:
                        new.copy_(old.std() * torch.randn(new.shape, generator=rng, dtype=new.dtype))
                wanted = module(x)
                error, other = ((net(x) - wanted).square().sum() for net in (block, fresh))
                assert error < other
                if module.bias is not None:
                    zero = torch.zeros_like(x)
                    assert torch.allclose(block(zero), module(zero))

    def test_settings_are_kept(self, compact: CompactBlock) -> None:
        """Dtype, training mode and whether parameters are trained are those of the layer."""
        for given in taken(compact):
            module = copy.deepcopy(given).float().train()
            module.weight.requires_grad_(False)
            block = compact.rebuild(module)
            assert all(m.training for m in block.modules())
            assert not any(m.training for m in compact.rebuild(module.eval()).modules())
            assert all(p.dtype == torch.float32 for p in block.parameters())
            trained = sum(p.numel() for p in block.parameters() if p.requires_grad)
            assert trained == (0 if module.bias is None else module.bias.numel())

    def test_layer_untouched(self, compact: CompactBlock) -> None:
        """The layer stays as it is and shares no memory with the block; the global random state stays too."""
        for module in taken(compact):
            with untouched(module):
                block = compact.rebuild(module)
                with torch.no_grad():
                    for p in block.parameters():
                        p.zero_()

    def test_same_every_time(self, compact: CompactBlock) -> None:
        """Two calls give one answer to the bit."""
        for module in taken(compact):
            first, second = compact.rebuild(module), compact.rebuild(module)
            assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))

    def test_dead_channels(self, compact: CompactBlock) -> None:
        """A layer of zeros, and one with dead channels, is replaced without a NaN."""
        for given in taken(compact):
            for alive in (0.0, 1.0):
                module = copy.deepcopy(given)
                with torch.no_grad():
                    module.weight[:1] = 0
                    module.weight.mul_(alive)
                assert all(bool(torch.isfinite(p).all()) for p in compact.rebuild(module).parameters())

    def test_refusals(self, compact: CompactBlock) -> None:
        """What it does not take it refuses with a reason."""
        for module in (*(m for m in _layers() if compact.refusal(m)), nn.Conv2d(4, 4, 3, groups=2)):
            try:
                compact.rebuild(module)
            except UnsupportedError as error:
                assert str(error)
            else:
                raise AssertionError(f"{compact!r} took {module!r}")

    def test_value(self, compact: CompactBlock) -> None:
        """A block is a value: its repr makes it again; it pickles, hashes and copies."""
        check_value(compact)

    def test_docstring(self, compact: CompactBlock) -> None:
        """The docstring states formula, shapes and cost, cites, and holds an example that runs."""
        check_docstring(type(compact), ("Paper", "Formula", "Shapes", "Cost", "Differs", "Example"))
        assert compact.paper is not None
        assert compact.paper.cite()


def taken(compact: CompactBlock) -> list[nn.Conv2d]:
    """Convolutions in float64 that the block can stand in for."""
    found = [module for module in _layers() if not compact.refusal(module)]
    assert found, f"{compact!r} takes no convolution"
    return found


def _layers() -> list[nn.Conv2d]:
    made = [
        nn.utils.skip_init(nn.Conv2d, 4, 6, 3, padding=1),
        nn.utils.skip_init(nn.Conv2d, 6, 8, 3, padding=1, stride=2, bias=False),
        nn.utils.skip_init(nn.Conv2d, 4, 10, (5, 3), padding=(2, 2), dilation=(1, 2)),
        nn.utils.skip_init(nn.Conv2d, 4, 6, (2, 3), stride=(1, 3), dilation=2),
        nn.utils.skip_init(nn.Conv2d, 4, 7, 3, padding="same", padding_mode="circular"),
        nn.utils.skip_init(nn.Conv2d, 6, 4, 1),
    ]
    for module in made:
        strengthen_(module).eval()
    return made


def _input(module: nn.Conv2d) -> Tensor:
    return torch.randn(2, module.in_channels, 9, 8, generator=generator(1, "compact"), dtype=torch.float64)
