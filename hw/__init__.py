"""What the chip does: declarations (config, isa, layout, numbers, tables) and gateware."""
