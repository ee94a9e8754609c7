from dataclasses import replace

import numpy as np
import pytest

from secateur.regularizers import LessIsMore
from secateur.testing import case as cases


def test_against_numpy():
    subject = cases.folding()
    at = cases.moment(subject, lr=0.05)
    regularizer = LessIsMore(rank=3.0, strength=2.0, every=2)
    regularizer.start(at)
    weights = {n: p.detach().numpy().copy() for n, p in subject.model.named_parameters() if p.ndim == 4}
    nuclear = sum(np.linalg.svd(w.reshape(len(w), -1), compute_uv=False).sum() for w in weights.values())
    rows = [row.ravel() for w in weights.values() for row in w]
    wanted = 3 * nuclear + 2 * sum(row.size**0.5 * np.linalg.norm(row) for row in rows)
    assert regularizer.penalty(at).item() == pytest.approx(wanted)
    for step in (1, 2):
        regularizer.after_step(replace(at, step=step))
        regularizer.after_epoch(replace(at, step=step, ended=True))  # nothing before the second
    for name, w in weights.items():
        u, s, v = np.linalg.svd(w.reshape(len(w), -1), full_matrices=False)
        thin = u @ np.diag(np.maximum(s - 0.1 * 3, 0)) @ v
        for number, row in enumerate(thin):
            thin[number] = row * max(0, 1 - 0.1 * 2 * row.size**0.5 / max(np.linalg.norm(row), 1e-300))
        assert np.allclose(subject.model.get_parameter(name).detach().numpy().reshape(thin.shape), thin, atol=1e-12)


def test_ranks_fall():
    subject = cases.plain()
    at = cases.moment(subject, lr=1.0)
    first = subject.model[0].weight
    values = np.linalg.svd(first.detach().numpy(), compute_uv=False)
    regularizer = LessIsMore(rank=float(values[1:3].mean()), strength=0.0)
    regularizer.start(at)
    regularizer.after_step(replace(at, step=1))
    regularizer.after_epoch(replace(at, step=1, ended=True))
    assert np.linalg.matrix_rank(first.detach().numpy(), tol=1e-9) == 2
