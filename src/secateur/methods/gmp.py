"""Small weights go while the network trains, a little more every so many steps."""

from __future__ import annotations

from secateur.allocation import Uniform
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Magnitude
from secateur.granularity import Weight
from secateur.methods.base import method
from secateur.schedules import Cubic
from secateur.surgeries import Gradual


@method("gmp")
def gmp() -> Recipe:
    """Gradual magnitude pruning of weights.

    Paper:    Zhu and Gupta, *To Prune, or Not to Prune*, ICLR Workshop 2018. arXiv:1710.01878
    Reported: MobileNet on ImageNet with 75 % of its weights removed: 1.09 M non-zeros, top-1 67.7 %; a dense network of
              half the width has 1.32 M and 63.7 %
    Differs:  starts from a trained network and takes four epochs; first and depthwise layers are not left dense
    """
    return Recipe(
        criterion=Magnitude(p=1),
        granularity=Weight(),
        allocation=Uniform(),
        schedule=Cubic(),
        budget=Budget("0.1 weights"),
        sparsify=FineTune(epochs=4, lr=0.02),
        surgery=Gradual(every=20),
        finetune=FineTune(epochs=1, lr=0.005),
        paper=Paper("zhu2018"),
    )
