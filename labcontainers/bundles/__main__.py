"""The command `labcontainers-oci`, also as `python -m labcontainers.bundles`."""

from __future__ import annotations

import sys

# Commands by which a process of this interpreter comes into a container.
_ENTERING = frozenset({"create", "run", "exec"})


def main() -> None:
    """Carry out the command line, from a sealed interpreter where a container is entered; never returns."""
    if not _ENTERING.isdisjoint(sys.argv):
        from labcontainers.bundles.sealing import run_again

        try:
            run_again(sys.argv[1:])
        except Exception as error:
            sys.exit(f"labcontainers-oci: {error}")
    from labcontainers.bundles import command

    command.main()


if __name__ == "__main__":
    main()
