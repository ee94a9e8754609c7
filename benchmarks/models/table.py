"""The page: what came of every zoo, beside the peer, with every failure by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.models import judge
from benchmarks.models.store import Key, Record

Records = Mapping[Key, Record]
_NONE = "—"


def page(
    results: Records,
    peers: Records,
    timings: Sequence[Record],
    *,
    listed: Mapping[str, int],
) -> str:
    """The whole page as Markdown.

    Args:
        results: records of `check` by zoo and name.
        peers: records of `peer` likewise.
        timings: records of `timing`, all rounds.
        listed: how many models every zoo lists, checked or not.
    """
    results = dict(sorted(results.items()))
    parts = [
        "# Public model zoos\n\nWritten by `make bench-models`; every figure is in `benchmarks/models/records`.",
        _INTRODUCTION.format(
            versions="; or ".join(_distinct(results, "versions")),
            revisions=", ".join(f"{name} ({count})" for name, count in _distinct(results, "revision").items()),
        ),
        zoos(results, listed),
        "## Beside Torch-Pruning 1.6.1\n\n" + _PEER + "\n\n" + beside(results, peers),
        "## CPU seconds\n\n" + _TIMING + "\n\n" + times(timings),
        "## What was wrong\n\n" + (wrong(results) or "Nothing."),
        "## Where less goes\n\n" + _LESS + "\n\n" + less(results),
        "## What pins units\n\n" + _PINNED + "\n\n" + pinned(results),
        "## Every model\n\n" + "\n\n".join(everything(results, peers, zoo) for zoo in zoos_of(results)),
    ]
    return "\n\n".join(parts) + "\n"


_INTRODUCTION = """\
Every model is traced, cut and compared as it comes from its zoo: all classifiers, segmentation and film networks of
torchvision, of every family of timm the variant with the fewest parameters, and small configurations of transformers;
{versions}; checked with Secateur at {revisions}. Detection and optical flow are not checked. Pictures are
as small as a network takes them, since no rule looks at their size.

*Equal* means that verification compared the masked and the shrunk network on strong random weights, in eval and in
training mode, and passed: in float32 (below 1e-5), or where that did not settle it in float64 (below 1e-7). A second
comparison that shares no code with it, on other weights and inputs, with every step in float64 whatever the forward
asks for, repeats every verdict. *Wrong before verification* counts models of which at least one plan was refused with
reason: there the graph alone would have been wrong. *Refused though right* counts models of which a plan was refused,
while the second comparison finds no difference: rounding of a forward that computes in float32 whatever its type.
Models above 180 million parameters have no second comparison. *Wrong handed out* counts models of which a plan passed
verification, while the second comparison says that the networks differ. A model in which nothing can be cut is neither
right nor wrong.

