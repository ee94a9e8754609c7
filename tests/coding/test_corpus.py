"""Files of past versions, which must read for ever, and mutated ones, which must be refused as they were."""

import base64
import json
from pathlib import Path

import pytest

from benchmarks.coding.corpus import outcome
from benchmarks.coding.fuzz import fuzz, originals
from secateur.coding.container import from_bytes

FOLDER = Path(__file__).parent / "corpus"
RECORDS = {name: json.loads((FOLDER / f"{name}.json").read_text()) for name in ("schema-1", "mutated")}


@pytest.mark.parametrize("record", RECORDS["schema-1"], ids=lambda one: str(one["number"]))
def test_files_of_schema_1_give_the_same_tensors(record):
    assert record["tensors"] is not None
    assert outcome(base64.b64decode(record["content"])) == record["tensors"]


def test_equal_tensors_still_give_the_same_streams():
    """Not a promise to users; but a change of the coder must be meant. Headers are deflated, which libraries may vary."""
    for record, now in zip(RECORDS["schema-1"], originals(), strict=True):
        assert from_bytes(base64.b64decode(record["content"]), "then") == from_bytes(now, "now")


@pytest.mark.parametrize("record", RECORDS["mutated"], ids=lambda one: f"{one['kind']} {one['number']}")
def test_mutated_files_have_the_same_outcome(record):
    assert outcome(base64.b64decode(record["content"])) == record["tensors"]
    assert record["tensors"] is None or record["kind"].startswith("forged")


def test_mutations():
    """A few hundred new ones; `make bench-coding` reads 200,000."""
    found = fuzz(400, seed=1)
    assert found.crashes == []
    assert found.silent == []
    assert sum(found.kinds.values()) == 400
    assert sum(found.refused.values()) + sum(found.read.values()) + found.unchanged == 400
    assert found.slowest < 5
