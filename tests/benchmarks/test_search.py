"""The page of searches, from records made up here."""

from benchmarks.search.page import page, picture


def record(search, seed, held_out, **changes):
    figures = {
        "test_dense": 0.92,
        "test_before": held_out - 0.01,
        "test_after": 0.9,
        "evaluations": 20,
        "different": 10,
    }
    return {"search": search, "seed": seed, "held_out": held_out, "seconds": 15.0, "reproduced": True,
            "course": [held_out - 0.1, held_out], **figures, **changes}  # fmt: skip


RECORDS = [
    record("uniform", 0, 0.5),
    record("uniform", 1, 0.52),
    record("amc", 0, 0.6, reproduced=False),
    record("amc", 1, 0.6),
]


def test_page():
    text = page(RECORDS)
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert rows[2].startswith("| uniform | 51.0 ± 1.4 | 50.0 ± 1.4 | 90.0 ± 0.0 | 20 | 10 | 1.50 | 2 of 2 |")
    assert rows[3].startswith("| amc | 60.0 ± 0.0 |") and rows[3].endswith("| 1 of 2 |")
    assert "Dense: 92.0 ± 0.0 on test pictures; 2 seed(s)." in text


def test_a_line_begins_when_something_fits():
    late = [record("netadapt", 0, 0.6, course=[-1.0, 0.6]), record("netadapt", 1, 0.5, course=[-1.0, 0.5])]
    assert picture(late).count("<polyline") == 1
    assert picture(RECORDS).count("<polyline") == 2
