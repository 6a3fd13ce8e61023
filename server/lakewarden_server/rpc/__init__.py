"""The gRPC edge: a thin servicer for every service, and the server around them. Nothing is decided here."""
