#!/usr/bin/env bash
# Runs every test: all of them as the user who asks; then, as root, those that meet the kernel again as an ordinary user with
# subordinate ids and as one without. Each run ends with pytest's own summary, and the last lines repeat them.
# Arguments go to every run of pytest.
set -u
cd "$(dirname "$0")/.." || exit 1
checkout=$PWD
# what an ordinary user's run has to show: everything that meets the kernel
kernel_tests=(tests/integration tests/security tests/notebooks)
work=$(mktemp -d /tmp/lab-XXXXXX)
chmod 0711 "$work"
trap leave EXIT
failures=0

leave() { # nothing of these runs stays, nor the user that was made for them
    [ -z "${beside:-}" ] || kill -- "-$beside" 2>/dev/null
    [ ! -e "$work/made-labtest" ] || userdel --remove labtest 2>/dev/null
    rm -rf "$work"
}

run() { # label, command…
    local label=$1
    shift
    printf '\n── tests %s\n' "$label"
    "$@" 2>&1 | tee "$work/log"
    count "${PIPESTATUS[0]}" "$work/log"
}

count() { # exit code and output of a run
    [ "$1" = 0 ] || failures=$((failures + 1))
    tail -n 1 "$2" >>"$work/summaries"
}

present() { # those of the kernel's test folders that hold tests
    local folder
    for folder in "${kernel_tests[@]}"; do
        [ -n "$(find "$folder" -name 'test_*.py' -print -quit 2>/dev/null)" ] && echo "$folder"
    done
}

reaches() { # whether the user of these setpriv options can use the checkout and its interpreter
    setpriv "$@" sh -c "test -r '$checkout/pyproject.toml' && '$checkout/.venv/bin/python' -c 'import sys'" 2>/dev/null
}

as_user() { # uid, gid, groups option, arguments of pytest…
    local uid=$1 gid=$2 groups=$3
    shift 3
    local home=$work/$uid identity=(--reuid "$uid" --regid "$gid" "$groups")
    install -d -m 0700 -o "$uid" -g "$gid" "$home" "$home/t"
    local settings=(HOME="$home" TMPDIR="$home/t" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
        PYTHONDONTWRITEBYTECODE=1 ${CI:+CI="$CI"} LABCONTAINERS_TESTS_ALSO_RUN_AS_ROOT=1)
    if reaches "${identity[@]}"; then
        setpriv "${identity[@]}" env -i "${settings[@]}" PYTHONPATH="$checkout" \
            .venv/bin/python -m pytest -p no:cacheprovider "$@"
    elif unshare --mount true 2>/dev/null; then
        # a view of the checkout that ends with this process
        mkdir -p "$work/view"
        unshare --mount --propagation private sh -c "mount --bind '$checkout' '$work/view' && cd '$work/view' && exec \"\$@\"" sh \
            setpriv "${identity[@]}" env -i "${settings[@]}" PYTHONPATH="$work/view" \
            "$work/view/.venv/bin/python" -m pytest -p no:cacheprovider "$@"
    else
        (
            flock 9
            [ -d "$work/copy" ] || tar --exclude=./js/node_modules --exclude=./.git -cf - . | (mkdir -p "$work/copy" && tar -xf - -C "$work/copy")
        ) 9>"$work/copying"
        (cd "$work/copy" && setpriv "${identity[@]}" env -i "${settings[@]}" PYTHONPATH="$work/copy" \
            .venv/bin/python -m pytest -p no:cacheprovider "$@")
    fi
}

ordinary_user() { # a user with subordinate ids, made for the tests where there is none; prints uid and gid
    if ! id labtest >/dev/null 2>&1; then
        useradd --create-home --shell /bin/sh labtest >&2 || return 1
        touch "$work/made-labtest"
    fi
    for file in subuid subgid; do
        grep -q '^labtest:' "/etc/$file" 2>/dev/null || echo "labtest:100000:65536" >>"/etc/$file"
    done
    echo "$(id -u labtest) $(id -g labtest)"
}

if [ "$(id -u)" = 0 ]; then
    run "as root" .venv/bin/python -m pytest "$@"
    mapfile -t folders < <(present)
    if [ ${#folders[@]} = 0 ]; then
        echo "no test that meets the kernel: nothing to repeat as an ordinary user"
    elif read -r uid gid < <(ordinary_user); then
        # beside each other, since each waits most of the time; the second is shown when the first is through
        # job control, since without it a background process ignores SIGINT, and so would all that the tests start
        set -m
        as_user 54321 54321 --clear-groups "${folders[@]}" "$@" </dev/null >"$work/log-beside" 2>&1 &
        set +m
        beside=$!
        run "as an ordinary user with subordinate ids" as_user "$uid" "$gid" --init-groups "${folders[@]}" "$@"
        wait "$beside"
        status=$?
        beside=
        printf '\n── tests as an ordinary user with a single id\n'
        cat "$work/log-beside"
        count "$status" "$work/log-beside"
    else
        echo "cannot make the user labtest: the tests as an ordinary user are left out"
        [ -z "${CI:-}" ] || failures=$((failures + 1))
    fi
else
    run "as $(id -un)" .venv/bin/python -m pytest "$@"
fi

printf '\n── pytest said\n'
[ "$failures" = 0 ] || echo "$failures of these runs failed"
cat "$work/summaries"
[ "$failures" = 0 ]
