"""SCIM 2.0 (RFC 7643, RFC 7644) over the services of users, groups and service principals."""