*Tried* are models with a result, *checked* those of them that came to the end of the check within its limits of time
and memory. Plans: *half* keeps a random half of every group; *random* keeps a share of its own between 20 and 80 % of
every group, and all plans of a model must be equal; *global* keeps half of the MACs by one ranking; *heads* keeps half
of the heads. *Prunable* is the share of the parameters that goes when every group keeps its least; *MACs* is what
*half* keeps, and of *global* the median and the two ends over the models. *Numbers made up for* counts models that
compute a number from a width that is cut, 1/sqrt(d) above all, and in brackets the tensors that are rescaled by its
inverse change, so that the network computes what it did. *Slowest* is what a user waits for at most: CPU seconds of
tracing, planning, cutting and verifying *half* together."""

_PEER = """\
The same models, the same inputs: half of the channels of every layer but those that make the outputs, chosen at random,
no other annotation. It counts as equal if the result runs forward and backward (in training mode, where the original
does) and answers as the original does with the same channels silenced, on strong random weights in float64. *Runs*:
it runs, but could not be compared. Channel counts of the two tools differ, so shares of parameters are not beside each
other here. Where a network takes means over channels that went, silencing is not cutting, and *differs* is too hard a
word; none of this is known to turn a right result into a wrong one elsewhere."""

_TIMING = """\
One thread, one picture of 224 px, half of the channels by the L2 norm of their weights, a process for each figure,
sides and models in turn, medians. *Plan* gathers the weights, scores and chooses. The peer's *pruner* makes its own
graph, so its *graph* is contained in it. *Beside the peer*: trace, plan and shrink over graph, pruner and step, and in
brackets over pruner and step. Verification has no counterpart there."""

#: What the text below says in words.
_FEW, _MANY = 0.9, 0.33

_LESS = """\
Models of which less than 90 % of the parameters may go, or of which more than 33 % of the MACs stay when every group
keeps half of its units (a quarter, where both sides of every layer are cut; half, in a depthwise one), with the three
reasons that pin most units. Where they name nothing but inputs, the rest is in layers that read them."""

_PINNED = "Models in which at least one group is pinned for a reason that does not follow from another one."


def zoos_of(records: Records) -> list[str]:
    """Names of the zoos, each once."""
    return list(dict.fromkeys(zoo for zoo, _ in records))


def zoos(results: Records, listed: Mapping[str, int]) -> str:
    """One row per zoo and one for all: how many are equal, for each kind of plan."""
    heading = ["zoo", "listed", "tried", "checked", "nothing to cut", *_KINDS, "prunable, median", "MACs, median"]
    heading += [
        "MACs of global",
        "numbers made up for",
        "wrong before verification",
        "refused though right",
        "wrong handed out",
        "slowest",
    ]
    groups = {zoo: [r for (z, _), r in results.items() if z == zoo] for zoo in zoos_of(results)}
    rows = [[zoo, str(listed[zoo]), *_zoo_row(records)] for zoo, records in groups.items()]
    if len(groups) > 1:
        rows.append(["**all**", str(sum(listed[zoo] for zoo in groups)), *_zoo_row(list(results.values()))])
    return table(heading, rows)


_KINDS = ("half", "random", "global", "heads")
_NAMES: Mapping[str, Callable[[str], bool]] = {
    "half": lambda name: name == "uniform",
    "random": lambda name: name.startswith("random"),
    "global": lambda name: name == "global",
    "heads": lambda name: name == "heads",
}


def _zoo_row(records: Sequence[Record]) -> list[str]:
    checked = [r for r in records if r["status"] == "checked"]
    slowest = max(checked, key=_whole_s, default=None)
    return [
        str(len(records)),
        str(len(checked)),
        str(sum(judge.word(r) == "nothing to cut" for r in checked)),
        *(_equal(records, _NAMES[kind]) for kind in _KINDS),
        _percent([r["prunable"] for r in checked]),
        _percent(_macs(checked, "uniform")),
        _ends(_macs(checked, "global")),
        _made_up_for(checked),
        str(sum(bool(judge.wrong_graph(r)) for r in records)),
        str(sum(bool(judge.false_alarms(r)) for r in records)),
        str(sum(bool(judge.handed_out_wrong(r)) for r in records)),
        _NONE if slowest is None else f"{slowest['name']}, {_whole_s(slowest):.0f} s",
    ]


def _whole_s(record: Record) -> float:
    half = record["plans"]["uniform"]
    return float(record["trace_s"] + half.get("plan_s", 0) + half.get("verify_s", 0))


def _macs(records: Iterable[Record], plan: str) -> list[float]:
    return [r["plans"][plan]["macs"] for r in records if "macs" in r["plans"].get(plan, {})]


def _made_up_for(records: Iterable[Record]) -> str:
    """Models in which weights make up for numbers computed from a width, and how many weights of theirs do."""
    counts = [n for r in records if (n := int(r.get("rescalings", 0)))]
    return f"{len(counts)} ({sum(counts)})" if counts else "0"


def _equal(records: Iterable[Record], mine: Callable[[str], bool]) -> str:
    """Models of which all plans of one kind are equal, of those that have such a plan and something to cut."""
    equal = tried = 0
    for record in records:
        words = {p["status"] for name, p in record.get("plans", {}).items() if mine(name)} - {"nothing to cut"}
        tried += bool(words)
        equal += words == {"equal"}
    return f"{equal} of {tried}" if tried else _NONE


def beside(results: Records, peers: Records) -> str:
    """Both tools on the models that both were given."""
    both = [key for key in results if key in peers]
    heading = ["zoo", "models", "Secateur: equal", "nothing to cut", "any other", "Torch-Pruning: equal", "runs"]
    limits = {f"{peers[key]['limit_s']:g}" for key in both if "limit_s" in peers[key]}
    heading += ["differs", "raises", f"over {' or '.join(sorted(limits)) or 'its limit of'} CPU seconds", "nothing cut"]
    rows = []
    for zoo in [*dict.fromkeys(zoo for zoo, _ in both), ""]:
        keys = [key for key in both if zoo in (key[0], "")]
        ours = Counter(judge.word(results[key]) for key in keys)
        mine = (ours["equal"], ours["nothing to cut"], len(keys) - ours["equal"] - ours["nothing to cut"])
        theirs = Counter(str(peers[key]["status"]) for key in keys)
        late = theirs["timeout"] + theirs["killed"]
        its = (theirs["equal"], theirs["runs"], theirs["differs"], theirs["raises"] + theirs["failed"], late)
        rows.append([zoo or "**all**", *map(str, (len(keys), *mine, *its, theirs["nothing to cut"]))])
    return table(heading, rows) if both else "Not measured."


_OURS = ("trace_s", "plan_s", "shrink_s")
_THEIRS = ("graph_s", "pruner_s", "step_s")


def times(timings: Sequence[Record]) -> str:
    """Medians of CPU seconds, ours beside the peer's, and verification in forward passes."""
    timed = [r for r in timings if r["status"] == "timed"]
    rows = []
    for name in dict.fromkeys(str(r["name"]) for r in timed):
        ours, theirs = ([r for r in timed if (r["zoo"], r["name"]) == (side, name)] for side in ("secateur", "peer"))
        if ours and theirs:
            passes = median(r["verify_s"] / r["forward_s"] for r in ours)
            mine, its, twice = (_total(ours, _OURS), _total(theirs, _THEIRS[1:]), _total(theirs, _THEIRS))
            figures = [*(_seconds(ours, k) for k in _OURS), *(_seconds(theirs, k) for k in _THEIRS)]
            ratio = f"{mine / twice:.2f} ({mine / its:.2f})"
            rows.append([name, *figures, ratio, _seconds(ours, "verify_s"), f"{passes:.1f}"])
    heading = ["network", "trace", "plan", "shrink", "peer: graph", "peer: pruner", "peer: step", "beside the peer"]
    return table([*heading, "verify", "verify, in forward passes"], rows) if rows else "Not measured."


