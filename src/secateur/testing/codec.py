"""The contract of codecs."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from secateur.core.contracts import Codec
from secateur.core.errors import CodecError, IncompatibleError
from secateur.core.rng import generator
from secateur.testing.criterion import check_docstring, check_value

_LARGEST = 2**32 - 1


def messages() -> dict[str, Tensor]:
    """Streams of every kind, by name."""
    random = generator(0, "codec")
    chances = torch.tensor([0.7, 0.2, 0.06, 0.03, 0.01])
    return {
        "empty": torch.zeros(0, dtype=torch.long),
        "one": torch.tensor([5]),
        "zero": torch.tensor([0]),
        "two": torch.tensor([3, 0]),
        "same": torch.full((500,), 9),
        "largest": torch.tensor([_LARGEST, 0, _LARGEST]),
        "few": torch.tensor([40000, 7, 40000, 40000, 12]),
        "alternating": torch.arange(400) % 2,
        "skewed": torch.multinomial(chances, 3000, replacement=True, generator=random),
        "uniform": torch.randint(0, 256, (3000,), generator=random),
        "geometric": torch.log(torch.rand(2000, generator=random).clamp_min(1e-9)).mul(-20).long(),
        "runs": torch.arange(3000) // 100,
        "wide": torch.randint(0, 2**31, (50,), generator=random),
    }


class CodecContract:
    """What every codec promises. Subclass it, and parametrise `codec` or define it as a fixture."""

    def test_lossless(self, codec: Codec) -> None:
        """What comes back is what went in, int64."""
        for name, symbols in messages().items():
            found = codec.decode(codec.encode(symbols), symbols.numel())
            assert found.dtype == torch.long, name
            assert torch.equal(found, symbols), name

    def test_within_bound(self, codec: Codec) -> None:
        """Never more bits than `bound` says, up to the last byte."""
        for name, symbols in messages().items():
            assert 8 * len(codec.encode(symbols)) <= codec.bound(symbols) + 8, name

    def test_pure(self, codec: Codec) -> None:
        """Equal symbols give equal bytes, of any whole type, and are not changed."""
        symbols = messages()["skewed"]
        before = symbols.clone()
        content = codec.encode(symbols)
        assert codec.encode(symbols.to(torch.uint8)) == content == codec.encode(symbols)
        assert torch.equal(symbols, before)

    def test_damage_is_an_error_or_other_symbols(self, codec: Codec) -> None:
        """Whatever the bytes, decoding gives as many symbols as asked for or a `CodecError`, and nothing else."""
        random = np.random.default_rng(0)
        for name in ("empty", "two", "skewed", "uniform", "geometric", "wide"):
            symbols = messages()[name][:200]
            content = codec.encode(symbols)
            for _ in range(60):
                self._check_bad(codec, _mutated(content, random), symbols.numel())
            for bad in (b"", b"\0", b"\xff" * 40, content[:-1], content + b"\0", random.bytes(50)):
                self._check_bad(codec, bad, symbols.numel())
            self._check_bad(codec, content, symbols.numel() + 1)

    def test_refuses_what_are_no_symbols(self, codec: Codec) -> None:
        """Negative, too large or broken numbers are refused."""
        for bad in (torch.tensor([-1]), torch.tensor([2**32]), torch.tensor([0.5]), torch.zeros(2, 2, dtype=torch.int)):
            try:
                codec.encode(bad)
            except IncompatibleError:
                continue
            raise AssertionError(f"{bad} was encoded")

    def test_value(self, codec: Codec) -> None:
        """A codec is a value: its repr makes it again; it pickles, hashes and copies."""
        check_value(codec)

    def test_docstring(self, codec: Codec) -> None:
        """The docstring states formula and cost, and cites where a paper is named."""
        sections = ("Formula", "Cost") if codec.paper is None else ("Paper", "Formula", "Cost", "Differs")
        check_docstring(type(codec), sections)
        assert codec.paper is None or codec.paper.cite()

    @staticmethod
    def _check_bad(codec: Codec, content: bytes, count: int) -> None:
        try:
            found = codec.decode(content, count)
        except CodecError:
            return
        assert found.shape == (count,)
        assert found.dtype == torch.long


def _mutated(content: bytes, random: np.random.Generator) -> bytes:
    """A bit flipped, a byte replaced, an end cut off, or bytes put in."""
    raw = bytearray(content)
    place = int(random.integers(len(raw) + 1))
    match int(random.integers(4)):
        case 0 if place < len(raw):
            raw[place] ^= 1 << int(random.integers(8))
        case 1 if place < len(raw):
            raw[place] = int(random.integers(256))
        case 2:
            del raw[place:]
        case _:
            raw[place:place] = random.bytes(int(random.integers(1, 9)))
    return bytes(raw)
