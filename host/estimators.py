"""Estimators of scikit-learn: a dense network that learns on a device, in pipelines and searches.

    x --scale--> Sequential --> outputs        classes: the largest; values: times deviation + mean

They keep scikit-learn's conventions, which its own estimator checks test: the constructor only
stores, `fit` returns self, what was learned ends in an underscore.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets, unique_labels
from sklearn.utils.validation import check_is_fitted, validate_data

from host.data import Scaling
from host.layers import Dense
from host.sequential import Sequential
from host.training.rules import SGD
from host.training.schedule import Constant, Schedule
from hw.config import DeviceConfig

Reals = NDArray[np.float64]

INPUT_SCALINGS = ("z-score", "none")


class _DenseEstimator(BaseEstimator):
    """What both estimators have in common: their parameters, and what scales their inputs."""

    _loss: str

    def __init__(
        self,
        *,
        hidden_layer_sizes: tuple[int, ...],
        activation: str,
        dropout: float,
        learning_rate: float,
        momentum: float,
        l2: float | bool,
        schedule: Schedule | None,
        accumulate_batches: int,
        clip_norm: float | None,
        batch_size: int,
        epochs: int,
        scaling: str | float,
        device: str,
        configuration: str | DeviceConfig,
        random_state: int | np.random.RandomState | None,
    ):
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.l2 = l2
        self.schedule = schedule
        self.accumulate_batches = accumulate_batches
        self.clip_norm = clip_norm
        self.batch_size = batch_size
        self.epochs = epochs
        self.scaling = scaling
        self.device = device
        self.configuration = configuration
        self.random_state = random_state

    def _learn(self, x: Reals, y: NDArray[Any], outputs: int) -> None:
        """Train a network with so many outputs."""
        scaling = self._input_scaling(x)
        optimizer = SGD(
            self.learning_rate,
            self.momentum,
            self.l2,
            Constant() if self.schedule is None else self.schedule,
            self.accumulate_batches,
            self.clip_norm,
        )
        layers = [
            Dense(units, self.activation, dropout=self.dropout)
            for units in self.hidden_layer_sizes
        ]
        network = Sequential(
            [*layers, Dense(outputs)],
            loss=self._loss,
            optimizer=optimizer,
            device=self.device,
            configuration=self.configuration,
        )
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        with network:
            network.fit(scaling(x), y, epochs=self.epochs, batch_size=self.batch_size, seed=seed)
        self._scaling, self.network_ = scaling, network
        self.n_iter_ = self.epochs

    def _outputs(self, x: ArrayLike) -> Reals:
        """The last layer's outputs."""
        check_is_fitted(self, "network_")
        inputs = validate_data(self, x, reset=False, dtype=np.float64)
        with self.network_ as network:
            return network.decision_function(self._scaling(inputs))

    def _input_scaling(self, x: Reals) -> Scaling:
        if self.scaling == "z-score":
            return Scaling.z_score(x)
        if self.scaling == "none":
            return Scaling.by(1)
        if isinstance(self.scaling, str) or not self.scaling > 0:
            names = ", ".join(INPUT_SCALINGS)
            raise ValueError(f"scaling must be {names} or a divisor, not {self.scaling!r}")
        return Scaling.by(self.scaling)


