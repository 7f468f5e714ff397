"""Registries: a client of the OCI distribution spec, its credentials and settings; it must know neither store nor images."""
