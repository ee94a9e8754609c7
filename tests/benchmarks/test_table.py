"""What records say, and the page that is written from them."""

import pytest

from benchmarks.models import judge
from benchmarks.models.runner import Screen
from benchmarks.models.store import append, lines, read
from benchmarks.models.table import beside, less, page, times, troubles, zoos


def plan(status="equal", again="equal", difference=1e-15, **more):
    return {"status": status, "difference": difference, "recheck": {"status": again, "difference": 2e-15}, **more}


def record(name, zoo="timm", **more):
    plans = {"uniform": plan(macs=0.25, params=0.3), "random 0": plan(), "random 1": plan(), "global": plan(macs=0.52)}
    base = {
        "zoo": zoo, "name": name, "status": "checked", "revision": "abc", "versions": "torch 2.13.0", "input": "64 px", "params": 1000,
        "trace_s": 0.5, "prunable": 0.9, "groups": 5, "cuttable": 3, "training": "answers",
        "pinned": [["is an output of the model", 10]], "keeps": {"flags": "", "untouched": ""},
    }  # fmt: skip
    return {**base, **more, "plans": plans | more.get("plans", {})}


def keyed(*records):
    return {(r["zoo"], r["name"]): r for r in records}


FINE = record("fine", rescalings=10, trace_s=2.0, plans={"uniform": plan(macs=0.25, plan_s=1.0, verify_s=4.0)})
REFUSED = record("refused", plans={"random 1": plan("differs", "differs", 0.2, error="they differ by 0.2")})
ALARM = record("alarm", rescalings=4, plans={"global": plan("differs", "equal", 2e-7, macs=0.6, error="by 2e-7")})
LEAKED = record("leaked", plans={"uniform": plan("equal", "differs", macs=0.5), "global": plan(macs=0.4)})
CLOSED = record(
    "closed", plans={n: {"status": "nothing to cut"} for n in ("uniform", "random 0", "random 1", "global")}
)
LATE = {
    "zoo": "timm",
    "name": "late",
    "status": "timeout",
    "revision": "abc",
    "failure": {"stage": "trace", "error": "x"},
}
ALL = keyed(FINE, REFUSED, ALARM, LEAKED, CLOSED, LATE)

LISTED = {"timm": 9, "transformers": 2}


def test_a_model_is_as_bad_as_its_worst_plan():
    words = {name: judge.word(r) for (_, name), r in ALL.items()}
    assert words == {
        "fine": "equal", "refused": "differs", "alarm": "differs", "leaked": "equal", "closed": "nothing to cut",
        "late": "timeout",
    }  # fmt: skip


def test_the_counts_that_matter():
    assert [n for (_, n), r in ALL.items() if judge.wrong_graph(r)] == ["refused"]
    assert [n for (_, n), r in ALL.items() if judge.handed_out_wrong(r)] == ["leaked"]
    assert [n for (_, n), r in ALL.items() if judge.false_alarms(r)] == ["alarm"]
    assert judge.worst(FINE) == 2e-15
    assert judge.worst(LATE) is None


def test_rows_of_the_zoos():
    head, _, row = zoos(ALL, LISTED).splitlines()
    cells = dict(
        zip(
            [c.strip() for c in head.strip("|").split("|")], [c.strip() for c in row.strip("|").split("|")], strict=True
        )
    )
    assert cells == {
        "zoo": "timm", "listed": "9", "tried": "6", "checked": "5", "nothing to cut": "1", "half": "4 of 4", "random": "3 of 4",
        "global": "3 of 4", "heads": "—", "prunable, median": "90%", "MACs, median": "25%",
        "MACs of global": "52% (40% to 60%)",
        "numbers made up for": "2 (14)", "wrong before verification": "1",
        "refused though right": "1", "wrong handed out": "1", "slowest": "fine, 7 s",
    }  # fmt: skip


def test_one_row_for_all_zoos_together():
    text = zoos(ALL | keyed(record("bert", "transformers")), LISTED)
    assert text.splitlines()[-1].startswith("| **all** | 11 | 7 | 6 | 1 | 5 of 5 | 4 of 5 |")


def test_troubles_name_model_plan_and_reason():
    assert troubles(FINE) == troubles(CLOSED) == []
    assert troubles(REFUSED) == [("random 1", "differs: they differ by 0.2")]
    assert troubles(ALARM) == [("global", "differs: by 2e-7 (the second comparison finds no difference)")]
    assert troubles(LEAKED) == [("uniform", "**handed out wrong**: 2e-15")]
    assert troubles(LATE) == [("trace", "timeout: x")]
    lost = record("lost", keeps={"ties": "a is b", "flags": ""})
    assert troubles(lost) == [("keeps ties", "a is b")]


