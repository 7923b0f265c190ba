"""The public face of Synaptile: what a user imports."""

from sklearn.exceptions import NotFittedError

from host.data import read_file
from host.data.augmentation import Augmentation
from host.devices.device import DeviceError, open_device
from host.estimators import SynaptileClassifier, SynaptileRegressor
from host.layers import Dense, Dropout
from host.network import Formats, Neuron
from host.sequential import Sequential
from host.training.batch_schedule import Cyclic, OneCycle, WarmupCosine
from host.training.plateau import ReduceOnPlateau
from host.training.rules import SGD
from host.training.schedule import Constant, Cosine, Exponential, Piecewise, StepDecay
from host.training.stopping import EarlyStopping
from hw.config import DeviceConfig
from hw.configurations import CONFIGURATIONS
from hw.numbers import Format

__all__ = [
    "CONFIGURATIONS",
    "SGD",
    "Augmentation",
    "Constant",
    "Cosine",
    "Cyclic",
    "Dense",
    "DeviceConfig",
    "DeviceError",
    "Dropout",
    "EarlyStopping",
    "Exponential",
    "Format",
    "Formats",
    "Neuron",
    "NotFittedError",
    "OneCycle",
    "Piecewise",
    "ReduceOnPlateau",
    "Sequential",
    "StepDecay",
    "SynaptileClassifier",
    "SynaptileRegressor",
    "WarmupCosine",
    "open_device",
    "read_file",
]
