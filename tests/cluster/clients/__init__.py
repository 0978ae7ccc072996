"""Clients of a whole cluster: kubectl and the Python client, unmodified, and our own command line."""
