"""What a build gives besides an image in the store: what is asked for, as values, and the documents that tell of a build."""
