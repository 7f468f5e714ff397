"""Named and anonymous volumes: folders of the store that outlive containers; it must not know containers but by their ids."""
