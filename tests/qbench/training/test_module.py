"""QuantModule in a plain Trainer: loss, updates, clip, subclassing, checkpoints, loggers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from quiet_trainer import quiet_trainer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from qbench.data.datasets import get_dataset
from qbench.errors import ConfigError, TrainingError
from qbench.nn.models.catalogue import get_model
from qbench.nn.quant_layer import QuantLayer, quant_layers
from qbench.schemes.catalogue import get_scheme
from qbench.schemes.initialize import glorot_scale
from qbench.schemes.optimizers.shift_adamax import ShiftAdaMax
from qbench.training.losses.squared_hinge import squared_hinge
from qbench.training.module import QuantModule
from quantizers import Quantizer, Sign

# Lightning's advice on loaders and folders that these small runs do not need.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


def trainer(folder: Path, **options: Any) -> pl.Trainer:
    return quiet_trainer(default_root_dir=folder, **options)


def loader(count: int = 64) -> DataLoader:
    train = get_dataset("digits").load(0).train
    return DataLoader(TensorDataset(train.images[:count], train.labels[:count]), batch_size=32)


def small(name: str = "binarynet", **options: Any) -> QuantModule:
    return QuantModule(get_model("digits-mlp").make({"hidden": 16}), name, **options)


def test_squared_hinge_by_hand() -> None:
    scores = torch.tensor([[2.0, -0.5, 0.0], [-1.0, 1.0, -3.0]])
    # Example 0, label 0: (1-2 -> 0)², (1-0.5)², (1+0)²; example 1, label 2: (1-1)², (1+1)², (1+3)².
    expected = (0 + 0.25 + 1 + 0 + 4 + 16) / 6
    assert squared_hinge(scores, torch.tensor([0, 2])).item() == pytest.approx(expected)


def test_squared_hinge_gradient() -> None:
    scores = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 1, 2, 3])
    assert torch.autograd.gradcheck(lambda s: squared_hinge(s, labels), (scores,))


def test_one_step_by_hand(tmp_path: Path) -> None:
    """A step of a one-layer net equals Adam written out, scaled and then clipped."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, bias=False))
    module = QuantModule(net, "binaryconnect", learning_rate=1e-2, learning_rate_end=1e-3, seed=5)
    layer = quant_layers(module.model)[0][1]
    with torch.no_grad():
        layer.weight[0, 0] = 1.0  # at the border: it must be able to move back, and not beyond
    before = layer.weight.detach().clone().double()
    images, labels = next(iter(loader()))
    x = images.flatten(1).double()
    leaf = torch.where(before >= 0, 1.0, -1.0).double().requires_grad_()
    squared_hinge(x @ leaf.T, labels).backward()
    gradient = leaf.grad
    assert gradient is not None
    # First Adam step: m/(1-β1) = g, v/(1-β2) = g².
    rate = 1e-2 * glorot_scale(layer.weight)
    expected = (before - rate * gradient / (gradient.abs() + 1e-8)).clamp(-1, 1)
    trainer(tmp_path, limit_train_batches=1).fit(module, loader())
    torch.testing.assert_close(layer.weight.detach().double(), expected, atol=1e-5, rtol=1e-5)
    assert layer.weight.abs().max() <= 1


def test_latent_weights_stay_clipped_and_are_not_binary(tmp_path: Path) -> None:
    module = small()
    trainer(tmp_path, max_epochs=2).fit(module, loader())
    for _, layer in quant_layers(module.model):
        assert layer.weight.abs().max() <= 1
        assert layer.weight.unique().numel() > 2


def test_learning_rate_decays_exponentially_per_epoch(tmp_path: Path) -> None:
    module = small("binarynet", learning_rate=1e-2, learning_rate_end=1e-4)
    rates = []

    class Watch(pl.Callback):
        def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            rates.append(min(group["lr"] for group in trainer.optimizers[0].param_groups))

    trainer(tmp_path, max_epochs=4, callbacks=[Watch()]).fit(module, loader())
    assert rates == pytest.approx([1e-2, 1e-2 * 100**-0.25, 1e-2 * 100**-0.5, 1e-2 * 100**-0.75])


