"""One class per proto service, one method per RPC: plain functions (request, call) -> message, the happy path only."""
