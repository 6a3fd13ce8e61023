"""Lineage of SQL text: what a statement reads and writes, and which columns it makes of which.

`tracing.trace` does it in the calling process, for trusted text; `tracer.Tracer` in a process of its own, with limits. Pure: the
caller says which columns a table has.
"""
