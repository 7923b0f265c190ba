"""Augmentation: pixels go where they should, mixtures are what they say, epochs come again."""

import json

import numpy as np
import pytest

from host.data.augmentation import WHOLE, Augmentation, Augmenter
from host.data.gathered_samples import GatheredSamples, augmented, stored_samples
from host.data.samples import Samples, encode_samples
from host.data.stored_inputs import InputStore
from host.devices.device import open_device
from host.layers import Dense, build_network
from host.plan import make_plan
from host.run import prepare
from host.run_config import ConfigError, parse_config
from host.sequential import Sequential
from host.trainer import Trainer
from host.training.rules import SGD
from hw.isa import SAMPLE_SHIFT_LOW, Register, SampleFormat
from hw.numbers import Format
from tests.host.commands.test_cli import call
from tests.host.small_run import CONFIG

SHAPE = (4, 5, 2)
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(-200, 200, (30, *SHAPE)).astype("<i2")
LABELS = np.arange(30) % 3


def run(samples=30, classes=True, targets=None, epoch=0, **what):
    """Images, targets and draws of an epoch."""
    augmenter = Augmenter(
        Augmentation(**what), SHAPE, inputs="<i2", targets="<i2", classes=classes, seed=1
    )
    rows = IMAGES[:samples].reshape(samples, -1).view(np.uint8)
    words = (LABELS[:samples, None] if targets is None else targets).astype("<i2")
    tails = np.ascontiguousarray(words).view(np.uint8)
    draws = augmenter.draw(samples, epoch)
    inputs, found = augmenter.augment(rows, tails, draws, lambda k: (rows[k], tails[k]))
    return inputs.view("<i2").reshape(-1, *SHAPE), found.view("<i2"), draws


def test_flips():
    images, labels, draws = run(horizontal_flip=True, vertical_flip=True)
    assert np.array_equal(labels[:, 0], LABELS)
    seen = set()
    for image, before, (rows, columns) in zip(images, IMAGES, draws.flip, strict=True):
        expected = before[:: -1 if rows else 1, :: -1 if columns else 1]
        assert np.array_equal(image, expected)
        seen.add((bool(rows), bool(columns)))
    assert len(seen) == 4
    assert not run(horizontal_flip=True)[2].flip[:, 0].any()


def test_shifts_bring_zeros_in():
    images, _, draws = run(shift=2)
    for image, before, (down, right) in zip(images, IMAGES, draws.shift, strict=True):
        expected = np.zeros_like(before)
        for row in range(4):
            for column in range(5):
                if 0 <= row - down < 4 and 0 <= column - right < 5:
                    expected[row, column] = before[row - down, column - right]
        assert np.array_equal(image, expected)
    assert set(draws.shift.ravel()) == {-2, -1, 0, 1, 2}


def test_crops_are_stretched_to_the_nearest_pixel():
    images, _, draws = run(crop=0.5)
    for image, before, (share, down, right) in zip(images, IMAGES, draws.crop, strict=True):
        height, width = max(1, round(share * 4)), max(1, round(share * 5))
        top, left = int(down * (4 - height + 1)), int(right * (5 - width + 1))
        for row in range(4):
            for column in range(5):
                place = top + row * height // 4, left + column * width // 5
                assert np.array_equal(image[row, column], before[place])
    assert draws.crop[:, 0].min() >= 0.5


def test_mixtures_of_values():
    targets = RNG.integers(-500, 500, (30, 2))
    images, values, draws = run(classes=False, targets=targets, mixup=1.0)
    for k, (share, partner) in enumerate(zip(draws.share, draws.partner, strict=True)):
        mixed = np.floor((share * IMAGES[k] + (WHOLE - share) * IMAGES[partner]) / WHOLE + 0.5)
        assert np.array_equal(images[k], mixed)
        mixed = np.floor((share * targets[k] + (WHOLE - share) * targets[partner]) / WHOLE + 0.5)
        assert np.array_equal(values[k], mixed)
    assert 0 <= draws.share.min() < 80 and 180 < draws.share.max() <= WHOLE


