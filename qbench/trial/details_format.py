"""The format of a trial's details, against which a file is checked before a view reads it."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

Count = Annotated[int, Field(ge=0, lt=2**63)]
Share = Annotated[float, Field(ge=0, le=1)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Energy = Annotated[float, Field(ge=0, allow_inf_nan=False)]
LowHigh = Annotated[list[Energy], Field(min_length=2, max_length=2)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")  # what a later version adds is no fault


class _Layer(_Part):
    name: str
    op: str
    weight_format: str | None
    input_format: str | None
    weights: Count
    macs: Count
    weight_bytes: Count
    scale_bytes: Count
    other_bytes: Count
    input_bytes: Count
    output_bytes: Count
    arithmetic_uj: LowHigh
    weight_traffic_uj: LowHigh
    activation_traffic_uj: LowHigh


class _Latent(_Part):
    layer: str
    low: Number
    high: Number
    counts: list[Count]


class _Filter(_Part):
    bits: Annotated[str, Field(pattern=r"^[01]+$")]
    rows: Annotated[int, Field(ge=1)]
    columns: Annotated[int, Field(ge=1)]
    count: Count

    @model_validator(mode="after")
    def _is_whole(self) -> _Filter:
        if len(self.bits) != self.rows * self.columns:
            raise ValueError(f"expected rows × columns bits, got {len(self.bits)}")
        return self


class _Filters(_Part):
    layer: str
    filters: Count
    input_maps: Count
    size: Count
    distinct: Count
    unique_fraction: Share
    random_fraction: Share
    most: list[_Filter]


class _Tensor(_Part):
    format: str
    low: Number | None
    high: Number | None
    clipped: Share
    sqnr_db: Number | None


class _QuantizedLayer(_Part):
    name: str
    weights: _Tensor | None
    inputs: _Tensor | None
    sensitivity: Share


class _Quantization(_Part):
    layers: list[_QuantizedLayer]
    float_accuracy: Share
    accuracy: Share
    images: Count


class _Divergence(_Part):
    threshold: list[Number]
    kl: list[Number | None]

    @model_validator(mode="after")
    def _is_even(self) -> _Divergence:
        if len(self.threshold) != len(self.kl):
            raise ValueError(f"expected a value for each of {len(self.threshold)} thresholds")
        return self


class _Range(_Part):
    layer: str
    method: str
    low: Number
    high: Number
    edge_low: Number
    edge_high: Number
    counts: list[Count]
    divergence: _Divergence | None


class _Calibration(_Part):
    seed: int
    images: Count
    indices: list[Count]


_PARTS: dict[str, TypeAdapter[Any]] = {
    "history": TypeAdapter(dict[str, list[Number | None]]),
    "layers": TypeAdapter(list[_Layer]),
    "latent": TypeAdapter(list[_Latent]),
    "filters": TypeAdapter(list[_Filters]),
    "quantization": TypeAdapter(_Quantization),
    "ranges": TypeAdapter(list[_Range]),
    "calibration": TypeAdapter(_Calibration),
}
_MAY_BE_EMPTY = ("quantization", "calibration")


def fault(parts: dict[str, Any]) -> str | None:
    """Return where the parts of a trial's details differ from their format, and how; None where they do not."""
    for name, value in parts.items():
        if name not in _PARTS:
            return f"{name}: unknown"
        if value == {} and name in _MAY_BE_EMPTY:
            continue
        try:
            _PARTS[name].validate_python(value, strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            return f"{'.'.join(map(str, (name, *first['loc'])))}: {first['msg']}"
    return _of_history(parts.get("history", {}))


def _of_history(history: dict[str, list[float | None]]) -> str | None:
    """Return what is wrong with a history whose values are numbers: lists of unequal length, epochs without number."""
    lengths = {len(column) for column in history.values()}
    if len(lengths) > 1:
        return "history: lists of unequal length"
    if lengths - {0} and (None in history.get("epoch", [None])):
        return "history.epoch: a number is missing"
    return None
