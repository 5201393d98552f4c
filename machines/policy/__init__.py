"""Total functions that decide; they see plain values and change nothing."""
