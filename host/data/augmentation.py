"""Augmentation of images on the host: other samples in every epoch, made of the encoded ones.

    batch --mixup or cutmix with partners--> --flips, shifts, crops--> batch

All that is random is drawn from (seed, epoch) alone, so that a run that goes on from a checkpoint
sees the same samples. Words are moved, or mixed in whole numbers: golden and gateware get the same.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from math import prod

import numpy as np
from numpy.typing import NDArray

AUGMENTATION_SEED = 3000
"""Added to a run's seed for what is drawn here."""

WHOLE = 256
"""A share of 1: shares of a mixture are whole numbers of 1/256."""

Bytes = NDArray[np.uint8]
Partners = Callable[[NDArray[np.int64]], tuple[Bytes, Bytes]]
"""Inputs and targets of the samples of these numbers."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What happens to training samples; off unless asked for.

    Parameters
    ----------
    horizontal_flip, vertical_flip: mirror every second sample, at random
    shift: most pixels by which a sample is moved, each way; zeros come in
    crop: least share of height and width that is left, and stretched to the whole (nearest pixel)
    mixup: alpha of Beta(alpha, alpha), from which the share of a partner is drawn; 0 for none
    cutmix: the same for the area of a rectangle that comes from a partner; with both, every sample
        takes one of them at random
    shape: of a sample, (height, width) or (height, width, channels), where the data has none

    A class can be no mixture: it is drawn, that of the sample with its share, so that deltas are on
    average those of the mixture. Values are mixed.
    """

    horizontal_flip: bool = False
    vertical_flip: bool = False
    shift: int = 0
    crop: float = 1.0
    mixup: float = 0.0
    cutmix: float = 0.0
    shape: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.shift < 0:
            raise ValueError(f"shift must be at least 0 pixels, not {self.shift}")
        if not 0 < self.crop <= 1:
            raise ValueError(f"crop must be above 0 and at most 1, not {self.crop}")
        for name in ("mixup", "cutmix"):
            alpha = getattr(self, name)
            if not (alpha == 0 or 1e-3 <= alpha <= 1e3):
                raise ValueError(f"{name} must be 0, or from 0.001 to 1000, not {alpha}")
        if self.shape and (len(self.shape) not in (2, 3) or min(self.shape) < 1):
            raise ValueError(
                "shape must be a height, a width and perhaps channels, not "
                f"{' x '.join(map(str, self.shape))}"
            )

    @property
    def mixes(self) -> bool:
        """Whether samples are put together from two."""
        return bool(self.mixup or self.cutmix)

    @property
    def moves(self) -> bool:
        """Whether pixels move."""
        return self.horizontal_flip or self.vertical_flip or bool(self.shift) or self.crop < 1

    def of_shape(self, shape: tuple[int, ...], *, uniform: bool) -> tuple[int, int, int]:
        """Height, width and channels of samples of the data's `shape`.

        `uniform` tells whether all columns have the same scale. Raises ValueError where samples are
        no images, and where pixels would move between columns of unlike scales.
        """
        found = self.shape or shape
        if len(found) not in (2, 3) and (self.moves or self.cutmix):
            raise ValueError(
                f"augmentation must have images, not samples of {' x '.join(map(str, found))}: "
                "data.augmentation.shape says how high and wide they are"
            )
        if prod(found) != prod(shape):
            raise ValueError(
                f"shape of the augmentation must have {prod(shape)} values as the samples have, "
                f"not {' x '.join(map(str, found))}"
            )
        if self.moves and not uniform:
            raise ValueError(
                "pixels must have one scale to be moved: data.scaling must be a number or 'none'"
            )
        height, width, channels = (*found, 1, 1)[:3] if len(found) < 3 else found
        if self.shift >= max(height, width):
            raise ValueError(
                f"shift must be less than the {max(height, width)} pixels of a sample's longer "
                f"side, not {self.shift}"
            )
        return height, width, channels


@dataclass(frozen=True, eq=False, kw_only=True)
class Draws:
    """What was drawn for N samples, in the order in which they come; see `Augmenter.draw`."""

    flip: NDArray[np.bool_]
    shift: NDArray[np.int64]
    crop: NDArray[np.float64]
    partner: NDArray[np.int64]
    cut: NDArray[np.bool_]
    share: NDArray[np.int64]
    centre: NDArray[np.float64]
    chance: NDArray[np.int64]

    def __getitem__(self, some: slice) -> "Draws":
        return Draws(**{field.name: getattr(self, field.name)[some] for field in fields(self)})


