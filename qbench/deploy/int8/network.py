"""True integer execution: int8 from layer to layer, int32 inside, and no float between the pixels and the scores."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from qbench.data.batches import EVALUATION_BATCH
from qbench.data.classification import predicted_classes
from qbench.deploy.int8.encoding import CodeScale, NotIntegerError, input_encoding, integer_blocks
from qbench.deploy.int8.stage import make_stage
from qbench.nn.quant_op.int8 import as_int8


class IntegerNetwork:
    """A quantized network as int8 × int8 -> int32 -> int8 from its input's codes to its scores.

    Per stage: exact int32 sums (`Int8Op`), a left shift, the bias in int32, gemmlowp's fixed-point multiplication, the
    activation as a clamp of the codes, max-pool on the codes. BatchNorm, folded before or not, is in the multiplier and
    the bias. The last stage gives int32 scores of one scale for all classes, in which the largest possible score is
    2^30: comparing them needs no float.

    The shift takes the sums of each channel to just below 2^30 (by the bound that its weights give). The fixed-point
    multiplication rounds twice, first its 32-bit product; without the shift that first rounding is at 1/16 to 1/128 of
    a level, and one code in a hundred differs from the correctly rounded one.

    A channel whose bias would not fit (its weights have all but vanished), or whose unit is under 2^-30 of its
    output's, gets a unit that is larger by a power of two, and its codes are rounded to that.

    Args:
        network: a chain of blocks (see `blocks`), every layer with integer weights and inputs of 2 to 8 bits, and
            calibrated or trained. Later changes of it are not followed.
        input_shape: of one example, without the batch; or a batch of examples.
        device: where it runs.

    Attributes:
        stages: one for each block.

    Raises:
        NotIntegerError, UnsupportedStructureError: a network that cannot run so, with the layer and the reason.

    Source: Jacob et al. (CVPR 2018) section 2.
    """

    def __init__(
        self, network: nn.Module, input_shape: tuple[int, ...] | Tensor, device: torch.device | str = "cpu"
    ) -> None:
        chain = integer_blocks(network, input_shape)
        if chain[-1].pool is not None:
            raise NotIntegerError(f"{chain[-1].name}: a max-pool after the last layer")
        self.device = torch.device(device)
        self._quantizer = chain[0].layer.input_quantizer
        scales = [CodeScale.of_int8(input_encoding(block)) for block in chain]
        self.stages = [
            make_stage(block, source, target, self.device)
            for block, source, target in zip(chain, scales, [*scales[1:], None], strict=True)
        ]

    @torch.no_grad()
    def outputs(self, images: Tensor) -> list[Tensor]:
        """Return what every stage makes of float images [B, ...]: int8 codes, of the last one int32 scores."""
        assert self._quantizer is not None
        codes = as_int8(self._quantizer.quantize(images))[0].to(self.device)
        found = []
        for stage in self.stages:
            codes = stage.run(codes, last=stage is self.stages[-1])
            found.append(codes)
        return found

    def __call__(self, images: Tensor) -> Tensor:
        """Return the scores, float32 [B, classes]: the int32 scores times their scale."""
        scores = torch.cat([self.outputs(batch)[-1] for batch in images.split(EVALUATION_BATCH)])
        return (scores.double() * self.stages[-1].output.scale).float()

    def predict(self, images: Tensor) -> Tensor:
        """Return the classes, int64 [B]: those of the largest int32 score, the first of equals."""
        return torch.cat([predicted_classes(self.outputs(batch)[-1]) for batch in images.split(EVALUATION_BATCH)])
