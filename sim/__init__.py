"""How we know: the golden model, the Verilated device, the benches and their comparison."""
