"""The arithmetic coder against the ideal code length, -sum log2 p; its tables against the exponential function."""

from math import exp, log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.coding.arithmetic import Decoder, Encoder, Ideal
from secateur.coding.mixing import WIDEST, Mixer, tables
from secateur.core.errors import CodecError

BITS = st.lists(
    st.tuples(st.integers(0, 1), st.integers(1, 65535) | st.sampled_from([1, 2, 65534, 65535])), max_size=300
)


@settings(max_examples=200, deadline=None)
@given(BITS)
def test_length_is_ideal_to_two_bytes_and_bits_come_back(bits):
    coder = Encoder()
    for bit, chance in bits:
        coder.code(bit, chance)
    content = coder.finish()
    ideal = -sum(log2((c if b else 65536 - c) / 65536) for b, c in bits)
    assert 8 * len(content) <= ideal + 16
    reader = Decoder(content)
    assert [reader.code(0, chance) for _, chance in bits] == [bit for bit, _ in bits]
    reader.finish()


def test_long_messages_lose_nothing():
    random = np.random.default_rng(0)
    chances = random.integers(1, 65536, 50_000)
    bits = (random.random(50_000) * 65536 < chances).astype(int)
    coder, ideal = Encoder(), Ideal()
    for bit, chance in zip(bits.tolist(), chances.tolist(), strict=True):
        coder.code(bit, chance)
        ideal.code(bit, chance)
    expected = -np.where(bits, np.log2(chances / 65536), np.log2(1 - chances / 65536)).sum()
    assert ideal.bits == pytest.approx(expected)
    assert -8 < 8 * len(coder.finish()) - expected < 16


def test_left_over_bytes_are_an_error():
    coder = Encoder()
    coder.code(0, 32768)
    content = coder.finish()
    for bad in (content + b"\0", content + b"longer than what is read ahead"):
        reader = Decoder(bad)
        reader.code(0, 32768)
        with pytest.raises(CodecError, match="left over"):
            reader.finish()


def test_tables_are_the_logistic_function_and_its_inverse():
    squash, stretch = tables()
    assert len(squash) == 2 * WIDEST + 1
    assert len(stretch) == 65536
    for x in range(-WIDEST, WIDEST + 1):
        assert squash[x + WIDEST] == pytest.approx(min(65535, max(1, 65536 / (1 + exp(-x / 256)))), abs=0.51)
    for chance in (1, 5, 100, 9999, 32768, 50000, 65000, 65535):
        exact = 256 * np.log(chance / (65536 - chance))
        step = 65536 * 256 / (chance * (65536 - chance))  # what one chance more is worth
        assert stretch[chance] == pytest.approx(exact, abs=step + 1)
    assert stretch == sorted(stretch)


def test_mixing_learns_which_context_to_trust():
    """One context is noise and the other one knows; the price of a bit falls from one to almost nothing."""
    random = np.random.default_rng(0)
    bits = random.integers(0, 2, 4000).tolist()
    noise = random.integers(0, 2, 4000).tolist()
    mixer, early, late = Mixer(4, 2, 1), Ideal(), Ideal()
    for i, (bit, other) in enumerate(zip(bits, noise, strict=True)):
        mixer.code(early if i < 2000 else late, bit, [other, 2 + bit], [2, 2], 0)
    assert early.bits < 200
    assert late.bits < 20
