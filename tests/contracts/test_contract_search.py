"""The contract of searches, over everything registered."""

import pytest

from secateur.search import SEARCHES
from secateur.testing import SearchContract


@pytest.mark.parametrize("search", [one for kind in SEARCHES.values() for one in kind.examples()], ids=repr)
class TestSearches(SearchContract):
    pass
