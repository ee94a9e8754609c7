"""Pictures of lines: what is drawn lies where it should."""

from xml.etree import ElementTree

from secateur.report.lines import Axes, lines_svg, sensitivity_svg
from secateur.searching import Sensitivities

SVG = "{http://www.w3.org/2000/svg}"


def lines_of(text):
    tree = ElementTree.fromstring(text)
    points = [
        [tuple(map(float, p.split(","))) for p in line.get("points").split()] for line in tree.iter(f"{SVG}polyline")
    ]
    return points, [t.text for t in tree.iter(f"{SVG}text")]


def test_points_and_words():
    lines, words = lines_of(
        lines_svg({"a<b": [(0, 0), (10, 1)], "c": [(5, 0.5), (10, float("-inf"))]}, Axes("T&T", "x", "y"))
    )
    assert "a<b" in words and "T&T" in words
    (left, bottom), (right, top) = lines[0]
    assert left < right and top < bottom
    assert lines[1] == [((left + right) / 2, (bottom + top) / 2)]


def test_one_value_and_none():
    assert lines_of(lines_svg({"a": [(1, 2)]}, Axes("", "", "")))[0][0]
    assert lines_of(lines_svg({}, Axes("", "", "")))[0] == []


def test_sensitivity():
    lines, words = lines_of(sensitivity_svg(Sensitivities(0.9, {f"block {n}": ((0.5, 0.8),) for n in range(12)})))
    assert len(lines) == 12 and "block 11" in words
