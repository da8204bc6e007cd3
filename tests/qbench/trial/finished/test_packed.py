"""Trials on disk become packed networks that predict the same on every test image."""

import json
import shutil

import pytest

from qbench.deploy.packed.file import read, save
from qbench.deploy.packed.packable import NotPackableError
from qbench.errors import UserError
from qbench.trial.config import TrialConfig
from qbench.trial.finished.find import find_record
from qbench.trial.finished.packed import export_packed
from quantizers import KNOWN_PIXELS

MLP = {"model": "digits-mlp", "model_options": {"hidden": 40, "layers": 2}}
SIGNS = {"scheme_options": {"network_input": {"name": "sign"}}}


@pytest.mark.parametrize(
    ("scheme", "fields", "real_input", "reads"),
    [
        ("binarynet", {}, False, "pixels"),
        ("binarynet", {}, True, "real"),
        ("binarynet", MLP, False, "pixels"),
        ("binarynet", SIGNS, False, "sign"),
        ("binarynet-stochastic", {}, False, "pixels"),
        ("binaryconnect", {}, False, "pixels"),
        ("binaryconnect", {}, True, "real"),
        ("bnn-shift", {}, False, "pixels"),
        ("bnn-shift", MLP, True, "real"),
        ("xnor-net", {}, False, "pixels"),
        ("bitwise", {}, False, "pixels"),
        ("binarize-after", {}, False, "pixels"),
    ],
)
def test_every_test_image_is_predicted_alike(scheme, fields, real_input, reads, trained, tmp_path):
    run = find_record(trained(scheme, **fields))
    made = export_packed(run, real_input)
    assert (made.agreement, made.reproduced, made.images) == (1.0, 1.0, 360)
    assert made.accuracy == run.row["test/accuracy"]
    assert made.model.nbytes == run.row["cost/weight_bytes"]
    assert made.model.spec.input.kind == reads
    save(made.model, tmp_path / "m")
    assert read(tmp_path / "m").spec.made_from["trial_id"] == run.row["trial_id"]


def test_the_config_comes_back_from_its_row(trained):
    fields = {"model_options": {"width": 6}, "scheme_options": {"network_input": {"name": "sign"}}}
    config = TrialConfig.from_mapping({"scheme": "binarynet", "epochs": 2, **fields})
    assert find_record(trained("binarynet", scheme_options=fields["scheme_options"])).config == config


def test_what_the_kernels_cannot_run_is_refused(trained):
    with pytest.raises(NotPackableError, match="conv1: evaluation uses float32 weights"):
        export_packed(find_record(trained("fp32")))
    with pytest.raises(NotPackableError, match="conv1: evaluation uses int8 weights"):
        export_packed(find_record(trained("int8-minmax")))
    with pytest.raises(NotPackableError, match="conv1: evaluation uses ternary weights"):
        export_packed(find_record(trained("ternary-binary")))
    with pytest.raises(
        NotPackableError, match=r"act: its result goes to block1_1\.conv, aten\.add\.Tensor in ResidualBlock"
    ):
        export_packed(find_record(trained(model="digits-resnet")))


def test_agreement_is_measured(trained, monkeypatch):
    import cuda_ext

    product = cuda_ext.xnor_matmul
    monkeypatch.setattr(cuda_ext, "xnor_matmul", lambda *arguments: -product(*arguments))
    assert export_packed(find_record(trained())).agreement < 0.9


def test_a_folder_with_one_trial_is_enough(trained, tmp_path):
    path = trained()
    folder = path.parents[1]
    assert find_record(folder) == find_record(path)
    copy = shutil.copytree(folder, tmp_path / "copy")
    record = json.loads(path.read_text())
    (copy / "trials" / "failed.json").write_text(json.dumps({**record, "status": "failed", "error": "no luck"}))
    assert find_record(copy).row == find_record(path).row
    with pytest.raises(UserError, match=r"failed\.json: the trial failed: no luck"):
        find_record(copy / "trials" / "failed.json")
    shutil.copy(path, copy / "trials" / "second.json")
    with pytest.raises(UserError, match=rf"holds 2 finished trials; name one, as .*{path.name} \(binarynet, seed 0\)"):
        find_record(copy)


def test_no_run(tmp_path):
    (tmp_path / "trials").mkdir()
    with pytest.raises(UserError, match=r"holds no finished trial \(trials/\*\.json\)"):
        find_record(tmp_path)
    with pytest.raises(UserError, match="cannot be read: No such file"):
        find_record(tmp_path / "trials" / "x.json")
    for text in ("", "[]", "{}", '{"status": "done", "row": {}, "predictions": [], "error": null}'):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(UserError, match=r"x\.json: is no trial's record"):
            find_record(tmp_path / "x.json")


def test_lost_weights(trained, tmp_path):
    path = trained()
    copy = shutil.copytree(path.parents[1], tmp_path / "copy")
    shutil.rmtree(copy / "trainings")
    with pytest.raises(UserError, match="holds no trained weights"):
        export_packed(find_record(copy))


def test_other_weights_than_the_networks(trained, tmp_path):
    path = trained()
    copy = shutil.copytree(path.parents[1], tmp_path / "copy")
    record = json.loads(path.read_text())
    record["row"]["model_options.width"] = 7
    (copy / "trials" / path.name).write_text(json.dumps(record))
    with pytest.raises(UserError, match="was trained by other code, whose network differs"):
        export_packed(find_record(copy))


def test_a_test_image_that_is_no_pixel(trained, monkeypatch):
    """Should the validation images be pixels and a test image not, nothing is rounded."""
    monkeypatch.setattr("qbench.trial.finished.packed.find_pixels", lambda images: KNOWN_PIXELS[3])
    with pytest.raises(UserError, match=r"data 'digits': images: expected values .*; try --real-input"):
        export_packed(find_record(trained()))


def test_a_network_of_pixels_runs_packed_from_pixels_to_scores(trained):
    """`network_input: pixel8`: layer by layer and as a packed network; digits are q/8 - 1."""
    digits = {"name": "pixel8", "options": {"multiplier": 1, "offset": 8, "divisor": 8}}
    run = find_record(trained(scheme_options={"network_input": digits}))
    first, *others = run.row["kernel/ops"].split()
    assert (first, set(others)) == ("bitplane", {"xnor"})
    assert run.row["kernel/agreement"] == 1.0
    for real_input in (False, True):  # the network itself reads pixels
        made = export_packed(run, real_input=real_input)
        assert made.model.spec.input.kind == "pixels"
        assert made.model.spec.input.pixels == KNOWN_PIXELS[0]
        assert made.agreement == 1.0


def test_data_that_are_no_pixels_of_the_network_have_no_packed_form(trained):
    """BinaryNet's 2q/255 - 1 on digits: evaluation rounds them, a packed network reads pixels alone."""
    run = find_record(trained(scheme_options={"network_input": "pixel8"}))
    assert run.row["kernel/agreement"] == 1.0  # layer by layer, the quantizer rounds
    with pytest.raises(UserError, match=r"expected values \(2·q - 255\)/255 of pixels .* values\)$"):
        export_packed(run)