def wrong(results: Records) -> str:
    """Every model that did not come out right, with what went wrong; empty if there is none."""
    rows = []
    for (zoo, name), record in results.items():
        for what, text in troubles(record):
            rows.append([zoo, name, what, text])
    return table(["zoo", "model", "where", "what"], rows) if rows else ""


def troubles(record: Record) -> list[tuple[str, str]]:
    """What went wrong with a model: where, and in which words."""
    found: list[tuple[str, str]] = []
    if record["status"] != "checked":
        failure = record.get("failure", {})
        found.append((str(failure.get("stage", "")), f"{record['status']}: {failure.get('error', '')}"))
    alarms = judge.false_alarms(record)
    for name, plan in record.get("plans", {}).items():
        if plan["status"] not in ("equal", "nothing to cut"):
            note = " (the second comparison finds no difference)" if name in alarms else ""
            found.append((name, f"{plan['status']}: {plan.get('error', '')}{note}"))
    for name in judge.handed_out_wrong(record):
        again = record["plans"][name]["recheck"]
        found.append((name, f"**handed out wrong**: {again.get('error', again.get('difference'))}"))
    return found + [(f"keeps {what}", text) for what, text in judge.lost(record).items()]


def less(results: Records) -> str:
    """Models that could be cut less than most, with the reasons."""
    rows = []
    for (zoo, name), record in results.items():
        macs = record.get("plans", {}).get("uniform", {}).get("macs")
        if record["status"] == "checked" and (record["prunable"] < _FEW or macs is None or macs > _MANY):
            why = "; ".join(f"{reason} ({units})" for reason, units in judge.reasons(record)[:3])
            rows.append([zoo, name, _figure(record["prunable"], ".0%"), _figure(macs, ".0%"), why])
    heading = ["zoo", "model", "prunable", "MACs at half", "pinned, and how many units"]
    return table(heading, rows) if rows else "None."


def pinned(results: Records) -> str:
    """Causes by the number of models in which they pin something."""
    counts = Counter(cause for record in results.values() for cause in judge.causes(record))
    names: dict[str, list[str]] = {}
    for (_, name), record in results.items():
        for cause in judge.causes(record):
            names.setdefault(cause, []).append(name)
    rows = [[cause, str(count), _some(names[cause])] for cause, count in counts.most_common()]
    return table(["cause", "models", "for instance"], rows) if rows else "Nothing."


def everything(results: Records, peers: Records, zoo: str) -> str:
    """One line per model of a zoo, folded away."""
    heading = ["model", "input", "parameters", "trace s", "prunable", "groups", "verdict", "largest difference"]
    heading += ["training", "MACs at half", "peer", "why not more"]
    mine = {key: record for key, record in results.items() if key[0] == zoo}
    rows = [_model_row(record, peers.get(key)) for key, record in mine.items()]
    return f"<details><summary>{zoo}: {len(rows)} models</summary>\n\n{table(heading, rows)}\n\n</details>"


def _model_row(record: Record, peer: Record | None) -> list[str]:
    half = record.get("plans", {}).get("uniform", {})
    difference, reasons = judge.worst(record), judge.reasons(record)
    return [
        str(record["name"]),
        str(record.get("input") or _NONE),
        _figure(record.get("params"), ","),
        _figure(record.get("trace_s"), ".1f"),
        _figure(record.get("prunable"), ".0%"),
        f"{record['cuttable']} of {record['groups']}" if "groups" in record else _NONE,
        judge.word(record),
        _figure(difference, ".0e"),
        str(record.get("training", _NONE)),
        _figure(half.get("macs"), ".0%"),
        _NONE if peer is None else str(peer["status"]),
        reasons[0][0] if reasons else "",
    ]


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table, first column to the left, all cells on one line."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (" …" if len(names) > 3 else "")


def _figure(value: Any, form: str) -> str:
    return _NONE if value is None else format(value, form)


def _percent(shares: Sequence[float]) -> str:
    return f"{median(shares):.0%}" if shares else _NONE


def _ends(shares: Sequence[float]) -> str:
    return f"{median(shares):.0%} ({min(shares):.0%} to {max(shares):.0%})" if shares else _NONE


def _total(records: Sequence[Record], keys: Sequence[str]) -> float:
    return median(sum(r[key] for key in keys) for r in records)


def _seconds(records: Sequence[Record], key: str) -> str:
    return f"{median(r[key] for r in records):.2f}"


def _distinct(results: Records, what: str) -> Counter[str]:
    """The values of one entry over all records, and how often each is there."""
    return Counter(str(r[what]) for r in results.values() if what in r)
