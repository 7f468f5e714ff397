"""Images as users see them, and the base images that the host itself provides; it must not know containers or registries."""
