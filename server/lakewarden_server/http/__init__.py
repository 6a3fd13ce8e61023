"""The HTTP edge: what other protocols than gRPC ask becomes calls of the RPCs, through the one pipeline."""
