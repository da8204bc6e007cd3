"""A checkpoint is data: no code is imported, or called, because it names it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from qbench.errors import ConfigError
from qbench.schemes.catalogue import get_scheme
from qbench.schemes.named import NamedSpec
from qbench.training.hyperparameters import loading_arguments, scheme_of
from qbench.training.module import QuantModule

FLAT = get_scheme("binarynet").flat()


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": {"name": "os.mkdir", "options": {"path": "made"}}},
        {"loss": {"name": "distillation", "options": {"teacher": "fp32", "label_loss": "never_imported.loss"}}},
        {"activation_function": "never_imported.Activation"},
        {"optimizer": "never_imported:Optimizer"},
        {"optimizer": {"name": "never_imported.Optimizer", "options": {}}},
        {"weights": {"name": "never_imported.Quantizer", "options": {}}},
        {"layers": {"fc1": {"weights": {"name": "never_imported.Quantizer", "options": {}}}}},
    ],
)
def test_what_it_names_is_neither_imported_nor_called(
    changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "never_imported.py").write_text("")
    for call in (
        scheme_of,
        lambda flat: loading_arguments(QuantModule, {"scheme": flat}, {}, {"model": nn.Linear(4, 2)}),
    ):
        with pytest.raises(ConfigError, match=r"scheme: .*no code is run because a file names it: give .* as scheme="):
            call(FLAT | changes)
    assert "never_imported" not in sys.modules
    assert not (tmp_path / "made").exists()


def test_a_schemes_path_is_not_imported_either() -> None:
    with pytest.raises(ConfigError, match=r"names 'never_imported\.SCHEME'"):
        loading_arguments(QuantModule, {"scheme": "never_imported.SCHEME"}, {}, {"model": nn.Linear(4, 2)})


def test_classes_that_are_imported_and_what_the_program_names_are_taken() -> None:
    flat = FLAT | {"optimizer": "torch.optim.Adadelta", "activation_function": "torch.nn.SiLU"}
    assert scheme_of(flat).recipe.optimizer == "torch.optim.Adadelta"
    own = get_scheme("binarynet", loss=NamedSpec(name="torch.nn.functional.cross_entropy"))
    with pytest.raises(ConfigError, match=r"names 'torch\.nn\.functional\.cross_entropy'"):
        scheme_of(own.flat())
    assert scheme_of(own.flat(), own) == own


def test_a_module_with_code_of_its_own_is_loaded_with_its_scheme(tmp_path: Path) -> None:
    scheme = get_scheme("fp32", loss="torch.nn.functional.cross_entropy")
    module = QuantModule(nn.Linear(4, 2), scheme, input_shape=(4,), classes=2)
    checkpoint: dict[str, Any] = {
        "state_dict": module.state_dict(),
        "hyper_parameters": dict(module.hparams),
        "pytorch-lightning_version": "2.5.0",
    }
    module.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, tmp_path / "x.ckpt")
    with pytest.raises(ConfigError, match="as scheme="):
        QuantModule.load_from_checkpoint(tmp_path / "x.ckpt", model=nn.Linear(4, 2))
    found = QuantModule.load_from_checkpoint(tmp_path / "x.ckpt", model=nn.Linear(4, 2), scheme=scheme)
    assert torch.equal(found.model.weight, module.model.weight)
