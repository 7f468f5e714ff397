"""What a container uses and what runs in it, sampled while somebody looks."""
