"""The public face of Synaptile: what a user imports."""

from sklearn.exceptions import NotFittedError

from host.device import DeviceError, open_device
from host.estimators import SynaptileClassifier, SynaptileRegressor
from host.layers import Dense
from host.network import Formats, Neuron
from host.rules import SGD
from host.schedule import Constant, Piecewise, StepDecay
from host.sequential import Sequential
from hw.config import CONFIGURATIONS, DeviceConfig
from hw.numbers import Format

__all__ = [
    "CONFIGURATIONS",
    "SGD",
    "Constant",
    "Dense",
    "DeviceConfig",
    "DeviceError",
    "Format",
    "Formats",
    "Neuron",
    "NotFittedError",
    "Piecewise",
    "Sequential",
    "StepDecay",
    "SynaptileClassifier",
    "SynaptileRegressor",
    "open_device",
]
