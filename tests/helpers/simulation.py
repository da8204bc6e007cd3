"""Planted trainings and test images, and how often the report's intervals and tests are right about them.

`python tests/helpers/simulation.py [simulations]` prints the tables of all settings.

The model is logistic: training s is right on image n with probability `expit(μ + a_s + b_n + c_n)`, a, b and c normal:
a of the seeds, b of the images, and c of the images for one scheme alone, so that two schemes differ on images but not
in their mean. μ is solved for so that the mean over all seeds and all images is the wanted accuracy.
"""

import sys
from functools import cache
from itertools import product

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

from qbench.report.statistics.confidence_interval import intervals
from qbench.report.statistics.crossed import mean_over
from qbench.report.statistics.difference import correction

SEEDS, IMAGES, ACCURACIES = (3, 5, 10), (360, 1000, 10_000), (0.90, 0.97, 0.99)
# Standard deviations of a and b, on the logit's scale.
GROUP_MIXTURES = {
    "no effects": (0.0, 0.0),
    "small seed, large image": (0.05, 2.0),
    "medium seed and image": (0.15, 1.0),
    "large seed and image": (0.4, 2.0),
    "large seed, small image": (0.4, 0.3),
    "seed only": (0.6, 0.0),
    "image decides": (0.0, 8.0),
}
# Standard deviations of a, b and c.
PAIR_MIXTURES = {
    "no effects": (0.0, 0.0, 0.0),
    "image": (0.0, 2.0, 0.0),
    "large seed": (0.4, 2.0, 0.0),
    "image decides": (0.0, 8.0, 0.0),
    "small seed, some images": (0.05, 2.0, 0.5),
    "seed, many images": (0.2, 3.0, 2.0),
    "images decide": (0.0, 6.0, 6.0),
}
_GRID = np.linspace(-8.5, 8.5, 4001)
_WEIGHTS = np.exp(-(_GRID**2) / 2) / np.exp(-(_GRID**2) / 2).sum()


def population(location, deviation):
    """The mean of expit(location + deviation·z) over a standard normal z, by quadrature."""
    return np.asarray(expit(np.asarray(location)[..., None] + deviation * _GRID) @ _WEIGHTS)


@cache
def location(accuracy, deviation):
    """The μ whose population mean is the accuracy."""
    return brentq(lambda at: float(population(at, deviation)) - accuracy, -10, 100)


def chunks(simulations, seeds, images):
    """Sizes of parts that together are `simulations`, each of at most a million predictions."""
    size = max(1, 1_000_000 // (seeds * images))
    return [min(size, simulations - start) for start in range(0, simulations, size)]


def drawn(generator, logits):
    """Which predictions are right: uniform numbers below expit(logits)."""
    return generator.random(logits.shape, dtype=np.float32) < expit(logits)


def normal(generator, *shape):
    return generator.standard_normal(shape, dtype=np.float32)


def coverage(seeds, images, accuracy, mixture, simulations, seed=0):
    """The share of intervals that contain the mean over all seeds (with 1 or 2: these seeds) and all images.

    And how often the truth is below and above.
    """
    generator = np.random.default_rng((seed, seeds, images, int(1000 * accuracy)))
    of_seeds, of_images = (np.float32(each) for each in GROUP_MIXTURES[mixture])
    at = location(accuracy, float(np.hypot(of_seeds, of_images)))
    below = above = 0
    for count in chunks(simulations, seeds, images):
        trainings = np.float32(at) + of_seeds * normal(generator, count, seeds)
        correct = drawn(generator, trainings[..., None] + of_images * normal(generator, count, 1, images))
        truth = accuracy if seeds >= 3 else population(trainings, of_images).mean(axis=-1)
        low, high = intervals(correct)
        below += int((truth < low).sum())
        above += int((truth > high).sum())
    return 1 - (below + above) / simulations, below / simulations, above / simulations


def differences(seeds, images, accuracies, mixture, simulations, seed=0):
    """The deltas [simulations, S, N] of two schemes, in parts."""
    generator = np.random.default_rng((seed, seeds, images, int(1000 * accuracies[0])))
    of_seeds, of_images, of_scheme = (np.float32(each) for each in PAIR_MIXTURES[mixture])
    deviation = float(np.sqrt(of_seeds**2 + of_images**2 + of_scheme**2))
    for count in chunks(simulations, seeds, images):
        shared = of_images * normal(generator, count, 1, images)
        right = [
            drawn(
                generator,
                np.float32(location(accuracy, deviation))
                + shared
                + of_seeds * normal(generator, count, seeds, 1)
                + of_scheme * normal(generator, count, 1, images),
            ).astype(np.int8)
            for accuracy in accuracies
        ]
        yield right[0] - right[1]


def rejected(seeds, images, accuracies, mixture, simulations, levels=(0.05,), seed=0):
    """The shares of p-values at or below each level."""
    found = []
    for deltas in differences(seeds, images, accuracies, mixture, simulations, seed):
        mean, unit = mean_over(deltas), correction(deltas)
        constant = np.ptp(deltas, axis=(1, 2)) == 0  # `difference` treats these apart; here all are 0 everywhere
        found.append(np.where(constant, 1.0, mean.p_value(unit)))
    p = np.concatenate(found)
    return [float((p <= level).mean()) for level in levels]


def main(simulations):
    print("coverage of the 95 % interval of a group, %, for accuracies of 0.90, 0.97, 0.99")
    for mixture, seeds, images in product(GROUP_MIXTURES, (1, 2, *SEEDS), IMAGES):
        found = [coverage(seeds, images, accuracy, mixture, simulations) for accuracy in ACCURACIES]
        print(f"{mixture:24} {seeds:3} {images:6} ", *(f"{100 * each:6.1f}" for each, _, _ in found), flush=True)
    print("p <= 0.05, 0.01 and 0.001 without a difference, %, for accuracies of 0.90, 0.97, 0.99")
    for mixture, seeds, images in product(PAIR_MIXTURES, (1, 2, *SEEDS), IMAGES):
        if seeds < 3 and mixture == "large seed":
            continue  # over images alone a seed's effect is a difference
        found = [rejected(seeds, images, (a, a), mixture, simulations, (0.05, 0.01, 0.001)) for a in ACCURACIES]
        print(
            f"{mixture:24} {seeds:3} {images:6} ",
            *("/".join(f"{100 * each:.2f}" for each in three) for three in found),
            flush=True,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
