"""Lightning checkpoints of quantized modules: what they restore, and what they refuse."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from quiet_trainer import quiet_trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from qbench.data.datasets import get_dataset
from qbench.errors import ConfigError
from qbench.nn.models.catalogue import get_model
from qbench.nn.quant_layer import QuantLayer, quant_layers
from qbench.ptq.calibration import calibrate
from qbench.schemes.catalogue import get_scheme
from qbench.training.module import QuantModule
from qbench.training.module_checkpoint import SCHEME_KEY
from quantizers import Quantizer, Sign

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")

DATA = get_dataset("digits").load(0).train
IMAGES = DATA.images[:40]


def loader(count: int = 64) -> DataLoader:
    return DataLoader(TensorDataset(DATA.images[:count], DATA.labels[:count]), batch_size=32)


def mlp() -> nn.Module:
    return get_model("digits-mlp").make({"hidden": 16, "layers": 1})


def convnet() -> nn.Module:
    """A layer, a BatchNorm behind a max-pool, and another layer."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, bias=False), nn.MaxPool2d(2), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(54, 10)
    )


def trained(module: pl.LightningModule, path: Path, **options: Any) -> Path:
    fit = quiet_trainer(**options)
    fit.fit(module, loader())
    fit.save_checkpoint(path)
    return path


def save(module: pl.LightningModule, path: Path) -> Path:
    """Save a module that was changed after its training."""
    saving = quiet_trainer()
    saving.strategy.connect(module)
    saving.save_checkpoint(path)
    return path


def scores(module: nn.Module) -> Tensor:
    with torch.no_grad():
        found: Tensor = module.eval()(IMAGES)
    return found


def test_a_checkpoint_restores_the_module(tmp_path: Path) -> None:
    scheme = get_scheme("binarynet", first_layer="float", learning_rate=0.02)
    module = QuantModule(
        mlp(), scheme, input_shape=(1, 8, 8), classes=10, learning_rate=0.05, learning_rate_end=0.01, seed=3
    )
    path = trained(module, tmp_path / "x.ckpt")
    torch.load(path, weights_only=True)  # plain values alone
    found = QuantModule.load_from_checkpoint(path, model=mlp())
    assert found.scheme == scheme
    assert (found.learning_rate, found.learning_rate_end) == (0.05, 0.01)
    assert (found.seed, found.input_shape, found.val_accuracy.num_classes) == (3, (1, 8, 8), 10)
    assert torch.equal(scores(found), scores(module))


def test_what_the_first_batch_taught_is_restored(tmp_path: Path) -> None:
    module = QuantModule(convnet(), "int8-minmax")
    path = trained(module, tmp_path / "x.ckpt")
    found = QuantModule.load_from_checkpoint(path, model=convnet())
    assert found.input_shape == (1, 8, 8)
    found.quantize()  # folds, which takes the shape


def test_a_checkpoint_without_a_network_is_refused(tmp_path: Path) -> None:
    path = trained(QuantModule(mlp(), "binarynet"), tmp_path / "x.ckpt")
    with pytest.raises(ConfigError, match=r"model: .*give QuantModule.load_from_checkpoint the network .* as model="):
        QuantModule.load_from_checkpoint(path)


def test_another_network_is_refused_by_the_first_tensor_that_differs(tmp_path: Path) -> None:
    path = trained(QuantModule(mlp(), "fp32"), tmp_path / "x.ckpt")
    wider = get_model("digits-mlp").make({"hidden": 24, "layers": 1})
    with pytest.raises(ConfigError, match=r"model: .*fc1.weight.*\[16, 64\].*\[24, 64\].*: give the network .*options"):
        QuantModule.load_from_checkpoint(path, model=wider)
    with pytest.raises(ConfigError, match=r"layer conv1: the checkpoint has no such layer, this network has float32"):
        QuantModule.load_from_checkpoint(path, model=get_model("digits-convnet").make({"width": 2}))
    with pytest.raises(ConfigError, match=r"model: expected a network, an nn.Module, got 'digits-mlp'"):
        QuantModule.load_from_checkpoint(path, model="digits-mlp")


OTHER = r"trained with scheme binarynet, this module's is binaryconnect: activations is .*sign.* there and None here"


