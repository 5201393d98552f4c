"""Benchmarks: figures to repeat, never timed tests."""
