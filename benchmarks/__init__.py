"""Side-by-side measurements of this engine and of the container engines that are installed; nothing here is asserted."""
