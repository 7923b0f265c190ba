"""The golden model: what every unit and the whole device compute, in numpy, to the last bit."""
