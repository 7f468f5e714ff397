"""The OCI runtime command: bundles become containers, by the same operations as those of the engine."""
