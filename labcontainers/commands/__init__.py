"""What a user may say, once: every subcommand with its flags, for magics and terminal alike; it must not know widgets or IPython."""
