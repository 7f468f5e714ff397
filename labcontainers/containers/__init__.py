"""Containers and all that can be done with them; it must not know notebooks, commands or widgets."""
