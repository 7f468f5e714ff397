"""Sessions: processes inside a running container that take one text after the other, and keep their folder and variables between."""