def test_another_initial_rate_keeps_the_schemes_decay() -> None:
    recipe = get_scheme("binarynet").recipe
    ratio = recipe.learning_rate_end / recipe.learning_rate
    assert small(learning_rate=0.5).learning_rate_end == pytest.approx(0.5 * ratio)
    assert small(learning_rate=0.5, learning_rate_end=0.1).learning_rate_end == 0.1


def test_only_quantized_layers_are_scaled() -> None:
    module = QuantModule(get_model("digits-mlp").make({"hidden": 16}), "binarynet", learning_rate=1.0)
    layers = [layer for _, layer in quant_layers(module.model)]
    scaled = {parameter: group["lr"] for group in module.parameter_groups() for parameter in group["params"]}
    for layer in layers:
        assert scaled[layer.weight] == pytest.approx(glorot_scale(layer.weight))
    weights = {layer.weight for layer in layers}
    assert {rate for parameter, rate in scaled.items() if parameter not in weights} == {1.0}
    assert len(scaled) == len(list(module.parameters()))
    assert {group["lr"] for group in small("fp32", learning_rate=0.5).parameter_groups()} == {0.5}


def test_subclass_overrides_one_method(tmp_path: Path) -> None:
    class Narrow(Sign):
        pass

    class Mine(QuantModule):
        def weight_quantizer(self, layer: QuantLayer) -> Quantizer | None:
            return Narrow(clip=0.25) if layer.position > 0 else None

    module = Mine(get_model("digits-mlp").make({"hidden": 16}), "binarynet")
    trainer(tmp_path).fit(module, loader())
    layers = [layer for _, layer in quant_layers(module.model)]
    assert layers[0].weight_quantizer is None
    assert all(isinstance(layer.weight_quantizer, Narrow) for layer in layers[1:])
    assert layers[1].weight.abs().max() <= 0.25
    assert isinstance(layers[1].input_quantizer, Sign)  # still the scheme's


def test_plain_trainer_with_checkpoint_and_logger(tmp_path: Path) -> None:
    module = small("binarynet-stochastic")
    checkpoint = pl.callbacks.ModelCheckpoint(dirpath=tmp_path, filename="best", monitor="val/accuracy", mode="max")
    logger = pl.loggers.CSVLogger(tmp_path)
    fit = trainer(tmp_path, max_epochs=2, enable_checkpointing=True, callbacks=[checkpoint], logger=logger)
    fit.fit(module, loader(), loader(32))
    assert {"train/loss", "val/accuracy"} <= set(fit.callback_metrics)
    stored = torch.load(checkpoint.best_model_path, weights_only=True)
    fresh = small("binarynet-stochastic", seed=9)
    fresh.load_state_dict(stored["state_dict"])
    images = next(iter(loader()))[0]
    module.load_state_dict(stored["state_dict"])
    assert torch.equal(fresh.eval()(images), module.eval()(images))
    # The stochastic quantizers go on with the same random numbers.
    assert torch.equal(fresh.train()(images), module.train()(images))


def test_resuming_a_checkpoint_equals_not_stopping(tmp_path: Path) -> None:
    def fit(name: str, **options: Any) -> QuantModule:
        torch.manual_seed(1)
        module = small("binarynet-stochastic")
        saving = pl.callbacks.ModelCheckpoint(dirpath=tmp_path / name, filename="{epoch}", save_top_k=-1)
        trainer(tmp_path, max_epochs=3, enable_checkpointing=True, callbacks=[saving]).fit(module, loader(), **options)
        return module

    whole = fit("whole")
    resumed = fit("resumed", ckpt_path=tmp_path / "whole" / "epoch=0.ckpt", weights_only=True)
    found = resumed.model.state_dict()
    for key, expected in whole.model.state_dict().items():
        assert torch.equal(expected, found[key]), key


