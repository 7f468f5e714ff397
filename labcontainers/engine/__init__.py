"""The facade: one Engine over the store, the runtime and the rooms; it must not know commands, notebooks or HTTP."""
