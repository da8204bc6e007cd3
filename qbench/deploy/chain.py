"""Reads a network as a chain of blocks."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from qbench.deploy.block import Block
from qbench.errors import UserError
from qbench.nn.activation import Activation
from qbench.nn.quant_conv2d import QuantConv2d
from qbench.nn.quant_layer import QuantLayer
from qbench.nn.quant_linear import QuantLinear

_SKIPPED = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Identity)  # which evaluation skips


class UnsupportedStructureError(UserError):
    """A network that is no chain of known modules; the message names the module and the reason."""


def blocks(
    network: nn.Module, input_shape: tuple[int, ...] | Tensor, refusal: type[UserError] = UnsupportedStructureError
) -> list[Block]:
    """Return the blocks of an nn.Sequential (nested ones are opened), whose modules run in the order they stand in.

    A block is a QuantLinear or QuantConv2d, then at most one max-pool, one BatchNorm with running statistics (plain or
    shift-based) and one activation (after the BatchNorm). nn.Flatten stands before linear layers. nn.Dropout and
    nn.Identity are left out.

    Args:
        network: trained; what its quantizers are is not looked at.
        input_shape: of one example, without the batch; or a batch of examples.
        refusal: the error for a network of another structure.

    Raises:
        refusal: another module or order; the message names the module and the reason.
    """
    reader = _Reader()
    for name, module in _opened(network, "", refusal):
        reason = reader.add(name, module)
        if reason is not None:
            raise refusal(f"{name}: {reason}")
    if not reader.blocks:
        raise refusal("the network has no layer to quantize")
    return reader.blocks


def _opened(module: nn.Module, prefix: str, refusal: type[UserError]) -> Iterator[tuple[str, nn.Module]]:
    """Yield the modules of nested nn.Sequentials, with their names, in the order they run."""
    if type(module) is not nn.Sequential:
        if not prefix:
            raise refusal(f"the network is {type(module).__name__}, not an nn.Sequential: its order is not known")
        yield prefix, module
        return
    for name, child in module.named_children():
        yield from _opened(child, f"{prefix}.{name}" if prefix else name, refusal)


class _Reader:
    """The blocks read so far, and whether the last one's output has been flattened."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._flat = False

    def add(self, name: str, module: nn.Module) -> str | None:
        """Read the next module; return why it cannot stand there, None if it can."""
        kind = type(module)
        if kind in (QuantLinear, QuantConv2d):
            assert isinstance(module, QuantLinear | QuantConv2d)
            return self._add_layer(name, module)
        if isinstance(module, QuantLayer):
            return f"{kind.__name__} may compute otherwise than QuantLinear and QuantConv2d"
        if isinstance(module, nn.Flatten):
            self._flat = True
            flattens_all = (module.start_dim, module.end_dim) == (1, -1)
            return None if flattens_all else "flattens other dimensions than all but the batch"
        if kind in _SKIPPED:
            return None
        if not self.blocks:
            return f"{kind.__name__} comes before the first layer"
        if self._flat and isinstance(self.blocks[-1].layer, QuantConv2d) and kind is not Activation:
            return f"{kind.__name__} after nn.Flatten"
        return self.blocks[-1].add(module)

    def _add_layer(self, name: str, layer: QuantLinear | QuantConv2d) -> str | None:
        on_image = bool(self.blocks) and isinstance(self.blocks[-1].layer, QuantConv2d) and not self._flat
        if isinstance(layer, QuantLinear) and on_image:
            return "a linear layer on an image needs an nn.Flatten before it"
        if isinstance(layer, QuantConv2d) and self._flat:
            return "a convolution after nn.Flatten"
        self.blocks.append(Block(name, layer, flatten=self._flat))
        self._flat = False
        return None
