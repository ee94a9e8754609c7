# ruff: noqa: RUF001  the signs are those that readers of a report see

from dataclasses import replace

import pytest

from secateur.report.numbers import factor, milliseconds, signed
from secateur.report.rows import rows
from secateur.report.sentences import headline, notes

FEWER = ("fewer", "more")


@pytest.mark.parametrize(
    ("after", "before", "text"),
    [
        (1, 4.1, "4.1 × fewer"),
        (2, 1, "2.0 × more"),
        (3, 3, "unchanged"),
        (0, 3, "—"),
        (10, 10.7, "1.07 × fewer"),
        (1, 127.4, "127 × fewer"),
    ],
)
def test_factor(after, before, text):
    assert factor(after, before, FEWER) == text


def test_signed():
    assert [signed(x, ".2f") for x in (0.0512, -0.0512, 0.0, -0.001)] == ["+0.05", "−0.05", "±0.00", "±0.00"]
    assert milliseconds(0.1234, 12.34) == "0.123 (12.3) ms"


def test_rows(report):
    found = {row.label: row for row in rows(report)}
    assert found["top-1"].before == "99.08 %"
    assert found["top-1"].change == "−0.05 points"
    assert found["top-1"].controls == ("97.00 %",)
    assert (found["psnr"].before, found["psnr"].change, found["psnr"].controls) == ("31.5", "−1.25", ("—",))
    assert found["parameters"].change == "4.3 × fewer"
    assert found["parameters"].share == pytest.approx(100_000 / 431_080)
    assert found["non-zero"].after == "99,000"
    assert (found["compression"].after, found["compression"].controls) == ("4.4 ×", ("4.3 ×",))
    assert found["MACs"].change == "4.1 × fewer"
    assert found["bytes on disk"].change == "4.3 × smaller"
    assert found["torch p50 (p90)"].after == "0.100 (0.120) ms"
    assert found["torch p50 (p90)"].change == "3.2 × faster"
    assert found["onnxruntime p50 (p90)"].change == "2.0 × slower"  # bad news is news
    assert found["torch p50 (p90)"].controls == ("—",)


def test_headline(report):
    assert (
        headline(report)
        == "4.1 × fewer MACs, 3.2 × faster in torch, 2.0 × slower in onnxruntime, top-1 99.08 → 99.03 %"
    )
    same = replace(report, after=replace(report.before, nonzeros=43_108))
    assert (
        headline(same)
        == "10.0 × fewer non-zero parameters, 1.0 × as fast in torch, 1.0 × as fast in onnxruntime, top-1 99.08 → 99.08 %"
    )
    bare = replace(report.before, latency=(), quality={})
    assert headline(replace(report, before=bare, after=bare)) == "as many MACs and parameters as before"


def test_notes(report):
    text = " ".join(notes(report))
    assert "asked to keep 0.25 of the MACs, kept 0.2439" in text
    assert "give the same answers" in text
    assert "3.1e-07" in text
    assert "cpu (Abacus | <b>9000</b>), 1 thread, batch 4, 1,234 passes" in text
    assert "aten.roll (2)" in text
    assert "not compared" in " ".join(notes(replace(report, equivalence=float("nan"))))
    assert "do not give the same answers" in " ".join(notes(replace(report, equivalence=0.2)))
    assert "do not give the same answers" in " ".join(notes(replace(report, equivalence=float("inf"))))
