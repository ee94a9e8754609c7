"""Units within weights along the whole line: compress, report, save and load."""

import pytest
import torch

import secateur
from secateur.bench.zoo.lenet import lenet5
from secateur.core.recipe import Recipe
from secateur.criteria import Magnitude
from secateur.files import load_plan, save_plan
from secateur.granularity import NM, Block, IntraKernel, Kernel, Shape, Vector
from secateur.methods import recipe

CONVOLUTIONS, REST = 25_500, 405_000


@pytest.mark.parametrize(
    ("units", "budget", "reached"),
    [
        (Kernel(), "0.5 macs", 0.5),
        (Vector(along="column"), "0.5 macs", 0.5),
        (Shape(), "0.5 macs", 0.5),
        (Block(size=10), "0.5 macs", 0.5),
        (Block(size=4, along="inputs"), "0.25 weights", 0.25),
        (NM(), "1 weights", (500 + 430_000 / 2) / 430_500),  # rows of the first convolution are 25 long
        (NM(n=1, m=4), "0.3 weights", (500 + 430_000 / 4) / 430_500),
        (IntraKernel(stride=5), "1 weights", (CONVOLUTIONS / 5 + REST) / 430_500),
    ],
    ids=repr,
)
def test_lenet5(tmp_path, units, budget, reached):
    torch.manual_seed(0)
    how = Recipe(
        criterion=Magnitude(),
        granularity=units,
        allocation=recipe("han2015").allocation,
        schedule=recipe("li2017").schedule,
    )
    made = secateur.compress(
        lenet5(), how, example_inputs=torch.zeros(1, 1, 28, 28), budget=budget, run=secateur.Run(runtimes=())
    )
    assert made.plan.provenance.reached == pytest.approx(reached, abs=2e-3)
    path = secateur.save(made.model, made.plan, tmp_path / "net.safetensors")
    network, plan = secateur.load(path, lenet5()), load_plan(save_plan(made.plan, tmp_path / "plan.json"))
    assert plan == made.plan and plan.granularity == units
    masks = plan.masks()
    assert all(not bool(p[~masks[n]].any()) for n, p in network.named_parameters() if n in masks)
    gone = sum(int((~mask).sum()) for mask in masks.values())
    assert made.report.after.nonzeros == 431_080 - gone == sum(int((p != 0).sum()) for p in network.parameters())
    pinned = {width.group for width in made.report.widths if width.pinned}
    assert pinned == set(units.omitted(plan.graph))
