"""Lineage: which data was made of which, found in events and queries, kept through renames, shown to who may see it."""
