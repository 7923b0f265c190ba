"""A network and its learning rule, compiled into programs, a memory map and registers of a device.

Pure: nothing is sent. `Compiled.load` then writes the result to any device.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from host.data.gathered_samples import stored_samples
from host.data.samples import Samples, encode_samples
from host.data.stored_inputs import StoredInputs
from host.devices.device import Device
from host.fixed_point import decode, encode
from host.listing import describe
from host.memory_map import CompileError, MemoryMap, check_features, map_memory
from host.network import Network, Rule
from host.program import (
    LAYER_STATISTICS,
    BatchProgram,
    Mode,
    check_statistics,
    statistic_index,
)
from host.update_program import parts, update_program
from hw.config import DeviceConfig
from hw.configurations import CONFIGURATIONS
from hw.isa import Instruction, Region, Register
from hw.numbers import WORD_BITS, mantissa_and_shift

MAX_CHUNKS = 4
"""Pieces into which the last layer is cut at most; more would only repeat its start-up."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Compiled:
    """Everything that a device needs to run a network.

    Attributes
    ----------
    network, rule, config: what was compiled, for what
    memory: where the tensors lie
    instructions: the program memory from index 0 on
    entries: index of the first instruction for each mode and number of samples of a batch
    """

    network: Network
    rule: Rule
    config: DeviceConfig
    memory: MemoryMap
    instructions: tuple[Instruction, ...]
    entries: Mapping[tuple[Mode, int], int]

    @cached_property
    def program(self) -> NDArray[np.uint16]:
        """The instructions' words, one after the other."""
        return np.array([i.encode() for i in self.instructions], np.uint16).reshape(-1)

    def entry(self, mode: Mode, samples: int) -> int:
        """Where the program for a batch starts; CompileError on a size that was not compiled."""
        try:
            return self.entries[mode, samples]
        except KeyError:
            sizes = sorted(size for kind, size in self.entries if kind == mode)
            raise CompileError(
                f"{mode.value} was compiled for batches of {sizes or 'no size'}, not {samples}: "
                f"name the size in compile_network({mode.value}=...)"
            ) from None

    @property
    def momentum(self) -> bool:
        """Whether the programs keep a momentum."""
        return bool(self.memory.momentum)

    @property
    def registers(self) -> dict[Register, int]:
        """Values that stay as they are for a whole run: strides, and the rule."""
        return {
            Register.INPUT_STRIDE: self.memory.inputs[0].layout.stride,
            Register.TARGET_STRIDE: self.memory.targets[0].layout.stride,
            **self.rule_registers(self.rule),
        }

    def rule_registers(self, rule: Rule, factor: float | None = None) -> dict[Register, int]:
        """Registers of another rule for the same programs, or of a `factor` that a schedule has."""
        if rule.momentum and not self.momentum:
            raise CompileError(
                "the programs keep no momentum: compile them with a rule that has it"
            )
        if (rule.clip_norm is None) != (self.rule.clip_norm is None):
            raise CompileError(
                "the programs clip the gradient where the rule that they were compiled with has a "
                f"clip_norm, which is {self.rule.clip_norm}, and the other one's {rule.clip_norm}: "
                "compile them with that one"
            )
        return rule_registers(rule, self.network, self.config, factor)

    def encode(
        self, inputs: ArrayLike, targets: ArrayLike | None = None, *, wide: bool = False
    ) -> Samples:
        """Samples as the loader's bytes; see `host.data.samples.encode_samples`."""
        if isinstance(inputs, StoredInputs):
            assert targets is not None, "samples are stored for training"
            return stored_samples(self.network, inputs, targets)
        return encode_samples(self.network, inputs, targets, wide=wide)

    def encode_weights(self, matrices: Iterable[ArrayLike]) -> list[NDArray[np.int16]]:
        """Real weight matrices, n_l x (n_{l-1} + 1) with the bias last, as words."""
        words = [
            encode(matrix, self.network.formats.weight, name=f"weight of layer {layer}")
            for layer, matrix in enumerate(matrices, start=1)
        ]
        shapes = [w.shape for w in words]
        if shapes != list(self.network.weight_shapes):
            raise ValueError(
                f"weights must be of shapes {self.network.weight_shapes}, not {shapes}"
            )
        return words

    def load(self, device: Device, weights: Sequence[NDArray[np.int16]]) -> None:
        """Write programs, registers, weight words, zero momentum and the constant ones."""
        write_registers(device, self.registers)
        device.write(Region.PROGRAM, 0, self.program)
        self.write_weights(device, weights)
        for tensor in self.memory.momentum:
            device.write(tensor.region, tensor.start, np.zeros(tensor.words, np.int16))
        for region, address, words in self.memory.ones():
            device.write(region, address, words)

    def write_weights(self, device: Device, weights: Sequence[NDArray[np.int16]]) -> None:
        """Write the words of every weight matrix."""
        for tensor, matrix in zip(self.memory.weights, weights, strict=True):
            tensor.write(device, matrix)

    def read_weights(self, device: Device) -> list[NDArray[np.int16]]:
        """The words of every weight matrix."""
        return [tensor.read(device) for tensor in self.memory.weights]

    def read_outputs(self, device: Device, samples: int) -> NDArray[np.float64]:
        """What PREDICT computed for the batch of `samples` that ran last."""
        output = self.memory.output
        return decode(output.read(device)[:samples], output.fmt)

    def saturations(self, counts: NDArray[np.integer]) -> dict[str, int]:
        """The device's saturation counters by name, such as 'layer 1 gradient'."""
        return {
            f"layer {layer} {name}": int(counts[statistic_index(layer, name)])
            for layer in range(1, self.network.layers + 1)
            for name in LAYER_STATISTICS
        }

    def listing(self) -> str:
        """The programs, one line an instruction."""
        titles = {start: (mode, size) for (mode, size), start in self.entries.items()}
        lines = []
        for index, instruction in enumerate(self.instructions):
            if index in titles:
                mode, size = titles[index]
                lines.append(f"{mode.value}, batches of {size}:")
            lines.append(f"{index:5}  {describe(instruction)}")
        return "\n".join(lines)


