"""PLLs as a board declares them: dividers, checked against the data sheet's limits, and the cell.

    reference --[/ divider]--> phase detector <--[/ feedback]--+
                                     |                         |
                                     v                         |
                                oscillator --[/ output]--------+--> clock

All frequencies are in MHz, exact.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

from amaranth.hdl import Const, Instance, Module, Signal, Value


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Least and greatest frequencies of a PLL."""

    detector: tuple[float, float]
    oscillator: tuple[float, float]
    output: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Pll(ABC):
    """A phase-locked loop from a reference to the clock of a device.

    Parameters
    ----------
    reference: frequency of what it is fed with
    divider: what the reference is divided by
    feedback: what the detector's other input is divided by
    output: from the oscillator to the clock

    Raises ValueError when a divider or a frequency is out of what the part can do.
    """

    reference: Fraction | int
    divider: int
    feedback: int
    output: int

    LIMITS: ClassVar[Limits]
    DIVIDERS: ClassVar[range]
    FEEDBACKS: ClassVar[range]
    OUTPUTS: ClassVar[tuple[int, ...]]

    def __post_init__(self) -> None:
        for name, there in (
            ("divider", self.DIVIDERS),
            ("feedback", self.FEEDBACKS),
            ("output", self.OUTPUTS),
        ):
            value = getattr(self, name)
            if value not in there:
                raise ValueError(
                    f"{name} of an {type(self).__name__} must be one of "
                    f"{there[0]}, {there[1]}, ... {there[-1]}, not {value}"
                )
        for name, frequency, (least, greatest) in (
            ("detector", self.detector, self.LIMITS.detector),
            ("oscillator", self.oscillator, self.LIMITS.oscillator),
            ("output", self.megahertz, self.LIMITS.output),
        ):
            if not least <= frequency <= greatest:
                raise ValueError(
                    f"the {name} of an {type(self).__name__} must run at {least} to {greatest} "
                    f"MHz, not {float(frequency):g}"
                )

    @property
    def detector(self) -> Fraction:
        """Frequency at which the phases are compared."""
        return Fraction(self.reference) / self.divider

    @property
    def oscillator(self) -> Fraction:
        """Frequency of the oscillator; the feedback is the clock that leaves."""
        return self.megahertz * self.output

    @property
    def megahertz(self) -> Fraction:
        """Frequency of the clock."""
        return self.detector * self.feedback

    @abstractmethod
    def cell(self, m: Module, pin: Any, reference: Value | None, clock: Signal) -> Value:
        """Add the PLL to `m`; returns whether it is locked, asynchronous.

        Parameters
        ----------
        pin: port of the pin that the reference comes in at
        reference: the same behind its buffer; None where the PLL stands at the pad, `at_pad`
        clock: is driven
        """

    at_pad: ClassVar[bool] = False
    """Whether the PLL takes the pin's place, so that nothing else can read it."""


@dataclass(frozen=True, kw_only=True)
class Ice40Pll(Pll):
    """SB_PLL40, fed from a pin through the fabric.

    Lattice FPGA-TN-02052 (iCE40 sysCLOCK PLL design and user guide), FPGA-DS-02008 table 4.15.
    The feedback is the oscillator here, which lets it be divided by up to 128 (icepll of IceStorm
    knows that too), and the output divider a power of two.
    """

    LIMITS = Limits(detector=(10, 133), oscillator=(533, 1066), output=(16, 275))
    DIVIDERS = range(1, 17)
    FEEDBACKS = range(1, 129)
    OUTPUTS = (2, 4, 8, 16, 32, 64)

    @property
    def oscillator(self) -> Fraction:
        return self.detector * self.feedback

    @property
    def megahertz(self) -> Fraction:
        return self.oscillator / self.output

    @property
    def _filter(self) -> int:
        """FILTER_RANGE by the frequency of the detector."""
        limits = (17, 26, 44, 66, 101)
        return 1 + sum(self.detector >= limit for limit in limits)

    def cell(self, m: Module, pin: Any, reference: Value | None, clock: Signal) -> Value:
        locked = Signal()
        fed = {"io_PACKAGEPIN": pin.io} if self.at_pad else {"i_REFERENCECLK": reference}
        m.submodules.pll = Instance(
            "SB_PLL40_PAD" if self.at_pad else "SB_PLL40_CORE",
            p_FEEDBACK_PATH="SIMPLE",
            p_DIVR=Const(self.divider - 1, 4),
            p_DIVF=Const(self.feedback - 1, 7),
            p_DIVQ=Const(self.output.bit_length() - 1, 3),
            p_FILTER_RANGE=Const(self._filter, 3),
            i_RESETB=Const(1, 1),
            i_BYPASS=Const(0, 1),
            o_PLLOUTGLOBAL=clock,
            o_LOCK=locked,
            **fed,
        )
        return locked


@dataclass(frozen=True, kw_only=True)
class Ice40PadPll(Ice40Pll):
    """The same, where the reference comes in at the PLL's own pin: 35 of an iCE40UP5K in SG48."""

    at_pad = True


