"""The other codecs: Golomb-Rice and fixed width by hand, range and adaptive coders against entropy."""

import builtins

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.coding import CODECS
from secateur.coding.codecs import Adaptive, Fixed, GolombRice, Range, range_
from secateur.coding.codecs.base import entropy
from secateur.core.errors import CodecError, UnsupportedError

EVERY = [one for kind in CODECS.values() for one in kind.examples()]


@pytest.mark.parametrize("codec", EVERY, ids=repr)
@settings(max_examples=40, deadline=None)
@given(
    symbols=st.lists(st.integers(0, 2**32 - 1), max_size=60)
    | st.lists(st.integers(0, 3), max_size=400)
    | st.lists(st.integers(0, 300), max_size=200)
)
def test_round_trip(codec, symbols):
    given_ = torch.tensor(symbols, dtype=torch.long)
    content = codec.encode(given_)
    assert codec.decode(content, len(symbols)).tolist() == symbols
    assert 8 * len(content) <= codec.bound(given_) + 8


def test_golomb_rice_by_hand():
    """k = 1: 0 = 1 0, 5 = 001 1, 2 = 01 0; quotients first 1 001 01, then remainders 0 1 0: 1001 0101 0."""
    assert GolombRice().encode(torch.tensor([0, 5, 2])).hex() == "01" + "9500"


def test_golomb_rice_finds_the_best_k():
    gaps = torch.from_numpy(np.random.default_rng(1).geometric(0.02, 5000) - 1)
    content = GolombRice().encode(gaps)
    every = [int((gaps >> k).sum()) + (1 + k) * gaps.numel() for k in range(12)]
    assert len(content) == 1 + -(-min(every) // 8)
    assert content[0] == int(np.argmin(every))


def test_golomb_rice_survives_giants():
    symbols = torch.tensor([0] * 100_000 + [2**32 - 1])
    assert torch.equal(GolombRice().decode(GolombRice().encode(symbols), 100_001), symbols)


def test_fixed_by_hand():
    assert Fixed().encode(torch.tensor([1, 0, 3])).hex() == "024c"  # 01 00 11
    with pytest.raises(CodecError, match="bits do not fill"):
        Fixed().decode(b"\x02\x4c\x00", 3)
    with pytest.raises(CodecError, match="padding"):
        Fixed().decode(b"\x02\x4d", 3)


@pytest.mark.parametrize("adaptive", [False, True])
def test_range_meets_entropy(adaptive):
    symbols = np.random.default_rng(0).geometric(0.3, 10**6)
    content = Range(adaptive=adaptive).encode(torch.from_numpy(symbols))
    assert 8 * len(content) <= 1.002 * entropy(symbols)
    assert np.array_equal(Range(adaptive=adaptive).decode(content, symbols.size).numpy(), symbols)


def test_range_without_its_library(monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **named):
        if name == "constriction":
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    range_.stream.cache_clear()
    with pytest.raises(UnsupportedError, match=r"secateur\[coding\]"):
        Range().encode(torch.arange(3))
    assert not range_.available()
    monkeypatch.undo()
    range_.stream.cache_clear()
    assert range_.available()


def test_adaptive_meets_entropy():
    symbols = np.random.default_rng(0).geometric(0.3, 5000)
    content = Adaptive().encode(torch.from_numpy(symbols))
    assert entropy(symbols) * 0.98 <= 8 * len(content) <= 1.03 * entropy(symbols)


def test_adaptive_learns_order():
    """Symbols that follow each other have an entropy of two bits and cost next to nothing."""
    assert len(Adaptive().encode(torch.arange(4000) % 4)) < 60


@pytest.mark.slow
def test_a_million_symbols_adaptively():
    symbols = torch.from_numpy(np.random.default_rng(0).geometric(0.6, 10**6))
    content = Adaptive().encode(symbols)
    assert 8 * len(content) <= 1.01 * entropy(symbols.numpy())
    assert torch.equal(Adaptive().decode(content, symbols.numel()), symbols)
