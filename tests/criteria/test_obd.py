import pytest
import torch

from benchmarks.criteria.oracles import obd
from secateur.core.errors import IncompatibleError
from secateur.core.evidence import Evidence
from secateur.criteria import OBD
from secateur.evidence import FisherDiagonal, GaussNewtonDiagonal, HessianDiagonal, Weight


def test_against_losses_hessians_and_squares():
    assert obd.error() < 1e-12


def test_reads_what_it_names_and_nothing_else():
    kinds = {"gauss_newton": GaussNewtonDiagonal, "hutchinson": HessianDiagonal, "fisher": FisherDiagonal}
    for name, kind in kinds.items():
        evidence = Evidence({Weight: {"w": torch.tensor([2.0, -1.0])}, kind: {"w": torch.tensor([3.0, -4.0])}}, 1)
        assert OBD(hessian=name).saliency("w", evidence).tolist() == [6.0, 0.0]
        assert OBD(hessian=name).needs == (Weight, kind)


def test_unknown_hessian():
    with pytest.raises(IncompatibleError, match="gauss_newton, hutchinson, fisher"):
        OBD(hessian="exact")
