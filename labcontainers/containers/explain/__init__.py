"""What was done, or would be done, to make a container: as values, as a `docker run` line, as shell commands."""
