"""The table of channels from records made up here, how long every row trains, and what its clock leaves out."""

import pytest
import torch

from benchmarks.structured import __main__ as command
from benchmarks.structured import run
from benchmarks.structured.methods import ENTRIES, EPOCHS, how_long
from benchmarks.structured.page import page


def record(method, seed, top1, choice=None):
    figure, after = choice or ENTRIES[method].chosen
    key = run.key_of(method, (figure, after), seed)
    return {**key, "dense": 90.0, "after the cut": 50.0, "top1": top1, "macs": 0.4987, "cost": 1.1}


def test_page():
    tried = [record("SSS", 0, 80.0, choice) for choice in ((0.03, 0.1), (0.01, 0.02))]
    text = page([record("SSS", 0, 88.0), record("SSS", 1, 89.0), record("SSS", 2, 10.0, choice=(7.0, 7.0))], tried)
    figure, after = ENTRIES["SSS"].chosen
    rows = [line for line in text.splitlines() if line.startswith("| SSS")]
    assert rows == [
        f"| SSS | scratch | {EPOCHS:g} | 2 | 0.499 | 90.00 ± 0.00 | 50.00 ± 0.00 | 88.50 ± 0.71 | -1.50 ± 0.71 | "
        "1.10 ± 0.00 x |",
        f"| SSS | strength | 0.01 at 0.02: 50.0, 80.0; 0.03 at 0.1: 50.0, 80.0 | {figure:g} at {after:g} |",
    ]


@pytest.mark.parametrize("name", ENTRIES)
def test_all_train_equally_long_at_half_the_macs(name):
    """But for the first row, which is told to be longer by a quarter."""
    assert how_long(name) == EPOCHS * (1.25 if "longer" in name else 1)
    entry = ENTRIES[name]
    for choice in {*entry.tried, entry.chosen}:
        made = entry.make(*choice)
        assert (made.budget.keep, made.budget.of) == (0.5, "macs")
        assert entry.start or made.sparsify is not None, "what starts from scratch trains before it is cut"


def test_the_clock_leaves_out_what_runs_beside(monkeypatch):
    """A second passes whenever anyone looks: the dense steps take one of them, and so does a look at the network."""
    now = iter(range(100))
    monkeypatch.setattr(run.time, "process_time", lambda: float(next(now)))
    monkeypatch.setattr(run, "train_", lambda *args: None)
    clock = run.Clock(torch.nn.Linear(1, 1), [], _began=0.0)
    for step in range(1, 81):
        clock.tick("sparsify", step, 80)
    clock.tick("calibrate", 40, 80)
    assert (clock.beside, clock.steps) == (2.0, 2 * run.TIMED)
    clock.look(torch.nn.Linear(1, 1))
    assert clock.paused == 3.0
    assert clock.seconds() == 6.0 - 3.0


def test_what_is_done_is_kept(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(
        command, "judged", lambda *key, choosing: asked.append(key) or record(key[0], key[2], 1.0, key[1])
    )
    for seed in (0, 0, 1):
        command._once(tmp_path / "records.jsonl", "SFP", (0, 2.0), seed, choosing=False)
    command._once(tmp_path / "records.jsonl", "SFP", (0, 1.0), 0, choosing=False)
    assert asked == [("SFP", (0, 2.0), 0), ("SFP", (0, 2.0), 1), ("SFP", (0, 1.0), 0)]
    assert [r["seed"] for r in run.read(tmp_path / "records.jsonl")] == [0, 1, 0]
