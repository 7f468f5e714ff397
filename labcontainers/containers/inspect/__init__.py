"""Docker's inspect document of a container."""
