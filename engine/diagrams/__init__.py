"""Review of the machines: diagrams, tables, coverage, differences and static checks.

Everything is read from the transition tables that run; nothing here is imported by them.
"""
