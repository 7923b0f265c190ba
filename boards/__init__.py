"""Where it runs: parts, what a configuration takes of them, and the boards that carry them."""
