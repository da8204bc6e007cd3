"""The contract of quantizers, checked by name: what `qbench check-quantizer` shows."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from qbench.errors import ConfigError
from qbench.schemes.quantization import Role
from qbench.schemes.quantizer_spec import QuantizerSpec
from qbench.sweep.plug_ins import load_plugins
from quantizers import QUANTIZERS, LayerPlace, Quantizer
from quantizers.contract import CHECKS, Candidate, Fault, examine
from quantizers.contract.examples import Shape, default_shapes

_KINDS: dict[int, Literal["linear", "conv1d", "conv2d"]] = {2: "linear", 3: "conv1d", 4: "conv2d"}


@dataclass(frozen=True)
class Checked:
    """A quantizer that was checked.

    Attributes:
        name: as it was named.
        cls: the name of its class.
        role: what it was checked as a quantizer of.
        checks: the names of the checks that were made, in the order of `quantizers.contract.CHECKS`.
        faults: what they found, by name.
    """

    name: str
    cls: str
    role: Role
    checks: tuple[str, ...]
    faults: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        checks = [{"check": name, "asks": CHECKS[name], "fault": self.faults.get(name)} for name in self.checks]
        return {"quantizer": self.name, "class": self.cls, "role": self.role, "checks": checks}


def check_named(target: str | None, options: Mapping[str, Any], role: Role, shape: Shape | None) -> list[Checked]:
    """Check quantizers: for a linear layer and for a convolution, tensors of zeros and two processes included.

    Args:
        target: a registered name, a dotted path, or a file whose quantizers are checked; None for all that are known.
        options: of the constructor.
        role: what they quantize.
        shape: of the layer's weights, [N, K], [N, C, k] or [N, C, kh, kw]; None for one of either kind.

    Raises:
        ConfigError: no such quantizer, a file without one, options that it does not take, or no such shape.
    """
    if target is None:
        names = [name for name, _ in QUANTIZERS.loadable()]
    else:
        names = _of_file(target) if target.endswith(".py") else [target]
    shapes = default_shapes("weights") if shape is None else (_checked(shape),)
    built = [[_built(name, options, _place(each, role)) for each in shapes] for name in names]
    candidates = [
        Candidate.at(quantizer, _place(each, role))
        for quantizers in built
        for quantizer, each in zip(quantizers, shapes, strict=True)
    ]
    found = iter(examine(candidates, full=True))
    checked = []
    for name, quantizers in zip(names, built, strict=True):
        examinations = [next(found) for _ in quantizers]
        made = {check for each in examinations for check in each.checks}
        faults = _first([fault for each in examinations for fault in each.faults])
        cls = type(quantizers[0]).__name__
        checked.append(Checked(name, cls, role, tuple(check for check in CHECKS if check in made), faults))
    return checked


def _of_file(file: str) -> list[str]:
    """Return the dotted paths of the quantizers that a file defines, in its order."""
    (module,) = load_plugins([file], Path.cwd())
    found = [
        f"{module}.{name}"
        for name, each in vars(sys.modules[module]).items()
        if inspect.isclass(each) and issubclass(each, Quantizer) and each.__module__ == module
        if not inspect.isabstract(each)
    ]
    if not found:
        raise ConfigError(f"{file} defines no quantizer: no subclass of quantizers.Quantizer with forward and quantize")
    return found


def _checked(shape: Shape) -> Shape:
    if len(shape) not in _KINDS or min(shape) < 1:
        raise ConfigError(
            f"expected the shape of a layer's weights, N,K or N,C,k or N,C,kh,kw, got {list(shape)}", "--shape"
        )
    return shape


def _place(shape: Shape, role: Role) -> LayerPlace:
    return LayerPlace("layer", role, _KINDS[len(shape)], shape, 0, 1)


def _built(name: str, options: Mapping[str, Any], place: LayerPlace) -> Quantizer:
    try:
        return QuantizerSpec(name=name, options=dict(options)).build(place)
    except ConfigError:
        raise
    except Exception as error:  # of a user's constructor
        raise ConfigError(f"quantizer {name!r} cannot be built: {type(error).__name__}: {error}") from error


def _first(faults: Sequence[Fault]) -> dict[str, str]:
    found: dict[str, str] = {}
    for fault in faults:
        found.setdefault(fault.check, fault.message)
    return found


def contract_text(checked: Sequence[Checked]) -> str:
    """Return a line for each check of one quantizer; of several one for each quantizer, and one for each fault."""
    lines = []
    for each in checked:
        count = len(each.faults)
        title = f"{each.name} ({each.cls}, {each.role})" if each.name != each.cls else f"{each.name} ({each.role})"
        made = f"{len(each.checks)} {'check' if len(each.checks) == 1 else 'checks'}"
        lines.append(f"{title}: {made}, {count or 'no'} {'fault' if count == 1 else 'faults'}")
        shown = each.checks if len(checked) == 1 else tuple(each.faults)
        width = max(map(len, each.checks))
        lines += [
            f"  FAULT  {name:<{width}}  {each.faults[name]}"
            if name in each.faults
            else f"  pass   {name:<{width}}  {CHECKS[name]}"
            for name in shown
        ]
    return "\n".join(lines)
