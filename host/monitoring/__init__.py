"""How a run goes, written down while it goes: metrics, status, events for TensorBoard."""
