"""The contract of schedules, over everything registered."""

import pytest

from secateur.schedules import SCHEDULES
from secateur.testing import ScheduleContract


@pytest.mark.parametrize("schedule", [one for kind in SCHEDULES.values() for one in kind.examples()], ids=repr)
class TestSchedules(ScheduleContract):
    pass
