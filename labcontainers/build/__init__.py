"""Dockerfiles become images: parsed, planned, then carried out step by step on the store."""