@dataclass(frozen=True, kw_only=True)
class Ecp5Pll(Pll):
    """EHXPLLL, its feedback from CLKOP.

    Lattice FPGA-DS-02012 (ECP5 and ECP5-5G family data sheet), sysCLOCK PLL timing;
    FPGA-TN-02200 (ECP5 sysCLOCK PLL/DLL design and usage guide).
    """

    LIMITS = Limits(detector=(10, 400), oscillator=(400, 800), output=(3.125, 400))
    DIVIDERS = range(1, 129)
    FEEDBACKS = range(1, 81)
    OUTPUTS = tuple(range(1, 129))

    def cell(self, m: Module, pin: Any, reference: Value | None, clock: Signal) -> Value:
        return self._pll(m, reference, clock)

    def _pll(self, m: Module, reference: Value | None, loop: Signal, **outputs: Any) -> Value:
        """The cell, with the clock `loop` from CLKOP, and what concerns other outputs."""
        locked = Signal()
        m.submodules.pll = Instance(
            "EHXPLLL",
            a_FREQUENCY_PIN_CLKI=f"{float(self.reference):g}",
            a_FREQUENCY_PIN_CLKOP=f"{float(self.detector * self.feedback):g}",
            a_ICP_CURRENT="12",
            a_LPF_RESISTOR="8",
            a_MFG_ENABLE_FILTEROPAMP="1",
            a_MFG_GMCREF_SEL="2",
            p_PLLRST_ENA="DISABLED",
            p_INTFB_WAKE="DISABLED",
            p_STDBY_ENABLE="DISABLED",
            p_DPHASE_SOURCE="DISABLED",
            p_OUTDIVIDER_MUXA="DIVA",
            p_FEEDBK_PATH="CLKOP",
            p_CLKI_DIV=self.divider,
            p_CLKFB_DIV=self.feedback,
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOP_DIV=self.output,
            # No phase shift.
            p_CLKOP_CPHASE=self.output - 1,
            p_CLKOP_FPHASE=0,
            i_CLKI=reference,
            i_CLKFB=loop,
            o_CLKOP=loop,
            o_LOCK=locked,
            **{f"i_{pin}": Const(0, 1) for pin in ("RST", "STDBY", "PLLWAKESYNC", "ENCLKOP")},
            **{f"i_{pin}": Const(0, 1) for pin in ("PHASESEL0", "PHASESEL1")},
            **{f"i_{pin}": Const(1, 1) for pin in ("PHASEDIR", "PHASESTEP", "PHASELOADREG")},
            **outputs,
        )
        return locked


@dataclass(frozen=True, kw_only=True)
class Ecp5SecondaryPll(Ecp5Pll):
    """The same, where the clock leaves from CLKOS, and CLKOP is the loop's alone.

    For a clock that is no multiple of what the detector compares.

    Parameters
    ----------
    secondary: from the oscillator to the clock; `output` is what the loop divides it by
    """

    secondary: int

    def __post_init__(self) -> None:
        if self.secondary not in self.OUTPUTS:
            raise ValueError(
                f"secondary of an {type(self).__name__} must be from {self.OUTPUTS[0]} to "
                f"{self.OUTPUTS[-1]}, not {self.secondary}"
            )
        super().__post_init__()

    @property
    def oscillator(self) -> Fraction:
        return self.detector * self.feedback * self.output

    @property
    def megahertz(self) -> Fraction:
        return self.oscillator / self.secondary

    def cell(self, m: Module, pin: Any, reference: Value | None, clock: Signal) -> Value:
        return self._pll(
            m,
            reference,
            Signal(name="loop"),
            a_FREQUENCY_PIN_CLKOS=f"{float(self.megahertz):g}",
            p_CLKOS_ENABLE="ENABLED",
            p_CLKOS_DIV=self.secondary,
            p_CLKOS_CPHASE=self.secondary - 1,
            p_CLKOS_FPHASE=0,
            i_ENCLKOS=Const(0, 1),
            o_CLKOS=clock,
        )


@dataclass(frozen=True, kw_only=True)
class GowinPll(Pll):
    """rPLL of a GW1NR-9 C6/I5 or a GW2A-18 C8/I7: what both can do.

    Gowin UG286 (clock user guide); DS117 and DS102, PLL parameters.

    Parameters
    ----------
    device: what the cell's parameter DEVICE says, such as "GW1NR-9C"
    """

    device: str

    LIMITS = Limits(detector=(3, 400), oscillator=(500, 1200), output=(3.90625, 600))
    DIVIDERS = range(1, 65)
    FEEDBACKS = range(1, 65)
    OUTPUTS = (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)

    def cell(self, m: Module, pin: Any, reference: Value | None, clock: Signal) -> Value:
        locked = Signal()
        m.submodules.pll = Instance(
            "rPLL",
            p_FCLKIN=f"{float(self.reference):g}",
            p_DEVICE=self.device,
            p_IDIV_SEL=self.divider - 1,
            p_FBDIV_SEL=self.feedback - 1,
            p_ODIV_SEL=self.output,
            p_CLKFB_SEL="internal",
            p_CLKOUT_BYPASS="false",
            p_DYN_IDIV_SEL="false",
            p_DYN_FBDIV_SEL="false",
            p_DYN_ODIV_SEL="false",
            p_DYN_DA_EN="false",
            p_DYN_SDIV_SEL=2,
            p_PSDA_SEL="0000",
            p_DUTYDA_SEL="1000",
            i_CLKIN=reference,
            i_CLKFB=Const(0, 1),
            i_RESET=Const(0, 1),
            i_RESET_P=Const(0, 1),
            o_CLKOUT=clock,
            o_LOCK=locked,
            **{f"i_{pin}": Const(0, 6) for pin in ("FBDSEL", "IDSEL", "ODSEL")},
            **{f"i_{pin}": Const(0, 4) for pin in ("PSDA", "DUTYDA", "FDLY")},
        )
        return locked
