"""Files: bit for bit back, small headers, and no damage that goes unnoticed."""

import hashlib
import math
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import secateur
from secateur.bench.zoo.lenet import lenet5, lenet_300_100
from secateur.coding import container, packing
from secateur.coding.codecs import range_
from secateur.coding.dtypes import DTYPES
from secateur.coding.packing import read
from secateur.coding.stream import Stream, chosen
from secateur.core.errors import CodecError, IncompatibleError, UnsupportedError
from secateur.core.quantized import Quantized
from secateur.quantizers import Int4, Uniform


def octets(tensor):
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).tolist()


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert found[name].shape == tensor.shape, name
        assert octets(found[name]) == octets(tensor), name


def there_and_back(tensors, path, **how):
    report = secateur.pack(tensors, path, **how)
    assert report.bytes == path.stat().st_size == report.header + sum(row.bytes for row in report.tensors)
    found = secateur.unpack(path)
    again = secateur.inspect(path)
    assert [(r.name, r.form, r.codec, r.nonzeros, r.bytes) for r in again.tensors] == [
        (r.name, r.form, r.codec, r.nonzeros, r.bytes) for r in report.tensors
    ]
    return report, found


def sparse(shape, keep, levels=None, seed=0):
    random = np.random.default_rng(seed)
    values = random.standard_normal(shape) if levels is None else random.choice(levels, shape)
    return torch.from_numpy(np.where(random.random(shape) < keep, values, 0).astype(np.float32))


ODD = [0.0, -0.0, math.nan, math.inf, -math.inf, 1e-45, -1e-45, 3.4e38, 1.0]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(DTYPES),
    st.lists(st.integers(0, 5), max_size=4),
    st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    st.integers(1, 256),
    st.integers(0, 2**32 - 1),
)
def test_any_bits_of_any_type(tmp_path_factory, dtype, shape, keep, few, seed):
    random = np.random.default_rng(seed)
    size = math.prod(shape)
    raw = random.integers(0, 2 if dtype is torch.bool else few, (size, dtype.itemsize))
    raw = np.where(random.random((size, 1)) < keep, raw, 0).astype(np.uint8)
    tensor = torch.from_numpy(raw.ravel()).view(dtype).reshape(shape) if size else torch.empty(shape, dtype=dtype)
    _, found = there_and_back({"a": tensor}, tmp_path_factory.mktemp("any") / "a.sct")
    assert_same(found, {"a": tensor})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_odd_floats(tmp_path, dtype):
    tensor = torch.tensor(ODD * 3).to(dtype)
    payload = torch.tensor([0x7FC01234, 0x7F800001, -1], dtype=torch.int32).view(torch.float32)
    given_ = {"odd": tensor, "many": torch.cat([tensor, torch.randn(3000).to(dtype)]), "payload": payload}
    assert_same(there_and_back(given_, tmp_path / "a.sct")[1], given_)


TENSORS = {
    "few levels": sparse((60, 80), 0.05, [-0.2, -0.1, 0.1, 0.2]),
    "dense floats": sparse((40, 50), 1.0),
    "sparse floats": sparse((40, 90), 0.1),
    "kernels": sparse((8, 4, 5, 5), 0.3, [-0.5, 0.25]),
    "nothing": torch.zeros(50, 70),
    "ones": torch.ones(64),
    "count": torch.tensor(12345),
    "empty": torch.zeros(0, 3),
    "dense levels": sparse((30, 40), 1.0, [0.1, 0.2, 0.3]),
    "line of dead": torch.cat([torch.zeros(300, 20), sparse((3, 20), 0.8)]),
}


def test_every_form_comes_up(tmp_path):
    report, found = there_and_back(TENSORS, tmp_path / "a.sct")
    assert_same(found, TENSORS)
    forms = {row.name: row.form for row in report.tensors}
    assert forms["few levels"] == "mixed"
    assert forms["dense floats"] == "dense"
    assert forms["sparse floats"] in ("golomb_rice", "density")
    assert {row.name: row.bytes for row in report.tensors}["nothing"] <= 8
    for row in report.tensors:
        assert row.bytes <= math.prod(row.shape) * 8 + 10
        assert row.ideal <= row.bytes + 1