class SynaptileClassifier(ClassifierMixin, _DenseEstimator):
    """A dense network under softmax cross-entropy, trained on a device.

    Parameters
    ----------
    hidden_layer_sizes: neurons of each hidden layer
    activation: of the hidden layers, one of `host.layers.ACTIVATIONS`
    dropout: probability by which training drops each of their outputs
    learning_rate, momentum, l2, schedule, accumulate_batches, clip_norm: the rule; see
        `host.training.rules.SGD`
    batch_size, epochs: how long it learns
    scaling: of the inputs: 'z-score' by the training samples, clipped at 4 deviations, 'none', or
        a divisor; what leaves the input format's range, -64 to 64, is an error
    device: 'golden', the numpy model with the gateware's bits, or anything `open_device` takes; it
        is opened for each call
    configuration: the device's, by name
    random_state: of first weights, sample order and the device's randomness

    Attributes
    ----------
    classes_: labels, sorted
    network_: the trained `Sequential`
    n_features_in_, n_iter_: inputs, epochs
    """

    _loss = "cross_entropy"

    def __init__(
        self,
        *,
        hidden_layer_sizes: tuple[int, ...] = (32,),
        activation: str = "relu",
        dropout: float = 0.0,
        learning_rate: float = 2**-4,
        momentum: float = 0.9,
        l2: float | bool = False,
        schedule: Schedule | None = None,
        accumulate_batches: int = 1,
        clip_norm: float | None = None,
        batch_size: int = 16,
        epochs: int = 30,
        scaling: str | float = "z-score",
        device: str = "golden",
        configuration: str | DeviceConfig = "ecp5-8x8",
        random_state: int | np.random.RandomState | None = None,
    ):
        super().__init__(
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            dropout=dropout,
            learning_rate=learning_rate,
            momentum=momentum,
            l2=l2,
            schedule=schedule,
            accumulate_batches=accumulate_batches,
            clip_norm=clip_norm,
            batch_size=batch_size,
            epochs=epochs,
            scaling=scaling,
            device=device,
            configuration=configuration,
            random_state=random_state,
        )

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn anew from inputs (N, F) and labels (N,) of any kind, and return self."""
        inputs, labels = validate_data(self, X, y, dtype=np.float64)
        check_classification_targets(labels)
        self.classes_ = unique_labels(labels)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y must have at least two classes, not the one class {self.classes_[0]!r}: there "
                "is nothing to tell apart"
            )
        self._learn(inputs, np.searchsorted(self.classes_, labels), len(self.classes_))
        return self

    def decision_function(self, X: ArrayLike) -> Reals:
        """Outputs before the softmax: (N, classes), or of two classes the difference (N,)."""
        outputs = self._outputs(X)
        return outputs[:, 1] - outputs[:, 0] if len(self.classes_) == 2 else outputs

    def predict_proba(self, X: ArrayLike) -> Reals:
        """The softmax of the outputs (N, classes), computed in float64 on the host."""
        outputs = self._outputs(X)
        shares = np.exp(outputs - outputs.max(axis=1, keepdims=True))
        return shares / shares.sum(axis=1, keepdims=True)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """The label (N,) of the largest output, the first of equal ones."""
        outputs = self._outputs(X)
        return self.classes_[outputs.argmax(axis=1)]


class SynaptileRegressor(RegressorMixin, _DenseEstimator):
    """A dense network under mean squared error, trained on a device.

    Targets are z-scored by the training samples and clipped at 4 deviations; predictions are
    scaled back.

    Parameters
    ----------
    See `SynaptileClassifier`.

    Attributes
    ----------
    network_: the trained `Sequential`
    n_features_in_, n_iter_: inputs, epochs
    """

    _loss = "mse"

    def __init__(
        self,
        *,
        hidden_layer_sizes: tuple[int, ...] = (32,),
        activation: str = "relu",
        dropout: float = 0.0,
        learning_rate: float = 2**-4,
        momentum: float = 0.0,
        l2: float | bool = False,
        schedule: Schedule | None = None,
        accumulate_batches: int = 1,
        clip_norm: float | None = None,
        batch_size: int = 8,
        epochs: int = 30,
        scaling: str | float = "z-score",
        device: str = "golden",
        configuration: str | DeviceConfig = "ecp5-8x8",
        random_state: int | np.random.RandomState | None = None,
    ):
        super().__init__(
            hidden_layer_sizes=hidden_layer_sizes,
            activation=activation,
            dropout=dropout,
            learning_rate=learning_rate,
            momentum=momentum,
            l2=l2,
            schedule=schedule,
            accumulate_batches=accumulate_batches,
            clip_norm=clip_norm,
            batch_size=batch_size,
            epochs=epochs,
            scaling=scaling,
            device=device,
            configuration=configuration,
            random_state=random_state,
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Learn anew from inputs (N, F) and values (N,) or (N, O), and return self."""
        inputs, targets = validate_data(
            self, X, y, dtype=np.float64, multi_output=True, y_numeric=True
        )
        self._one_value = targets.ndim == 1
        columns = np.asarray(targets, np.float64).reshape(len(targets), -1)
        self._target_scaling = Scaling.z_score(columns)
        self._learn(inputs, self._target_scaling(columns), columns.shape[1])
        return self

    def predict(self, X: ArrayLike) -> Reals:
        """Values (N,) or (N, O), as the targets were."""
        outputs = self._outputs(X)
        values = outputs * self._target_scaling.divisor + self._target_scaling.offset
        return values[:, 0] if self._one_value else values
