"""What a host drives: one interface, and the devices behind it."""
