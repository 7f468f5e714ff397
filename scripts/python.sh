#!/bin/sh
# Prints the interpreter that .venv is made from: Python 3.11 or newer with venv and pip, which every user of the machine may run
# (tests run as an ordinary user too), the distribution's own first. PYTHON=… overrides the choice.
here=$(dirname "$0")

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
has_venv() { "$1" -c 'import ensurepip, venv' 2>/dev/null; }
open_to_all() {
    step=$("$1" -c 'import os, sys; print(os.path.realpath(sys.executable))') || return 1
    while [ "$step" != / ]; do
        case $(stat -c %A "$step") in *x | *t) ;; *) return 1 ;; esac
        step=$(dirname "$step")
    done
}
choose() { # $1: "open_to_all" or "true"
    for candidate in ${PYTHON:-} /usr/bin/python3 /usr/bin/python3.11 /usr/bin/python3.12 /usr/bin/python3.13 /usr/bin/python3.14 python3; do
        path=$(command -v "$candidate" 2>/dev/null) || continue
        if new_enough "$path" && has_venv "$path" && "$1" "$path"; then
            echo "$path"
            exit 0
        fi
    done
}

[ -n "${PYTHON:-}" ] || choose open_to_all
if new_enough /usr/bin/python3; then package=python3-venv; else package=python3.11-venv; fi
if [ -z "${PYTHON:-}" ]; then
    "$here/packages.sh" "$package" >&2
    choose open_to_all
fi
choose true
echo "labcontainers needs Python 3.11 or newer with venv: install $package, or say make PYTHON=/path/to/python3" >&2
exit 1
