"""Venues: the port, capability profiles and the simulated venue; translation, no strategy."""
