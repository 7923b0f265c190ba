"""Models of cells: each equals Yosys's, or plain Verilog of what it is, on random inputs."""

import random
from collections.abc import Iterable

import pytest

from boards import yosys
from hw.config import Family
from sim.rtl import cells
from sim.rtl.build import BuildFailed, compile_verilog
from sim.rtl.simulation import Simulation

pytestmark = pytest.mark.simulator

BYTES = 20_000

TOP = """
module top(input clk, input [7:0] rx__payload, input rx__valid, output rx__ready,
           output [7:0] tx__payload, output tx__valid, input tx__ready);
  // As many bits as there are in the bytes that came last.
  reg [255:0] bits = 0;
  reg moved = 0;
  assign rx__ready = tx__ready;
  assign tx__valid = moved;
  always @(posedge clk) begin
    moved <= rx__valid;
    if (rx__valid) bits <= {bits[247:0], rx__payload};
  end
BODY
  // Whether any pair differs, and something of what they are.
  assign tx__payload = {^left, ^(left >> N / 2), 5'b0, left !== right};
endmodule
"""


REFERENCE = """
module reference(input clk, input read_enable, input [13:0] read, input write_enable,
                 input [13:0] write, input [WIDTH-1:0] data, input output_enable,
                 output [WIDTH-1:0] q);
  parameter WIDTH = 18, REGISTERED = 0;
  reg [WIDTH-1:0] memory [0:16383];
  reg [WIDTH-1:0] latch = 0, register = 0;
  assign q = REGISTERED ? register : latch;
  always @(posedge clk) begin
    if (write_enable) memory[write] <= data;
    if (read_enable) latch <= memory[read];
    if (output_enable) register <= latch;
  end
endmodule
"""
ADDRESS_BITS = {36: 9, 18: 10, 9: 11, 4: 12, 2: 13, 1: 14}


def address(width: int, first: int) -> str:
    """One of 32 addresses of a memory, from random bits: the lowest and the highest vary."""
    zeros = ADDRESS_BITS[width] - 5
    return f"bits[{first + 4}:{first + 3}], {zeros}'b0, bits[{first + 2}:{first}]"


class Pairs:
    """Verilog of cells beside what they are compared with.

    Attributes
    ----------
    body: lines of the module that holds both
    left, right: outputs of the one and of the other
    """

    def __init__(self) -> None:
        self.body: list[str] = []
        self.left: list[str] = []
        self.right: list[str] = []

    def differences(self, name: str, modules: str, *, seed: int) -> int:
        """After how many of BYTES random bytes the two of any pair differ."""
        print(f"seed {seed}")
        left, right = ", ".join(self.left), ", ".join(self.right)
        lines = [*self.body, f"localparam N = $bits({{{left}}});"]
        lines += [f"wire [N-1:0] left = {{{left}}};", f"wire [N-1:0] right = {{{right}}};"]
        text = TOP.replace("BODY", "\n".join(lines)) + modules
        sent = random.Random(seed).randbytes(BYTES)
        with Simulation(compile_verilog(text, name=f"test-{name}", report=print)) as simulation:
            answers = simulation.exchange(sent, BYTES - 1)
        assert len(answers) >= BYTES - 1
        assert {answer >> 6 for answer in answers} == {0, 1, 2, 3}, "nothing moves"
        return sum(answer & 1 for answer in answers)

    def add_tables(self, cell: str, output: str, inputs: Iterable[str], parameter: str) -> None:
        """Tables with a single 1 at each place, which is all there is to a table, and others."""
        pins = ", ".join(f".{name}(bits[{bit}])" for bit, name in enumerate(inputs))
        size = 1 << len(list(inputs))
        for table in [*(1 << place for place in range(size)), 0x6A35 % (1 << size)]:
            for module, side in ((cell, self.left), (f"VENDOR_{cell}", self.right)):
                side.append(f"{module}_{table}")
                self.body.append(f"wire {side[-1]};")
                self.body.append(
                    f"{module} #(.{parameter}({size}'d{table})) i_{side[-1]} ({pins}, "
                    f".{output}({side[-1]}));"
                )

    def add_ice40_memory(self, write: int, read: int) -> None:
        words = [f".INIT_{n:X}(256'd{(n + 1) * 0x9E3779B97F4A7C15F39CC060})" for n in range(16)]
        for module, side in (("SB_RAM40_4K", self.left), ("VENDOR_SB_RAM40_4K", self.right)):
            side.append(f"{module}_{write}{read}")
            self.body += [
                f"wire [15:0] {side[-1]};",
                f"{module} #(.WRITE_MODE({write}), .READ_MODE({read}), {', '.join(words)})",
                f"  i_{side[-1]} (.RCLK(clk), .RCLKE(|bits[1:0]), .RE(|bits[3:2]),",
                "  .RADDR({bits[51:50], bits[5], 1'b1, bits[6], 3'b0, bits[9:7]}),",
                "  .WCLK(clk), .WCLKE(|bits[11:10]), .WE(bits[12]),",
                "  .WADDR({bits[53:52], bits[13], 1'b1, bits[14], 3'b0, bits[17:15]}),",
                f"  .MASK(bits[33:18]), .WDATA(bits[49:34]), .RDATA({side[-1]}));",
            ]

    def add_reference(self, width: int, *, registered: bool = False) -> None:
        name = f"{width}_{int(registered)}"
        self.right.append(f"q_{name}")
        self.body += [
            f"wire [{width - 1}:0] q_{name};",
            f"reference #(.WIDTH({width}), .REGISTERED({int(registered)})) twin_{name} (",
            "  .clk(clk), .read_enable(bits[62]), .output_enable(bits[63]),",
            f"  .read({{{address(width, 0)}}}), .write({{{address(width, 8)}}}),",
            f"  .write_enable(bits[60] & bits[61]), .data(bits[{23 + width}:24]), .q(q_{name}));",
        ]

    def add_ecp5_memory(self, width: int, *, registered: bool = False) -> None:
        low = 14 - ADDRESS_BITS[width]
        enables = {36: "5'b01111", 18: "4'b0011"}.get(width, f"{low}'b0")
        tail = f", {enables}" if low else ""
        name = f"{width}_{int(registered)}"
        mode = "OUTREG" if registered else "NOREG"
        ports = [f".{port}{i}({port}_{name}[{i}])" for port in ("ADA", "ADB") for i in range(14)]
        ports += [f".DIA{i}(bits[{24 + i}])" for i in range(18)]
        ports += [f".DIB{i}(bits[{42 + i}])" for i in range(18)]
        ports += [f".{port}{i}({port}_{name}[{i}])" for port in ("DOA", "DOB") for i in range(18)]
        whole = f"{{DOB_{name}, DOA_{name}}}"
        self.left.append(whole if width == 36 else f"DOB_{name}[{width - 1}:0]")
        self.body += [
            f"wire [17:0] DOA_{name}, DOB_{name};",
            f"wire [13:0] ADA_{name} = {{{address(width, 8)}{tail}}};",
            f"wire [13:0] ADB_{name} = {{{address(width, 0)}{tail}}};",
            f"DP16KD #(.DATA_WIDTH_A({width}), .DATA_WIDTH_B({width}), .REGMODE_B(\"{mode}\"))",
            f"  own_{name} (",
            "  .CLKA(clk), .CLKB(clk), .CEA(bits[60]), .WEA(bits[61]), .CEB(bits[62]),",
            f"  .OCEA(1'b1), .OCEB(bits[63]), .WEB(1'b0), {', '.join(ports)});",
        ]
        self.add_reference(width, registered=registered)

    def add_gowin_memory(self, width: int) -> None:
        low = {18: ("4'b0011", "4'b0"), 9: ("3'b0", "3'b0")}[width]
        self.left.append(f"own_{width}[{width - 1}:0]")
        self.body += [
            f"wire [17:0] own_{width};",
            f"DPX9B #(.WRITE_MODE0(1), .BIT_WIDTH_0({width}), .BIT_WIDTH_1({width}))",
            f"  memory_{width} (.CLKA(clk), .CLKB(clk), .CEA(bits[60]), .CEB(bits[62]),",
            "  .OCEA(1'b1), .OCEB(1'b1), .WREA(bits[61]), .DIA(bits[41:24]),",
            f"  .ADA({{{address(width, 8)}, {low[0]}}}), .ADB({{{address(width, 0)}, {low[1]}}}),",
            f"  .DOB(own_{width}));",
        ]
        self.add_reference(width)