def test_large_masks_are_coded_fast(tmp_path):
    given_ = {"w": sparse((1024, 1280), 0.2, [-1.0, -0.5, 0.5, 1.0])}
    report, found = there_and_back(given_, tmp_path / "a.sct")
    assert_same(found, given_)
    keep, size = report.tensors[0].nonzeros / 1024 / 1280, 1024 * 1280
    floor = (-(keep * math.log2(keep) + (1 - keep) * math.log2(1 - keep)) + 2 * keep) * size / 8
    assert report.bytes < 1.01 * floor


def test_network(tmp_path):
    model = lenet_300_100()
    with torch.no_grad():
        for i, tensor in enumerate(model.parameters()):
            tensor.copy_(sparse(tuple(tensor.shape), 0.001, [-0.1, -0.05, 0.05, 0.1], seed=i))
    report = secateur.pack(model, tmp_path / "a.sct")
    assert report.header <= 60  # names, shapes, types and lengths of six tensors, and a seal
    assert report.dense == 4 * 266_610
    assert_same(secateur.unpack(tmp_path / "a.sct"), model.state_dict())
    fresh = lenet_300_100()
    before = {n: t.clone() for n, t in fresh.state_dict().items()}
    found = secateur.unpack(tmp_path / "a.sct", fresh)
    assert_same(found.state_dict(), model.state_dict())
    assert_same(fresh.state_dict(), before)
    with pytest.raises(IncompatibleError, match="disagree"):
        secateur.unpack(tmp_path / "a.sct", lenet5())


def test_shrunk_network_with_its_plan(tmp_path):
    model, example = lenet5(), torch.randn(2, 1, 28, 28)
    graph = secateur.trace(model, example)
    plan = secateur.plan_by_hand(graph, {"conv1": range(5), "fc1": range(40)})
    small = secateur.shrink(model, plan)
    report = secateur.pack(small, tmp_path / "a.sct", plan=plan)
    assert report.planned
    found = secateur.unpack(tmp_path / "a.sct", lenet5())
    assert_same(found.state_dict(), small.state_dict())
    assert torch.equal(found(example), small(example))
    with pytest.raises(IncompatibleError, match="not what this plan leaves"):
        secateur.pack(model, tmp_path / "b.sct", plan=plan)
    with pytest.raises(IncompatibleError, match="bare state"):
        secateur.pack(small.state_dict(), tmp_path / "b.sct", plan=plan)
    with pytest.raises(UnsupportedError, match="masked"):
        secateur.pack(secateur.mask(model, plan), tmp_path / "b.sct")
    assert not (tmp_path / "b.sct").exists()


def test_tied_tensors_stand_there_once(tmp_path):
    model = nn.Sequential(nn.Linear(20, 20, bias=False), nn.Linear(20, 20, bias=False))
    model[1].weight = model[0].weight
    report, found = there_and_back(model, tmp_path / "a.sct")
    assert len(report.tensors) == 1
    assert found["0.weight"] is found["1.weight"]
    again = secateur.unpack(tmp_path / "a.sct", model)
    assert again[0].weight.data_ptr() == again[1].weight.data_ptr()


@pytest.mark.parametrize("channels", [1, 12])
def test_even_grids(tmp_path, channels):
    random = np.random.default_rng(0)
    codes = torch.from_numpy(np.where(random.random((12, 40)) < 0.6, random.integers(-40, 40, (12, 40)), 0)).int() + 3
    scale = torch.rand(channels) * 0.01 + 1e-3
    found = Quantized(codes, scale=scale, zero=torch.full((channels,), 3, dtype=torch.int32))
    report, back = there_and_back({"w": torch.randn(12, 40)}, tmp_path / "a.sct", quantized={"w": found})
    assert_same(back, {"w": found.values()})
    assert report.bytes < 12 * 40 + 12 * 4


@pytest.mark.parametrize(("shape", "group"), [((12, 40), 16), ((6, 5, 3, 3), 32), ((70,), 32), ((3, 4), 100)])
def test_grids_whose_neighbours_share_a_scale(tmp_path, shape, group):
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = Int4(group=group).quantize(weight)
    report, back = there_and_back({"w": weight}, tmp_path / "a.sct", quantized={"w": found})
    assert_same(back, {"w": found.values()})
    assert report.bytes < weight.numel() / 2 + 4 * found.scale.numel() + 100