def test_wandb_logger(tmp_path: Path) -> None:
    logger = pl.loggers.WandbLogger(save_dir=tmp_path, offline=True)
    trainer(tmp_path, logger=logger).fit(small(), loader(), loader(32))
    run = logger.experiment
    assert run.summary["train/loss"] > 0
    assert "val/accuracy" in run.summary.keys()  # noqa: SIM118  a wandb summary is no mapping
    run.finish()


def test_divergence_is_an_error_and_not_hidden_by_the_sign(tmp_path: Path) -> None:
    module = small()
    with torch.no_grad():
        module.model.bn1.weight[0] = float("nan")  # the sign after it makes -1 of it, and the loss stays finite
    with pytest.raises(TrainingError, match=r"parameter model.fc1.weight became infinite or NaN in epoch 1"):
        trainer(tmp_path).fit(module, loader())


def test_a_training_step_and_hooks_of_ones_own(tmp_path: Path) -> None:
    class Mine(QuantModule):
        def on_fit_start(self) -> None:
            pass

        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            return 100 * nn.functional.cross_entropy(self(batch[0]), batch[1])

    module = Mine(get_model("digits-mlp").make({"hidden": 16}), "binarynet", learning_rate=1.0)
    trainer(tmp_path, max_epochs=2).fit(module, loader())
    for _, layer in quant_layers(module.model):
        assert layer.weight.abs().max() == 1  # still clipped


def test_unbounded_epochs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give it max_epochs or max_steps"):
        trainer(tmp_path, max_epochs=-1).fit(small(), loader())


def test_seed_decides_the_latent_weights() -> None:
    torch.manual_seed(0)
    first = small(seed=1)
    assert torch.equal(first.model.fc1.weight, small(seed=1).model.fc1.weight)
    assert not torch.equal(first.model.fc1.weight, small(seed=2).model.fc1.weight)


SPREAD = """
import copy, sys
import pytorch_lightning as pl, torch
from torch.utils.data import DataLoader, TensorDataset
from qbench import QuantModule, TrainingError, get_dataset, get_model

class Manual(QuantModule):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        optimizer = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(self.loss(*batch))
        optimizer.step()

if __name__ == "__main__":
    data = get_dataset("digits").load(0).train
    for kind, scheme in ((QuantModule, "binarynet"), (Manual, "binarynet"), (QuantModule, "int8-lsq"),
                         (QuantModule, "int8-qat"), (QuantModule, "bitwise")):
        torch.manual_seed(0)
        module = kind(get_model("digits-mlp").make({"hidden": 16}), scheme, input_shape=(1, 8, 8), learning_rate=0.05)
        before = copy.deepcopy(module.model.fc1.weight.detach())
        trainer = pl.Trainer(accelerator="cpu", devices=2, strategy="ddp", max_epochs=1, logger=False,
                             limit_train_batches=4, enable_checkpointing=False, enable_progress_bar=False)
        trainer.fit(module, DataLoader(TensorDataset(data.images, data.labels), batch_size=64))
        assert not torch.equal(before, module.model.fc1.weight)
        for name, value in module.named_parameters():
            both = trainer.strategy.all_gather(value.detach())
            assert torch.equal(both[0], both[1]), (scheme, name)
        if "int8" not in scheme:
            assert module.model.fc1.weight.abs().max() <= 1
    try:
        module.check_finite([torch.tensor(float("inf") if trainer.global_rank else 1.0)], 0)
    except TrainingError:
        pass
    else:
        raise AssertionError("one rank's infinite loss did not stop this one")
    open(f"rank{trainer.global_rank}", "w").close()
    torch.distributed.destroy_process_group()  # its threads must not outlive the interpreter
"""


@pytest.mark.slow
def test_two_processes_train_the_same_weights(tmp_path: Path) -> None:
    """DDP: gradients are averaged, so that both ranks end with equal parameters, learned steps and all, clipped."""
    import subprocess
    import sys

    script = tmp_path / "ddp.py"
    script.write_text(SPREAD)
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=240, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "rank0").exists()
    assert (tmp_path / "rank1").exists()


