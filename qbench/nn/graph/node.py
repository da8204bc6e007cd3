"""One operation of a network's graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import nn

from qbench.nn.activation import Activation
from qbench.nn.function_facts import FACTS, FunctionFacts

Kind = Literal[
    "input",
    "layer",
    "norm",
    "activation",
    "max_pool",
    "average_pool",
    "reshape",
    "identity",
    "pad",
    "add",
    "concatenate",
    "product",
    "other",
    "output",
]
"""What an operation is.

- `input`, `output`: of the network.
- `layer`: a call of a quantizable layer, as a whole: a `QuantLayer`, or torch's own layer that could become one.
- `norm`: a call of a BatchNorm of one of `NORMS`, as a whole.
- `activation`: a function of single values, or softmax; `function` says which. Slots (`Activation`) and calls alike.
- `max_pool`, `average_pool`: adaptive ones included.
- `reshape`: the same values in another shape or order: flatten, view, permute.
- `identity`: the same values: dropout in evaluation, clone, contiguous, nn.Identity.
- `pad`: values added at the borders.
- `add`: the sum of two tensors, or of one and a number. `concatenate`: along a dimension.
- `product`: multiplies and accumulates, but is no layer: attention, `F.linear`, an LSTM, a layer of another kind.
- `other`: anything else: element-wise arithmetic, slices, other norms, means.
"""


@dataclass(frozen=True)
class Node:
    """One operation of a network's graph.

    Attributes:
        name: of the operation, unique in its graph.
        kind: see `Kind`.
        target: what is called: `layer`, `norm`, `slot`, or a name of ATen's such as `aten.relu.default`.
        path, module: the layer, norm or slot that is called; of a function, the innermost module whose forward calls
            it (torch's nn.ReLU of its own relu). A module that stands in several places has its first name.
        inputs: names of the operations whose tensors it takes, in the order it takes them.
        parameters: names of the parameters and buffers that it takes without their layer, `fc.weight`.
        arguments: all other arguments, by ATen's names.
        function: of an activation: `relu`, `hardtanh`, `gelu`, ..., or the name that fills a slot; None for the others.
        shape: of the tensor that it gives, the batch included; () for none, or several.
        input_shapes: of the tensors of `inputs`.
        macs: multiply-accumulates of a product for one example; 0 for all else, layers too: a `LayerShape` has theirs.
    """

    name: str
    kind: Kind
    target: str
    path: str
    module: nn.Module
    inputs: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    function: str | None = None
    shape: tuple[int, ...] = ()
    input_shapes: tuple[tuple[int, ...], ...] = ()
    macs: int = 0

    @property
    def facts(self) -> FunctionFacts:
        """What is known of an activation's function; of other operations nothing."""
        if isinstance(self.module, Activation) and self.target == "slot":
            return self.module.facts
        return FACTS.get(self.function or "", FunctionFacts())

    @property
    def label(self) -> str:
        """The operation for a message: `features.0 (QuantConv2d)`, `aten.add.Tensor in Block.forward (layer1.0)`."""
        kind = type(self.module).__name__
        if self.kind in ("layer", "norm") or self.target == "slot":
            return f"{self.path} ({kind})"
        place = f" ({self.path})" if self.path else ""
        return f"{self.target} in {kind}.forward{place}"