def test_a_group_without_entries_is_damage(tmp_path):
    weight = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
    found = Int4(group=4).quantize(weight)
    secateur.pack({"w": weight}, tmp_path / "a.sct", quantized={"w": found})
    header, streams = container.from_bytes((tmp_path / "a.sct").read_bytes(), "a")
    content = bytearray(container.unsealed(streams["w"], "w"))
    assert content[1] == 255
    assert content[2] == 4
    content[2] = 0
    forged = container.sealed(bytes(content))
    with pytest.raises(CodecError, match="a group of a grid has no entries"):
        read(container.to_bytes(header, [forged]), "a")


def test_without_constriction_files_that_need_it_say_so(tmp_path, monkeypatch):
    weight = torch.randn(200, 300, generator=torch.Generator().manual_seed(0))
    found = Uniform(bits=4).quantize(weight)
    report = secateur.pack({"w": weight}, tmp_path / "with.sct", quantized={"w": found})
    assert report.tensors[0].codec == "range"
    monkeypatch.setitem(sys.modules, "constriction", None)
    range_.stream.cache_clear()
    try:
        with pytest.raises(UnsupportedError, match=r"constriction.*secateur\[coding\]"):
            secateur.unpack(tmp_path / "with.sct")
        other = secateur.pack({"w": weight}, tmp_path / "without.sct", quantized={"w": found})
        assert other.tensors[0].codec != "range"
        assert_same(secateur.unpack(tmp_path / "without.sct"), {"w": found.values()})
    finally:
        range_.stream.cache_clear()


def test_sparse_places_are_coded_in_context_however_many_levels_there_are(tmp_path):
    random = np.random.default_rng(0)
    strong = np.outer(random.random(80) ** 3, random.random(200) ** 3)  # some rows and columns hold most of it
    codes = np.where(random.random((80, 200)) < strong / strong.mean() * 0.06, random.integers(1, 65, (80, 200)), 0)
    assert (codes != 0).mean() < 0.1
    levels = torch.cat([torch.zeros(1), torch.linspace(-1, 1.01, 64)])
    found = Quantized(torch.from_numpy(codes).int(), levels=levels)
    report, back = there_and_back({"w": found.values()}, tmp_path / "a.sct", quantized={"w": found})
    assert_same(back, {"w": found.values()})
    assert report.tensors[0].form == "mixed"


def test_slow_bits_go_where_they_save_most():
    def stream(size, steps):
        return Stream(bytes(size), "mixed", "adaptive", 0.0, steps)

    same = stream(9, 5)
    pairs = [(stream(90, 50), stream(100, 0)), (same, same), (stream(50, 100), stream(80, 0)), (stream(9, 2), same)]
    # Bytes saved for each slow bit: 10/50, none, 30/100, 0/2.
    for patience, sizes in [(1, [100, 9, 80, 9]), (99, [90, 9, 80, 9]), (149, [100, 9, 50, 9]), (150, [90, 9, 50, 9])]:
        found = chosen(pairs, patience)
        assert [len(one.content) for one in found] == sizes
        assert sum(one.steps for one in found if one is not same) <= patience


