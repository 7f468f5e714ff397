"""A file seen as memory, without a descriptor that stays open: mmap(2) and munmap(2). It must not know what is in the file.

Python's own mmap keeps a descriptor as long as the memory, of which a process may have few.
"""

from __future__ import annotations

import ctypes
import os
import weakref

_PROT_READ = 1
_MAP_SHARED = 1
_FAILED = ctypes.c_void_p(-1).value
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]


def map_file(fd: int, size: int) -> memoryview:
    """The first `size` bytes (more than none) of the open file, to be read, whatever becomes of its name and descriptor. Raises OSError.

    The memory is given back when nothing refers to it any more. Nobody may make the file shorter: who reads it then is killed.
    """
    address = _libc.mmap(None, size, _PROT_READ, _MAP_SHARED, fd, 0)
    if address == _FAILED:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    memory = (ctypes.c_ubyte * size).from_address(address)
    weakref.finalize(memory, _libc.munmap, address, size).atexit = False
    return memoryview(memory).cast("B").toreadonly()
