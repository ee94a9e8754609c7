"""Processes under limits: what they report survives the way they end."""

import sys
import textwrap

import pytest

from benchmarks.models.limits import Limits, join_, run

SAY = "from benchmarks.models.limits import say\n"


def outcome(program, limits=None):
    heard = []
    command = [sys.executable, "-c", SAY + textwrap.dedent(program)]
    return run(command, limits or Limits(), heard.append, environment={"COLOUR": "green"}), heard


def test_parts_become_one_record():
    record, heard = outcome("""
        import os
        print("noise of a library")
        say({"stage": "a", "plans": {"x": 1}})
        say({"stage": "b", "plans": {"y": 2}, "status": "checked", "colour": os.environ["COLOUR"],
             "threads": os.environ["OMP_NUM_THREADS"]})
    """)
    assert [part["stage"] for part in heard] == ["a", "b"]
    assert record.pop("wall_s") > 0
    assert record == {
        "stage": "b",
        "plans": {"x": 1, "y": 2},
        "status": "checked",
        "colour": "green",
        "threads": "1",
    }


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of CPU time is set by a call that only Linux has")
def test_a_process_that_never_ends_is_stopped_and_what_it_said_is_kept():
    record, _ = outcome(
        """
        say({"stage": "trace", "params": 7})
        while True: pass
    """,
        Limits(seconds=1),
    )
    assert (record["status"], record["params"], record["failure"]["stage"]) == ("timeout", 7, "trace")


def test_a_process_that_only_sleeps_is_stopped_by_the_clock():
    record, _ = outcome(
        """
        import time
        time.sleep(60)
    """,
        Limits(seconds=0.3),
    )
    assert record["status"] == "timeout"
    assert record["wall_s"] < 30


def test_a_process_that_dies_leaves_its_last_words():
    record, _ = outcome("""
        say({"stage": "cut"})
        raise SystemExit("out of luck")
    """)
    assert record["status"] == "killed"
    assert record["failure"] == {"stage": "cut", "error": "out of luck"}


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of memory is set by a call that only Linux has")
def test_memory_is_limited():
    record, _ = outcome(
        """
        import time
        time.sleep(0.5)  # the limit is set just after the start
        block = bytearray(3 * 2**30)
        say({"status": "checked"})
    """,
        Limits(gigabytes=2),
    )
    assert (record["status"], record["failure"]["error"]) == ("killed", "MemoryError")


def test_only_mappings_are_joined():
    record = {"a": {"x": 1}, "b": 1, "c": {"x": 1}}
    join_(record, {"a": {"y": 2}, "b": {"z": 1}, "c": "gone"})
    assert record == {"a": {"x": 1, "y": 2}, "b": {"z": 1}, "c": "gone"}
