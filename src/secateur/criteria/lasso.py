"""Channel pruning by the lasso: channels matter from the penalty on under which the next layer still wants them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from secateur.core.contracts import Collector, Traits, UnitCriterion
from secateur.core.errors import UnsupportedError
from secateur.core.evidence import Evidence
from secateur.core.groups import Group
from secateur.core.paper import Paper
from secateur.criteria.base import contributions, criterion
from secateur.evidence import InputGram, Weight

#: Added to the squares, as a share of their mean, where some channels follow from others.
_RIDGE = 1e-8
#: Channels whose difference has no larger a square, as a share of the mean one, are the same.
_SAME = 1e-13


@criterion("lasso")
@dataclass(frozen=True, kw_only=True)
class Lasso(UnitCriterion):
    """The largest penalty under which a channel still has a part in the outputs of the next layer.

    Paper:   He, Zhang, Sun, *Channel Pruning for Accelerating Very Deep Neural Networks*, ICCV 2017, Eq. 1 and 2.
             arXiv:1707.06168
    Formula: b(l) = argmin_b E[ || Y - sum_c b_c Z_c || ^ 2 ] / 2 + l ||b||_1, Z_c = W_c * x_c, Y = sum_c Z_c;
             s_c = max{ l : b_c(l) is not 0 }, l in units of the mean over c of E[ || Z_c || ^ 2 ]
    Shapes:  group -> scores (units,)
    Cost:    outputs * entries^2 for each layer that reads the group, then about units^3 for the whole path by least
             angles; memory of `InputGram`
    Differs: the paper raises the penalty until few enough channels are left; the whole path is followed here, so that
             one ranking serves all budgets. It chooses the same channels wherever none that entered the path has left
             it again. All layers see the inputs of the dense network, where the paper goes from layer to layer. Of a
             residual stream the outputs of all layers that read it are reconstructed together, and a channel goes from
             the whole stream; the paper reconstructs sums and samples channels in front of the first layer of a block.
             Fitting the weights that stay is a repair: `least_squares`

    Needs scikit-learn: `pip install secateur[recon]`.

    Example:
        >>> Lasso.traits.data_free
        False
    """

    paper: ClassVar[Paper | None] = Paper("he2017")
    needs: ClassVar[tuple[type[Collector], ...]] = (Weight, InputGram)
    # Where units follow from others, what enters the path first is up to rounding.
    traits: ClassVar[Traits] = Traits(rescale_invariant=True, permutation_equivariant=False, data_free=False)

    def score(self, group: Group, evidence: Evidence) -> Tensor:
        """Where each unit enters the path; 0 for those that never do."""
        moments = contributions(group, evidence)
        found = torch.zeros(group.units, dtype=torch.float64)
        some = moments.diagonal() > 0
        if bool(some.any()):
            found[some] = _entries(moments[some][:, some])
        return found


def _entries(moments: Tensor) -> Tensor:
    """The largest penalty at which each coefficient is not zero, for targets that are the sum of all regressors."""
    try:
        from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415  an extra
        from sklearn.linear_model import lars_path_gram  # noqa: PLC0415
    except ImportError as error:
        raise UnsupportedError(
            "the criterion 'lasso' needs scikit-learn, which is not installed. Run pip install 'secateur[recon]', or "
            "choose thinet, which reconstructs the same outputs without it."
        ) from error

    squares = moments.diagonal()
    apart = squares[:, None] + squares[None] - 2 * moments
    # Equal channels share a coefficient, and the path is that of one of them; its library does not know ties.
    first = (apart <= _SAME * squares.mean()).int().argmax(1)
    some = first.unique()
    gram = (moments[some] / squares.mean()).numpy()  # the path's tolerances are absolute
    answers, gram = gram.sum(1), gram[:, some.numpy()]

    def path(ridge: float) -> tuple[np.ndarray, np.ndarray]:
        penalties, _, coefficients = lars_path_gram(
            answers,
            gram + ridge * np.eye(len(gram)),
            n_samples=1,
            method="lasso",
            max_iter=8 * len(gram) + 8,  # every unit comes in once, and some leave and come again
        )
        return penalties, coefficients

    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            penalties, coefficients = path(0.0)
        except ConvergenceWarning:
            warnings.simplefilter("ignore", ConvergenceWarning)
            penalties, coefficients = path(_RIDGE)
    knots = np.where(coefficients[:, 1:] != 0, penalties[:-1], 0.0).max(1, initial=0.0)
    found = torch.zeros(len(moments), dtype=torch.float64)
    found[some] = torch.from_numpy(knots)
    return found[first]
