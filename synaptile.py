"""The public face of Synaptile: what a user imports."""

from sklearn.exceptions import NotFittedError

from host.augmentation import Augmentation
from host.batch_schedule import Cyclic, OneCycle, WarmupCosine
from host.data import read_file
from host.device import DeviceError, open_device
from host.estimators import SynaptileClassifier, SynaptileRegressor
from host.layers import Dense
from host.network import Formats, Neuron
from host.plateau import ReduceOnPlateau
from host.rules import SGD
from host.schedule import Constant, Cosine, Exponential, Piecewise, StepDecay
from host.sequential import Sequential
from host.stopping import EarlyStopping
from hw.config import CONFIGURATIONS, DeviceConfig
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
