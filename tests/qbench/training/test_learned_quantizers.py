"""Quantizers that learn and follow a schedule, in every way to train."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from qbench.errors import ConfigError
from qbench.nn.quant_layer import QuantLayer
from qbench.schemes.catalogue import get_scheme
from qbench.schemes.recipe import Recipe
from qbench.training import checkpoint
from qbench.training.fit import fit
from qbench.training.module import QuantModule
from qbench.training.parameter_groups import RATE_SCALE, parameter_groups
from qbench.training.rates_asked import otherwise
from qbench.training.result import TrainingResult
from qbench.training.settings import OnEpoch
from qbench.training.short_loop import CHECKPOINT
from qbench.training.trainer_loop import TRAINER_CHECKPOINT
from qbench.trial.config import TrialConfig
from qbench.trial.resolved import ResolvedTrial, resolve
from quantizers import LSQ, LearnedParameter, Quantized, Quantizer, signed_integer

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


class Annealed(Quantizer):
    """4-bit integers of step gain / t: the gain is learned, and t grows by 1 each epoch. `unnamed` stays as it is."""

    format = signed_integer(4)
    rate = 0.5

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.05))
        self.unnamed = nn.Parameter(torch.tensor(7.0))
        self.register_buffer("t", torch.tensor(1.0))
        self.heard: list[tuple[int, int]] = []

    def learned_parameters(self) -> list[LearnedParameter]:
        return [LearnedParameter(self.gain, self.rate)]

    def on_epoch(self, epoch: int, epochs: int) -> None:
        self.heard.append((epoch, epochs))
        self.t.fill_(1.0 + epoch)

    def codes(self, x: Tensor) -> Tensor:
        return (x * self.t / self.gain).round().clamp(self.format.minimum, self.format.maximum)

    def quantize(self, x: Tensor) -> Quantized:
        return Quantized(self.codes(x).to(torch.int8), (self.gain / self.t).detach(), None, self.format)

    def forward(self, x: Tensor) -> Tensor:
        return self.codes(x).detach() * (self.gain / self.t) + (x - x.detach()) + 0 * self.unnamed


ANNEALED = f"{__name__}.Annealed"


class Hooked(QuantModule):
    """A hook of Lightning's, which only a Trainer calls."""

    def on_train_start(self) -> None: ...


LOOPS = {QuantModule: CHECKPOINT, Hooked: TRAINER_CHECKPOINT}


def trial(kind: type[QuantModule] = QuantModule, scheme: str = "fp32", **options: Any) -> ResolvedTrial:
    fields = {
        "scheme": scheme,
        "scheme_options": options or {"weights": ANNEALED},
        "model": "digits-mlp",
        "model_options": {"hidden": 12, "layers": 2},
        "epochs": 4,
    }
    return replace(resolve(TrialConfig.from_mapping(fields)), module=kind)


def quantizers_in(module: nn.Module) -> list[Any]:
    return [each for each in module.modules() if isinstance(each, Annealed)]


class KilledError(Exception):
    pass


def kill_at(epoch: int) -> OnEpoch:
    def on_epoch(done: int, *_: object) -> None:
        if done == epoch:
            raise KilledError

    return on_epoch


def same(first: TrainingResult, second: TrainingResult) -> bool:
    return first.state.keys() == second.state.keys() and all(
        torch.equal(first.state[key], second.state[key]) for key in first.state
    )


# The schedule.


@pytest.mark.parametrize("kind", LOOPS)
def test_every_quantizer_hears_of_every_epoch_before_its_first_step(kind: type[QuantModule], tmp_path: Path) -> None:
    parts = trial(kind)
    module = parts.build()
    seen: list[float] = []
    loss = module.loss

    def watched(images: Tensor, labels: Tensor) -> Tensor:
        seen.append(float(quantizers_in(module)[0].t))
        return loss(images, labels)

    object.__setattr__(module, "loss", watched)
    fit(module, parts.dataset.load(0), tmp_path, parts.settings)
    assert [each.heard for each in quantizers_in(module)] == [[(epoch, 4) for epoch in range(4)]] * 3
    assert sorted(set(seen)) == [1.0, 2.0, 3.0, 4.0]
    assert seen == sorted(seen)