def vendor(cell: str, family: Family) -> str:
    """Yosys's model of a cell, as a module VENDOR_CELL."""
    text = yosys.models("", family) + yosys.model(cell, family)
    return text.replace(f"module {cell}", f"module VENDOR_{cell}", 1) + "\n"


def test_ice40() -> None:
    pairs = Pairs()
    pairs.add_tables("SB_LUT4", "O", ["I0", "I1", "I2", "I3"], "LUT_INIT")
    for write in range(4):
        for read in range(4):
            pairs.add_ice40_memory(write, read)
    modules = cells.models("ice40") + vendor("SB_LUT4", "ice40") + vendor("SB_RAM40_4K", "ice40")
    assert pairs.differences("ice40-cells", modules, seed=1) == 0


def test_ecp5() -> None:
    pairs = Pairs()
    pairs.add_tables("LUT4", "Z", ["A", "B", "C", "D"], "INIT")
    for width in ADDRESS_BITS:
        pairs.add_ecp5_memory(width)
        if width < 36:
            pairs.add_ecp5_memory(width, registered=True)
    modules = cells.models("ecp5") + vendor("LUT4", "ecp5") + REFERENCE
    assert pairs.differences("ecp5-cells", modules, seed=2) == 0


def test_gowin() -> None:
    pairs = Pairs()
    pairs.add_tables("LUT4", "F", ["I0", "I1", "I2", "I3"], "INIT")
    pairs.add_tables("LUT3", "F", ["I0", "I1", "I2"], "INIT")
    for width in (18, 9):
        pairs.add_gowin_memory(width)
    modules = cells.models("gowin") + vendor("LUT4", "gowin") + vendor("LUT3", "gowin") + REFERENCE
    assert pairs.differences("gowin-cells", modules, seed=3) == 0


@pytest.mark.parametrize(
    ("family", "cell"),
    [
        ("ice40", "SB_RAM40_4K #(.READ_MODE(4)) cell_ ();"),
        ("ecp5", 'DP16KD #(.WRITEMODE_A("WRITETHROUGH")) cell_ ();'),
        ("ecp5", 'DP16KD #(.DATA_WIDTH_B(36), .REGMODE_B("OUTREG")) cell_ ();'),
        ("ecp5", "MULT18X18D cell_ ();"),
        ("gowin", "DPX9B #(.BIT_WIDTH_0(4)) cell_ ();"),
    ],
)
def test_a_mode_without_a_model_is_refused(family: Family, cell: str) -> None:
    text = f"module top; {cell} endmodule\n" + cells.models(family)
    with pytest.raises(BuildFailed, match="_must_"):
        compile_verilog(text, name="test-unknown-mode")
