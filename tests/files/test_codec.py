import json
import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.core.errors import CodecError
from secateur.core.plan import PruningPlan
from secateur.files import load_plan, plan_from_json, plan_to_json, save_plan
from secateur.files.json_index import index_from_json, index_to_json, mask_from_json, mask_to_json
from secateur.files.reading import Node
from secateur.granularity import Channel, Layer, Weight
from secateur.testing import case as cases


def same(a, b):
    assert a == b
    assert a.digest() == b.digest()
    assert a.provenance == b.provenance
    assert a.granularity == b.granularity
    assert list(a.graph.groups) == list(b.graph.groups)  # order of execution matters
    assert list(a.kept) == list(b.kept)
    assert all(torch.equal(a.kept[n], b.kept[n]) and b.kept[n].dtype == torch.bool for n in a.kept)


def test_round_trip(case, tmp_path):
    text = plan_to_json(case.plan)
    again = plan_from_json(text)
    same(case.plan, again)
    assert plan_to_json(again) == text
    assert again.graph.draw() == case.plan.graph.draw()
    same(case.plan, load_plan(save_plan(case.plan, tmp_path / "plan.json")))
    assert json.loads(text)["schema"] == 1


@pytest.mark.parametrize("granularity", [Weight(), Channel(over="all")])
def test_round_trip_of_other_granularities(lenet, granularity):
    kept = {b.name: torch.arange(b.units) % 3 > 0 for b in granularity.blocks(lenet.plan.graph)}
    plan = PruningPlan(kept, granularity, lenet.plan.graph)
    same(plan, plan_from_json(plan_to_json(plan)))


def test_round_trip_of_whole_modules():
    plan = PruningPlan({}, Layer(minimum=1), cases.residual().graph).keep("layers", [2])
    text = plan_to_json(plan)
    same(plan, plan_from_json(text))
    assert plan_from_json(text).removed == ("2", "3")
    record = json.loads(text)
    for bad in (["2", "2"], ["2", "2.conv1"], ["4"], ["2", 3], "2", [""]):
        record["graph"]["blocks"] = bad
        with pytest.raises(CodecError, match=r"plan\.graph\.blocks"):
            plan_from_json(json.dumps(record))


def test_plans_written_before_there_were_blocks(lenet):
    record = json.loads(plan_to_json(lenet.plan))
    del record["graph"]["blocks"]
    same(lenet.plan, plan_from_json(json.dumps(record)))


def test_odd_numbers_survive(lenet):
    how = replace(lenet.plan.provenance, reached=float("inf"), seed=2**63, asked={"conv1": 1 / 3}, frozen=("fc1",))
    plan = replace(lenet.plan, provenance=how)
    assert plan_from_json(plan_to_json(plan)).provenance == plan.provenance


def test_plans_of_the_first_version_are_read(lenet):
    record = json.loads(plan_to_json(lenet.plan))
    del record["provenance"]["asked"], record["provenance"]["frozen"]
    same(lenet.plan, plan_from_json(json.dumps(record)))
    del record["provenance"]["budget"]
    with pytest.raises(CodecError, match="lacks 'budget'"):
        plan_from_json(json.dumps(record))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.booleans(), max_size=40))
def test_masks(bits):
    keep = torch.tensor(bits, dtype=torch.bool)
    assert torch.equal(mask_from_json(Node(json.loads(json.dumps(mask_to_json(keep))), "m")), keep)


INDICES = [
    torch.arange(7)[:, None],
    torch.arange(7)[:, None] + 3,
    torch.arange(12).reshape(3, 4),
    torch.arange(12).reshape(4, 3).T.contiguous(),
    torch.tensor([[5, 1], [0, 2], [3, 4]]),
    torch.tensor([[4, 2]]),
    torch.zeros(3, 0, dtype=torch.long),
    torch.zeros(0, 1, dtype=torch.long),
]


@pytest.mark.parametrize("index", INDICES, ids=lambda x: "x".join(map(str, x.shape)))
def test_indices(index):
    written = json.loads(json.dumps(index_to_json(index)))
    read = index_from_json(Node(written, "i"), units=len(index), size=12)
    assert torch.equal(read, index)
    assert read.dtype == torch.long


@pytest.mark.parametrize(
    "written",
    [{"row": [0], "step": 5}, {"row": [12], "step": 0}, {"row": [-1], "step": 1}, {"rows": [[0], [1, 2], [3]]},
     {"rows": [[0], [1]]}, {"rows": [[0], [1], [99]]}, {"row": [0]}, [], 7, {"row": "a", "step": 1}],
)  # fmt: skip
def test_bad_indices(written):
    with pytest.raises(CodecError):
        index_from_json(Node(written, "i"), units=3, size=10)


def test_not_a_plan(tmp_path):
    for text in (
        "",
        "{",
        "[]",
        "null",
        "7",
        '"x"',
        "{}",
        '{"schema": 2}',
        '{"schema": true}',
        "[" * 100_000,
        '{"schema": 1}',
    ):
        with pytest.raises(CodecError):
            plan_from_json(text)
    (tmp_path / "bad.json").write_bytes(b"\xff\xfe")
    for path in (tmp_path / "none.json", tmp_path, tmp_path / "bad.json", tmp_path / "none.safetensors"):
        with pytest.raises(CodecError):
            load_plan(path)


def test_messages_say_where(lenet):
    record = json.loads(plan_to_json(lenet.plan))
    record["graph"]["groups"]["conv1"]["multiple"] = "two"
    with pytest.raises(CodecError, match=r"plan\.graph\.groups\['conv1'\]\.multiple must be a whole number.*'two'"):
        plan_from_json(json.dumps(record))
    del record["graph"]["fingerprint"]
    with pytest.raises(CodecError, match=r"plan\.graph lacks 'fingerprint'"):
        plan_from_json(json.dumps(record))


def test_unknown_granularity_and_fields(lenet):
    record = json.loads(plan_to_json(lenet.plan))
    for bad in ({"name": "petal", "fields": {}}, {"name": "channel", "fields": {"over": "some"}},
                {"name": "channel", "fields": {"under": "all"}}, {"name": "weight", "fields": {}}):  # fmt: skip
        with pytest.raises(CodecError):
            plan_from_json(json.dumps(record | {"granularity": bad}))


def places(value, path=()):
    yield path
    for key, x in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(x, (*path, key))


def test_every_place_may_be_wrong_without_another_error(lenet):
    """Whatever stands anywhere, reading gives a plan or a CodecError, never another exception."""
    text = plan_to_json(lenet.plan)
    rng = random.Random(0)
    for path in list(places(json.loads(text)))[1:]:
        for bad in rng.sample([None, -1, 10**30, 0, 3, "x", "", [], {}, [[]], True, 0.5, {"a": 1}, ["conv1", 1]], 4):
            record = json.loads(text)
            inner = record
            for key in path[:-1]:
                inner = inner[key]
            if bad == {} and rng.random() < 0.5:
                del inner[path[-1]]
            else:
                inner[path[-1]] = bad
            try:
                plan_from_json(json.dumps(record)).digest()
            except CodecError:
                continue