def test_learned_steps_have_a_slower_rate_and_no_decay() -> None:
    module = QuantModule(get_model("digits-mlp").make({"hidden": 8, "layers": 1}), "int8-lsq")
    *others, steps = module.parameter_groups()
    quantizers = [
        q for layer in (module.model.fc1, module.model.out) for q in (layer.input_quantizer, layer.weight_quantizer)
    ]
    assert {id(each) for each in steps["params"]} == {id(quantizer.step) for quantizer in quantizers}
    assert steps["weight_decay"] == 0.0
    assert steps["lr"] == pytest.approx(module.learning_rate * 0.01)
    count = sum(len(group["params"]) for group in [*others, steps])
    assert count == len(list(module.parameters()))


def test_learned_steps_begin_at_the_data_and_learn() -> None:
    module = QuantModule(get_model("digits-mlp").make({"hidden": 8, "layers": 1}), "int8-lsq")
    images = torch.rand(32, 1, 8, 8)
    module.train()
    loss = module.training_step((images, torch.arange(32) % 10), 0)
    quantizer = module.model.fc1.input_quantizer
    assert float(quantizer.step) == pytest.approx(2 * float(images.mean()) / 127**0.5, rel=1e-5)
    loss.backward()
    assert float(quantizer.step.grad.abs()) > 0


def test_shift_adamax_gets_rate_and_scale_apart_and_halves(tmp_path: Path) -> None:
    module = small("bnn-shift")
    scale = {parameter: group["scale"] for group in module.parameter_groups() for parameter in group["params"]}
    for _, layer in quant_layers(module.model):
        assert scale[layer.weight] == pytest.approx(glorot_scale(layer.weight))
    assert {group["lr"] for group in module.parameter_groups()} == {2**-6}
    module = small(get_scheme("bnn-shift", halve_every=2))
    rates = []

    class Watch(pl.Callback):
        def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            rates.extend({group["lr"] for group in trainer.optimizers[0].param_groups})

    fit = trainer(tmp_path, max_epochs=5, callbacks=[Watch()])
    fit.fit(module, loader())
    assert isinstance(module.optimizers().optimizer, ShiftAdaMax)
    assert rates == [2**-6, 2**-6, 2**-7, 2**-7, 2**-8]
    assert module.rate_after(5) == 2**-8
    assert small("binarynet", learning_rate=1e-2, learning_rate_end=1e-4).rate_after(5) == 1e-4


def test_a_halved_rate_has_no_end(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="learning_rate_end: bnn-shift halves its rate every 10 epochs"):
        small("bnn-shift", learning_rate_end=1e-4)


def test_sgd_step_is_the_rate_times_the_gradient(tmp_path: Path) -> None:
    module = small(get_scheme("binaryconnect", optimizer="sgd"), learning_rate=1e-3)
    layer = quant_layers(module.model)[0][1]
    before = layer.weight.detach().clone()
    images, labels = next(iter(loader()))
    module.train()
    squared_hinge(module(images), labels).backward()
    gradient = layer.weight.grad.clone()
    module.zero_grad()
    trainer(tmp_path, limit_train_batches=1).fit(module, loader())
    expected = (before - 1e-3 * glorot_scale(layer.weight) * gradient).clamp(-1, 1)
    torch.testing.assert_close(layer.weight.detach(), expected, rtol=1e-5, atol=1e-7)


def test_bitwise_training_is_relaxed_first_and_binary_after(tmp_path: Path) -> None:
    module = small(get_scheme("bitwise", relaxed_share=0.5))
    seen: list[tuple[bool, bool]] = []

    class Watch(pl.Callback):
        def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
            layer = quant_layers(pl_module.model)[1][1]
            weight = layer.weight_quantizer(layer.weight)
            seen.append((layer.weight_quantizer.relaxed, bool((weight.abs() == 1).all())))

        def on_validation_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
            layer = quant_layers(pl_module.model)[1][1]
            assert bool((layer.weight_quantizer(layer.weight).abs() == 1).all())  # never scored in real numbers

    trainer(tmp_path, max_epochs=4, limit_train_batches=1, callbacks=[Watch()]).fit(module, loader(), loader())
    assert seen == [(True, False), (True, False), (False, True), (False, True)]
