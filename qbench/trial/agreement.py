"""Whether packed execution predicts what the tested network predicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

AGREEMENT = "kernel/agreement"
AGREEMENT_TOLERANCE = 0.005
"""The share of test images that packed execution may put into another class; one image always may be.

Binary networks agree on every image: their sums are integers both ways. An integer chain rounds each layer's sums to
the next one's codes, where fake-quantized evaluation has float32 sums in another order: a sum on the border of two
codes falls to either, and an image whose two best scores are nearly equal changes its class. Measured: 0.02 to 0.06 %
of 10,000 CIFAR-10 images, and 1 of 360 digits at worst. Half a percent is some ten times that, and far from a wrong
quantizer's 63 %; one image is always allowed, for of few images it is more than half a percent.
"""


def agreement_fault(row: Mapping[str, Any], images: int | None = None) -> str | None:
    """Return what is wrong with a trial's agreement of packed and fake-quantized predictions; None where nothing is.

    Args:
        row: of a trial; without a value nothing ran packed, and nothing can disagree.
        images: how many test images there are; None where nobody knows, and the share alone decides.
    """
    agreement = row.get(AGREEMENT)
    if agreement is None:
        return None
    allowed = AGREEMENT_TOLERANCE if images is None else max(int(AGREEMENT_TOLERANCE * images), 1) / images
    if 1 - agreement <= allowed + 1e-9:
        return None
    of_images = "" if images is None else f" ({round((1 - agreement) * images):,} of {images:,} differ)"
    return (
        f"packed execution predicts {100 * agreement:.2f} % of the test images as the network that was tested does"
        f"{of_images}, expected at least {100 * (1 - allowed):.2f} %: its accuracy is not that of what is deployed"
    )
