"""The file with a trial's network: packed, ONNX, or the training's own weights."""

import importlib.util

import pytest
import torch

from qbench.data.datasets import get_dataset
from qbench.deploy.packed.file import load
from qbench.sweep.trial_model import make_model, model_facts
from qbench.trial.record import read_record


@pytest.fixture
def models(tmp_path):
    (tmp_path / "models").mkdir()
    return tmp_path / "models"


def test_a_binary_network_is_packed_and_predicts_as_the_record_says(trained, models):
    record = read_record(trained("binarynet"))
    model = make_model(record, models)
    assert (model.form, model.path) == ("packed", models / f"{record.trial_id}.safetensors")
    images = get_dataset("digits").load(0).test.images
    assert load(model.path).predict(images).tolist() == record.predictions
    assert model.path.stat().st_size < record.row["cost/weight_bytes"] + 4000
    assert model_facts(record, model) == {
        "form": "packed",
        "scheme": "binarynet",
        **{key: record.row[key] for key in ("test/accuracy", "cost/weight_bytes", "cost/energy_uj")},
    }


def test_an_int8_network_is_onnx_and_predicts_as_the_record_says(trained, models):
    onnxruntime = pytest.importorskip("onnxruntime")
    record = read_record(trained("int8-kl"))
    model = make_model(record, models)
    assert (model.form, model.path) == ("onnx", models / f"{record.trial_id}.onnx")
    session = onnxruntime.InferenceSession(model.path, providers=["CPUExecutionProvider"])
    images = get_dataset("digits").load(0).test.images
    scores = torch.from_numpy(session.run(["scores"], {"images": images.numpy()})[0])
    assert (scores.argmax(1) == torch.tensor(record.predictions)).double().mean() > 0.99


def test_without_onnx_it_is_the_trainings_file(trained, models, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "onnx" else find(name, *more))
    record = read_record(trained("int8-kl"))
    assert make_model(record, models).form == "weights"


@pytest.mark.parametrize("scheme", ["fp32", "binaryconnect-stochastic"])
def test_of_any_other_network_the_trainings_file_is_named(scheme, trained, models):
    record = read_record(trained(scheme))
    model = make_model(record, models)
    expected = record.folder / "trainings" / record.row["training_key"] / "weights.safetensors"
    assert (model.form, model.path) == ("weights", expected)
    assert list(models.iterdir()) == []


def test_a_training_that_keeps_no_weights_has_no_model(trained, models):
    record = read_record(trained("fp32"))
    record.row["training_key"] = "none"
    assert make_model(record, models) is None
