"""Around the build cache: why a step was not in it, and the cache of elsewhere."""
