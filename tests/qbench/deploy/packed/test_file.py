"""The file: its size byte by byte, what another reader finds in it, and what is refused."""

import json
import os
import struct

import pytest
import torch
from random_networks import evaluated, quantized, random_network
from safetensors.torch import load_file, save_file

from qbench.cost.network_cost import network_cost
from qbench.deploy.packed.convert import pack
from qbench.deploy.packed.file import BadFileError, load, read, save
from qbench.deploy.packed.network import PackedNetwork
from qbench.errors import UserError
from qbench.nn.models.catalogue import get_model
from quantizers import Pixels

DIGITS = Pixels(multiplier=1, offset=8, divisor=8)


def packed(seed=11):
    network, shape = random_network(seed)
    quantized(network, seed=seed)
    return network, shape, pack(network, shape, DIGITS, {"scheme": "binarynet", "test/accuracy": 0.5, "seed": None})


def parts(path):
    """(header as JSON, its length with padding, bytes of data), by the format's own definition."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), length, len(data) - 8 - length


@pytest.mark.parametrize("name", ["binarynet", "binaryconnect"])
@pytest.mark.parametrize(
    ("model_name", "options"),
    [("digits-mlp", {"hidden": 33}), ("digits-convnet", {"width": 31}), ("cifar10-convnet", {"width": 5})],
)
def test_the_file_has_the_estimates_size(name, model_name, options, tmp_path):
    """File = 8 bytes + header + what `qbench estimate` says is stored."""
    named = get_model(model_name)
    network = quantized(named.make(options), name)
    cost = network_cost(network, named.input_shape)
    save(pack(network, named.input_shape), tmp_path / "m")
    header, length, data = parts(tmp_path / "m")
    assert data == cost.stored_bytes
    assert (tmp_path / "m").stat().st_size == 8 + length + cost.stored_bytes
    assert length < 600 + 800 * len(cost.layers)
    # Each layer's tensors, one by one.
    held = {
        key: end - start
        for key, value in header.items()
        if key != "__metadata__"
        for start, end in [value["data_offsets"]]
    }
    for layer in cost.layers:
        n = _outputs(network, layer.name)
        assert held[f"{layer.name}.weight"] == layer.weight_bytes == n * -(-(layer.weights // n) // 8)
        if layer.name == "out" or name == "binaryconnect":
            assert held[f"{layer.name}.scale"] + held[f"{layer.name}.shift"] == layer.other_bytes == 8 * n
        else:
            assert held[f"{layer.name}.threshold"] == 4 * n
            assert held[f"{layer.name}.threshold"] + held[f"{layer.name}.direction"] == layer.other_bytes
        assert layer.scale_bytes == 0
    assert sum(held.values()) == data


def _outputs(network, name):
    return network.get_submodule(name).weight.shape[0]


def test_wide_layers_take_a_32nd():
    network = quantized(get_model("digits-mlp").make({"hidden": 512}))
    found = pack(network, (1, 8, 8))
    weights = {key: tensor for key, tensor in found.tensors.items() if key.endswith(".weight")}
    floats = sum(4 * layer.weight.numel() for layer in network if hasattr(layer, "weight_quantizer"))
    assert sum(tensor.numel() for tensor in weights.values()) * 32 == floats


def test_another_program_finds_the_signs_in_pytorchs_order(tmp_path):
    network = quantized(get_model("digits-convnet").make({"width": 5}))
    save(pack(network, (1, 8, 8)), tmp_path / "m")
    rows = load_file(tmp_path / "m")["conv2.weight"]
    bits = torch.stack([(rows >> i) & 1 for i in range(8)], -1).flatten(1)[:, : 5 * 9]
    assert torch.equal(bits == 1, network.conv2.weight.flatten(1) >= 0)


def test_a_file_comes_back(tmp_path):
    network, shape, made = packed()
    save(made, tmp_path / "m")
    found = read(tmp_path / "m")
    assert found.spec == made.spec
    assert found.spec.made_from == {"scheme": "binarynet", "test/accuracy": 0.5, "seed": None}
    assert all(torch.equal(found.tensors[key], made.tensors[key]) for key in made.tensors)
    images = DIGITS.decode(torch.randint(0, 17, (4, *shape), dtype=torch.uint8))
    assert torch.equal(load(str(tmp_path / "m"))(images), evaluated(network, images))
    first = (tmp_path / "m").read_bytes()
    (tmp_path / "plain").touch()
    assert (tmp_path / "m").stat().st_mode == (tmp_path / "plain").stat().st_mode
    (tmp_path / "plain").unlink()
    save(found, tmp_path / "m")
    assert (tmp_path / "m").read_bytes() == first
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["m"]


def test_a_folder_that_cannot_be_written(tmp_path):
    *_, made = packed()
    with pytest.raises(UserError, match="nowhere/m: cannot be written"):
        save(made, tmp_path / "nowhere" / "m")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="folder: cannot be written"):
        save(made, tmp_path / "folder")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def one_line(path, match):
    with pytest.raises(BadFileError, match=match) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")


def test_no_packed_network(tmp_path):
    one_line(tmp_path / "missing", "cannot be read: No such file")
    one_line(tmp_path, "cannot be read: Is a directory")
    for content in (b"", b"not a model", b"\xff" * 100):
        (tmp_path / "m").write_bytes(content)
        one_line(tmp_path / "m", "is damaged, or no safetensors file")
    save_file({"x": torch.zeros(3)}, tmp_path / "m", {"qbench-packed": "{}"})
    one_line(tmp_path / "m", "is damaged: its header describes nothing")
    save_file({"x": torch.zeros(3)}, tmp_path / "m")
    one_line(tmp_path / "m", "is no packed network: `qbench export` makes them")


def test_truncated_and_changed(tmp_path):
    *_, made = packed()
    save(made, tmp_path / "m")
    whole = (tmp_path / "m").read_bytes()
    for keep in (4, 100, len(whole) - 1):
        (tmp_path / "m").write_bytes(whole[:keep])
        one_line(tmp_path / "m", "is damaged")
    for place in (len(whole) - 1, len(whole) - made.nbytes):
        (tmp_path / "m").write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        one_line(tmp_path / "m", "is damaged: its contents do not have the checksum")
    assert whole.count(rb"\"version\":1") == 1
    (tmp_path / "m").write_bytes(whole.replace(rb"\"version\":1", rb"\"version\":2"))
    one_line(tmp_path / "m", "has format version 2, this qbench reads 1")


def forged(path, made, network, tensors=None):
    """A file of another program, with a valid checksum."""
    from qbench.deploy.packed.file import FORMAT, header

    tensors = made.tensors if tensors is None else tensors
    save_file(dict(tensors), path, {FORMAT: header(network, tensors)})
    return path


@pytest.mark.parametrize("stop", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_writing_that_stops_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, stop):
    folder = tmp_path / "networks"
    folder.mkdir()
    save(packed()[2], folder / "m")
    before = (folder / "m").read_bytes()

    def stopped(_):
        raise stop

    monkeypatch.setattr(os, "fsync", stopped)
    with pytest.raises((UserError, KeyboardInterrupt)) as raised:
        save(packed(seed=12)[2], folder / "m")
    if isinstance(stop, OSError):
        assert str(raised.value) == f"{folder / 'm'}: cannot be written: No space left on device"
    assert [path.name for path in folder.iterdir()] == ["m"]
    assert (folder / "m").read_bytes() == before


def test_contents_that_describe_no_network(tmp_path):
    *_, made = packed()
    described = json.loads(made.spec.model_dump_json())

    def with_(**changes):
        return {**described, **changes}

    def with_pixels(**changes):
        return with_(input={**described["input"], "pixels": {"multiplier": 1, "offset": 8, "divisor": 8, **changes}})

    layers = described["layers"]
    folded = {**layers[0], "scaled": True}
    uncentred = {**layers[-1], "norm": False, "centred": True}
    huge = {**layers[-1], "inputs": 2**23}
    cases = [
        ([], "describes no network"),
        (with_(surprise=1), "describes no network: surprise: unknown key"),
        (with_(layers=[]), "describes no network: layers"),
        (with_(layers=layers[:-1]), "gives no scores|does not belong|belongs to no layer"),
        (with_(layers=[*layers[:-1], huge]), "expected 8388608 inputs"),
        (with_(layers=[*layers, layers[-1]]), "two have the same name"),
        (with_(input={**described["input"], "pixels": None}), "pixels are described exactly where"),
        (with_(input={**described["input"], "shape": [1, 2**24, 2**24]}), "describes no network"),
        (with_pixels(multiplier=3), "multiplier must be an integer from 1 to 2, got 3"),
        (with_pixels(offset=-1), "offset must be an integer from 0"),
        (with_pixels(divisor="8"), r"input\.pixels\.divisor"),
        (with_pixels(divisor=True), r"input\.pixels\.divisor"),
        (with_pixels(surprise=1), r"input\.pixels\.surprise"),
        (with_(layers=[folded, *layers[1:]]), "has a weight scale beside thresholds, or a mean without a norm"),
        (with_(layers=[*layers[:-1], uncentred]), "has a weight scale beside thresholds, or a mean without a norm"),
        (with_(layers=[*layers[:-1], {**layers[-1], "scaled": True}]), r"12\.weight_scale: is missing"),
    ]
    for network, match in cases:
        one_line(forged(tmp_path / "m", made, network), match)
    network = described
    name = next(iter(made.tensors))
    one_line(
        forged(tmp_path / "m", made, network, {**made.tensors, "more": torch.zeros(1)}), "more: belongs to no layer"
    )
    fewer = {key: value for key, value in made.tensors.items() if key != name}
    one_line(forged(tmp_path / "m", made, network, fewer), f"{name}: is missing")
    other = {**made.tensors, name: made.tensors[name].int()}
    one_line(forged(tmp_path / "m", made, network, other), rf"{name}: expected torch\.uint8 .* got torch\.int32")
    assert PackedNetwork(read(forged(tmp_path / "m", made, network)))


def test_bits_past_a_row_are_ignored(tmp_path):
    """The kernels rely on zeros past K; a file from elsewhere may hold others."""
    network = quantized(get_model("digits-mlp").make({"hidden": 33}))
    images = DIGITS.decode(torch.randint(0, 17, (4, 1, 8, 8), dtype=torch.uint8))
    made = pack(network, (1, 8, 8))
    tensors = {key: tensor.clone() for key, tensor in made.tensors.items()}
    tensors["out.weight"][:, -1] |= 0xFE  # K = 33: one bit of the last byte counts
    forged(tmp_path / "m", made, json.loads(made.spec.model_dump_json()), tensors)
    assert torch.equal(load(tmp_path / "m")(images), evaluated(network, images))
