"""The networks of the matrix, at small widths."""

from __future__ import annotations

from functools import partial

from torch import nn

from qbench.conformance.subject import Subject
from qbench.errors import ConfigError, nearest
from qbench.nn.models.catalogue import MODELS, get_model
from qbench.nn.models.convnet import convnet
from qbench.nn.models.mlp import mlp
from qbench.nn.models.model import Model
from qbench.nn.models.plain.conv1d_audio import M5
from qbench.nn.models.plain.densenet import DenseNet
from qbench.nn.models.plain.functional_net import FunctionalNet, FunctionalWeights
from qbench.nn.models.plain.lstm_classifier import LSTMClassifier
from qbench.nn.models.plain.mlp_mixer import MLPMixer
from qbench.nn.models.plain.mobilenet_v2 import MobileNetV2
from qbench.nn.models.plain.resnet18 import ResNet18
from qbench.nn.models.plain.shared_layers import SharedLayers, shared_chain
from qbench.nn.models.plain.transformer_encoder import TransformerClassifier
from qbench.nn.models.plain.unet import UNet
from qbench.nn.models.plain.vit import VisionTransformer
from qbench.nn.models.resnet import resnet


def _unflattened_mlp() -> nn.Module:
    return mlp(64, 32, 2, 10, 0.2, 0.5)


SUBJECTS = (
    Subject("papers' MLP", _unflattened_mlp, (1, 8, 8)),
    Subject("papers' ConvNet", partial(convnet, 3, 16, (4, 8, 16), (24, 24), 10), (3, 16, 16)),
    Subject("residual ConvNet", partial(resnet, 1, 8, 2, 1, 10), (1, 8, 8)),
    Subject("resnet18", partial(ResNet18, 8), (3, 16, 16)),
    Subject("mobilenet_v2", partial(MobileNetV2, 0.25, 1), (3, 8, 8)),
    Subject("densenet", partial(DenseNet, 4, (2, 1), 8), (3, 8, 8)),
    Subject("vit", partial(VisionTransformer, 8, 4, 24, 1, 3), (3, 8, 8), allow_float=("blocks.*.attn",)),
    Subject(
        "transformer_encoder",
        partial(TransformerClassifier, 12, 6, 16, 1, 2),
        (6, 12),
        allow_float=("encoder.layers.*.self_attn",),
    ),
    Subject("lstm_classifier", partial(LSTMClassifier, 30, 12, 8), (7,), tokens=30, allow_float=("lstm",)),
    Subject("conv1d_audio", partial(M5, 8, 16, 4), (1, 320)),
    Subject("mlp_mixer", partial(MLPMixer, 8, 4, 16, 1), (3, 8, 8)),
    Subject("functional_net", partial(FunctionalNet, 4), (1, 28, 28)),
    Subject("functional_weights", partial(FunctionalWeights, 4), (1, 8, 8)),
    Subject("shared_layers", partial(SharedLayers, 8), (1, 8, 8)),
    Subject("shared_chain", partial(shared_chain, 8), (1, 8, 8)),
    Subject("unet", partial(UNet, 3, 4), (3, 8, 8), allow_float=("up*",)),
    Subject("unet, bilinear", partial(UNet, 3, 4, bilinear=True), (3, 8, 8)),
)
"""The rows of the matrix. A second try allows what has no quantized form: attention, an LSTM, an enlargement."""


def get_subject(name: str) -> Subject:
    """Return a row of the matrix, or a registered model (or one at a dotted path) as it is by default.

    Raises:
        ConfigError: neither; the message names the nearest.
    """
    rows = {subject.name: subject for subject in SUBJECTS}
    if name in rows:
        return rows[name]
    if "." not in name and ":" not in name and name not in MODELS.names():
        raise ConfigError(f"unknown network{nearest(name, sorted([*rows, *MODELS.names()]))}", "model")
    model: Model = get_model(name)
    return Subject(name, lambda: model.make({}), model.input_shape)
