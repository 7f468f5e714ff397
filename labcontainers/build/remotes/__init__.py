"""What a build takes from elsewhere: files by HTTP, trees of git, archives, and contexts that have a name.

Its modules must not know steps or the cache of a build: they turn addresses into files of this machine.
"""
