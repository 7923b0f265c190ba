"""What the spiking half keeps of neurons, and what its commands are told beside their fields.

A population of n neurons is ceil(n / L) records of POPULATION_ROWS rows of L words in STATE, a row
a Variable and a lane a neuron:

    row base + 8 tile + variable   [ neuron L tile | L tile + 1 | ... | L tile + L - 1 ]

Constants of a command stand in STATE too, in a block of PARAMETER_WORDS words. A list in EVENTS is
the count of its spikes, and then their neurons.
"""

from enum import IntEnum, IntFlag


class Encoding(IntEnum):
    """How ENCODE makes spikes of intensities x, words of INPUT."""

    RATE = 0
    """Regularly, r = min(max((x GAIN) >> shift, 0), 32767) / 32768 spikes a step: r adds up."""
    POISSON = 1
    """At random, with the probability r in every step."""
    LATENCY = 2
    """Once, at step LAST_STEP - r for r = min((x GAIN + half) >> shift, LAST_STEP); never where
    x <= 0. The trace rises by its increment in every step after that."""
    LEVEL = 3
    """In every step in which x > 0: spikes that the host has put there."""


class Variable(IntEnum):
    """What a population keeps of each neuron: word `base + 8 tile + variable` of STATE holds it for
    the L neurons of a tile."""

    CURRENT = 0
    """What INTEGRATE has added up since FIRE."""
    POTENTIAL = 1
    """Of the membrane; in ENCODE the fraction of a spike that is due."""
    THRESHOLD = 2
    """By how much the neuron's own threshold is above the population's."""
    REFRACTORY = 3
    """Steps that it still rests."""
    TRACE = 4
    """Of its spikes."""
    COUNT = 5
    """Its spikes since RESET."""
    ACTIVITY = 6
    """Running activity, for metaplasticity."""
    COEFFICIENT = 7
    """What PLASTICITY multiplies by in this neuron's row."""


POPULATION_ROWS = len(Variable)
"""Words of STATE, of L lanes each, for every L neurons of a population."""

ACTIVE = 1 << 14
"""The trace of a granule cell that is active."""

SCALE_FRACTION_BITS = 14
"""Binary point of the factor that SCALE multiplies a row by, below 2."""

PARAMETER_WORDS = 16
"""Words of a block of parameters, in STATE from the row `right_depth` on, lane after lane.

All decays are from -32768 to 0: x becomes x + (x decay >> 15), decay = -round(32768 (1 - exp(-dt /
tau))).
"""


class NeuronParameter(IntEnum):
    """Parameters of FIRE."""

    LEAK = 0
    """Decay of the potential."""
    THRESHOLD = 1
    RESET = 2
    """Potential after a spike."""
    REFRACTORY = 3
    """Steps of rest after a spike."""
    THRESHOLD_INCREMENT = 4
    """Added to the neuron's own threshold at a spike."""
    THRESHOLD_DECAY = 5
    TRACE_DECAY = 6
    TRACE_INCREMENT = 7
    TRACE_INCREMENT_ACTIVE = 8
    """The increment where the activity is above its threshold."""
    ACTIVITY_DECAY = 9
    ACTIVITY_INCREMENT = 10
    ACTIVITY_THRESHOLD = 11
    COEFFICIENT = 12
    COEFFICIENT_ACTIVE = 13
    """The coefficient where the activity is above its threshold."""


class EncoderParameter(IntEnum):
    """Parameters of ENCODE."""

    GAIN = 0
    LAST_STEP = 1
    TRACE_DECAY = 2
    TRACE_INCREMENT = 3


class SynapseParameter(IntEnum):
    """Parameters of PLASTICITY and SCALE."""

    COEFFICIENT = 0
    LOWER = 1
    """w_min."""
    UPPER = 2
    """w_max."""
    NORM = 3
    """What SCALE brings rows to, in units of 2**shift."""


class ClimbingParameter(IntEnum):
    """Parameters of CLIMB."""

    MARGIN = 0
    POTENTIATION = 1
    """Coefficient of the output of the class, where it is below MARGIN."""
    DEPRESSION = 2
    """Coefficient of the others, where they are above -MARGIN."""
    TONIC = 3
    """Coefficient of an output that makes no mistake."""


class FireFlag(IntFlag):
    """Flags of FIRE."""

    WINNER = 1
    """Of the neurons that reach their thresholds only the one furthest above fires."""
    INHIBIT = 2
    """A spike resets the potentials of all neurons."""
    HOLD = 4
    """Currents stay; otherwise they are 0 afterwards."""
    ADAPT = 8
    """Thresholds decay in this step."""
    APPEND = 16
    """Spikes are added to the list; otherwise it begins anew."""
    SET_TRACE = 32
    """A spike sets the trace to its increment; otherwise it adds it."""


class EncodeFlag(IntFlag):
    """Flags of ENCODE."""

    EACH_STEP = 1
    """The step's number is that of the sample: a batch is a sample's course of time."""
    SET_TRACE = 2
    """As of FIRE."""


class PlasticityFlag(IntFlag):
    """Flags of PLASTICITY."""

    BY_ROW = 1
    """The list names rows (postsynaptic spikes); otherwise columns (presynaptic spikes)."""
    DIFFERENCE = 2
    """The trace less the weight takes the place of the trace."""
    TO_UPPER = 4
    """Soft bound: times w_max - w."""
    TO_LOWER = 8
    """Soft bound: times w - w_min."""
    OWN_COEFFICIENT = 16
    """BY_ROW: the coefficient is that of the row's neuron in the population `dest_base`."""


class ScaleFlag(IntFlag):
    """Flags of SCALE."""

    EUCLIDEAN = 1
    """The root of the sum of squares; otherwise the sum of magnitudes."""
    LISTED = 2
    """Only the rows in the list."""