def test_a_large_file_is_read_quickly_in_the_main(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    tensors = {}
    for columns in (200, 300, 400):  # some rows and columns hold most of it
        strong = np.outer(random.random(80) ** 3, random.random(columns) ** 3)
        mask = random.random(strong.shape) < strong / strong.mean() * 0.06
        values = random.choice([-2.0, -1.0, 1.0, 2.0], mask.shape)
        tensors[str(columns)] = torch.from_numpy(np.where(mask, values, 0).astype(np.float32))
    patient, back = there_and_back(tensors, tmp_path / "a.sct")
    assert {row.form for row in patient.tensors} == {"mixed"}
    assert_same(back, tensors)
    monkeypatch.setattr(packing, "chosen", lambda pairs: chosen(pairs, 80 * 400))
    quick, back = there_and_back(tensors, tmp_path / "b.sct")
    assert {row.form for row in quick.tensors} > {"mixed"}
    assert quick.bytes > patient.bytes
    assert_same(back, tensors)


def test_codebooks_of_quantizers(tmp_path):
    codes = torch.randint(0, 5, (30, 40), dtype=torch.int32)
    found = Quantized(codes, levels=torch.tensor([0.0, -0.3, -0.1, 0.1, 0.3]))
    _, back = there_and_back({"w": torch.zeros(30, 40)}, tmp_path / "a.sct", quantized={"w": found})
    assert_same(back, {"w": found.values()})
    for wrong in ({"v": found}, {"w": Quantized(codes[:3], levels=torch.ones(5))}):
        with pytest.raises(IncompatibleError, match="no counterpart"):
            secateur.pack({"w": torch.zeros(30, 40)}, tmp_path / "b.sct", quantized=wrong)


def test_names_may_be_anything(tmp_path):
    given_ = {name: torch.tensor([1.0]) for name in ("", "a\nb", "a\\nb", "\\", "\\\\n\n", "weight", "ä" * 300)}
    assert_same(there_and_back(given_, tmp_path / "a.sct")[1], given_)


def test_types_that_cannot_be_packed(tmp_path):
    with pytest.raises(UnsupportedError, match=r"complex128.*Allowed: float32"):
        secateur.pack({"a": torch.zeros(2, dtype=torch.complex128)}, tmp_path / "a.sct")


def test_equal_networks_give_equal_bytes(tmp_path):
    for name in ("a.sct", "b.sct"):
        secateur.pack(TENSORS, tmp_path / name)
    assert (tmp_path / "a.sct").read_bytes() == (tmp_path / "b.sct").read_bytes()


def small_file(tmp_path):
    names = ("few levels", "sparse floats", "ones", "count", "kernels")
    secateur.pack({name: TENSORS[name][:9] if TENSORS[name].ndim else TENSORS[name] for name in names}, tmp_path / "a")
    return (tmp_path / "a").read_bytes()


def test_every_flipped_bit_is_noticed(tmp_path):
    content = small_file(tmp_path)
    for place in range(len(content)):
        bad = bytearray(content)
        bad[place] ^= 1 << place % 8
        with pytest.raises(CodecError):
            read(bytes(bad), "bad")


def test_every_truncation_is_noticed(tmp_path):
    content = small_file(tmp_path)
    for length in range(len(content)):
        with pytest.raises(CodecError):
            read(content[:length], "bad")
    with pytest.raises(CodecError):
        read(content + b"\0", "bad")


def resealed(content):
    return content + hashlib.sha256(content).digest()[: container.SEAL]


def test_damage_behind_a_valid_seal_is_an_error_or_other_numbers(tmp_path):
    """Whoever can forge the seal can write any tensors, but not crash the reader."""
    content = small_file(tmp_path)[: -container.SEAL]
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        bad = bytearray(content)
        bad[int(random.integers(4, len(bad)))] ^= 1 << int(random.integers(8))
        try:
            read(resealed(bytes(bad)), "bad")
        except CodecError:
            refused += 1
    assert refused > 15


def forged(shape, stream, length=None):
    entry = container.Entry("w", torch.float32, shape, len(stream) if length is None else length)
    return container.to_bytes(container.Header((entry,), ""), [stream])


def test_claims_are_checked_before_anything_is_allocated():
    for shape in ((2**39,), (2**20, 2**19), (2**30, 0), (2**38,) * 15):
        with pytest.raises(CodecError, match="claims"):
            read(forged(shape, b"\0"), "bad")
    with pytest.raises(CodecError, match="early"):
        read(forged((3,), b"\0" * 13, length=2**30), "bad")
    with pytest.raises(CodecError, match="claims"):
        read(forged((5000, 5000), b"\x05"), "bad", entries=1000)


def test_the_cap_is_the_callers(tmp_path):
    secateur.pack({"w": torch.zeros(4500, 1000)}, tmp_path / "a.sct")
    with pytest.raises(CodecError, match="entries="):
        secateur.unpack(tmp_path / "a.sct")
    assert secateur.unpack(tmp_path / "a.sct", entries=4_500_000)["w"].shape == (4500, 1000)


@pytest.mark.parametrize(
    ("content", "match"),
    [(b"", "does not start"), (b"PK\3\4", "does not start"), (b"SCT\x09" + b"\0" * 20, "schema"), (b"SCT", "schema")],
)
def test_other_files(content, match, tmp_path):
    (tmp_path / "a.sct").write_bytes(content)
    with pytest.raises(CodecError, match=match):
        secateur.unpack(tmp_path / "a.sct")


def test_long_streams_are_sealed_by_themselves(tmp_path):
    secateur.pack({"w": sparse((40, 50), 1.0)}, tmp_path / "a.sct")
    content = bytearray((tmp_path / "a.sct").read_bytes()[: -container.SEAL])
    content[-200] ^= 1
    with pytest.raises(CodecError, match="CRC-32"):
        read(resealed(bytes(content)), "bad")