@pytest.mark.parametrize("kind", LOOPS)
@pytest.mark.parametrize("options", [{"weights": ANNEALED}, {"activation_function": "rprelu"}], ids=["own", "rprelu"])
def test_a_killed_training_continues_bit_for_bit(
    options: dict[str, Any], kind: type[QuantModule], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    parts = trial(kind, **options)
    splits = parts.dataset.load(0)
    whole = fit(parts.build(), splits, tmp_path, parts.settings)
    (tmp_path / LOOPS[kind]).unlink()
    with pytest.raises(KilledError):
        fit(parts.build(), splits, tmp_path, parts.settings, on_epoch=kill_at(3))
    module = parts.build()
    resumed = fit(module, splits, tmp_path, parts.settings)
    assert same(whole, resumed)
    if "weights" in options:
        assert quantizers_in(module)[0].heard == [(2, 4), (3, 4)]  # the checkpoint is of epoch 2


@pytest.mark.parametrize("kind", LOOPS)
def test_the_best_epoch_has_the_schedule_of_that_epoch(kind: type[QuantModule], tmp_path: Path) -> None:
    parts = trial(kind)
    result = fit(parts.build(), parts.dataset.load(0), tmp_path, parts.settings)
    assert result.state["fc1.weight_quantizer.t"].item() == result.epoch  # t = 1 + epoch, counted from 0
    evaluated = parts.build()
    evaluated.model.load_state_dict(dict(result.state))
    assert quantizers_in(evaluated)[0].t.item() == result.epoch


def test_the_float_training_of_a_scheme_that_quantizes_afterwards_has_nobody_to_tell() -> None:
    module = QuantModule(perceptron(), get_scheme("int8-minmax"), input_shape=(1, 8, 8))
    module.start_epoch(0, 2)
    assert not [each for each in module.modules() if isinstance(each, Quantizer)]


# Rates.


def perceptron() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 10))


def module_of(weights: str = ANNEALED, **options: Any) -> QuantModule:
    scheme = get_scheme("fp32", weights=weights, **options)
    return QuantModule(perceptron(), scheme, input_shape=(1, 8, 8), learning_rate=0.25)


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(16, 1, 8, 8, generator=generator), torch.randint(10, (16,), generator=generator)


def test_one_step_moves_each_parameter_by_the_rate_that_was_asked_for() -> None:
    module = module_of(optimizer="sgd")
    quantizer, other = quantizers_in(module)
    other.gain.requires_grad_(False)
    fc = module.model.get_submodule("1")
    before = {name: value.detach().clone() for name, value in module.named_parameters()}
    optimizer = module.make_optimizer()
    module.loss(*batch()).backward()
    optimizer.step()

    assert quantizer.gain.grad is not None
    assert quantizer.gain.grad.item() != 0
    torch.testing.assert_close(quantizer.gain, 0.05 - 0.25 * 0.5 * quantizer.gain.grad, rtol=1e-6, atol=0)
    bias: Any = fc.bias
    torch.testing.assert_close(bias, before["model.1.bias"] - 0.25 * bias.grad, rtol=1e-6, atol=0)
    assert torch.equal(other.gain, before["model.4.weight_quantizer.gain"])  # frozen
    assert quantizer.unnamed.item() == other.unnamed.item() == 7.0  # not named


class Decayed(Annealed):
    def learned_parameters(self) -> list[LearnedParameter]:
        return [LearnedParameter(self.gain, weight_decay=0.25), LearnedParameter(self.unnamed, weight_decay=None)]


def test_groups_have_the_decay_that_was_asked_for_or_the_optimizers() -> None:
    module = module_of(f"{__name__}.Decayed")
    quantizer = next(each for each in module.modules() if isinstance(each, Decayed))
    optimizer = torch.optim.SGD(module.parameter_groups(), weight_decay=0.125)
    decays = {parameter: group["weight_decay"] for group in optimizer.param_groups for parameter in group["params"]}
    assert decays[quantizer.gain] == 0.25
    assert decays[quantizer.unnamed] == 0.125
    assert decays[module.model.get_parameter("1.weight")] == 0.125


def test_a_decay_that_the_optimizer_does_not_have_is_refused() -> None:
    module = module_of(f"{__name__}.Decayed", optimizer="shift-adamax")
    with pytest.raises(
        ConfigError, match=r"1.weight \(Decayed\) asks for weight decay 0.25, which ShiftAdaMax does not"
    ):
        module.make_optimizer()
    module_of(optimizer="shift-adamax").make_optimizer()  # nobody asks


def test_the_rate_0_is_not_trained() -> None:
    module = module_of(optimizer="shift-adamax")
    for quantizer in quantizers_in(module):
        quantizer.rate = 0.0
    groups = module.make_optimizer().param_groups
    trained = {parameter for group in groups for parameter in group["params"]}
    assert not trained & {each.gain for each in quantizers_in(module)}


class Borrowing(Annealed):
    """Asks for a parameter that another quantizer has."""

    lender: Annealed | None = None

    def learned_parameters(self) -> list[LearnedParameter]:
        lender = type(self).lender
        found = super().learned_parameters()
        return found if lender is None else [*found, LearnedParameter(lender.gain, self.rate)]


def test_a_parameter_that_two_quantizers_ask_for_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    module = module_of(f"{__name__}.Borrowing")
    first, second = quantizers_in(module)
    monkeypatch.setattr(Borrowing, "lender", first)
    groups = {group["name"]: group["params"] for group in module.parameter_groups()}
    assert len(groups["quantizers x0.5"]) == 2  # each once
    second.rate = 0.125
    with pytest.raises(
        ConfigError, match=r"1.weight_quantizer.gain is asked for by 1.weight \(Borrowing\) with rate 0.5"
    ):
        module.parameter_groups()


class Foreign(Annealed):
    def learned_parameters(self) -> list[LearnedParameter]:
        return [LearnedParameter(nn.Parameter(torch.zeros(3)))]


