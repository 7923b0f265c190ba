"""The golden device: executes programs on memory images, command by command.

It has the memories, registers and counters of the device and follows `hw/isa.py`; what a command
does to the memories is in `sim.golden.datapath`.
"""

import numpy as np
from numpy.typing import NDArray

from hw.config import DeviceConfig, offered_opcodes
from hw.isa import (
    COUNTER_WORDS,
    COUNTERS,
    INSTRUCTION_WORDS,
    SATURATION_COUNTERS,
    Control,
    Error,
    Instruction,
    Opcode,
    Region,
    Register,
    State,
)
from sim.golden.datapath import DATAPATH_OPCODES, GoldenDatapath
from sim.golden.fusion import fuse


class GoldenExecutor(GoldenDatapath):
    """The golden datapath and its sequencer.

    Parameters
    ----------
    config: the device's configuration

    Attributes
    ----------
    program: the program memory, an instruction a row
    state, error, position, remaining: of the sequencer, as in the counters of these names
    """

    def __init__(self, config: DeviceConfig):
        super().__init__(config)
        self.program = np.zeros((config.program_length, INSTRUCTION_WORDS), np.uint16)
        self.state = State.IDLE
        self.error = Error.NONE
        self.position = 0
        self.remaining = 0
        self._stepping = False
        self._offered = offered_opcodes(config)
        self._decoded: dict[bytes, Instruction] = {}
        self._rows: dict[int, tuple[bytes, list[Instruction]]] = {}

    # What the host sees

    def write(self, region: Region, address: int, words: NDArray[np.uint16]) -> None:
        """Write words of a region; the addresses must exist."""
        if region == Region.REGISTERS:
            for register, value in enumerate(words.tolist(), start=address):
                if register == Register.CONTROL:
                    self.control(value)
                else:
                    self.registers[Register(register)] = value
        elif region == Region.PROGRAM:
            self.program.reshape(-1)[address : address + len(words)] = words
        elif region == Region.LFSR:
            state = self.lfsr.copy()
            state.view(np.uint16)[address : address + len(words)] = words
            self.randomness.state = state
        else:
            flat = self.images[region].reshape(-1)
            flat[address : address + len(words)] = words.view(np.int16)

    def read(self, region: Region, address: int, count: int) -> NDArray[np.uint16]:
        """Read words of a region; the addresses must exist."""
        match region:
            case Region.REGISTERS:
                words = np.array([self.registers[register] for register in Register], np.uint16)
            case Region.COUNTERS:
                words = self.counter_words()
            case Region.PROGRAM:
                words = self.program.reshape(-1)
            case Region.LFSR:
                words = self.lfsr.view(np.uint16)
            case _:
                words = self.images[region].reshape(-1).view(np.uint16)
        return words[address : address + count].copy()

    def take(self, data: bytes | memoryview, *, end: bool) -> bool:
        """Take bytes of a batch and go on with them; False without an empty buffer."""
        taken = self.loader.take(data, end=end, registers=self.registers)
        if taken and end:
            self.advance()
        return taken

    # Counters

    def counter_words(self) -> NDArray[np.uint16]:
        """The COUNTERS region; clock counters read 0."""
        values = {
            "state": self.state,
            "error": self.error,
            "position": self.position,
            "remaining": self.remaining,
            **self.totals,
        }
        words = np.zeros(COUNTER_WORDS, np.uint16)
        for name, value in values.items():
            counter = COUNTERS[name]
            for place in range(counter.words):
                words[counter.address + place] = value >> (16 * place) & 0xFFFF
        first = COUNTERS["saturations"].address
        words[first : first + 2 * SATURATION_COUNTERS] = self.saturations.view(np.uint16)
        return words

    # Sequencer

    def control(self, value: int) -> None:
        """Do what a write of `value` to CONTROL does."""
        match value:
            case Control.RUN:
                self._begin()
                self._stepping = False
            case Control.STEP:
                if self.state == State.HALTED:
                    self.state = State.RUNNING
                else:
                    self._begin()
                self._stepping = True
            case Control.STOP:
                self.state, self.error = State.IDLE, Error.NONE
                self.loader.clear()
            case Control.CLEAR:
                self.clear_counters()
        self.advance()

    def _begin(self) -> None:
        self.state, self.error = State.RUNNING, Error.NONE
        self.position = self.registers[Register.START]
        self.remaining = self.registers[Register.COUNT]
        self.forget()

    def advance(self) -> None:
        """Run until the program ends, halts, fails or waits for samples."""
        while self.state == State.RUNNING:
            instruction = self._fetch(self.position)
            if instruction is None or not self._execute(instruction):
                return
            if self._stepping:
                if self.state == State.RUNNING:
                    self.state = State.HALTED
            elif instruction.opcode in (Opcode.ACQUIRE, Opcode.RESPOND):
                self._run_row()

    def _fetch(self, position: int) -> Instruction | None:
        """The instruction at `position`; the program fails where there is none."""
        if position >= self.config.program_length:
            self._fail(Error.PROGRAM_END)
            return None
        words = self.program[position].tobytes()
        instruction = self._decoded.get(words)
        if instruction is None:
            instruction = self._decode(position)
            if instruction is None:
                self._fail(Error.UNKNOWN_OPCODE)
                return None
            self._decoded[words] = instruction
        return instruction

    def _decode(self, position: int) -> Instruction | None:
        """The instruction at `position`, None where the device does not know it."""
        try:
            instruction = Instruction.decode(self.program[position].tolist())
        except ValueError:
            return None
        return instruction if instruction.opcode in self._offered else None

    def _fail(self, error: Error) -> None:
        self.state, self.error = State.FAILED, error

    def _execute(self, i: Instruction) -> bool:
        """Carry an instruction out; False when it stays where it is."""
        match i.opcode:
            case Opcode.END:
                self.state = State.IDLE
                return False
            case Opcode.LOOP:
                if self.remaining > 1:
                    self.remaining -= 1
                    self.position = i.rows
                    return True
                self.remaining = 0
            case Opcode.REPEAT:
                if self.step + 1 < i.columns:
                    self.step += 1
                    self.position = i.rows
                    return True
                self.step = 0
            case Opcode.ACQUIRE:
                if self.loader.front_samples is None:
                    return False
                if self.loader.front_samples != i.columns:
                    self._fail(Error.BATCH_SIZE)
                    return False
            case Opcode.RELEASE:
                self.loader.release()
            case _:
                self.command(i)
        self.position += 1
        return True

    def _run_row(self) -> None:
        """Carry out all datapath commands from here to the next other one, fused."""
        words, row = self._rows.get(self.position, (None, []))
        end = self.position + len(words or b"") // self.program[0].nbytes
        if words is None or self.program[self.position : end].tobytes() != words:
            end, commands = self._collect(self.position)
            row = fuse(commands, self.config)
            self._rows[self.position] = self.program[self.position : end].tobytes(), row
        for command in row:
            self.command(command)
        self.position = end

    def _collect(self, position: int) -> tuple[int, list[Instruction]]:
        """Where the datapath commands from `position` on end, and these."""
        commands = []
        while position < self.config.program_length:
            command = self._decode(position)
            if command is None or command.opcode not in DATAPATH_OPCODES:
                break
            commands.append(command)
            position += 1
        return position, commands
