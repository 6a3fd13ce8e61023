"""Errors, ids and clocks: the leaves everybody may import; they import nothing of ours."""