class Lazy(Annealed):
    def __init__(self) -> None:
        super().__init__()
        self.later = nn.UninitializedParameter()


class Late(Annealed):
    def forward(self, x: Tensor) -> Tensor:
        if not hasattr(self, "threshold"):
            self.threshold = nn.Parameter(torch.zeros(x.shape[-1]))
        return super().forward(x + self.threshold)


def test_a_parameter_of_no_module_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"1.weight \(Foreign\).*shape \[3\] that belongs to no module"):
        module_of(f"{__name__}.Foreign").parameter_groups()


def test_a_parameter_without_a_value_is_refused() -> None:
    module = module_of()
    quantizers_in(module)[0].later = nn.UninitializedParameter()
    with pytest.raises(ConfigError, match=r"parameter 'later' has no value before the first batch.*for_layer"):
        module.parameter_groups()


@pytest.mark.parametrize("kind", LOOPS)
def test_a_parameter_that_appears_in_the_first_batch_is_refused(kind: type[QuantModule], tmp_path: Path) -> None:
    parts = trial(kind)
    module = parts.build()
    for layer in module.modules():
        if isinstance(layer, QuantLayer):
            layer.input_quantizer = Late()
    with pytest.raises(ConfigError, match=r"Late: threshold: .*appeared in the first batch.*for_layer"):
        fit(module, parts.dataset.load(0), tmp_path, parts.settings)


# Somebody else's LightningModule.


class Theirs(pl.LightningModule):
    def __init__(self, *, ask: bool) -> None:
        super().__init__()
        self.model = perceptron()
        self.ask = ask

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return F.cross_entropy(self.model(batch[0]), batch[1])

    def configure_optimizers(self) -> Any:
        own: Any = self.qbench
        return torch.optim.SGD(own.parameter_groups(0.25) if self.ask else self.parameters(), lr=0.25)


def train(theirs: pl.LightningModule, epochs: int = 2) -> None:
    loader = DataLoader(TensorDataset(*batch()), batch_size=8)
    quiet: Any = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    pl.Trainer(max_epochs=epochs, accelerator="cpu", enable_model_summary=False, **quiet).fit(theirs, loader)


def wrapped(*, ask: bool, weights: str = ANNEALED) -> pl.LightningModule:
    return QuantModule.wrap(Theirs(ask=ask), get_scheme("fp32", weights=weights), input_shape=(1, 8, 8))


def test_a_wrapped_module_tells_its_quantizers_of_epochs() -> None:
    theirs = wrapped(ask=False)
    train(theirs, epochs=3)
    assert [each.heard for each in quantizers_in(theirs)] == [[(0, 3), (1, 3), (2, 3)]] * 2


def test_rates_that_a_wrapped_module_does_not_honour_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="qbench"):
        train(wrapped(ask=False))
    (told,) = [each.getMessage() for each in caplog.records if "otherwise" in each.getMessage()]
    assert "1.weight (Annealed): gain at 1 of the learning rate, not 0.5" in told
    assert "unnamed is trained, which it does not ask for" in told
    assert "self.qbench.parameter_groups(learning_rate)" in told


def test_rates_are_honoured_in_groups_of_the_wrapped_network(caplog: pytest.LogCaptureFixture) -> None:
    theirs = wrapped(ask=True)
    with caplog.at_level(logging.WARNING, logger="qbench"):
        train(theirs)
    assert not [each for each in caplog.records if "otherwise" in each.getMessage()]
    assert quantizers_in(theirs)[0].unnamed.item() == 7.0
    assert quantizers_in(theirs)[0].gain.item() != Annealed().gain.item()


def test_late_parameters_are_refused_in_a_wrapped_module() -> None:
    theirs = wrapped(ask=False)
    theirs.model[1].input_quantizer = Late()
    with pytest.raises(ConfigError, match="appeared in the first batch"):
        train(theirs)


def test_what_optimizers_do_otherwise_in_words() -> None:
    module = module_of("lsq")
    step = next(each for each in module.modules() if isinstance(each, LSQ)).step
    assert otherwise(module, [torch.optim.Adam(module.parameter_groups())]) == []
    plain = torch.optim.Adam([each for each in module.parameters() if each is not step], weight_decay=0.5)
    assert otherwise(module, [plain]) == [
        "1.weight (LSQ): step is in no group of the optimizer",
        "4.weight (LSQ): step at 1 of the learning rate, not 0.01, step with weight decay 0.5, not 0",
    ]


def test_a_trial_whose_module_makes_other_groups_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    class OneGroup(QuantModule):
        def parameter_groups(self) -> list[dict[str, Any]]:
            return [{"params": list(self.parameters()), "lr": self.learning_rate, RATE_SCALE: 1.0}]

    parts = trial(OneGroup)
    with caplog.at_level(logging.WARNING, logger="qbench"):
        fit(parts.build(), parts.dataset.load(0), tmp_path, parts.settings)
    assert "build the optimizer of OneGroup.parameter_groups()" in caplog.text


def test_groups_are_those_of_the_recipe() -> None:
    module = module_of()
    assert parameter_groups(module, Recipe(), 0.25) == module.parameter_groups()
