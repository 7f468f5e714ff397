"""Names for containers that were given none: an adjective and a pioneer of computing.

It must not know which names are in use.
"""

from __future__ import annotations

import secrets

_ADJECTIVES = (
    "agile amber bold brave bright calm candid clever cosmic curious daring eager fair fluent gentle golden happy honest jolly keen kind "
    "lively lucid mellow merry mighty neat noble patient plucky polite proud quick quiet rapid serene sharp silver steady sunny swift tidy "
    "upbeat vivid warm wise witty zesty"
).split()
_PIONEERS = (
    "allen antonelli babbage backus bartik berners boole cerf church codd conway cray diffie dijkstra easley engelbart estrin floyd "
    "goldberg hamilton hamming hollerith holberton hopper johnson kay kernighan kleene knuth lamarr lamport liskov lovelace mccarthy "
    "mcilroy milner minsky naur neumann nygaard perlis perlman postel ritchie shannon snyder stallman thompson torvalds turing wilkes "
    "wirth zuse"
).split()


def random_name() -> str:
    """Such as "witty_lovelace"; about 2,500 different ones."""
    return f"{secrets.choice(_ADJECTIVES)}_{secrets.choice(_PIONEERS)}"
