"""What is measured: networks, their data and first weights, and devices made ready to train."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from host.compiler import Compiled, compile_network, write_registers
from host.data import SOURCES, generated
from host.data.samples import Samples
from host.devices.device import Device
from host.network import Network, Rule, dense
from host.statistics import useful_macs
from host.streaming import stop
from host.training.initialisation import he_normal
from hw.config import DeviceConfig, region_words
from hw.configurations import configuration
from hw.isa import MEMORY_REGIONS, Control, Loss, Register
from hw.numbers import WORD_BITS

RULE = Rule(rate=2**-4, momentum=0.9)
SEED = 1000
DIGITS = (64, 32, 10)
WIDE = (784, 128, 10)
BATCH = 32

LARGE = replace(configuration("ecp5-8x8"), name="ecp5-8x8-large", weight_tiles=2048)
"""ecp5-8x8 with four times its weight memory, for 784-128-10: more than its part has."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Training of a network in batches on a device of a configuration."""

    config: DeviceConfig
    network: Network
    batch: int = BATCH

    @property
    def title(self) -> str:
        """Such as '64-32-10, batch 32, ecp5-8x8'."""
        return f"{shape(self.network)}, batch {self.batch}, {self.config.name}"

    def compiled(self) -> Compiled:
        """Its program; CompileError where it does not fit."""
        rule = RULE if self.config.momentum else replace(RULE, momentum=0.0)
        return compile_network(self.network, rule, config=self.config, train=[self.batch])


def shape(network: Network) -> str:
    """Such as '64-32-10'."""
    return "-".join(map(str, network.sizes))


def classifier(*sizes: int) -> Network:
    """A network that every configuration can train with classes as targets."""
    return dense(sizes, loss=Loss.MEAN_SQUARED_ERROR)


def training_data(
    network: Network, samples: int = 1797
) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Digits where the network is for them, otherwise as many generated samples."""
    features, classes = network.sizes[0], network.sizes[-1]
    if (features, classes) == (DIGITS[0], DIGITS[-1]):
        inputs, labels = SOURCES["digits"](0)
        repeated = np.resize(np.arange(len(labels)), samples)
        return inputs[repeated] / 16, labels[repeated]
    inputs, labels = generated(0, samples=samples, features=features, classes=classes)
    return np.floor(inputs * 256) / 256, labels


def first_weights(network: Network) -> list[NDArray[np.float64]]:
    """The weights that training begins with."""
    return he_normal(network, SEED)


def make_ready(device: Device, compiled: Compiled, rounds: int) -> Samples:
    """Load everything but samples; returns so many batches of them, and writes their registers."""
    ((_, batch),) = compiled.entries
    samples = compiled.encode(*training_data(compiled.network, rounds * batch))
    stop(device)
    write_registers(device, {Register.CONTROL: Control.CLEAR})
    compiled.load(device, compiled.encode_weights(first_weights(compiled.network)))
    write_registers(device, samples.registers)
    return samples


def utilisation(workload: Workload, cycles: float, *, bias: bool = False) -> float:
    """Useful multiply-accumulates of a training step over those its cycles have room for."""
    useful = useful_macs(workload.network, bias=bias) * workload.batch
    return useful / (workload.config.processing_elements * cycles)


def memory_bits(config: DeviceConfig) -> int:
    """Bits of all tile memories."""
    words = region_words(config)
    return sum(words[region] for region in MEMORY_REGIONS) * WORD_BITS
