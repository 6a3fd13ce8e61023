"""Keeps this process's snapshot at the head, and turns operations on it into decisions or refusals."""
