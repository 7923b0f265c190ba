"""Spiking networks: described, compiled, trained."""
