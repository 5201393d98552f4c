"""The shell: dispatcher, journal, timers, venue actors, command line."""
