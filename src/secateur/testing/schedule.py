"""The contract of schedules."""

from __future__ import annotations

from secateur.core.contracts import Schedule
from secateur.testing.criterion import check_docstring, check_value

_FINALS = (0.01, 0.1, 1 / 3, 0.5, 0.9, 1.0)
_TIMES = tuple(step / 50 for step in range(51))


class ScheduleContract:
    """What every schedule promises. Subclass it, and parametrise `schedule` or define it as a fixture."""

    def test_ends_at_final(self, schedule: Schedule) -> None:
        """At time one exactly the final fraction is kept."""
        assert all(schedule.keep(1.0, final) == final for final in _FINALS)

    def test_never_rises(self, schedule: Schedule) -> None:
        """What was removed stays removed."""
        for final in _FINALS:
            course = [schedule.keep(t, final) for t in _TIMES]
            assert course == sorted(course, reverse=True)

    def test_stays_between_final_and_one(self, schedule: Schedule) -> None:
        """Never less than asked for, never more than there is."""
        for final in _FINALS:
            assert all(final <= schedule.keep(t, final) <= 1 for t in _TIMES)

    def test_keeping_all_is_constant(self, schedule: Schedule) -> None:
        """A final fraction of one is one throughout."""
        assert all(schedule.keep(t, 1.0) == 1 for t in _TIMES)

    def test_pure(self, schedule: Schedule) -> None:
        """The same question gets the same answer, in any order."""
        forth = [schedule.keep(t, 0.3) for t in _TIMES]
        back = [schedule.keep(t, 0.3) for t in reversed(_TIMES)]
        assert forth == back[::-1]

    def test_rounds(self, schedule: Schedule) -> None:
        """There is at least one round."""
        assert isinstance(schedule.rounds, int)
        assert schedule.rounds >= 1

    def test_value(self, schedule: Schedule) -> None:
        """A schedule is a value: its repr makes it again; it pickles, hashes and copies."""
        check_value(schedule)

    def test_docstring(self, schedule: Schedule) -> None:
        """The docstring states the formula, and cites where a paper is named."""
        sections = ("Formula", "Example") if schedule.paper is None else ("Paper", "Formula", "Differs", "Example")
        check_docstring(type(schedule), sections)
        assert schedule.paper is None or schedule.paper.cite()