def write_registers(device: Device, registers: Mapping[Register, int]) -> None:
    """Write registers one by one."""
    for register, value in registers.items():
        device.write(Region.REGISTERS, register, value)


def rule_registers(
    rule: Rule, network: Network, config: DeviceConfig, factor: float | None = None
) -> dict[Register, int]:
    """The rule as the update unit takes it.

    A velocity has the momentum's binary point f_v and moves a weight of f_w fraction bits, so the
    device's rate is rate * 2**(f_w - f_v). Raises CompileError where a constant does not fit.

    Where a schedule multiplies the rate by `factor`, a constant may come out as 0: schedules end
    where the device can no longer tell a rate from nothing.
    """
    if rule.momentum and not config.momentum:
        raise CompileError(f"the rule needs momentum, which {config.name} leaves out: set it to 0")
    formats = network.formats
    scale = 2.0 ** (formats.weight.fraction - formats.momentum.fraction)
    eta = rule.rate if factor is None else rule.rate * factor
    rate = _constant("rate", eta * scale, config, vanishes=factor is not None)
    decay = _constant("rate * decay", eta * rule.decay, config, vanishes=factor is not None)
    clipped = {}
    if rule.clip_norm is not None:
        clipped[Register.CLIP_THRESHOLD] = _threshold(rule.clip_norm, network, config)
    return {
        **clipped,
        Register.MOMENTUM_FACTOR: min(round(rule.momentum * 2**16), 2**16 - 1),
        Register.RATE: rate[0],
        Register.RATE_SHIFT: rate[1],
        Register.DECAY: decay[0],
        Register.DECAY_SHIFT: decay[1],
    }


def _threshold(norm: float, network: Network, config: DeviceConfig) -> int:
    if not config.accumulation:
        raise CompileError(
            f"the rule clips the gradient, which {config.name} leaves out: leave clip_norm out, or "
            f"take {_accumulating()}"
        )
    fmt = network.formats.momentum
    threshold = round(norm * 2**fmt.fraction)
    if not 0 < threshold < 1 << WORD_BITS:
        raise CompileError(
            f"clip_norm must be from {fmt.lsb:g} to {((1 << WORD_BITS) - 1) * fmt.lsb:g} where "
            f"momentum is {fmt}, not {norm:g}"
        )
    return threshold


def _accumulating() -> str:
    """The configurations that can, to be named in an error."""
    names = [name for name, config in CONFIGURATIONS.items() if config.accumulation]
    return " or ".join(names)


