import pytest

from secateur.core.errors import UnknownNameError
from secateur.core.paper import Paper


def test_cites_in_one_line():
    assert Paper("li2017").cite() == (
        "Li, Kadav, Durdanovic, Samet, Graf, Pruning Filters for Efficient ConvNets, ICLR 2017. arXiv:1608.08710"
    )


def test_unknown():
    with pytest.raises(UnknownNameError, match="'nobody1900'"):
        Paper("nobody1900").cite()
