"""What an operator sees of a running server: metrics, traces and structured logs. Nothing of it is imported unless asked for."""
