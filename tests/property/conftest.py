"""Derandomised by default; `SECATEUR_EXAMPLES=5000 pytest tests/property` searches for new failures."""

import os
from collections.abc import Iterator

import pytest
import torch
from hypothesis import HealthCheck, settings

MORE = os.environ.get("SECATEUR_EXAMPLES")
settings.register_profile(
    "secateur",
    max_examples=int(MORE or 150),
    derandomize=MORE is None,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("secateur")


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
