"""How a trained float network is quantized: the third part of a scheme."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class PostTraining(BaseModel):
    """The steps of post-training quantization (PTQ) around the calibration of the quantizers.

    Attributes:
        fold_batch_norm: BatchNorm is multiplied into weights and bias before they are quantized.
        clip_outliers: weights beyond so many robust standard deviations are clipped when the range is chosen (see
            `quantizers.analyse_outliers`); None clips none.
        bias_correction: the mean shift that quantization causes in a channel is subtracted from its bias.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    fold_batch_norm: bool = False
    clip_outliers: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    bias_correction: bool = False
