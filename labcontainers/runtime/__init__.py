"""A bundle becomes a process: plan, launcher, shim and init; it must not know images, records or notebooks."""
