"""The vocabulary of the OCI specs: frozen values without I/O; it must know nothing of this project but its errors."""
