"""What a user may wish of a container: one value, ContainerOptions, and the forms of each kind of wish.

Pure: it must not know the store, records or the kernel.
"""
