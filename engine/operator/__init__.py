"""What people say to a running engine, on its way from the command line to the core."""
