"""The Dockerfile language in three rooms: parser (text to nodes), instructions (nodes to typed values), then build.plan."""
