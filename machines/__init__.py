"""The pure core: tables, facts, commands and policies; no clock, no I/O, no randomness."""
