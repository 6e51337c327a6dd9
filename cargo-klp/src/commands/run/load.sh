# Arguments: how many seconds to wait for a transition, the path of each module with its parameters, `--`, a command.
# Loads each module when the transition of the previous one is over, then runs the command. `cargo klp run` reads what
# this script writes to the kernel log.

say() {
    echo "klp-run: $*" > /dev/kmsg
}

fail() {
    say "failed: $*"
    exit 125
}

# Lists the tasks that the transition waits for, with their stacks.
blocking() {
    echo "tasks that still run old code:" >&2
    for task in /proc/[0-9]*/task/[0-9]*; do
        state=$(cat "$task/patch_state" 2> /dev/null) || continue
        if [ "$state" = 0 ]; then
            echo "  ${task##*/} $(cat "$task/comm")" >&2
            sed 's/^/    /' "$task/stack" >&2
        fi
    done
}

# Whether a patch is in transition: the kernel has one transition at a time.
in_transition() {
    cat /sys/kernel/livepatch/*/transition 2> /dev/null | grep -q 1
}

# Seconds since the guest has booted, by its own clock.
now() {
    cut -d . -f 1 /proc/uptime
}

wait=$1
shift
while [ "$1" != -- ]; do
    module=$1
    shift
    # Of words that a line break separates, none is split where it has a blank.
    params=
    while case $1 in /* | --) false ;; esac do
        params="$params$1
"
        shift
    done
    say "load $module"
    IFS='
'
    # shellcheck disable=SC2086
    insmod "$module" $params || fail "the kernel refused $module"
    unset IFS
    start=$(now)
    next=5
    while [ "$wait" != 0 ] && in_transition; do
        waited=$(($(now) - start))
        if [ $waited -ge "$wait" ]; then
            blocking
            fail "after $wait seconds, tasks still block the transition of $module"
        fi
        if [ $waited -ge $next ]; then
            echo "the transition of $module has waited for $waited seconds" >&2
            blocking
            next=$((waited * 2))
        fi
        sleep 0.1
    done
done
shift
say "run $*"

if [ $# != 0 ]; then
    exec "$@"
fi
for patch in /sys/kernel/livepatch/*; do
    [ -e "$patch" ] || continue
    case $(cat "$patch/enabled") in
        1) state=enabled ;;
        *) state=disabled ;;
    esac
    echo "${patch##*/}: $state"
done
