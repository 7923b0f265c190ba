"""The public face of Synaptile: what a user imports."""

from host.augmentation import Augmentation
from host.data import read_file
from host.device import DeviceError, open_device
from host.layers import Dense
from host.network import Formats, Neuron
from host.rules import SGD
from host.schedule import Constant, Piecewise, StepDecay
from host.sequential import NotFittedError, Sequential
from hw.config import CONFIGURATIONS, DeviceConfig
from hw.numbers import Format

__all__ = [
    "CONFIGURATIONS",
    "SGD",
    "Augmentation",
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
    "open_device",
    "read_file",
]
