"""Recipes at work in other people's trainers: Lightning, Hugging Face, and two processes under gloo."""

import copy
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import secateur
from secateur.apply.masking import is_masked, parameters_of
from secateur.core.budget import Budget
from secateur.regularizers import BNL1
from secateur.schedules import Cubic
from secateur.surgeries import Gradual, Moving, RigL
from secateur.testing import case as cases
from secateur.testing.surgery import recipe
from secateur.training import Session

IGNORED = [
    "ignore:.*does not have many workers.*",
    "ignore:.*number of training batches.*",
    "ignore:.*GPU available.*",
    "ignore:.*isinstance\\(treespec, LeafSpec\\).*",
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
    "ignore:.*pin_memory.*",
    "ignore:.*dirpath has changed.*",
]
quiet = [pytest.mark.filterwarnings(text) for text in IGNORED]


def marked(function):
    for mark in quiet:
        function = mark(function)
    return function


def plain_loop(model, graph, how, batches, epochs, clip):
    """The same training in a loop of one's own."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    session = Session(model, optimizer, how, graph=graph, steps=epochs * len(batches))
    with session:
        for _ in range(epochs):
            for inputs, target in batches:
                optimizer.zero_grad()
                (F.cross_entropy(model(inputs), target) + session.penalty()).backward()
                nn.utils.clip_grad_norm_(model.parameters(), clip)
                optimizer.step()
                session.step()
            session.epoch()
    return session.plan


@marked
@pytest.mark.parametrize("surgery", [Gradual(every=2), RigL(every=2)], ids=repr)
def test_lightning_equals_a_plain_loop(surgery, tmp_path):
    lightning = pytest.importorskip("lightning.pytorch")
    from secateur.training.lightning import Pruning

    subject = cases.normed()
    how = replace(recipe(surgery), schedule=Cubic(steps=1))

    class Wrapped(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = copy.deepcopy(subject.model).train()

        def training_step(self, batch, _):
            return F.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)

    module = Wrapped()
    pruning = Pruning(how, graph=subject.graph, model="net")
    trainer = lightning.Trainer(
        max_epochs=3, callbacks=[pruning], accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, gradient_clip_val=0.5, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(module, torch.utils.data.DataLoader(list(subject.batches), batch_size=None))
    model = copy.deepcopy(subject.model).train()
    plan = plain_loop(model, subject.graph, how, subject.batches, 3, 0.5)
    assert pruning.plan == plan
    assert is_masked(module.net)
    for name, value in parameters_of(model).items():
        torch.testing.assert_close(parameters_of(module.net)[name], value, rtol=1e-12, atol=1e-12)


@marked
def test_lightning_resumes_from_its_own_checkpoint(tmp_path):
    lightning = pytest.importorskip("lightning.pytorch")
    from secateur.training.lightning import Pruning

    subject = cases.normed()
    how = replace(recipe(Moving(every=2)), schedule=Cubic(steps=1))

    class Wrapped(lightning.LightningModule):
        def __init__(self, stop):
            super().__init__()
            self.net, self.stop = copy.deepcopy(subject.model).train(), stop

        def training_step(self, batch, number):
            if self.stop and self.current_epoch == 2 and number == 1:
                raise KeyError("power cut")
            return F.cross_entropy(self.net(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)

    def fit(folder, *, stop=False, path=None):
        module, pruning = Wrapped(stop), Pruning(how, graph=subject.graph, model="net")
        keeper = lightning.callbacks.ModelCheckpoint(dirpath=tmp_path / folder, save_last=True)
        trainer = lightning.Trainer(
            max_epochs=4, callbacks=[pruning, keeper], accelerator="cpu", logger=False,
            enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
        )  # fmt: skip
        trainer.fit(module, torch.utils.data.DataLoader(list(subject.batches), batch_size=None), ckpt_path=path)
        return module, pruning

    whole, wanted = fit("whole")
    with pytest.raises(KeyError, match="power cut"):
        fit("cut", stop=True)
    again, found = fit("again", path=tmp_path / "cut" / "last.ckpt")
    assert found.plan == wanted.plan
    for name, value in parameters_of(whole.net).items():
        assert torch.equal(parameters_of(again.net)[name], value)


@marked
def test_lightning_adds_the_charge_and_counts_accumulated_steps(tmp_path):
    lightning = pytest.importorskip("lightning.pytorch")
    from secateur.training.lightning import Pruning

    subject = cases.normed()
    how = replace(recipe(Gradual(every=1)), regularizer=BNL1(strength=1.0))
    seen = []

    class Wrapped(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = copy.deepcopy(subject.model).train()

        def training_step(self, batch, _):
            return F.cross_entropy(self.net(batch[0]), batch[1]) * 0.0

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.0)

        def on_train_batch_end(self, *_):
            found = parameters_of(self.net)
            seen.append({n: p.grad.clone() for n, p in found.items() if p.grad is not None and p.grad.any()})

    module, pruning = Wrapped(), Pruning(how, graph=subject.graph, model="net")
    trainer = lightning.Trainer(
        max_epochs=2, callbacks=[pruning], accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, accumulate_grad_batches=3, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(module, torch.utils.data.DataLoader(list(subject.batches), batch_size=None))
    charged = {slot.tensor for g in subject.graph.cuttable.values() for slot in g.slots_with("scales")}
    assert set(seen[2]) == charged
    assert all(torch.equal(g.abs(), torch.ones_like(g)) for g in seen[2].values())
    assert pruning.plan.provenance.reached <= 0.4


@marked
def test_hugging_face_trainer(tmp_path):
    transformers = pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    from secateur.training.transformers import Pruning

    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=20, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, num_labels=2
    )
    model = transformers.BertForSequenceClassification(config)
    drawn = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 20, (32, 6), generator=drawn)
    data = [{"input_ids": row, "attention_mask": torch.ones(6, dtype=torch.long), "labels": row[0] % 2} for row in ids]
    graph = secateur.trace(model, {"input_ids": ids[:1], "attention_mask": torch.ones(1, 6, dtype=torch.long)})
    pruning = Pruning(replace(recipe(Gradual(every=2)), budget=Budget("0.7 weights")), graph=graph)
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path), max_steps=12, per_device_train_batch_size=8, gradient_accumulation_steps=2,
        report_to=[], save_strategy="no", use_cpu=True, disable_tqdm=True, learning_rate=1e-3, logging_strategy="no",
    )  # fmt: skip
    trainer = transformers.Trainer(model=model, args=arguments, train_dataset=data, callbacks=[pruning])
    with pytest.raises(secateur.SecateurError, match=r"Call pruning\.begin"):
        trainer.train()
    pruning.begin(model, steps=12)
    trainer.train()
    assert pruning.plan.provenance.reached == pytest.approx(0.7, abs=0.01)
    for name, keep in pruning.plan.masks().items():
        assert not parameters_of(model)[name].detach()[~keep].any()
    secateur.shrink(model, pruning.plan)


PROCESS = """
import sys
from dataclasses import replace
import torch
from torch import distributed as dist
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from secateur.apply.masking import masks_of, parameters_of
from secateur.testing import case as cases
from secateur.testing.surgery import recipe
from secateur.surgeries import SURGERIES
from secateur.training import Session

