"""The way between a user's terminal or cell and a container's streams."""