def test_another_scheme_is_refused_by_name(tmp_path: Path) -> None:
    path = trained(QuantModule(mlp(), "binarynet"), tmp_path / "x.ckpt")
    with pytest.raises(ConfigError, match=OTHER):
        QuantModule.load_from_checkpoint(path, model=mlp(), scheme="binaryconnect")
    other = QuantModule(mlp(), "binaryconnect")
    before = scores(other)
    with pytest.raises(ConfigError, match=OTHER):
        quiet_trainer().test(other, loader(), ckpt_path=path)
    with pytest.raises(ConfigError, match=OTHER):
        quiet_trainer(max_epochs=2).fit(other, loader(), ckpt_path=path)
    assert torch.equal(scores(other), before)  # nothing was loaded
    renamed = QuantModule(mlp(), get_scheme("binarynet").replace(name="mine", description="other words"), seed=9)
    quiet_trainer().test(renamed, loader(), ckpt_path=path)
    assert torch.equal(scores(renamed), scores(QuantModule.load_from_checkpoint(path, model=mlp())))


class Chosen(QuantModule):
    def weight_quantizer(self, layer: QuantLayer) -> Quantizer | None:
        return None if layer.position == 0 else Sign(clip=0.5)


def test_another_choice_of_quantizers_by_a_method_is_refused(tmp_path: Path) -> None:
    path = trained(Chosen(mlp(), "binarynet"), tmp_path / "x.ckpt")
    with pytest.raises(ConfigError, match=r"layer fc1: the checkpoint has float32 .* network has Sign \(binary, 1"):
        QuantModule.load_from_checkpoint(path, model=mlp())
    assert Chosen.load_from_checkpoint(path, model=mlp()).model.fc1.weight_quantizer is None


def test_an_earlier_checkpoint_is_loaded_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    module = QuantModule(mlp(), "binarynet")
    path = trained(module, tmp_path / "x.ckpt")
    state = torch.load(path, weights_only=True)
    del state[SCHEME_KEY], state["hyper_parameters"]
    torch.save(state, path)
    with caplog.at_level(logging.WARNING):
        found = QuantModule.load_from_checkpoint(path, model=mlp(), scheme="binarynet")
    assert "does not say what scheme it was trained with" in caplog.text
    assert torch.equal(scores(found), scores(module))
    with pytest.raises(ConfigError, match=r"Missing key.* and its scheme"):
        QuantModule.load_from_checkpoint(path, model=mlp(), scheme="int8-lsq")


def turned_round(module: QuantModule) -> QuantModule:
    """Make half of the BatchNorm's factors negative, as a training may."""
    norm = next(each for each in module.model.modules() if isinstance(each, nn.BatchNorm2d))
    with torch.no_grad():
        norm.weight[::2] *= -1
    return module


@pytest.mark.parametrize("scheme", ["int8-kl", "uint8-minmax", "binarize-after"])
def test_a_calibrated_network_is_restored_bit_for_bit(scheme: str, tmp_path: Path) -> None:
    module = QuantModule(convnet(), scheme, input_shape=(1, 8, 8))
    trained(module, tmp_path / "first.ckpt")
    turned_round(module)
    path = save(module, tmp_path / "float.ckpt")
    found = QuantModule.load_from_checkpoint(path, model=convnet())
    assert not any(layer.is_quantized for _, layer in quant_layers(found.model))
    assert torch.equal(scores(found), scores(module))

    module.quantize()
    calibrate(module.model, DATA.images[:64])
    calibrated = save(module, tmp_path / "calibrated.ckpt")
    found = QuantModule.load_from_checkpoint(calibrated, model=convnet())
    assert torch.equal(scores(found), scores(module))
    for (name, mine), (_, theirs) in zip(quant_layers(module.model), quant_layers(found.model), strict=True):
        assert torch.equal(mine.quantized_weight().scale, theirs.quantized_weight().scale), name
    into = QuantModule(convnet(), scheme, input_shape=(1, 8, 8))
    quiet_trainer().test(into, loader(), ckpt_path=calibrated)
    assert torch.equal(scores(into), scores(module))
    with pytest.raises(ConfigError, match="holds the float network"):
        quiet_trainer().test(into, loader(), ckpt_path=path)


def test_a_network_whose_own_pools_are_turned_round_takes_those_of_the_checkpoint(tmp_path: Path) -> None:
    module = QuantModule(convnet(), "int8-minmax", input_shape=(1, 8, 8))
    trained(module, tmp_path / "x.ckpt")
    module.quantize()
    calibrate(module.model, DATA.images[:64])
    path = save(module, tmp_path / "x.ckpt")  # no factor was negative: a plain max-pool
    network = convnet()
    with torch.no_grad():
        network[2].weight[0] = -1
    assert torch.equal(scores(QuantModule.load_from_checkpoint(path, model=network)), scores(module))


class OwnArguments(QuantModule):
    def __init__(self, model: nn.Module, strength: float, *, hook: Any = None, **options: Any) -> None:
        super().__init__(model, get_scheme("binarynet", first_layer="float"), **options)
        self.strength, self.hook = strength, hook


