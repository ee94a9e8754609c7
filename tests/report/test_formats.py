# ruff: noqa: RUF001  the signs are those that readers of a report see

import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from rich.console import Console

from secateur.core.errors import CodecError
from secateur.core.report import CompressionReport, Measurement, Width
from secateur.report import markdown, read_json, table, widths_table, write_html, write_json
from secateur.report.html import bars, html, one_argument_a_line

EMPTY = Measurement(0, 0, 0, 0)
BARE = CompressionReport(EMPTY, EMPTY, (), "", 1.0, float("nan"), "", "")


def printed(found):
    console = Console(width=200, record=True, file=open("/dev/null", "w", encoding="utf-8"))  # noqa: PTH123, SIM115
    with console.file:
        console.print(found)
        return console.export_text()


def test_table(report):
    text = printed(table(report))
    for part in (
        "99.03 %",
        "−0.05 points",
        "random channels",
        "3.2 × faster",
        "asked to keep 0.25",
        "3.1e-07",
        "1 thread",
    ):
        assert part in text


def test_widths_table(report):
    odd = replace(report, widths=(*report.widths, Width("[red]x[/]", 3, 3)))
    text = printed(widths_table(odd))
    assert "[red]x[/]" in text
    assert "is an output of the model" in text
    assert re.search(r"conv1 +│ +20 │ +12 │ +62\.1 % │ +60\.0 % │ +│", text)
    assert re.search(r"fc1 +│ +500 │ +500 │ +— │ +100\.0 % │ frozen by the constraints", text)


def test_markdown(report):
    text = markdown(report)
    assert "| top-1 | 99.08 % | **99.03 %** | −0.05 points | 97.00 % |" in text
    assert "Abacus \\| &lt;b>9000" in text
    assert "| `conv1` | 20 | 12 | 62.1 % | 60.0 % |  |" in text
    assert "| `fc1` | 500 | 500 | — | 100.0 % | frozen by the constraints |" in text
    assert "<script>" not in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in rows}) == 2  # two tables, each of even width


def test_json_round_trip(report, tmp_path):
    path = write_json(report, tmp_path / "report.json")
    assert read_json(path) == report
    odd = replace(report, equivalence=float("inf"), after=replace(report.after, quality={"x": float("-inf")}))
    assert read_json(write_json(odd, path)) == odd
    assert str(read_json(write_json(BARE, path)).equivalence) == "nan"


@pytest.mark.parametrize(
    ("old", "new"),
    [('"schema": 1', '"schema": 2'), ('"schema": 1', '"scheme": 1'), ('"macs": 559268', '"macs": "many"'), ('"macs"', '"mags"'),
     ('"budget": "0.25 macs"', '"budget": 7'), ("{", "["), ('"before": 20', '"before": -20'), ("conv1", "\x00")],
)  # fmt: skip
def test_damaged_json(report, tmp_path, old, new):
    path = write_json(report, tmp_path / "report.json")
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(CodecError):
        read_json(path)


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.open, self.attributes, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "br", "link", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_reports_of_the_first_version_are_read(report, tmp_path):
    path = write_json(report, tmp_path / "report.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    for width in record["widths"]:
        del width["asked"], width["frozen"]
    path.write_text(json.dumps(record), encoding="utf-8")
    assert next((w.group, w.asked, w.frozen) for w in read_json(path).widths) == ("conv1", None, False)


def test_page(report, tmp_path):
    path = write_html(report, tmp_path / "report.html")
    text = path.read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []  # every tag is closed
    assert page.tags.count("title") == 1
    assert "4.1 × fewer MACs, 3.2 × faster in torch, 2.0 × slower in onnxruntime, top-1 99.08 → 99.03 %" in text
    words = " ".join(page.text)
    for part in ("12 / 20", "asked 62.1 %, reached 60.0 %", "frozen by the constraints", "is an output of the model", "random channels", "arXiv:1906.10771", "criterion=Taylor()", "abc123",
                 "give the same answers", "Abacus | <b>9000</b>", "<script>alert(1)</script>", "aten.roll"):  # fmt: skip
        assert part in words, part


def test_page_is_self_contained_and_safe(report):
    text = html(report)
    page = Page()
    page.feed(text)
    assert not {"script", "link", "img", "iframe", "object", "b"} & set(page.tags)
    assert not re.search(r"https?://|\bsrc\s*=|\bhref\s*=|url\(|@import", text)
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "prefers-color-scheme: dark" in text


def test_page_of_an_empty_report():
    text = html(BARE)
    for heading in ("Widths", "Recipe", "Papers", "Environment"):
        assert f"<h2>{heading}" not in text
    assert printed(table(BARE))
    assert markdown(BARE)


def test_bars(report):
    found = bars(report.widths)
    assert [(b.numbers, b.kept) for b in found] == [
        ("12 / 20", 60.0),
        ("20 / 50", 40.0),
        ("500 / 500", 100.0),
        ("10 / 10", 100.0),
    ]
    assert [b.asked for b in found] == ["asked 62.1 %, reached 60.0 %", "", "", ""]
    assert [b.pinned for b in found] == ["", "", "frozen by the constraints", "is an output of the model"]
    assert max(b.length for b in found) == 100.0


def test_recipe_lines():
    text = "Recipe(criterion=Taylor(), repair=(A(1, 2), B()))"
    assert one_argument_a_line(text) == "Recipe(\n    criterion=Taylor(),\n    repair=(A(1, 2), B())\n)"
    assert one_argument_a_line("") == ""


def test_importing_loads_nothing_heavy():
    code = "import sys, secateur, secateur.report, secateur.files, secateur.measure; print([m for m in ('onnx','onnxruntime','jinja2','rich') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
