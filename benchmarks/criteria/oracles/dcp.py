"""DCP: gradients by finite differences through classifiers written out; the greedy choice by solving anew each time."""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from secateur.core.contracts import Step
from secateur.core.evidence import Evidence
from secateur.core.example import Example
from secateur.core.groups import Group, Role
from secateur.criteria import DCP
from secateur.evidence import Discrimination, cross_entropy
from secateur.testing import case as cases
from secateur.testing.case import Case

Array = np.ndarray


def error() -> float:
    """The larger of the errors of gradients, and of what is lost in any step by another choice than the best."""
    subject = cases.normed()
    evidence = subject.evidence(DCP.needs)
    missed = [regret(subject, group, evidence) for group in subject.graph.cuttable.values()]
    return max(gradients(subject, evidence), *missed)


def gradients(subject: Case, evidence: Evidence) -> float:
    """Against differences of the mean loss of the classifier that comes next."""
    heads = trained(subject).heads
    assert heads is not None and list(heads) == ["0.weight", "3.weight"]
    worst = 0.0
    for name, following in (("3.weight", 3), ("7.weight", None)):
        found, size = evidence[Discrimination][name], 1e-5
        entries = torch.randperm(found.numel(), generator=torch.Generator().manual_seed(0))[:12].tolist()
        for entry in entries:
            losses = []
            for sign in (1, -1):
                model = copy.deepcopy(subject.model)
                model.get_parameter(name).data.view(-1)[entry] += sign * size
                losses.append(loss_at(model, subject, following, heads.get("3.weight")))
            slope = (losses[0] - losses[1]) / (2 * size)
            worst = max(worst, abs(float(found.view(-1)[entry]) - slope) / float(found.abs().max()))
    return worst


def trained(subject: Case) -> Discrimination:
    """The collector, run by hand, with its classifiers."""
    one = Discrimination()
    model = copy.deepcopy(subject.model)
    with one.start(model, subject.graph):
        for walk in range(one.walks):
            for x, y in subject.batches:
                one.update(Step({}, len(x), Example.of(x), y, cross_entropy, walk))
    return one


def loss_at(model: nn.Module, subject: Case, place: int | None, head: nn.Module | None) -> float:
    """Mean cross-entropy of the network, or of a classifier behind its layer `place`, in numpy from there on."""
    losses = []
    front = nn.Sequential(*list(model.children())[: None if place is None else place + 1])
    for x, y in subject.batches:
        with torch.no_grad():
            logits = front(x).numpy()
        if place is not None:
            assert head is not None
            scale, shift, weight, bias = (p.detach().numpy() for p in head.parameters())
            mean, variance = logits.mean((0, 2, 3)), logits.var((0, 2, 3))
            normal = (logits - mean[:, None, None]) / np.sqrt(variance + 1e-5)[:, None, None]
            hidden = np.maximum(normal * scale[:, None, None] + shift[:, None, None], 0).mean((2, 3))
            logits = hidden @ weight.T + bias
        chosen = logits[np.arange(len(logits)), y.numpy()]
        losses += list(np.log(np.exp(logits).sum(1)) - chosen)
    return float(np.mean(losses))


def regret(subject: Case, group: Group, evidence: Evidence, criterion: DCP | None = None) -> float:
    """By how much the squared gradient of another channel was larger; 1 is the largest of all."""
    criterion = criterion or DCP()
    turns = criterion.score(group, evidence)
    (slot,) = group.slots_with(Role.CONSUMES)
    weight = subject.model.get_parameter(slot.tensor).detach().flatten(1).numpy()
    asked = criterion.balance * evidence[Discrimination][slot.tensor].flatten(1).numpy()
    x = patches(subject, slot.tensor)
    each = weight.shape[1] // subject.model.get_parameter(slot.tensor).shape[1]
    places = [[int(i) * each + n for i in index for n in range(each)] for index in slot.index]
    worst, most, inside = 0.0, 0.0, list[int]()
    for unit in torch.argsort(turns, descending=True).tolist():
        slopes = slopes_at(inside, weight, x, asked, places)
        norms = {u: float((slopes[:, places[u]] ** 2).sum()) for u in range(group.units) if u not in inside}
        most = most or max(norms.values())
        worst = max(worst, (max(norms.values()) - norms[unit]) / most)
        inside.append(unit)
    return worst


def slopes_at(inside: list[int], weight: Array, x: Array, asked: Array, places: list[list[int]]) -> Array:
    """dL/dW at the best weights of the channels that are in, by least squares on patches."""
    own = [place for unit in inside for place in places[unit]]
    moments, rows = x @ x.T / x.shape[1], len(weight)
    change = -weight.copy()
    if own:
        # (W + change) is zero outside of `own`; there the gradient vanishes: change H / rows + asked = 0.
        rest = [place for place in range(len(x)) if place not in own]
        right = -(rows * asked[:, own] + change[:, rest] @ moments[rest][:, own])
        change[:, own] = np.linalg.lstsq(moments[np.ix_(own, own)], right.T, rcond=1e-10)[0].T
    return change @ moments / rows + asked


def patches(subject: Case, name: str) -> Array:
    """What the layer behind a weight sees, `(entries, outputs)`."""
    layer = subject.model.get_submodule(name.rpartition(".")[0])
    seen: list[Tensor] = []
    handle = layer.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    with torch.no_grad():
        for x, _ in subject.batches:
            subject.model(x)
    handle.remove()
    x = torch.cat(seen)
    if isinstance(layer, nn.Conv2d):
        x = F.unfold(x, layer.kernel_size, padding=layer.padding, stride=layer.stride).movedim(1, -1).flatten(0, 1)
    return x.T.numpy()
