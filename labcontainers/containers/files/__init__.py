"""The files of a container: what changed, in and out as tar streams, kept as an image."""
