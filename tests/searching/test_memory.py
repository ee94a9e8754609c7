"""Evaluations on disk: they survive a kill, come back as they were, and belong to one problem."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from secateur.core.errors import CodecError, IncompatibleError, UnsupportedError
from secateur.searching import Found, Journal, Memory, Study

PROBLEM = {"network": "abc", "budget": "0.5 macs", "seed": 0, "quality of the dense network": 0.9}
UNITS = {"a": 4, "b": 9}
SERVER = Path("/usr/lib/postgresql/15/bin")


def journal(folder, **changes):
    return Journal(folder / "journal.jsonl", {**PROBLEM, **changes})


def sqlite(folder, **changes):
    return Study(f"sqlite:///{folder / 'study.db'}", "one", {**PROBLEM, **changes}, UNITS)


STORES = pytest.mark.parametrize("store", [journal, sqlite])


@STORES
def test_comes_back(store, tmp_path):
    first = store(tmp_path)
    found = [({"a": 1, "b": 9}, Found(1 / 3, 0.25)), ({"a": 4, "b": 2}, Found(-7.5, 1e-3))]
    for counts, one in found:
        first.add(counts, one)
    assert store(tmp_path).read() == found


@STORES
def test_refuses_another_problem(store, tmp_path):
    store(tmp_path).add({"a": 1, "b": 1}, Found(0.5, 0.1))
    with pytest.raises(IncompatibleError, match=r"budget: '0.5 macs' there, '0.4 macs' here; seed: 0 there, 1 here"):
        store(tmp_path, budget="0.4 macs", seed=1)
    with pytest.raises(IncompatibleError, match=r"quality of the dense network: 0.9 there, 0.8 here"):
        store(tmp_path, **{"quality of the dense network": 0.8})
    assert store(tmp_path, **{"quality of the dense network": 0.9 + 1e-9}).read() != []


def test_a_line_cut_short_is_dropped(tmp_path):
    journal(tmp_path).add({"a": 1, "b": 1}, Found(0.5, 0.1))
    path = tmp_path / "journal.jsonl"
    whole = path.read_text()
    path.write_text(whole + '{"counts": {"a": 2, "b')
    again = journal(tmp_path)
    assert [counts for counts, _ in again.read()] == [{"a": 1, "b": 1}]
    again.add({"a": 3, "b": 3}, Found(0.6, 0.1))
    assert len(journal(tmp_path).read()) == 2
    assert path.read_text().startswith(whole)


def test_a_damaged_line_is_an_error(tmp_path):
    journal(tmp_path)
    path = tmp_path / "journal.jsonl"
    path.write_text(path.read_text() + "nonsense\n")
    with pytest.raises(CodecError, match="cannot be read"):
        journal(tmp_path)
    path.write_text(json.dumps({"schema": 99, "problem": PROBLEM}) + "\n")
    with pytest.raises(CodecError, match="no journal of schema 1"):
        journal(tmp_path)


def test_stores_complete_each_other(tmp_path):
    """What one of two stores lacks, after a kill between the two, is added to it."""
    file, study = journal(tmp_path), sqlite(tmp_path)
    file.add({"a": 1, "b": 1}, Found(0.1, 1.0))
    study.add({"a": 2, "b": 2}, Found(0.2, 2.0))
    memory = Memory((file, study), ("a", "b"))
    assert memory.found == {(1, 1): Found(0.1, 1.0), (2, 2): Found(0.2, 2.0)}
    assert sorted(c["a"] for c, _ in file.read()) == sorted(c["a"] for c, _ in study.read()) == [1, 2]


def test_unreachable_storage():
    with pytest.raises(UnsupportedError, match=r"oracle://you@there/name.*cannot be opened|driver"):
        Study("oracle://you:secret@there/name", "one", PROBLEM, UNITS)
    try:
        Study("oracle://you:secret@there/name", "one", PROBLEM, UNITS)
    except UnsupportedError as error:
        assert "secret" not in str(error)


DRIVER = next((d for d in ("psycopg2", "psycopg", "pg8000") if importlib.util.find_spec(d)), None)


@pytest.mark.skipif(DRIVER is None, reason="no driver for PostgreSQL (psycopg2, psycopg or pg8000) is installed")
@pytest.mark.skipif(not (SERVER / "pg_ctl").exists(), reason="no PostgreSQL server is installed")
@pytest.mark.slow
def test_postgresql(tmp_path):
    """Against a real server, started for the test on a socket of its own."""
    who = {"user": "postgres"} if os.geteuid() == 0 else {}
    data, sockets = tmp_path / "data", tmp_path / "sockets"
    sockets.mkdir()
    for folder in (tmp_path, sockets, *tmp_path.parents[:2]):
        folder.chmod(0o777)

    def server(*words):
        subprocess.run([str(SERVER / words[0]), *words[1:]], check=True, capture_output=True, **who)

    server("initdb", "-D", str(data), "-U", "postgres", "-A", "trust")
    server(
        "pg_ctl", "-D", str(data), "-w", "-l", str(data / "log"), "-o", f"-k {sockets} -c listen_addresses=", "start"
    )
    try:
        url = f"postgresql+{DRIVER}://postgres@/postgres?host={sockets}"
        first = Study(url, "one", PROBLEM, UNITS)
        first.add({"a": 1, "b": 9}, Found(1 / 3, 0.25))
        assert Study(url, "one", PROBLEM, UNITS).read() == [({"a": 1, "b": 9}, Found(1 / 3, 0.25))]
        with pytest.raises(IncompatibleError, match="seed"):
            Study(url, "one", {**PROBLEM, "seed": 1}, UNITS)
    finally:
        server("pg_ctl", "-D", str(data), "-m", "immediate", "stop")
        shutil.rmtree(data, ignore_errors=True)


@pytest.mark.slow
def test_survives_a_kill(tmp_path):
    """A process that is killed in its fifth evaluation, and goes on: the same trials as if nothing had happened."""
    script = Path(__file__).with_name("killed.py")

    def run(folder, *words):
        command = [sys.executable, str(script), str(tmp_path / folder), *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout

    assert run("broken", "5")[0] == -9
    assert len((tmp_path / "broken" / "journal.jsonl").read_text().splitlines()) == 5  # what it is, and four trials
    code, told = run("broken", "0")
    assert (code, told) == run("whole", "0")
    assert code == 0 and len(told.splitlines()) > 1
