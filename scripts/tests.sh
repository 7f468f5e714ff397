#!/usr/bin/env bash
# Runs every test: all of them as the user who asks; and, as root, those that meet the kernel again as an ordinary user with
# subordinate ids and as one without, at the same time, and those in a browser as such a user alone. Each run ends with pytest's own summary, and the last lines repeat them.
# What fails beside the others, if it is little, runs once more and alone when they have ended; the last lines tell what passed only so.
# Arguments go to every run of pytest.
set -u
cd "$(dirname "$0")/.." || exit 1
checkout=$PWD
# what an ordinary user's run has to show: everything that meets the kernel
kernel_tests=(tests/integration tests/security tests/notebooks)
# what meets none, or one of its own, and so can run beside those
apart_tests=(tests/unit tests/vm)
# what is about pages
web_tests=(tests/browser)
# where every user gets, since on some machines /tmp is root's alone
open_to_all=/tmp
[ -k /tmp ] && [ -n "$(find /tmp -maxdepth 0 -perm -0001)" ] || open_to_all=/var/tmp
work=$(mktemp -d "$open_to_all/lab-XXXXXX")
chmod 0711 "$work"
trap leave EXIT
failures=0

leave() { # nothing of these runs stays, nor the user that was made for them
    local group
    for group in "${groups[@]}"; do
        kill -- "-$group" 2>/dev/null
    done
    [ ! -e "$work/made-labtest" ] || userdel --remove labtest 2>/dev/null
    ! mountpoint -q "$work/memory" || umount -l "$work/memory"
    rm -rf "$work"
}

run() { # label, who, arguments of pytest…
    local label=$1 who=$2
    shift 2
    printf '\n── tests %s\n' "$label"
    "as_$who" "$@" 2>&1 | tee "$work/log"
    count "${PIPESTATUS[0]}" "$label" "$who" "$work/log"
}

count() { # exit code, label, who and output of a run
    tail -n 1 "$4" >>"$work/summaries"
    [ "$1" != 0 ] || return
    if [ "$1" = 1 ] && [ "$worth" != 0 ] && [ -s "$work/failed-$3" ] && [ "$(wc -l <"$work/failed-$3")" -le "$worth" ]; then
        again+=("$2" "$3")
    else
        failures=$((failures + 1))
    fi
}

