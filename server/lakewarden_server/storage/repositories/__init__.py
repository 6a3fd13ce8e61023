"""Queries by noun: plain functions that take a session, always in a total order, always with a limit or a key."""
