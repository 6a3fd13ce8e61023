"""The system tables (semantics 8.3, 8.4): their columns as Unity Catalog documents them, and where their rows come from."""
