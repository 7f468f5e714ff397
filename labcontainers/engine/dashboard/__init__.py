"""All containers at a glance: what they use and have used, what they say, and what they are. It must not know who shows it."""
