"""The life of a request, without gRPC: rule, head, snapshot, decision, transaction, audit, error."""
