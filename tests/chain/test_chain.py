"""Chains of steps: what they make, in which order, and what each contributed."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import secateur
from secateur.bench.zoo.lenet import lenet5
from secateur.chain import Chained, ChainRun, Factorize, Int8, Pack, Prune, Quantize, Rebuild, Train, chain, check_order
from secateur.chain.running import rows
from secateur.core.errors import IncompatibleError, MissingEvidenceError
from secateur.methods import recipe
from secateur.quantize import is_quantized

EXAMPLE = torch.zeros(1, 1, 28, 28)


def batches():
    drawn = torch.Generator().manual_seed(0)
    return [(torch.randn(16, 1, 28, 28, generator=drawn), torch.randint(0, 10, (16,), generator=drawn)) for _ in "ab"]


def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, 2), nn.ReLU(), nn.Conv2d(8, 12, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(300, 10)
    )


def agreement(model):
    x = torch.randn(32, 1, 28, 28, generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        return {"same": float((model(x).argmax(1) == net()(x).argmax(1)).double().mean())}


def made(tmp_path, *steps, model=None):
    return chain(
        model or net(),
        steps,
        example_inputs=EXAMPLE,
        data=batches(),
        quality=agreement,
        run=ChainRun(out=tmp_path, runtimes=()),
    )


def test_deep_compression(tmp_path):
    """Prune, share, code: every step makes it smaller, and what comes out of the file is what went in."""
    model = net()
    before = {n: v.clone() for n, v in model.state_dict().items()}
    small = replace(recipe("han2015"), finetune=None)
    found = made(
        tmp_path, Prune(recipe=small, budget="0.2 weights"), Quantize(quantizer="kmeans(bits=3)", epochs=1), Pack()
    , model=model)  # fmt: skip
    sizes = [c.measured.bytes for c in found.contributions]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < sizes[0] / 10
    assert sizes[-1] == (tmp_path / "model.sct").stat().st_size
    state = secateur.unpack(tmp_path / "model.sct")
    for name, value in found.model.state_dict().items():
        assert torch.equal(state[name], value)
        if value.ndim > 1:
            assert len(value.unique()) <= 9
            assert (value == 0).double().mean() >= 0.7
    assert not is_quantized(found.model)
    assert all(torch.equal(v, before[n]) for n, v in model.state_dict().items())
    last, pruned = found.contributions[-1].measured, found.contributions[1].measured
    assert last.nonzeros <= pruned.nonzeros


def test_structured_then_unstructured_then_int8(tmp_path):
    found = made(
        tmp_path,
        Prune(recipe="li2017", budget="0.6 macs"),
        Train(epochs=1, lr=1e-3),
        Prune(recipe=replace(recipe("gmp"), sparsify=None, surgery=None), budget="0.5 weights"),
        Int8(),
    )
    told = [c.measured for c in found.contributions]
    assert told[1].macs < 0.6 * told[0].macs
    assert told[3].nonzeros < 0.6 * told[1].params
    assert found.path == tmp_path / "int8.onnx"
    assert told[-1].bytes == found.path.stat().st_size
    assert abs(told[-1].quality["same"] - told[-2].quality["same"]) <= 0.25
    assert "in onnxruntime" in found.contributions[-1].told[0]


def test_low_rank_then_channels_then_bytes(tmp_path):
    found = made(tmp_path, Factorize(budget="0.7 macs"), Prune(recipe="li2017", budget="0.8 macs"), Pack(),
                 model=lenet5())  # fmt: skip
    told = [c.measured.macs for c in found.contributions]
    assert told[1] <= 0.7 * told[0]
    assert told[2] <= 0.8 * told[1]
    assert [c.step for c in found.contributions] == [
        "dense",
        "factorize by tucker2 to 0.7 macs",
        "prune by li2017 to 0.8 macs",
        "pack",
    ]


def test_other_files_in_the_folder_are_not_counted(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(bytes(100_000))
    (tmp_path / "int8.txt").write_bytes(bytes(100_000))
    assert made(tmp_path, Pack()).contributions[-1].measured.bytes == (tmp_path / "model.sct").stat().st_size
    assert made(tmp_path, Int8()).contributions[-1].measured.bytes == (tmp_path / "int8.onnx").stat().st_size


def test_rebuilt(tmp_path):
    found = made(tmp_path, Rebuild(), Train(epochs=1))
    assert found.contributions[1].measured.params < found.contributions[0].measured.params
    assert found.path is None
    assert isinstance(found, Chained)


def test_a_shrunk_network_comes_back_from_its_file_and_the_dense_one(tmp_path):
    found = made(tmp_path, Prune(recipe="li2017", budget="0.5 macs"), Pack())
    again = secateur.unpack(tmp_path / "model.sct", net())
    x = torch.randn(2, 1, 28, 28)
    assert torch.equal(again(x), found.model.eval()(x))


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ([], "at least one step"),
        ([Quantize(), Prune()], "prune by li2017 after quantize by kmeans"),
        ([Prune(recipe="han2015"), Factorize()], "pruned weights would not stay zero"),
        ([Quantize(), Quantize()], "would get others"),
        ([Quantize(), Int8()], "rounded twice"),
        ([Pack(), Train()], "which nothing can change"),
        ([Int8(), Pack()], "which nothing can change"),
        ([Prune(recipe="han2015"), Prune()], "pruned weights would not stay zero"),
    ],
)
def test_orders_without_sense(steps, why):
    with pytest.raises(IncompatibleError, match=why):
        check_order(steps)


def test_a_sensible_order_is_named():
    with pytest.raises(IncompatibleError, match=r"A sensible order: factorize .*, prune by han2015, train .*, pack"):
        check_order([Pack(), Train(), Prune(recipe="han2015"), Factorize()])


def test_nothing_is_done_when_the_order_is_wrong(tmp_path):
    with pytest.raises(IncompatibleError):
        made(tmp_path, Pack(), Prune())
    assert not list(tmp_path.iterdir())


def test_steps_that_need_data(tmp_path):
    for step in (Train(), Int8()):
        with pytest.raises(MissingEvidenceError, match="Pass data="):
            chain(net(), [step], example_inputs=EXAMPLE, run=ChainRun(out=tmp_path))


def test_table(tmp_path):
    table = rows(made(tmp_path, Quantize(quantizer="bwn"), Pack()))
    assert table[0][:6] == ["step", "MACs", "parameters", "non-zero", "bytes", "smaller"]
    assert [row[0] for row in table[1:]] == ["dense", "quantize by bwn", "pack"]
    assert len({len(row) for row in table}) == 1
