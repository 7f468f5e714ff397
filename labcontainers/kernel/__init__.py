"""The only room that speaks to Linux; it must not know images, containers or notebooks."""
