# Loads the modules given before `--`, each after the one before has taken effect everywhere, and
# runs the command after it. What it says in the kernel log is read by `cargo klp run`.

say() {
    echo "klp-run: $*" > /dev/kmsg
}

fail() {
    say "failed: $*"
    exit 125
}

# The tasks that the patch waits for, and where they are.
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

# Seconds since the guest has booted, as it counts them.
now() {
    cut -d . -f 1 /proc/uptime
}

while [ "$1" != -- ]; do
    module=$1
    shift
    say "load $module"
    insmod "$module" || fail "the kernel refused $module"
    patch=/sys/kernel/livepatch/$(modinfo -F name "$module")
    start=$(now)
    next=5
    while [ -e "$patch" ] && [ "$(cat "$patch/transition")" != 0 ]; do
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