def test_models_that_lose_less_are_named_with_the_reasons():
    slow = record("slow", prunable=0.4, pinned=[["computes over it: operator aten.sort at a", 7]])
    assert [line.split(" | ")[1:] for line in less(ALL | keyed(slow)).splitlines()[2:]] == [
        ["leaked", "90%", "50%", " |"],
        ["closed", "90%", "—", " |"],
        ["slow", "40%", "25%", "computes over it: operator aten.sort at a (7) |"],
    ]


def test_causes_come_before_what_follows_from_them():
    pins = [
        ["is an output of the model", 1000],
        ["meets a dim that cannot be cut: operator aten.mul at a.b", 64],
        ["gives [2, 12, 4] instead of [2, 8, 4] after a cut: operator aten.mm at layers.0.mlp", 32],
        ["gives [3, 9] instead of [3, 7] after a cut: operator aten.mm at layers.1.mlp", 16],
    ]
    found = record("pinned", pinned=pins)
    assert [units for _, units in judge.reasons(found)] == [32, 16, 64]
    assert judge.causes(found) == ["gives […] instead of […] after a cut: operator aten.mm"]


@pytest.mark.parametrize(
    ("reason", "bare"),
    [
        ("computes over it: operator aten.mean at model.norm", "computes over it: operator aten.mean"),
        (
            "the forward pass fails after a cut (shape '[2, -1]' is invalid): operator aten.view at a",
            "the forward pass fails after a cut: operator aten.view",
        ),
    ],
)
def test_bare_reasons(reason, bare):
    assert judge.bare(reason) == bare


def test_the_peer_is_counted_on_common_models_only():
    words = ("equal", "differs", "raises", "timeout", "nothing to cut", "runs")
    ours = keyed(*(record(word) for word in words), record("ours alone"))
    theirs = keyed(*({"zoo": "timm", "name": word, "status": word} for word in words))
    assert beside(ours, theirs).splitlines()[-1] == "| **all** | 6 | 6 | 0 | 0 | 1 | 1 | 1 | 1 | 1 | 1 |"
    assert "over its limit of CPU seconds" in beside(ours, theirs)
    limited = {key: {**record, "limit_s": 60.0} for key, record in theirs.items()}
    assert "over 60 CPU seconds" in beside(ours, limited)
    assert beside(ours, {}) == "Not measured."


def test_times_are_medians():
    ours = [
        {
            "zoo": "secateur",
            "name": "net",
            "status": "timed",
            "trace_s": s,
            "plan_s": 1,
            "shrink_s": 1,
            "verify_s": s,
            "forward_s": 0.5,
        }
        for s in (1.0, 2.0, 9.0)
    ]
    theirs = [{"zoo": "peer", "name": "net", "status": "timed", "graph_s": 3.0, "pruner_s": 4.0, "step_s": 5.0}]
    failed = [{"zoo": "peer", "name": "net", "status": "failed"}]
    assert (
        times(ours + theirs + failed).splitlines()[-1]
        == "| net | 2.00 | 1.00 | 1.00 | 3.00 | 4.00 | 5.00 | 0.33 (0.44) | 2.00 | 4.0 |"
    )
    assert times([]) == times(failed) == "Not measured."


def test_the_page_names_every_model_and_stays_a_table():
    text = page(ALL | keyed(record("odd", pinned=[["a | b\n<c>", 1]])), keyed(), [], listed=LISTED)
    assert all(f"| {name} |" in text for _, name in ALL)
    assert "a \\| b &lt;c>" in text
    assert "torch 2.13.0" in text and "abc (7)" in text
    widths = {line.count("|") - line.count("\\|") for line in text.splitlines() if line.startswith("| odd")}
    assert widths == {13}


def test_the_last_record_counts(tmp_path):
    file = tmp_path / "deep" / "results.jsonl"
    assert read(file) == {} and lines(file) == []
    for status in ("timeout", "checked"):
        append(file, {"zoo": "timm", "name": "a", "status": status})
    assert read(file)["timm", "a"]["status"] == "checked"
    assert len(lines(file)) == 2


def test_the_screen_counts(capsys):
    class Bars:
        disable = True

        def update(self, task, **what):
            self.shown = what["counts"]

    screen = Screen(Bars(), 0)
    for word in ("equal", "differs", "equal"):
        screen.done("timm net", word)
    assert capsys.readouterr().out.splitlines()[1] == "timm net: differs"
    assert screen.bars.shown == "2 equal · 1 differs"
