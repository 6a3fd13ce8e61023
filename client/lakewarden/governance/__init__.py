"""Governance as files: a server's state as TOML, and the plan that brings a server to what files say.

The command line's `export`, `validate`, `diff`, `apply` and `test` call what lives here. Nothing is re-exported: the modules
are imported one by one, so that `validate` works without a connection.
"""
