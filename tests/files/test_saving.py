import copy
import json
import random

import pytest
import safetensors
import safetensors.torch
import torch
from torch import nn

from secateur.apply.masking import mask
from secateur.apply.shrinking import shrink
from secateur.bench.zoo.lenet import lenet5
from secateur.bench.zoo.resnet import resnet20
from secateur.core.errors import CodecError, IncompatibleError, UnsupportedError
from secateur.core.plan import PruningPlan
from secateur.files import load, load_plan, save
from secateur.files.container import pack, unpack
from secateur.granularity import Channel, Layer, Weight
from secateur.graph.probe import trial_widths
from secateur.graph.trace import trace


def same_bits(a, b):
    assert list(a.state_dict()) == list(b.state_dict())
    for name, x in a.state_dict().items():
        y = b.state_dict()[name]
        assert x.dtype == y.dtype
        assert x.shape == y.shape
        assert x.contiguous().reshape(-1).view(torch.uint8).equal(y.contiguous().reshape(-1).view(torch.uint8)), name


def test_reloads_bit_for_bit(case, tmp_path):
    path = save(case.small, case.plan, tmp_path / "net.safetensors")
    fresh = case.make()
    before = copy.deepcopy(fresh.state_dict())
    again = load(path, fresh)
    same_bits(case.small, again)
    assert all(torch.equal(x, before[name]) for name, x in fresh.state_dict().items())  # not touched
    assert load_plan(path) == case.plan
    assert again.training == fresh.training
    x = case.example if case.example.dtype == torch.long else torch.randn_like(case.example)
    assert torch.equal(again.eval()(x), copy.deepcopy(case.small).eval()(x))


def test_whole_modules(tmp_path):
    model = resnet20().train()
    whole = PruningPlan({}, Layer(), trace(model, torch.zeros(1, 3, 32, 32), depth=True))
    for keep in ([], [1, 4, 5], range(7)):
        plan = whole.keep("layers", keep)
        small = shrink(model, plan)
        path = save(small, plan, tmp_path / "net.safetensors")
        again = load(path, resnet20())
        same_bits(small, again)
        assert load_plan(path) == plan
        assert [type(again.get_submodule(name)) for name in plan.removed] == [nn.Identity] * (7 - len(keep))
        assert all(again.get_submodule(name).training for name in plan.removed)
        x = torch.randn(2, 3, 32, 32)
        assert torch.equal(again.eval()(x), copy.deepcopy(small).eval()(x))
    with pytest.raises(IncompatibleError, match="is not what this plan leaves"):
        save(small, whole.keep("layers", [0]), tmp_path / "other.safetensors")


def test_the_same_network_gives_the_same_bytes(lenet, tmp_path):
    a, b = (save(lenet.small, lenet.plan, tmp_path / name).read_bytes() for name in "ab")
    assert a == b


def test_any_safetensors_reader_can_open_it(lenet, tmp_path):
    path = save(lenet.small, lenet.plan, tmp_path / "net.safetensors")
    tensors = safetensors.torch.load_file(path)
    assert torch.equal(tensors["conv1.weight"], lenet.small.conv1.weight)
    with safetensors.safe_open(path, "pt") as file:
        assert set(file.metadata()) == {"format", "secateur", "plan", "aliases", "sha256"}


def test_tied_weights_stay_tied_and_are_saved_once(tied, tmp_path):
    path = save(tied.small, tied.plan, tmp_path / "net.safetensors")
    again = load(path, tied.make())
    assert again.head.weight is again.embed.weight
    names = set(safetensors.torch.load_file(path))
    assert len({"head.weight", "embed.weight"} & names) == 1


def test_ties_that_came_about_later_are_kept(tmp_path):
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    plan = PruningPlan({}, Channel(), trace(model, torch.zeros(1, 4)))
    small = shrink(model, plan)
    small[2].weight.data = small[0].weight.data
    fresh = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    again = load(save(small, plan, tmp_path / "net.safetensors"), fresh)
    assert again[0].weight.data_ptr() == again[2].weight.data_ptr()
    same_bits(small, again)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_types_and_layout_are_kept(lenet, tmp_path, kind):
    small = copy.deepcopy(lenet.small).to(kind).to(memory_format=torch.channels_last)
    with torch.no_grad():
        small.conv1.weight.view(-1)[:3] = torch.tensor([float("nan"), -0.0, float("inf")])
    same_bits(small, load(save(small, lenet.plan, tmp_path / "net.safetensors"), lenet5()))


def test_single_weights(lenet, tmp_path):
    kept = {b.name: torch.rand(b.units) > 0.7 for b in Weight().blocks(lenet.plan.graph)}
    plan = PruningPlan(kept, Weight(), lenet.plan.graph)
    small = shrink(lenet.model, plan)
    path = save(small, plan, tmp_path / "net.safetensors")
    same_bits(small, load(path, lenet5()))
    with pytest.raises(IncompatibleError):
        load(path, nn.Linear(3, 3))


