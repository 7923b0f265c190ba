"""Simulated gateware as a device: the link over a Verilated device in this process."""

from functools import partial

from host.devices.device import DeviceError, Report
from host.devices.link_device import LinkDevice
from hw.build_identity import build_identity
from hw.config import DeviceConfig
from sim.rtl.build import build
from sim.rtl.simulation import Simulation, SimulationStalled

PATIENCE = 100_000
"""Cycles without a byte after which the device is taken for silent. The slowest request, a READ of
a whole frame, is answered within a few thousand."""

SHORTEST_PAUSE = 64
LONGEST_PAUSE = 256
"""Cycles between polls at most: a batch that is sent so late after a buffer was freed is still
there before the array needs it."""


class SimulationTransport:
    """A `host.devices.transport.Transport` whose bytes pass while the simulation's clock runs.

    Parameters
    ----------
    simulation: closed with the transport

    Attributes
    ----------
    simulation: as given
    """

    name = "sim"
    window = 16
    patience = f"{PATIENCE} cycles"

    def __init__(self, simulation: Simulation):
        self.simulation = simulation
        self._outgoing = b""
        self._early = b""

    def send(self, data: bytes) -> None:
        """Keep the bytes until `receive` lets the clock run."""
        self._outgoing += data

    def receive(self, want: int) -> bytes:
        """Send what is to be sent, and collect meanwhile and afterwards."""
        data, self._outgoing = self._outgoing, b""
        early, self._early = self._early, b""
        limit = (len(data) + want + 1) * PATIENCE
        try:
            return early + self.simulation.exchange(
                data, max(0, want - len(early)), limit, max_quiet=PATIENCE
            )
        except SimulationStalled as stalled:
            raise DeviceError(
                f"the simulated device took {stalled.accepted} of {len(data)} bytes and no more "
                f"within {PATIENCE} cycles; open it again"
            ) from stalled

    def pause(self, polls: int) -> None:
        """Let cycles pass without a byte from the host: 64, and twice as many each time."""
        cycles = min(LONGEST_PAUSE, SHORTEST_PAUSE << min(polls, 16))
        self._early += self.simulation.run(cycles)

    def close(self) -> None:
        """Free the simulation."""
        self.simulation.close()


class SimDevice(LinkDevice):
    """A LinkDevice over a simulation.

    Attributes
    ----------
    simulation: the simulated device; its `cycles` is the clock
    """

    def __init__(self, simulation: Simulation, config: DeviceConfig):
        self.simulation = simulation
        super().__init__(SimulationTransport(simulation), config)


def open_simulation(
    config: DeviceConfig, *, report: Report | None = None, trace: bool = False
) -> SimDevice:
    """Build the configuration's simulator, or take it from the cache, and open it.

    Parameters
    ----------
    config: what to simulate; the family's multipliers are replaced by their behavioural twin
    report: told when a build begins, since it takes up to a minute
    trace: whether the simulator can record waves; see `Simulation.trace`
    """
    behavioural = config.with_family("behavioural")
    identity = build_identity(behavioural)
    library = build(
        partial(_design, behavioural, identity),
        name=f"device-{config.name}",
        key=identity.hex(),
        trace=trace,
        report=lambda stage: report(f"{stage} {config.name} once") if report else None,
    )
    return SimDevice(Simulation(library), config)


def _design(config: DeviceConfig, identity: bytes) -> object:
    # The gateware's language loads only where there is something to build.
    from hw.device import Device

    return Device(config=config, identity=identity)
