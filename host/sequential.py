"""A network as a list of layers that learns with `fit`, in the manner of Keras and scikit-learn."""

from collections.abc import Sequence
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import NotFittedError

from host import trainer
from host.data.augmentation import Augmentation
from host.devices.device import Device, open_device
from host.fixed_point import decode
from host.layers import LOSSES, Dense, Dropout, build_network, with_dropout
from host.network import Formats, Network
from host.plan import WEIGHT_SEED, check_seed, make_plan
from host.statistics import Counts, accuracy, mean_loss
from host.streaming import Interruption, stop
from host.trainer import EpochReport, Trainer
from host.training.initialisation import check_init
from host.training.pretrained import Source, first_weights
from host.training.rules import SGD
from host.training.stopping import EarlyStopping
from host.training.validation_split import set_aside
from hw.config import DeviceConfig
from hw.configurations import configuration


class Sequential:
    """Dense layers that learn on a device.

    Parameters
    ----------
    layers: the layers, the last one linear, with an output a class or value; Dropout between them
    loss: 'cross_entropy' (softmax included) or 'mse'
    optimizer: the rule; SGD() if left out
    device: what `open_device` takes, 'sim' or 'golden'; opened when first needed
    configuration: name of a device configuration, or one
    formats: binary points of the tensors
    init: where the first weights of layers come from that name none themselves, one of
        `host.training.initialisation.INITS`
    weights: where they come from instead: a file as of `host.training.pretrained`, or a matrix of
        every layer, units x (inputs + 1), such as another network's `weights_`

    Attributes
    ----------
    weights_: values of every layer's weights, units x (inputs + 1), the bias last
    history_: by name a value an epoch: 'loss' and, where targets are classes, 'accuracy'; with
        validation data 'val_loss' and 'val_accuracy'
    best_epoch_: the epoch that the weights are of, from 1; None where no early stopping chose it
    counts_: what the device counted while it trained
    n_features_in_: inputs

    Raises ValueError where the arguments make no network, `fit` also where it does not fit the
    device.
    """

    def __init__(
        self,
        layers: Sequence[Dense | Dropout],
        *,
        loss: str = "cross_entropy",
        optimizer: SGD | None = None,
        device: str = "sim",
        configuration: str | DeviceConfig = "ecp5-8x8",
        formats: Formats | None = None,
        init: str = "he",
        weights: Source | None = None,
    ):
        if loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, not {loss!r}")
        check_init(init)
        self.layers, self.loss = with_dropout(layers), loss
        self.init, self.weights = init, weights
        self.optimizer = optimizer or SGD()
        self.device, self.configuration, self.formats = device, configuration, formats
        self._opened: Device | None = None

    def fit(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        epochs: int = 20,
        batch_size: int = 32,
        validation_data: tuple[ArrayLike, ArrayLike] | None = None,
        validation_split: float | None = None,
        early_stopping: EarlyStopping | None = None,
        seed: int = 0,
        augmentation: Augmentation | None = None,
    ) -> "Sequential":
        """Learn anew from inputs (N, F) and targets, and return self.

        Targets are class indices (N,), or values (N, units of the last layer) under 'mse'. A Ctrl-C
        stops the device between two batches and leaves what was learned until then.

        Early stopping, and a rate that is reduced on a plateau, see the validation data: those
        given, or the share `validation_split` of x and y, which then is not learned from.
        `augmentation` changes the training samples from epoch to epoch; its `shape` says what a row
        of x is as an image.
        """
        check_seed(seed)
        inputs, targets = np.asarray(x), np.asarray(y)
        if inputs.ndim != 2:
            raise ValueError(f"x must be an array of N x F, not {inputs.shape}")
        classes = self.loss == "cross_entropy" or targets.ndim == 1 and self.layers[-1].units > 1
        if not classes and targets.ndim == 1:
            targets = targets[:, None]
        network = build_network(
            inputs.shape[1], self.layers, loss=self.loss, classes=classes, formats=self.formats
        )
        train, validation = (inputs, targets), validation_data
        if validation_split is not None:
            if validation_data is not None:
                raise ValueError("validation_split must be left out where validation_data is given")
            train, validation = set_aside(train, validation_split, classes=classes, seed=seed)
        plan = make_plan(
            network,
            self.optimizer,
            self._device_config(),
            train,
            epochs=epochs,
            batch_size=batch_size,
            seed=seed,
            validation=validation,
            stopping=early_stopping,
            weights=first_weights(
                network,
                self.layers,
                init=self.init,
                source=self.weights,
                seed=WEIGHT_SEED + int(seed),
            ),
            augmentation=augmentation,
        )
        device = self._open()
        self.history_: dict[str, list[float]] = {}
        self.best_epoch_: int | None = None
        self.counts_ = Counts.zero()
        with Interruption() as interruption:
            running = Trainer(device, plan, interruption=interruption)
            try:
                running.load()
                for report in running.reports():
                    self._remember(report)
                if early_stopping is not None:
                    self.best_epoch_ = (early_stopping.best(running.figures) or 0) + 1
            except KeyboardInterrupt:
                stop(device)
                self._keep(network, plan.compiled.read_weights(device))
                raise
        self._keep(network, plan.compiled.read_weights(device))
        return self

    def decision_function(self, x: ArrayLike) -> NDArray[np.float64]:
        """The last layer's outputs (N, units), before any softmax."""
        network, words = self._learned()
        inputs = np.asarray(x)
        if inputs.ndim != 2 or inputs.shape[1] != network.sizes[0] or not len(inputs):
            raise ValueError(f"x must be N x {network.sizes[0]} with N >= 1, not {inputs.shape}")
        return trainer.predict(self._open(), network, words, inputs)

    def predict(self, x: ArrayLike) -> NDArray[Any]:
        """The class (N,) of every sample, or its values (N, units) where targets were values."""
        outputs = self.decision_function(x)
        return outputs.argmax(axis=1) if self._learned()[0].class_target else outputs

    def predict_proba(self, x: ArrayLike) -> NDArray[np.float64]:
        """The softmax of the outputs, computed in float64 on the host."""
        outputs = self.decision_function(x)
        e = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    def evaluate(self, x: ArrayLike, y: ArrayLike) -> dict[str, float]:
        """'loss' and 'accuracy' or 'rmse', counted by the device."""
        network, words = self._learned()
        targets = np.asarray(y)
        if not network.class_target and targets.ndim == 1:
            targets = targets[:, None]
        counts = trainer.evaluate(self._open(), network, words, np.asarray(x), targets)
        loss = mean_loss(network, counts)
        assert loss is not None, "the trainer refuses empty data"
        share = accuracy(network, counts)
        if share is None:
            return {"loss": loss, "rmse": loss**0.5}
        return {"loss": loss, "accuracy": share}

    def score(self, x: ArrayLike, y: ArrayLike) -> float:
        """Accuracy where targets are classes, else the coefficient of determination R^2."""
        evaluated = self.evaluate(x, y)
        if "accuracy" in evaluated:
            return evaluated["accuracy"]
        deviation = np.asarray(y, dtype=np.float64)
        variance = float(np.mean((deviation - deviation.mean(axis=0)) ** 2))
        return 1 - evaluated["loss"] / variance if variance else 0.0

    def close(self) -> None:
        """Close the device; the next use opens it again."""
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def __enter__(self) -> "Sequential":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _device_config(self) -> DeviceConfig:
        chosen = self.configuration
        return configuration(chosen) if isinstance(chosen, str) else chosen

    def _open(self) -> Device:
        if self._opened is None:
            self._opened = open_device(self.device, self._device_config())
        return self._opened

    def _learned(self) -> tuple[Network, list[NDArray[np.int16]]]:
        if not hasattr(self, "weights_"):
            raise NotFittedError("the network has not learned yet: call fit(x, y) first")
        return self._network, self._words

    def _keep(self, network: Network, words: list[NDArray[np.int16]]) -> None:
        self._network, self._words = network, words
        self.weights_ = [decode(matrix, network.formats.weight) for matrix in words]
        self.n_features_in_ = network.sizes[0]

    def _remember(self, report: EpochReport) -> None:
        values = {
            "loss": report.train_loss,
            "accuracy": report.train_accuracy,
            "val_loss": report.val_loss,
            "val_accuracy": report.val_accuracy,
        }
        for name, value in values.items():
            if value is not None:
                self.history_.setdefault(name, []).append(value)
        self.counts_ += report.train