def test_rectangles_of_a_partner():
    images, values, draws = run(classes=False, targets=LABELS[:, None] * 256, cutmix=1.0)
    parts = []
    for k, partner in enumerate(draws.partner):
        other = (images[k] == IMAGES[partner]).all(axis=2)
        own = (images[k] == IMAGES[k]).all(axis=2)
        assert (own | other).all()
        if partner != k:
            rows, columns = np.flatnonzero(other.any(axis=1)), np.flatnonzero(other.any(axis=0))
            assert other.sum() == len(rows) * len(columns)
            share = WHOLE - WHOLE * int(other.sum()) // 20
            mixed = (share * LABELS[k] + (WHOLE - share) * LABELS[partner]) * 256
            assert values[k, 0] == np.floor(mixed / WHOLE + 0.5)
            parts.append(other.mean())
    assert min(parts) < 0.1 and max(parts) > 0.4


def test_a_class_is_drawn_with_its_share():
    """The mean over many epochs is the mixture: 256 (own - partner's) share, within 4 sigma."""
    total, expected = np.zeros(30), np.zeros(30)
    variance = np.zeros(30)
    for epoch in range(400):
        _, labels, draws = run(mixup=1.0, epoch=epoch)
        share = draws.share / WHOLE
        other = LABELS[draws.partner]
        assert ((labels[:, 0] == LABELS) | (labels[:, 0] == other)).all()
        total += labels[:, 0]
        expected += share * LABELS + (1 - share) * other
        variance += share * (1 - share) * (LABELS - other) ** 2
    assert (np.abs(total - expected) < 4 * np.sqrt(variance)).all()


def test_an_epoch_is_a_function_of_seed_and_epoch():
    what = {"shift": 1, "crop": 0.7, "mixup": 0.4, "cutmix": 1.0, "horizontal_flip": True}
    one, again, other = run(**what, epoch=3), run(**what, epoch=3), run(**what, epoch=4)
    assert np.array_equal(one[0], again[0]) and np.array_equal(one[1], again[1])
    assert not np.array_equal(one[0], other[0])


def network(classes=True, loss="cross_entropy"):
    return build_network(40, [Dense(6, "relu"), Dense(3)], loss=loss, classes=classes)


@pytest.mark.parametrize("scale", [1, 128, -1])
def test_bytes_and_words_are_moved_alike(scale):
    """Samples of a byte a pixel, signed or not, become what samples of a word do."""
    pixels = RNG.integers(0, 100, (30, 40)) * scale / 512
    what = Augmentation(shift=1, vertical_flip=True, shape=SHAPE)
    found = []
    for wide in (False, True):
        samples = encode_samples(network(), pixels, LABELS, wide=wide)
        fmt = samples.registers[Register.SAMPLE_FORMAT]
        assert bool(fmt >> SampleFormat.WIDE_INPUT & 1) is wide
        epoch = augmented(network(), samples, what, seed=0).shuffled(np.arange(30)[::-1], epoch=2)
        rows = np.frombuffer(epoch.batch(0, 30), np.uint8).reshape(30, -1)
        pixels_of = np.ascontiguousarray(rows[:, : 80 if wide else 40])
        if wide:
            found.append(pixels_of.view("<i2"))
        else:
            signed = fmt >> SampleFormat.SIGNED_INPUT & 1
            small = pixels_of.view(np.int8) if signed else pixels_of
            found.append(small.astype(np.int16) << (fmt >> SAMPLE_SHIFT_LOW & 15))
    assert np.array_equal(*found)


def test_stored_samples_are_augmented_alike():
    pixels = RNG.normal(0, 1, (30, 40))
    storage = InputStore(30, 40, Format(6, 9))
    storage.append(pixels)
    stored = stored_samples(network(), storage.finished(), LABELS)
    held = encode_samples(network(), pixels, LABELS, wide=True)
    what = Augmentation(shift=1, mixup=0.5, cutmix=0.5, shape=SHAPE)
    order = RNG.permutation(30)
    batches = []
    for samples in (stored, held):
        epoch = augmented(network(), samples, what, seed=4).shuffled(order, epoch=1)
        batches.append([bytes(batch) for batch in epoch.batches(7)])
        assert b"".join(batches[-1][:2]) == bytes(epoch.first(14).batch(0, 14))
        assert len(epoch.first(14)) == 14
    assert bytes(held.first(3).batch(0, 3)) == bytes(held.batch(0, 3))
    assert batches[0] == batches[1] and len(batches[0]) == 5


def plan(epochs=3):
    shape = (8, 8)
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, 1, (64, 64)), np.arange(64) % 3
    what = Augmentation(shift=1, mixup=0.5, shape=shape)
    built = build_network(64, [Dense(4, "relu"), Dense(3)], loss="cross_entropy", classes=True)
    return make_plan(
        built, SGD(2**-4), CONFIG, (x, y), epochs=epochs, batch_size=16, augmentation=what
    )


