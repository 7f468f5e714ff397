"""What separates processes, read from the kernel: one process, two beside each other, and all of the machine by their namespaces."""
