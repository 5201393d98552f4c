"""The simulated venue: one deterministic matching core under scripts, faults and latency."""
