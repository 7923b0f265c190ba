"""Checkpoints: a run's whole state in a file, and runs that go on from one."""