# The most tests of a run that are worth another look when the others have ended; the labels and users of the runs with such.
worth=10
[ $# = 0 ] || worth=0
again=()

look_again() { # a test that passes now met the load of the others, or a race
    local label who failed
    while [ ${#again[@]} != 0 ]; do
        label=${again[0]} who=${again[1]}
        again=("${again[@]:2}")
        mapfile -t failed <"$work/failed-$who"
        printf '\n── tests %s, once more and alone\n' "$label"
        if "as_$who" "${failed[@]}" 2>&1; then
            printf '%s: passed only when alone: %s\n' "$label" "${failed[*]}" >>"$work/summaries"
        else
            printf '%s: failed twice, of: %s\n' "$label" "${failed[*]}" >>"$work/summaries"
            failures=$((failures + 1))
        fi
    done
}

# What runs in the background: the process group, label, user and output of each lane, by its number.
groups=() labels=() users=() logs=()

beside() { # label, who, arguments of pytest…: in the background, with job control, since without it all that tests start ignores SIGINT
    labels+=("$1") users+=("$2") logs+=("$work/log-beside-${#labels[@]}")
    shift 2
    set -m
    "as_${users[-1]}" "$@" </dev/null >"${logs[-1]}" 2>&1 &
    set +m
    groups+=("$!")
}

meet() { # wait for all that runs beside, and show it in the order in which it began
    local lane status
    for lane in "${!groups[@]}"; do
        wait "${groups[$lane]}"
        status=$?
        unset "groups[$lane]"
        printf '\n── tests %s\n' "${labels[$lane]}"
        cat "${logs[$lane]}"
        count "$status" "${labels[$lane]}" "${users[$lane]}" "${logs[$lane]}"
    done
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

# Files of tests are in memory where they fit, since disks are slow to make and sync them; those of tests about a disk are on one.
plenty_of_memory() {
    [ "$(awk '/^MemAvailable:/ { print int($2 / 1048576) }' /proc/meminfo)" -ge 12 ]
}

# Those as whom tests run; what failed of each is told in a file.
as_me() { # arguments of pytest…
    LABCONTAINERS_TESTS_FAILED=$work/failed-me in_memory me "$@"
}

as_apart() { # beside `as_me`, so without its cache
    LABCONTAINERS_TESTS_FAILED=$work/failed-apart in_memory apart -p no:cacheprovider "$@"
}

in_memory() { # who, arguments of pytest…: as the user who asks
    local who=$1 settings=()
    shift
    if mountpoint -q "$work/memory"; then
        mkdir -p -m 0711 "$work/memory/$who" "$work/disk-$who"
        settings=(TMPDIR="$work/memory/$who" LABCONTAINERS_TESTS_DISK="$work/disk-$who")
    fi
    env "${settings[@]}" .venv/bin/python -m pytest "$@"
}

as_ids() { # what comes out the same for both ordinary users, the other one's run tells
    LABCONTAINERS_TESTS_ALSO_RUN_WITH_A_SINGLE_ID=1 as_user ids "$uid" "$gid" --init-groups "$@"
}

as_one() {
    as_user one 54321 54321 --clear-groups "$@"
}

as_web() {
    as_user web 54322 54322 --clear-groups "$@"
}

as_user() { # who, uid, gid, groups option, arguments of pytest…
    local home=$work/$1 disk=$work/disk-$1 failed=$work/failed-$1 uid=$2 gid=$3 groups=$4
    shift 4
    local identity=(--reuid "$uid" --regid "$gid" "$groups")
    install -d -m 0700 -o "$uid" -g "$gid" "$home" "$home/t" "$disk"
    install -m 0600 -o "$uid" -g "$gid" /dev/null "$failed"
    local settings=(HOME="$home" TMPDIR="$home/t" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8
        LABCONTAINERS_TESTS_FAILED="$failed" PYTHONDONTWRITEBYTECODE=1 ${CI:+CI="$CI"} LABCONTAINERS_TESTS_ALSO_RUN_AS_ROOT=1
        ${LABCONTAINERS_TESTS_ALSO_RUN_WITH_A_SINGLE_ID:+LABCONTAINERS_TESTS_ALSO_RUN_WITH_A_SINGLE_ID=1})
    # what is mounted for this run alone, and ends with it
    local place=$checkout mounts=(:)
    if unshare --mount true 2>/dev/null; then
        if plenty_of_memory; then
            settings+=(LABCONTAINERS_TESTS_DISK="$disk")
            mounts=("mount -t tmpfs -o size=6g,mode=0700,uid=$uid,gid=$gid tmpfs '$home' && install -d -m 0700 -o $uid -g $gid '$home/t'")
        fi
        if ! reaches "${identity[@]}"; then
            place=$work/view
            mkdir -p "$place"
            mounts+=("mount --bind '$checkout' '$place'")
        fi
    elif ! reaches "${identity[@]}"; then
        place=$work/copy
        (
            flock 9
            [ -d "$place" ] || tar --exclude=./js/node_modules --exclude=./.git -cf - . | (mkdir -p "$place" && tar -xf - -C "$place")
        ) 9>"$work/copying"
    fi
    local run=(setpriv "${identity[@]}" env -i "${settings[@]}" PYTHONPATH="$place" "$place/.venv/bin/python" -m pytest -p no:cacheprovider "$@")
    if [ "${#mounts[@]}" = 1 ] && [ "${mounts[0]}" = : ]; then
        (cd "$place" && "${run[@]}")
    else
        local all
        printf -v all '%s && ' "${mounts[@]}"
        unshare --mount --propagation private sh -c "$all cd '$place' && exec \"\$@\"" sh "${run[@]}"
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

# once for all runs: ordinary users may not write what Python compiles into the checkout, and all their processes would do it anew
env -u PYTHONDONTWRITEBYTECODE .venv/bin/python -m compileall -q labcontainers scripts
[ $# != 0 ] || env -u PYTHONDONTWRITEBYTECODE .venv/bin/python -m pytest --collect-only -qq >/dev/null 2>&1
if [ "$(id -u)" = 0 ]; then
    if plenty_of_memory; then
        mkdir "$work/memory"
        mount -t tmpfs -o size=6g,mode=0711 tmpfs "$work/memory" 2>/dev/null
    fi
    # first, since root's tests look through the eyes of such a user too
    read -r uid gid < <(ordinary_user)
    mapfile -t folders < <(present)
    # all at once, since each waits most of the time, and none sees what another makes; those beside are shown when root's are through
    [ $# != 0 ] || beside "as root, apart from this kernel" apart "${apart_tests[@]}"
    if [ ${#folders[@]} = 0 ]; then
        echo "no test that meets the kernel: nothing to repeat as an ordinary user"
    elif [ -n "${gid:-}" ]; then
        beside "as an ordinary user with subordinate ids" ids "${folders[@]}" "$@"
        beside "as an ordinary user with a single id" one "${folders[@]}" "$@"
    else
        echo "cannot make the user labtest: the tests as an ordinary user are left out"
        [ -z "${CI:-}" ] || failures=$((failures + 1))
    fi
    if [ $# = 0 ]; then
        beside "in a browser, as an ordinary user" web "${web_tests[@]}"
        run "as root" me "${apart_tests[@]/#/--ignore=}" "${web_tests[@]/#/--ignore=}"
    else
        run "as root" me "$@"
    fi
    meet
else
    run "as $(id -un)" me "$@"
fi
look_again

printf '\n── pytest said\n'
[ "$failures" = 0 ] || echo "$failures of these runs failed"
cat "$work/summaries"
[ "$failures" = 0 ]
