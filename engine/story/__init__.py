"""The life of a close, position or order, told from a journal or a scenario.

A story is a replay: the same core takes the same facts, and what it does is looked at on the way.
"""
