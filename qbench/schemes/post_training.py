"""What quantizes a network after its training: the third part of a scheme."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class PostTraining(BaseModel):
    """The steps of post-training quantization (PTQ), around the calibration of the scheme's quantizers.

    Attributes:
        fold_batch_norm: BatchNorm goes into weights and bias before they are quantized.
        clip_outliers: weights beyond that many robust standard deviations are clipped for the choice of the range (see
            `quantizers.analyse_outliers`); None clips none.
        bias_correction: the mean shift that quantization causes is taken out of each channel's bias.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    fold_batch_norm: bool = False
    clip_outliers: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    bias_correction: bool = False