def test_masked_is_refused(lenet, tmp_path):
    with pytest.raises(UnsupportedError, match="shrink"):
        save(mask(lenet.model, lenet.plan), lenet.plan, tmp_path / "net.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_model_that_is_not_the_plan_s_is_refused(lenet, tmp_path):
    with pytest.raises(IncompatibleError, match=r"'conv1.weight' is \[20, 1, 5, 5\]"):
        save(lenet.model, lenet.plan, tmp_path / "net.safetensors")


def test_state_that_is_no_tensor_is_refused(tmp_path):
    class Odd(nn.Linear):
        def get_extra_state(self):
            return {"secret": 1}

        def set_extra_state(self, state):
            pass

    model = nn.Sequential(Odd(4, 4), nn.Linear(4, 4))
    plan = PruningPlan({}, Channel(), trace(model, torch.zeros(1, 4)))
    with pytest.raises(UnsupportedError, match="_extra_state"):
        save(model, plan, tmp_path / "net.safetensors")


def test_another_structure_is_refused(lenet, tmp_path):
    path = save(lenet.small, lenet.plan, tmp_path / "net.safetensors")
    wider = lenet5()
    wider.fc1, wider.fc2 = nn.Linear(800, 501), nn.Linear(501, 10)
    for model in (wider, nn.Linear(3, 3), lenet.small):
        with pytest.raises(IncompatibleError):
            load(path, model)


def test_a_fresh_model_with_more_ties(tmp_path):
    """Ties of objects are part of the structure; shared memory alone is not, and nothing is filled twice."""

    def make():
        return nn.Sequential(nn.Linear(4, 4, bias=False), nn.ReLU(), nn.Linear(4, 4, bias=False))

    model = make()
    plan = PruningPlan({}, Channel(), trace(model, torch.zeros(1, 4)))
    path = save(model, plan, tmp_path / "net.safetensors")
    one_object, one_memory = make(), make()
    one_object[2].weight = one_object[0].weight
    one_memory[2].weight.data = one_memory[0].weight.data
    with pytest.raises(IncompatibleError):
        load(path, one_object)
    same_bits(model, load(path, one_memory))


@pytest.fixture(scope="module")
def small_file(tmp_path_factory):
    """A little network, so that hundreds of damaged copies are read in seconds."""

    def make():
        return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))

    model = make()
    graph = trace(model, torch.zeros(2, 6))
    plan = PruningPlan(trial_widths(graph), Channel(), graph)
    return make, save(shrink(model, plan), plan, tmp_path_factory.mktemp("net") / "net.safetensors")


def test_every_flipped_byte_is_seen(small_file):
    make, path = small_file
    good, fresh = path.read_bytes(), make()
    load(path, fresh)
    rng = random.Random(0)
    header = 8 + int.from_bytes(good[:8], "little")
    spots = [*range(12), *range(header - 12, header + 4), *(rng.randrange(len(good)) for _ in range(300))]
    bad_path = path.with_name("bad.safetensors")
    for spot in spots:
        for value in {good[spot] ^ (1 << rng.randrange(8)), rng.choice(b" \t\n0a")} - {good[spot]}:
            bad_path.write_bytes(good[:spot] + bytes([value]) + good[spot + 1 :])
            with pytest.raises(CodecError):
                load(bad_path, fresh)
            with pytest.raises(CodecError):
                load_plan(bad_path)


def test_every_truncation_and_addition_is_seen(small_file):
    make, path = small_file
    good, fresh = path.read_bytes(), make()
    bad_path = path.with_name("cut.safetensors")
    for length in [*range(20), *range(20, len(good), 61), len(good) - 1]:
        bad_path.write_bytes(good[:length])
        with pytest.raises(CodecError):
            load(bad_path, fresh)
    bad_path.write_bytes(good + b"\0")
    with pytest.raises(CodecError):
        load(bad_path, fresh)


def test_foreign_files(tmp_path):
    path = tmp_path / "x.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(CodecError, match="not one of ours"):
        load(path, nn.Linear(2, 2))
    torch.save({"a": torch.zeros(2)}, path)
    with pytest.raises(CodecError):
        load(path, nn.Linear(2, 2))
    with pytest.raises(CodecError, match="cannot read"):
        load(tmp_path / "none", nn.Linear(2, 2))


def test_well_sealed_nonsense(small_file):
    """Someone may seal anything; then the content itself must be found wanting."""
    make, path = small_file
    tensors, metadata = unpack(path.read_bytes(), "file")
    bad_path = path.with_name("sealed.safetensors")
    name = next(iter(tensors))
    for change in ({"secateur": "2"}, {"plan": "{}"}, {"aliases": "[]"}, {"aliases": '{"a": 1}'}, {"more": ""}):
        bad_path.write_bytes(pack(tensors, metadata | change))
        with pytest.raises(CodecError):
            load(bad_path, make())
    plan = json.loads(metadata["plan"])
    plan["graph"]["attributes"][0]["module"] = "nowhere"
    bad_path.write_bytes(pack(tensors, metadata | {"plan": json.dumps(plan)}))
    with pytest.raises(CodecError):
        load(bad_path, make())
    for odd in (
        {k: v for k, v in tensors.items() if k != name},
        tensors | {"more": torch.zeros(1)},
        tensors | {name: torch.zeros(1)},
    ):
        bad_path.write_bytes(pack(odd, metadata))
        with pytest.raises(IncompatibleError):
            load(bad_path, make())
    bad_path.write_bytes(pack(tensors, metadata | {"aliases": json.dumps({name: "nothing"})}))
    with pytest.raises(IncompatibleError):
        load(bad_path, make())


def test_metadata_of_other_types_is_no_file_of_ours(small_file):
    _, path = small_file
    good = path.read_bytes()
    body = good[8 + int.from_bytes(good[:8], "little") :]
    for meta in (7, [], {"sha256": 7}, {"sha256": ["a"]}):
        header = json.dumps({"__metadata__": meta}).encode()
        with pytest.raises(CodecError):
            unpack(len(header).to_bytes(8, "little") + header + body, "file")