class PassedOn(QuantModule):
    def __init__(self, *args: Any, strength: float = 1.0, **options: Any) -> None:
        super().__init__(*args, **options)
        self.strength = strength


class BuildsItsNetwork(QuantModule):
    def __init__(self, hidden: int) -> None:
        super().__init__(get_model("digits-mlp").make({"hidden": hidden, "layers": 1}), "xnor-net", classes=10)
        self.save_hyperparameters()


def test_a_subclass_gets_its_own_arguments(tmp_path: Path) -> None:
    path = trained(OwnArguments(mlp(), 0.25, seed=4), tmp_path / "x.ckpt")
    found = OwnArguments.load_from_checkpoint(path, model=mlp())
    assert (found.strength, found.seed, found.scheme.quantization.first_layer) == (0.25, 4, "float")
    assert OwnArguments.load_from_checkpoint(path, model=mlp(), strength=2.0).strength == 2.0

    path = trained(PassedOn(mlp(), "xnor-net", strength=3.0), tmp_path / "x.ckpt")
    found = PassedOn.load_from_checkpoint(path, model=mlp())
    assert (found.strength, found.scheme) == (3.0, get_scheme("xnor-net"))
    with pytest.raises(ConfigError, match=r"as model="):
        PassedOn.load_from_checkpoint(path)

    path = trained(BuildsItsNetwork(12), tmp_path / "x.ckpt")
    assert BuildsItsNetwork.load_from_checkpoint(path).model.fc1.weight.shape == (12, 64)


def test_an_argument_that_is_no_plain_value_is_asked_for(tmp_path: Path) -> None:
    path = trained(OwnArguments(mlp(), 0.25, hook=lambda x: x), tmp_path / "x.ckpt")
    assert "hook" not in torch.load(path, weights_only=True)["hyper_parameters"]
    with pytest.raises(ConfigError, match="hook: OwnArguments was built with hook= an object of class function"):
        OwnArguments.load_from_checkpoint(path, model=mlp())
    assert OwnArguments.load_from_checkpoint(path, model=mlp(), hook=abs).hook is abs


class SavesAll(QuantModule):
    def __init__(self, model: nn.Module, scheme: Any, hook: Any = None) -> None:
        super().__init__(model, scheme)
        self.save_hyperparameters()


def test_hyperparameters_that_a_subclass_saves_itself(tmp_path: Path) -> None:
    module = SavesAll(mlp(), get_scheme("binarynet", first_layer="float"), hook=print)
    assert module.hparams.hook is print
    path = trained(module, tmp_path / "x.ckpt")
    found = SavesAll.load_from_checkpoint(path, model=mlp(), hook=None)
    assert found.scheme == module.scheme


class Silent(QuantModule):
    """Overrides both hooks, and calls none of QuantModule's, as Lightning allows."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["mine"] = 1

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.seen = checkpoint["mine"]


def test_hooks_of_a_subclass_leave_the_scheme_in(tmp_path: Path) -> None:
    path = trained(Silent(mlp(), "binarynet"), tmp_path / "x.ckpt")
    assert Silent.load_from_checkpoint(path, model=mlp()).seen == 1
    with pytest.raises(ConfigError, match=OTHER):
        quiet_trainer().test(Silent(mlp(), "binaryconnect"), loader(), ckpt_path=path)


class Theirs(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = mlp()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return nn.functional.cross_entropy(self.net(batch[0]), batch[1])

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self.net(batch[0])

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), 1e-3)


def test_a_wrapped_module_keeps_its_scheme_too(tmp_path: Path) -> None:
    module = QuantModule.wrap(Theirs(), "binarynet", network="net")
    path = trained(module, tmp_path / "x.ckpt")
    with pytest.raises(ConfigError, match=OTHER):
        quiet_trainer().test(QuantModule.wrap(Theirs(), "binaryconnect", network="net"), loader(), ckpt_path=path)
    found = QuantModule.wrap(Theirs(), "binarynet", network="net")
    quiet_trainer().test(found, loader(), ckpt_path=path)
    assert torch.equal(scores(found.net), scores(module.net))


def test_a_wrapped_network_is_quantized_before_its_scales_are_loaded(tmp_path: Path) -> None:
    module = QuantModule.wrap(Theirs(), "int8-minmax", network="net", input_shape=(1, 8, 8))
    trained(module, tmp_path / "x.ckpt")
    module.qbench.quantize()
    calibrate(module.net, DATA.images[:64])
    path = save(module, tmp_path / "x.ckpt")
    found = QuantModule.wrap(Theirs(), "int8-minmax", network="net", input_shape=(1, 8, 8))
    quiet_trainer().test(found, loader(), ckpt_path=path)
    assert torch.equal(scores(found.net), scores(module.net))
