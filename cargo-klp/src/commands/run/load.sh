# Loads the modules given before `--`, each when the transition of the previous one is over, then runs the
# command after it. `cargo klp run` reads what this script writes to the kernel log.

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

while [ "$1" != -- ]; do
    module=$1
    shift
    say "load $module"
    insmod "$module" || fail "the kernel refused $module"
    start=$(now)
    next=5
    while in_transition; do
        waited=$(($(now) - start))
        if [ $waited -ge 60 ]; then
            blocking
            fail "after a minute, tasks still block the transition of $module"
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