def test_a_run_that_goes_on_sees_the_same_samples():
    whole = plan()
    with open_device("golden", CONFIG) as device:
        trainer = Trainer(device, whole)
        trainer.load()
        seen = []
        for _ in range(3):
            order = trainer._order.bit_generator.state
            samples = trainer._begin_epoch()
            seen.append((order, [bytes(batch) for batch in samples.batches(16)]))
            trainer.epoch += 1
        assert isinstance(samples, GatheredSamples) and len({s[1][0] for s in seen}) == 3
        later = Trainer(device, plan())
        later.load()
        later.epoch, later._order.bit_generator.state = 2, seen[2][0]
        assert [bytes(batch) for batch in later._begin_epoch().batches(16)] == seen[2][1]


def digits(augmentation, **data):
    data = {"name": "digits", "scaling": 16, **data, "augmentation": augmentation}
    return parse_config({"data": data, "network": {"layers": [{"units": 10}]}})


@pytest.mark.parametrize(
    ("augmentation", "data", "message"),
    [
        ({"shift": 1}, {"name": "iris", "scaling": 2}, "must have images, not samples of 4: data"),
        ({"shift": 1}, {"scaling": "z-score"}, "pixels must have one scale to be moved"),
        ({"shift": 8}, {}, "shift must be less than the 8 pixels"),
        ({"shift": 1, "shape": [8, 9]}, {}, "must have 64 values as the samples have, not 8 x 9"),
    ],
)
def test_samples_that_are_no_images(augmentation, data, message):
    with pytest.raises(ValueError, match=message):
        prepare(digits(augmentation, **data))


@pytest.mark.parametrize(
    ("augmentation", "message"),
    [
        ({"shift": -1}, "shift must be at least 0 pixels, not -1"),
        ({"crop": 0.0}, "crop must be above 0 and at most 1, not 0.0"),
        ({"mixup": -0.5}, "mixup must be 0, or from 0.001 to 1000, not -0.5"),
        ({"cutmix": float("nan")}, "cutmix must be 0, or from"),
        ({"flip": True}, "unknown key 'data.augmentation.flip'"),
        ({"shape": [8]}, "shape must be a height, a width"),
    ],
)
def test_wrong_augmentations(augmentation, message):
    with pytest.raises(ConfigError, match=message):
        digits(augmentation)


def test_nothing_asked_is_nothing_done():
    assert type(prepare(digits({})).plan.train) is Samples
    assert isinstance(prepare(digits({"mixup": 0.2})).plan.train, GatheredSamples)


@pytest.mark.parametrize("targets", ["classes", "values"])
def test_train_augments(tmp_path, targets):
    one_hot = targets == "values"
    (tmp_path / "c.toml").write_text(f"""
[data]
name = "digits"
scaling = 16
one_hot = {str(one_hot).lower()}
[data.augmentation]
shift = {int(not one_hot)}
mixup = 0.2
cutmix = 0.2
[network]
layers = [{{ units = 16, activation = "relu" }}, {{ units = 10 }}]
loss = "{"mse" if one_hot else "cross_entropy"}"
targets = "{targets}"
[training]
learning_rate = {2**-6 if one_hot else 2**-4}
momentum = {0 if one_hot else 0.9}
batch_size = {4 if one_hot else 16}
epochs = 6
""")
    result = call("train", tmp_path / "c.toml", "--device", "golden", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    values = json.loads((tmp_path / "out" / "result.json").read_text())
    if one_hot:
        # Of values 0 and 1, a tenth of them 1: a guess has 0.3.
        assert values["test_rmse"] < 0.27
    else:
        assert values["final_test_accuracy"] > 0.6


def test_fit_augments():
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 1, (40, 12)), np.arange(40) % 2
    what = Augmentation(horizontal_flip=True, shape=(3, 4))
    weights = []
    for augmentation in (None, what, what):
        model = Sequential([Dense(2)], device="golden")
        weights.append(model.fit(x, y, epochs=2, augmentation=augmentation).weights_[0])
    assert np.array_equal(weights[1], weights[2]) and not np.array_equal(weights[0], weights[1])
    with pytest.raises(ValueError, match="must have images, not samples of 12"):
        model.fit(x, y, augmentation=Augmentation(shift=1))
