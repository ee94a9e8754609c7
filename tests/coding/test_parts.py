"""Bits, alphabets, codebooks, planes, masks by density: small pieces, each by hand or against NumPy."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.coding.alphabet import alphabet_from_bytes, alphabet_to_bytes
from secateur.coding.bits import Cursor, pack_codes, pack_fixed, unpack_fixed, varint, windows
from secateur.coding.density import density_from_bytes, density_to_bytes
from secateur.coding.levels import in_order, levels_from_bytes, levels_to_bytes
from secateur.coding.live import Known, gather, live_from_bytes, live_to_bytes, scatter
from secateur.coding.planes import inflated, planes_from_bytes, planes_to_bytes
from secateur.core.errors import CodecError


@given(st.integers(0, 2**63 - 1))
def test_varint(number):
    cursor = Cursor(varint(number))
    assert cursor.whole(2**63 - 1) == number
    cursor.end()


@pytest.mark.parametrize("bad", [b"", b"\x80", b"\x80\x00", b"\xff" * 12, b"\x05"])
def test_bad_varints(bad):
    with pytest.raises(CodecError):
        Cursor(bad).whole(4)


@given(st.integers(1, 32), st.data())
def test_fixed_bits_are_those_of_python(width, data):
    numbers = data.draw(st.lists(st.integers(0, 2**width - 1), max_size=40))
    text = "".join(format(x, f"0{width}b") for x in numbers)
    expected = int(text.ljust(-(-len(text) // 8) * 8, "0") or "0", 2).to_bytes(-(-len(text) // 8), "big")
    content = pack_fixed(np.array(numbers, dtype=np.int64), width)
    assert content == expected
    assert unpack_fixed(content, width, len(numbers)).tolist() == numbers


def test_code_words_one_after_another():
    assert pack_codes(np.array([0b1, 0b011, 0b0000]), np.array([1, 3, 4])) == bytes([0b10110000])
    assert windows(bytes([0b10110000, 0xFF]), 0, 10)[[0, 1, 8]].tolist() == [0xB0FF0000, 0x61FE0000, 0xFF000000]


@given(st.sets(st.integers(0, 2**32 - 1), max_size=30) | st.integers(0, 20).map(lambda n: set(range(n))))
def test_alphabets(letters):
    given_ = np.array(sorted(letters), dtype=np.int64)
    cursor = Cursor(alphabet_to_bytes(given_))
    assert alphabet_from_bytes(cursor, 30).tolist() == given_.tolist()
    cursor.end()


FLOATS = st.lists(st.floats(width=32), max_size=12, unique_by=lambda x: np.float32(x).tobytes())


@given(FLOATS, st.booleans())
def test_codebooks_come_back_bit_for_bit(values, mirrored):
    found = np.array([*values, *([-x for x in values] if mirrored else [])], dtype=np.float32)
    levels = in_order(np.unique(found.view(np.uint32).astype(np.uint64)), 31, signed=True)
    cursor = Cursor(levels_to_bytes(levels, 31))
    assert levels_from_bytes(cursor, 31).tolist() == levels.tolist()
    cursor.end()


def test_codebooks_are_short():
    """Two pairs of signs: two patterns are stored, less the zeros at their ends."""
    values = np.array([-0.5, -0.25, 0.25, 0.5], dtype=np.float32)
    levels = in_order(values.view(np.uint32).astype(np.uint64), 31, signed=True)
    assert levels.tolist() == values.view(np.uint32).tolist()  # from the most negative to the most positive
    assert len(levels_to_bytes(levels, 31)) == 3 + 2  # 0x3f000000 and 0x3e800000 share all but seven bits


@given(st.integers(1, 8), st.integers(0, 60), st.integers(0, 2**32 - 1))
def test_planes(itemsize, count, seed):
    random = np.random.default_rng(seed)
    octets = random.integers(0, random.integers(1, 257), itemsize * count).astype(np.uint8)
    content, ideal = planes_to_bytes(octets, itemsize)
    cursor = Cursor(content)
    assert np.array_equal(planes_from_bytes(cursor, count, itemsize), octets)
    cursor.end()
    assert len(content) <= octets.size + 3 * itemsize
    assert ideal <= 8 * octets.size


def test_exponents_of_weights_are_compressed():
    octets = np.random.default_rng(0).standard_normal(100_000).astype(np.float32).view(np.uint8)
    content, _ = planes_to_bytes(octets, 4)
    assert len(content) < 0.86 * octets.size
    assert np.array_equal(planes_from_bytes(Cursor(content), 100_000, 4), octets)


def test_deflate_is_no_bomb():
    bomb = zlib.compress(b"\0" * 10**7, 9, -15)
    with pytest.raises(CodecError):
        inflated(bomb, 1000)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_density(rows, columns, keep, seed):
    random = np.random.default_rng(seed)
    mask = random.random((rows, columns)) < keep * random.random((rows, 1)) * random.random((1, columns))
    content = density_to_bytes(mask)
    assert np.array_equal(density_from_bytes(Cursor(content), mask.shape, len(content)), mask)


def test_density_uses_rows_and_columns():
    random = np.random.default_rng(0)
    chances = np.exp(random.standard_normal((400, 1))) * np.exp(random.standard_normal((1, 400))) * 0.02
    mask = random.random((400, 400)) < np.minimum(chances, 1)
    keep = mask.mean()
    flat = -(keep * np.log2(keep) + (1 - keep) * np.log2(1 - keep)) * mask.size / 8
    assert len(density_to_bytes(mask)) < 0.92 * flat


@given(st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_live(rows, columns, seed):
    random = np.random.default_rng(seed)
    mask = random.random((rows, columns)) < 0.05
    content, live_rows, live_columns = live_to_bytes(mask, Known())
    cursor = Cursor(content)
    found = live_from_bytes(cursor, rows, columns, Known())
    cursor.end()
    assert np.array_equal(found[0], live_rows)
    assert np.array_equal(found[1], live_columns)
    assert np.array_equal(scatter(gather(mask, *found), *found), mask)
