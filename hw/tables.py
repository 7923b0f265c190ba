"""The read-only tables of the device, computed once from their formulas.

All entries are unsigned 16-bit words. `SIGMOID` serves tanh too, as tanh(x) = 2 sigmoid(2x) - 1.
"""

import math

SIGMOID_STEP_BITS = 7
"""The sigmoid table steps by 2**-7 over [0, 8)."""
SIGMOID = tuple(round(2**15 / (1 + math.exp(-i / 128))) for i in range(1024))
"""sigmoid(i / 128) in u1.15."""

EXP_COARSE = tuple(round(2**15 * math.exp(-i / 8)) for i in range(64))
"""exp(-i / 8) over [0, 8) in u1.15."""
EXP_FINE = tuple(round(2**15 * math.exp(-i / 256)) for i in range(32))
"""exp(-i / 256) over [0, 1/8) in u1.15."""

RECIPROCAL = tuple(round(2**16 / (1 + (i + 0.5) / 256)) for i in range(256))
"""1 / s for a mantissa s in [1 + i/256, 1 + (i+1)/256), taken at its middle, in u0.16."""

LOGARITHM = tuple(round(2**16 * math.log(1 + (i + 0.5) / 256)) for i in range(256))
"""ln s for the same mantissa, in u0.16."""
LN_2 = round(2**16 * math.log(2))
"""ln 2 in u0.16."""
