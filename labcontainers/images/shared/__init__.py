"""Image stores that many users read and nobody copies: how they are read, used and written."""
