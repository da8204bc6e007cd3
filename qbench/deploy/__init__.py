"""From a trained binary network to one that computes in bits: packing, the file, execution.

>>> from qbench.deploy import load
>>> network = load("model.safetensors")
>>> scores = network(images)  # float32 [B, classes]; network.predict(images) gives the classes
"""

from qbench.deploy.convert import NotPackable, pack
from qbench.deploy.file import BadFile, load, read, save
from qbench.deploy.network import PackedNetwork
from qbench.deploy.spec import NetworkSpec, PackedModel
from quantizers import Pixels

__all__ = [
    "BadFile",
    "NetworkSpec",
    "NotPackable",
    "PackedModel",
    "PackedNetwork",
    "Pixels",
    "load",
    "pack",
    "read",
    "save",
]
