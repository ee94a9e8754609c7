"""A search in a process of its own that kills itself in the middle of an evaluation; run by test_memory."""

import os
import signal
import sys

import torch
from torch import nn

import secateur
from secateur.criteria import Magnitude
from secateur.granularity import Channel
from secateur.search import Genetic

folder, after = sys.argv[1], int(sys.argv[2])
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(6, 19), nn.ReLU(), nn.Linear(19, 18), nn.ReLU(), nn.Linear(18, 3)).eval()
x = torch.randn(16, 6, generator=torch.Generator().manual_seed(1))
wanted = model(x).detach()
calls = []


def quality(network):
    calls.append(network)
    if after and len(calls) == after + 1:  # the first is of the dense network
        os.kill(os.getpid(), signal.SIGKILL)
    return -float((network(x).detach() - wanted).square().mean())


found = secateur.search(
    model,
    (Magnitude(p=1), Channel()),
    "0.5 macs",
    example_inputs=x[:1],
    quality=quality,
    how=Genetic(population=4),
    run=secateur.SearchRun(evaluations=14, out=folder, repair=()),
)
for trial in found.history:
    print(trial)
print(found.plan.digest())
