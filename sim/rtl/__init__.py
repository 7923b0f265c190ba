"""The gateware itself, simulated in this process by Verilator."""
