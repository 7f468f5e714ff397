"""From wishes and an image's config to what the runtime is given; it starts nothing."""
