"""UPduino 3.0 and 3.1, https://github.com/tinyvision-ai-inc/UPduino-v3.0

The serial line shares its pins with the flash memory, which stays quiet while its select is 1.
"""

from boards.board import Board, Lamps, SerialPins
from boards.clocks import Ice40Pll
from hw.configurations import configuration

RED, GREEN, BLUE = (("rgb_led", 0, colour) for colour in "rgb")

BOARD = Board(
    title="tinyVision UPduino 3",
    price="below 40 USD",
    part="iCE40UP5K",
    package="SG48",
    speed="",
    config=configuration("up5k-4x2"),
    platform="upduino_v3:UpduinoV3Platform",
    oscillator="clk12",
    oscillator_megahertz=12,
    pll=Ice40Pll(reference=12, divider=1, feedback=72, output=32),
    baud=3_000_000,
    bridge="FT232H",
    bridge_baud=12_000_000,
    lamps=Lamps(idle=(GREEN,), running=(BLUE,), failed=(RED,)),
    serial=SerialPins(rx="15", tx="14"),
    held=(("16", 1),),
    loader=("-b", "ice40_generic", "-c", "ft232"),
    notes="Short the jumper OSC: the clock comes from the 12 MHz oscillator at pin 20. The "
    "oscillator inside the part is off by more than a serial line can bear.",
)
