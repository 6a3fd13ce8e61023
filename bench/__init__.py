"""Benchmarks: each figure beside its comparison from the same run. `python -m bench`, from the repository's root."""
