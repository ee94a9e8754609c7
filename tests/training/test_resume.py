"""Killed at any step and started again, a run ends with the weights of one that was never interrupted, bit for bit."""

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

import secateur
from secateur.bench.tasks.images import Batches, Split
from secateur.core.budget import Budget
from secateur.core.errors import CodecError, IncompatibleError
from secateur.core.recipe import FineTune
from secateur.granularity import Channel
from secateur.regularizers import BNL1
from secateur.run import Run
from secateur.schedules import Cubic, Geometric
from secateur.surgeries import Dynamic, Gradual, Moving, RigL
from secateur.testing.surgery import recipe
from secateur.training import Checkpoint, train_

HOURS = 1e6


class Net(nn.Module):
    """Dropout makes the global random state matter, batch norm makes buffers matter."""

    def __init__(self):
        super().__init__()
        self.a, self.norm, self.b, self.c = nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.Conv2d(6, 8, 3), nn.Linear(8, 4)

    def forward(self, x):
        x = self.b(self.norm(self.a(x)).relu()).relu().mean((2, 3))
        return self.c(nn.functional.dropout(x, 0.2, self.training))


def net():
    torch.manual_seed(1)
    return Net()


def batches():
    drawn = torch.Generator().manual_seed(0)
    split = Split(torch.randn(48, 1, 8, 8, generator=drawn), torch.randint(0, 4, (48,), generator=drawn))
    return Batches(split, 8)


def how(name):
    train = FineTune(epochs=3, lr=0.05)
    made = replace(recipe(Gradual(every=2), keep="0.4 weights"), sparsify=train, finetune=train)
    return {
        "gradual": made,
        "dynamic": replace(made, surgery=Dynamic(gamma=0.1)),
        "rigl": replace(made, surgery=RigL(every=2), sparsify=replace(train, optimizer="adam", lr=0.01)),
        "moving": replace(made, surgery=Moving(every=3), schedule=Cubic(steps=1)),
        "rounds": replace(made, surgery=None, sparsify=None, granularity=Channel(), schedule=Geometric(steps=3)),
        "charged": replace(made, surgery=None, regularizer=BNL1(strength=0.01), granularity=Channel()),
        "lottery": replace(made, surgery=None, schedule=Geometric(steps=3), rewind=0.5),
    }[name]


class Killed(BaseException):
    """The process is gone: nothing catches this."""


def killing(after):
    """A progress that kills after so many training steps of all stages."""
    left = [after]

    def progress(what, done, total):
        if what.startswith(("sparsify", "fine-tune")):
            left[0] -= 1
            if left[0] < 0:
                raise Killed

    return progress


def made(kind, path=None, *, resume=False, kill=10**9, monkeypatch=None):
    run = Run(runtimes=(), checkpoint=path, resume=resume, progress=killing(kill))
    budget = Budget("0.5 units") if isinstance(how(kind).granularity, Channel) else Budget("0.4 weights")
    return secateur.compress(
        net(), how(kind), example_inputs=torch.zeros(1, 1, 8, 8), budget=budget, data=batches(), seed=3, run=run
    )


@pytest.mark.parametrize("kind", ["gradual", "dynamic", "rigl", "moving", "rounds", "charged", "lottery"])
def test_killed_and_resumed(kind, tmp_path, monkeypatch):
    monkeypatch.setattr(Checkpoint, "due", property(lambda self: True))
    wanted = made(kind)
    for after in random.Random(kind).sample(range(36), 3):
        path = tmp_path / f"{after}.pt"
        with pytest.raises(Killed):
            made(kind, path, kill=after)
        torch.manual_seed(random.randrange(2**31))
        found = made(kind, path, resume=True)
        assert found.plan == wanted.plan
        states = found.model.state_dict(), wanted.model.state_dict()
        assert states[0].keys() == states[1].keys()
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[0]), after


def test_saved_rarely(tmp_path):
    """What was done since the last save is done again, with the same result."""
    wanted = made("gradual")
    with pytest.raises(Killed):
        made("gradual", tmp_path / "c.pt", kill=29)  # half a minute has not passed: only the starts of stages are saved
    found = made("gradual", tmp_path / "c.pt", resume=True)
    assert all(torch.equal(v, wanted.model.state_dict()[n]) for n, v in found.model.state_dict().items())


def test_without_resume_it_starts_anew(tmp_path):
    with pytest.raises(Killed):
        made("gradual", tmp_path / "c.pt", kill=5)
    with pytest.raises(Killed):
        made("gradual", tmp_path / "c.pt", kill=35)  # were it resumed, 36 steps would not take 35 again


def test_checkpoint_of_other_work_is_refused(tmp_path):
    with pytest.raises(Killed):
        made("gradual", tmp_path / "c.pt", kill=5)
    with pytest.raises(IncompatibleError, match="belongs to other work"):
        made("rounds", tmp_path / "c.pt", resume=True)


def test_broken_checkpoint_is_refused(tmp_path):
    (tmp_path / "c.pt").write_bytes(b"nothing of the kind")
    with pytest.raises(CodecError, match="not a checkpoint that can be read"):
        made("gradual", tmp_path / "c.pt", resume=True)


def test_a_shuffling_loader_resumes_in_the_middle_of_an_epoch(tmp_path):
    """A DataLoader has no state to save: its order follows from torch's random state, which is saved."""
    drawn = torch.Generator().manual_seed(0)
    data = torch.utils.data.TensorDataset(
        torch.randn(40, 3, generator=drawn), torch.randint(0, 2, (40,), generator=drawn)
    )

    def trained(checkpoint=None, kill=10**9):
        torch.manual_seed(5)
        model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.3), nn.Linear(4, 2))
        loader = torch.utils.data.DataLoader(data, batch_size=4, shuffle=True)

        def progress(what, done, total):
            if done > kill:
                raise Killed

        train_(model, loader, FineTune(epochs=3), checkpoint=checkpoint, progress=progress)
        return [p.detach().clone() for p in model.parameters()]

    wanted = trained()
    for kill in (1, 9, 10, 14, 29):
        with pytest.raises(Killed):
            trained(Checkpoint(tmp_path / "c.pt", "t", seconds=0), kill)
        found = trained(Checkpoint(tmp_path / "c.pt", "t", resume=True, seconds=0))
        assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True)), kill


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {folder!r})
import torch
torch.set_num_threads(1)
import test_resume as t
t.Checkpoint.due = property(lambda self: True)
done = t.made("gradual", Path(sys.argv[1]), resume=True)
torch.save([p for p in done.model.state_dict().values()], sys.argv[2])
"""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_sigkill_at_twenty_random_points(tmp_path):
    """The real thing: a process of its own, killed by the system at random moments, over and over."""
    script = tmp_path / "run.py"
    script.write_text(SCRIPT.format(folder=str(Path(__file__).parent)))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def start(name):
        command = [sys.executable, str(script), str(tmp_path / f"{name}.pt"), str(tmp_path / f"{name}.out")]
        return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)

    began = time.monotonic()
    assert start("whole").wait() == 0
    whole = time.monotonic() - began
    wanted = torch.load(tmp_path / "whole.out")
    killed = 0
    drawn = random.Random(0)
    while killed < 20:
        process = start(f"cut{killed}")
        time.sleep(whole * drawn.uniform(0.5, 0.98))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        if process.wait() == 0:
            (tmp_path / f"cut{killed}.pt").unlink()
            continue
        assert start(f"cut{killed}").wait() == 0
        found = torch.load(tmp_path / f"cut{killed}.out")
        assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
        killed += 1
