"""The demo: three people run the 22 TPC-H queries through a governed DuckDB connection (`make demo`)."""
