"""Augmentations against torch's slices, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from qbench.data.augmentation.augmented import AugmentedPart
from qbench.data.augmentation.crop import Crop
from qbench.data.augmentation.cutout import Cutout
from qbench.data.augmentation.flip import Flip
from qbench.data.augmentation.normalize import Normalize
from qbench.data.augmentation.registry import AUGMENTATIONS, build_augmentation, check_augmentations
from qbench.data.splits import Examples
from qbench.errors import ConfigError

SHAPE = (3, 5, 4)


def images(count: int = 200) -> Tensor:
    return torch.randn(count, *SHAPE, generator=torch.Generator().manual_seed(0))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_flip_gives_each_image_or_its_mirror() -> None:
    given = images()
    found = Flip()(given, generator())
    mirrored = [
        torch.equal(each, before[..., list(range(SHAPE[2] - 1, -1, -1))])
        for each, before in zip(found, given, strict=True)
    ]
    same = [torch.equal(each, before) for each, before in zip(found, given, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert 70 < sum(mirrored) < 130  # 200 draws of 1/2: more than 4 standard deviations
    assert torch.equal(Flip(0.0)(given, generator()), given)
    assert torch.equal(Flip(1.0)(given, generator()), given.flip(3))


def test_crop_gives_one_slice_of_the_padded_image() -> None:
    given = images(400)
    found = Crop(2, fill=7.0)(given, generator())
    padded = torch.full((400, 3, 9, 8), 7.0)
    padded[:, :, 2:7, 2:6] = given
    seen = set()
    for each, whole in zip(found, padded, strict=True):
        places = [(y, x) for y in range(5) for x in range(5) if torch.equal(each, whole[:, y : y + 5, x : x + 4])]
        assert len(places) == 1
        seen.add(places[0])
    assert len(seen) == 25  # every place comes up


def test_cutout_fills_one_square() -> None:
    given = images(300)
    found = Cutout(3, fill=9.0)(given, generator())
    filled = found == 9.0
    assert torch.equal(torch.where(filled, given, found), given)
    assert torch.equal(filled[:, 0], filled.all(1))  # in all channels alike
    centres = set()
    for each in filled[:, 0]:
        rows, columns = each.any(1).nonzero().flatten(), each.any(0).nonzero().flatten()
        assert torch.equal(each, each.any(1)[:, None] & each.any(0))
        assert all(torch.equal(side, torch.arange(int(side[0]), int(side[-1]) + 1)) for side in (rows, columns))
        assert len(rows) in (2, 3)
        assert len(columns) in (2, 3)
        centres.add((int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])))
    assert len(centres) == 20  # one for each pixel


def test_normalize_is_the_formula() -> None:
    given = images()
    mean, std = [0.5, -1.0, 2.0], [2.0, 0.5, 4.0]
    found = Normalize(mean, std)(given)
    for channel in range(3):
        expected = (given[:, channel].double() - mean[channel]) / std[channel]
        assert torch.allclose(found[:, channel].double(), expected, atol=1e-6)
    assert torch.equal(Normalize(0.5, 2.0)(given), (given - 0.5) / 2)


def part(count: int = 10) -> Examples:
    given = images(count)
    given[:, 0, 0, 0] = torch.arange(count)  # its number, in a corner
    given[:, 0, 0, -1] = torch.arange(count)
    return Examples(given, torch.arange(count) % 7)


def test_labels_stay_with_their_images() -> None:
    batches = AugmentedPart(part(), (Flip(),)).training_batches(4, seed=1)
    for batch, labels in batches:
        assert torch.equal(batch[:, 0, 0, 0].long() % 7, labels)


def passes(steps: tuple[Any, ...], seed: int, epochs: tuple[int, ...]) -> list[Tensor]:
    batches = AugmentedPart(part(), steps).training_batches(4, seed)
    found = []
    for epoch in epochs:
        batches.sampler.set_epoch(epoch)
        found.append(torch.cat([batch for batch, _ in batches]))
    return found


def test_what_is_drawn_depends_on_seed_and_epoch_alone() -> None:
    steps = (Flip(), Crop(1))
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first = passes(steps, 1, (0, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)  # the global generator is left alone
    torch.rand(7)
    assert torch.equal(passes(steps, 1, (2,))[0], first[2])  # as a resumed training sees it
    assert not torch.equal(first[0].sum((1, 2, 3)).sort().values, first[1].sum((1, 2, 3)).sort().values)
    assert not torch.equal(passes(steps, 2, (0,))[0], first[0])


def test_only_training_batches_are_changed() -> None:
    plain = part()
    augmented = AugmentedPart(plain, (Flip(1.0),))
    assert len(augmented.training_batches(4, 0)) == len(plain.training_batches(4, 0)) == 3
    assert torch.equal(next(iter(augmented.batches()))[0], plain.images)
    assert torch.equal(augmented.first(3).images, plain.images[:3])
    assert torch.equal(augmented[torch.tensor([2, 5])].images, plain.images[[2, 5]])
    assert len(augmented) == 10
    assert augmented.has_places
    moved = augmented.to("cpu").changed(lambda x: x + 1)
    assert torch.equal(moved.first(10).images, plain.images + 1)
    (batch, _), (expected, _) = (next(iter(each.training_batches(10, 0))) for each in (moved, plain))
    assert torch.equal(batch, (expected + 1).flip(3))


def brighter(images: Tensor, generator: torch.Generator, *, by: float) -> Tensor:
    return images + by * torch.rand(len(images), generator=generator)[:, None, None, None]


def test_a_function_is_an_augmentation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(AUGMENTATIONS._items, "brighter", brighter)
    step = build_augmentation("brighter", {"by": 2.0})
    given = images()
    rise = step(given, generator(4)) - given
    assert torch.allclose(rise[:, 0, 0, 0], 2 * torch.rand(200, generator=generator(4)), atol=1e-6)
    with pytest.raises(ConfigError, match="augment: augmentation 'brighter' needs its option 'by'"):
        build_augmentation("brighter", {})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("flipp", {}, "augment: unknown augmentation 'flipp'; did you mean 'flip'"),
        ("flip", {"p": 2}, "augmentation 'flip': p must be 0 to 1, got 2"),
        ("crop", {}, "augmentation 'crop' needs its option 'padding'"),
        ("crop", {"pad": 4}, "augmentation 'crop' has no option 'pad'; did you mean 'padding'"),
        ("crop", {"padding": 0}, "padding must be a whole number of pixels from 1 on, got 0"),
        ("cutout", {"size": 1.5}, "size must be a whole number"),
        ("normalize", {"mean": 0, "std": 0}, "std must be above 0"),
        ("normalize", {"mean": [0, 1], "std": 1}, "2 means and 1 deviations"),
        ("math.pi", {}, "'math.pi' is float"),
    ],
)
def test_faults_are_named(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_augmentation(name, options)


@pytest.mark.parametrize(
    ("steps", "shape", "message"),
    [
        ([("flip", Flip())], (1, 800), r"'flip' changes images \[C, H, W\]; data 'mine' has \(1, 800\)"),
        ([("normalize", Normalize([0, 0], [1, 1]))], SHAPE, "'normalize' fails on images .*: 2 means for images of 3"),
        ([("flip", Flip()), ("normalize", Normalize(0, 1))], SHAPE, "put 'normalize' before it"),
        ([("smaller", lambda x, g: x[..., 1:])], SHAPE, "'smaller' gives torch.float32 .* both must be equal"),
        ([("double", lambda x, g: x.double())], SHAPE, "'double' gives torch.float64"),
        ([("nothing", lambda x, g: None)], SHAPE, "'nothing' gives NoneType"),
    ],
)
def test_steps_that_do_not_suit_the_images_are_refused(
    steps: list[tuple[str, Callable[..., Any]]], shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        check_augmentations(steps, shape, "mine")


def test_an_order_that_can_be_kept() -> None:
    check_augmentations([("normalize", Normalize(0, 1)), ("flip", Flip()), ("crop", Crop(1))], SHAPE, "mine")