dist.init_process_group("gloo")
rank = dist.get_rank()
subject = cases.normed()
model = subject.model.train()
surgery = {surgery}
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
# different seeds on purpose: rank 0 decides
session = Session(model, optimizer, recipe(surgery), graph=subject.graph, steps=12, seed=rank)
with session:
    wrapped = DistributedDataParallel(model)
    for number in range(12):
        inputs, target = subject.batches[(number + rank) % len(subject.batches)]
        optimizer.zero_grad()
        F.cross_entropy(wrapped(inputs), target).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        session.step()
        if number % 4 == 3:
            session.epoch()
torch.save({{"plan": session.plan.digest(), "masks": masks_of(model), "weights": {{n: p.detach() for n, p in
           parameters_of(model).items()}}}}, sys.argv[1] + str(rank))
dist.destroy_process_group()
"""


@pytest.mark.parametrize(
    "surgery",
    [
        "SURGERIES['gradual'](every=2)",
        "SURGERIES['rigl'](every=2)",
        "SURGERIES['set'](every=2)",
        "SURGERIES['dynamic'](gamma=0.5)",
    ],
)
def test_two_processes_have_the_same_masks(surgery, tmp_path):
    script = tmp_path / "process.py"
    script.write_text(PROCESS.format(surgery=surgery))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "USE_LIBUV": "0"}
    done = subprocess.run(
        [*command, str(script), str(tmp_path / "out")], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (torch.load(tmp_path / f"out{rank}") for rank in (0, 1))
    assert first["plan"] == second["plan"]
    for name in first["masks"]:
        assert torch.equal(first["masks"][name], second["masks"][name])
    for name in first["weights"]:
        assert torch.equal(first["weights"][name], second["weights"][name])


def test_bfloat16_autocast():
    """Under autocast the masks hold all the same, exactly."""
    subject = cases.normed()
    model = copy.deepcopy(subject.model).float().train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    session = Session(model, optimizer, recipe(Gradual(every=2)), graph=subject.graph, steps=12)
    with session:
        for number in range(12):
            inputs, target = subject.batches[number % len(subject.batches)]
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                value = F.cross_entropy(model(inputs.float()), target)
            value.backward()
            optimizer.step()
            session.step()
    for name, keep in session.plan.masks().items():
        assert not bool(parameters_of(model)[name].detach()[~keep].any())
        assert not bool(parameters_of(model)[name].grad[~keep].any())
    assert session.plan.provenance.reached <= 0.4
