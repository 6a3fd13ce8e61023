"""Who is calling: a bearer token becomes a caller, from the snapshot alone."""