class Augmenter:
    """Carries an Augmentation out on encoded samples.

    Parameters
    ----------
    what: is done
    shape: height, width and channels of a sample
    inputs, targets: types of their words in the rows of bytes
    classes: whether targets are classes
    seed: of the run
    """

    def __init__(
        self,
        what: Augmentation,
        shape: tuple[int, int, int],
        *,
        inputs: str,
        targets: str,
        classes: bool,
        seed: int,
    ) -> None:
        self._what, self._shape, self._classes = what, shape, classes
        self._inputs, self._targets = np.dtype(inputs), np.dtype(targets)
        self._seed = AUGMENTATION_SEED + seed

    def draw(self, samples: int, epoch: int) -> Draws:
        """What an epoch (from 0) does with its samples, the same whenever it is asked."""
        what, rng = self._what, np.random.default_rng([self._seed, epoch])
        asked = (what.vertical_flip, what.horizontal_flip)
        flip = (rng.random((samples, 2)) < 0.5) & np.array(asked)
        shift = rng.integers(-what.shift, what.shift, (samples, 2), endpoint=True)
        crop = np.empty((samples, 3))
        crop[:, 0] = rng.uniform(what.crop, 1, samples)
        crop[:, 1:] = rng.random((samples, 2))
        cut = rng.random(samples) < (0.5 if what.mixup and what.cutmix else bool(what.cutmix))
        share = np.full(samples, WHOLE)
        for alpha, those in ((what.mixup, ~cut), (what.cutmix, cut)):
            if alpha:
                drawn = np.rint(WHOLE * rng.beta(alpha, alpha, samples)).astype(np.int64)
                share[those] = drawn[those]
        return Draws(
            flip=flip,
            shift=shift,
            crop=crop,
            partner=rng.integers(0, samples, samples),
            cut=cut,
            share=share,
            centre=rng.random((samples, 2)),
            chance=rng.integers(0, WHOLE, samples),
        )

    def augment(
        self, inputs: Bytes, tails: Bytes, draws: Draws, partners: Partners
    ) -> tuple[Bytes, Bytes]:
        """The bytes of inputs and targets of a batch, by what was drawn for it."""
        height, width, channels = self._shape
        images = inputs.view(self._inputs).reshape(-1, height, width, channels)
        if self._what.mixes:
            others, other_tails = partners(draws.partner)
            other = others.view(self._inputs).reshape(images.shape)
            images, share = self._mixed(images, other, draws)
            tails = self._mixed_targets(tails, other_tails, share, draws)
        if self._what.moves:
            images = self._moved(images, draws)
        flat = np.ascontiguousarray(images).reshape(len(inputs), -1)
        return flat.view(np.uint8), tails

    def _mixed(
        self, images: NDArray[np.integer], other: NDArray[np.integer], draws: Draws
    ) -> tuple[NDArray[np.integer], NDArray[np.int64]]:
        """Mixtures (own share a, a + b = 256): (a x + b y + 128) >> 8; and the shares a.

        Where `cut`, a rectangle of b / 256 of the area is y and the rest x, a from its pixels.
        """
        height, width, _ = self._shape
        share = draws.share.copy()
        box = self._boxes(draws)
        own = share[:, None, None, None].astype(np.int32)
        blend = (own * images + (WHOLE - own) * other + WHOLE // 2) >> 8
        cut = draws.cut
        inside = box[:, :, :, None]
        pasted = np.where(inside, other, images)
        share[cut] = WHOLE - (WHOLE * box[cut].sum(axis=(1, 2))) // (height * width)
        mixed = np.where(cut[:, None, None, None], pasted, blend)
        return mixed.astype(self._inputs), share

    def _boxes(self, draws: Draws) -> NDArray[np.bool_]:
        """The pixels (n, height, width) of rectangles of the images' proportions."""
        side = np.sqrt((WHOLE - draws.share) / WHOLE)
        axes = []
        for axis, length in enumerate(self._shape[:2]):
            centre = np.floor(draws.centre[:, axis] * length)
            half = side * length / 2
            pixel = np.arange(length)
            axes.append(
                (pixel >= np.rint(centre - half)[:, None])
                & (pixel < np.rint(centre + half)[:, None])
            )
        return axes[0][:, :, None] & axes[1][:, None, :]

    def _mixed_targets(
        self, tails: Bytes, others: Bytes, share: NDArray[np.int64], draws: Draws
    ) -> Bytes:
        mine, theirs = tails.view(self._targets), others.view(self._targets)
        if self._classes:
            chosen = np.where((draws.chance < share)[:, None], mine, theirs)
        else:
            own = share[:, None].astype(np.int32)
            chosen = (own * mine + (WHOLE - own) * theirs + WHOLE // 2) >> 8
        return np.ascontiguousarray(chosen.astype(self._targets)).view(np.uint8)

    def _moved(self, images: NDArray[np.integer], draws: Draws) -> NDArray[np.integer]:
        """Each pixel from where flips, a shift and a crop find it; 0 where that is outside."""
        places, inside = [], []
        for axis, length in enumerate(self._shape[:2]):
            kept = np.maximum(1, np.rint(draws.crop[:, 0] * length)).astype(np.int64)
            start = np.floor(draws.crop[:, 1 + axis] * (length - kept + 1)).astype(np.int64)
            pixel = np.arange(length)
            place = start[:, None] + pixel * kept[:, None] // length - draws.shift[:, axis, None]
            flipped = length - 1 - place
            place = np.where(draws.flip[:, axis, None], flipped, place)
            inside.append((place >= 0) & (place < length))
            places.append(np.clip(place, 0, length - 1))
        sample = np.arange(len(images))[:, None, None]
        found = images[sample, places[0][:, :, None], places[1][:, None, :]]
        seen = inside[0][:, :, None] & inside[1][:, None, :]
        return np.where(seen[..., None], found, 0).astype(images.dtype)
