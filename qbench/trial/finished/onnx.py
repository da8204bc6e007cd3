"""A finished trial's network as ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from qbench.data.splits import Part
from qbench.deploy.int8.encoding import NotIntegerError
from qbench.deploy.onnx.graph import OPSET
from qbench.deploy.onnx.qdq import export_onnx
from qbench.errors import UserError
from qbench.training.accuracy import Predictions, predictions_on
from qbench.trial.finished.module import open_module
from qbench.trial.record import TrialRecord
from qbench.trial.trial_data import dataset_of


def export_onnx_trial(record: TrialRecord, path: Path) -> dict[str, Any]:
    """Export a finished trial's network, and compare its predictions with onnxruntime's on every test image.

    Returns: `file`, `file_bytes`, `nodes`, `opset`, `images` (their number), and `agreement`, the share of equal
    predictions; None where onnxruntime is not installed.

    Raises:
        UserError: as `export_onnx` and `open_module`; a network that does not compute in integers.
    """
    config = record.config
    dataset = dataset_of(config)
    network = open_module(record).model
    try:
        export_onnx(network, dataset.input_shape, path)
    except NotIntegerError as error:
        raise UserError(f"scheme: {config.scheme} gives no INT8 network ({error}); train one such as int8-kl") from None
    import onnx

    test = dataset.splits(config.split_seed, config.data).test
    expected = predictions_on(network, test)
    return {
        "file": str(path),
        "file_bytes": path.stat().st_size,
        "nodes": len(onnx.load(path).graph.node),
        "opset": OPSET,
        "images": len(expected.labels),
        "agreement": _agreement(path, test, expected),
    }


def _agreement(path: Path, test: Part, expected: Predictions) -> float | None:
    try:
        import onnxruntime
    except ImportError:
        return None
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def scores(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run(["scores"], {"images": images.numpy()})[0])

    return predictions_on(scores, test).agreement(expected)