def _constant(
    name: str, value: float, config: DeviceConfig, *, vanishes: bool
) -> tuple[int, int]:
    if value >= 1:
        raise CompileError(f"{name} must be below 1 on the device, not {value:g}: lower the rate")
    mantissa, shift = mantissa_and_shift(value, width=config.rate_width)
    if value and not mantissa and not vanishes:
        raise CompileError(
            f"{name} = {value:g} is below the least constant of {config.name}: raise it or set it "
            "to 0"
        )
    return mantissa, shift


def compile_network(
    network: Network,
    rule: Rule,
    *,
    config: DeviceConfig,
    train: Collection[int] = (),
    evaluate: Collection[int] = (),
    predict: Collection[int] = (),
    at_once: int | None = None,
) -> Compiled:
    """Compile programs for batches of the sizes named for each mode.

    A data set of N samples in batches of b needs the sizes b and N mod b. A size in `train` is that
    of an update, whose samples come in batches of `at_once` and a smaller last one; as one batch if
    left out. Raises CompileError where the network does not fit the device, naming what it needs,
    what there is, and a way out.
    """
    sizes = {Mode.TRAIN: train, Mode.EVALUATE: evaluate, Mode.PREDICT: predict}
    wanted = [(mode, size) for mode, each in sizes.items() for size in dict.fromkeys(each)]
    if not wanted:
        raise CompileError("at least one batch size must be named: train, evaluate or predict")
    for mode, size in wanted:
        if size != int(size) or size < 1:
            raise CompileError(
                f"a batch must have a whole number of samples >= 1 to {mode.value}, not {size!r}"
            )
    if at_once is not None and (at_once != int(at_once) or at_once < 1):
        raise CompileError(
            f"at_once must be a whole number of samples >= 1 to train, not {at_once!r}"
        )
    if train and not network.learning:
        raise CompileError("at least one layer must learn, but all of them are frozen")
    most = int(at_once or max(train, default=1))
    batches = {size: parts(int(size), most) for size in train}
    sums = rule.clip_norm is not None or max(map(len, batches.values()), default=1) > 1
    batch = int(max(min(size, most) if mode == Mode.TRAIN else size for mode, size in wanted))
    momentum = rule.momentum > 0
    rule_registers(rule, network, config)
    if sums:
        check_accumulation(batches.values(), config)
    check_features(network, config, batch=batch)
    check_statistics(network)
    memory = map_memory(network, config, batch=batch, momentum=momentum, sums=sums)

    for chunks in range(MAX_CHUNKS, 0, -1):
        instructions: list[Instruction] = []
        entries = {}
        for mode, size in wanted:
            write = partial(
                BatchProgram,
                network,
                config,
                memory,
                momentum=momentum,
                chunks=chunks,
                update=int(size),
            )
            start = entries[mode, int(size)] = len(instructions)
            if mode == Mode.TRAIN and (len(batches[size]) > 1 or rule.clip_norm is not None):
                clip = rule.clip_norm is not None
                instructions += update_program(batches[size], write, clip=clip, start=start)
            else:
                instructions += write(samples=int(size)).instructions(mode, start=start)
        if len(instructions) <= config.program_length:
            return Compiled(
                network=network,
                rule=rule,
                config=config,
                memory=memory,
                instructions=tuple(instructions),
                entries=entries,
            )
    raise CompileError(
        f"programs need {len(instructions)} instructions, {config.name} has "
        f"{config.program_length}: compile fewer batch sizes (choose a batch, and where gradients "
        "are accumulated as many, that divide the data set) or take fewer layers"
    )


def check_accumulation(updates: Collection[Sequence[int]], config: DeviceConfig) -> None:
    """Raise CompileError where the device cannot add the gradients of so many batches."""
    if not config.accumulation:
        raise CompileError(
            f"an update takes the gradients of several batches, which {config.name} cannot add: "
            f"let each batch be an update (accumulate_batches = 1), or take {_accumulating()}"
        )
    # The batches between the first and the last one are counted in a length of an instruction.
    most = config.max_depth + 2
    longest = max(len(sizes) for sizes in updates)
    if longest > most:
        raise CompileError(
            f"an update must take at most {most} batches on {config.name}, not {longest}: take "
            "larger batches, or fewer"
        )
