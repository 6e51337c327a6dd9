# Runs in the guest, with MODULES and CONFIG_RUST set: shows the examples at work. Ends with an error if one does not do what it
# should.
PATH=$PATH:/sbin:/usr/sbin
seen=0

title() { printf '\n\033[1m%s\033[0m\n' "$*"; }
note() { printf '  %s\n' "$*"; }
fail() { printf '\n\033[1;31mthe demo failed: %s\033[0m\n' "$*"; exit 1; }

command() { printf '  \033[2m$ %s\033[0m\n' "$*"; }

# Runs a command and shows it with what it prints.
show() {
    command "$*"
    sh -c "$*" 2>&1 | sed 's/^/    /'
}

# Shows what the kernel's livepatch core and the patches have logged since the last time.
log() {
    dmesg | sed -n 's/^\[[^]]*\] \(livepatch[a-z0-9_]*: .*\)/\1/p' |
        grep -v -e 'module verification' -e 'taint' | tail -n "+$((seen + 1))" > /tmp/new
    seen=$((seen + $(wc -l < /tmp/new)))
    sed 's/^\(livepatch: .*\)/\x1b[2m\1\x1b[0m/; s/^\(livepatch_.*\)/\x1b[36m\1\x1b[0m/; s/^/    log: /' /tmp/new
}

expect() { # FILE TEXT
    grep -q -- "$2" "$1" || fail "$1 should have: $2, but has: $(cat "$1")"
}

settled() { # PATCH
    for _ in $(seq 600); do
        [ "$(cat "/sys/kernel/livepatch/$1/transition")" = 0 ] && return
        sleep 0.1
    done
    fail "the transition of $1 does not end"
}

load() { # PATCH
    command "insmod $1.ko"
    insmod "$MODULES/$1/$1.ko" || fail "insmod $1"
    settled "$1"
    log
}

gone() { # PATCH
    for _ in $(seq 600); do
        [ -e "/sys/kernel/livepatch/$1" ] || return 0
        sleep 0.1
    done
    fail "$1 does not go"
}

unload() { # PATCH
    for _ in $(seq 100); do
        rmmod "$1" 2> /dev/null && command "rmmod $1" && return
        sleep 0.1
    done
    fail "rmmod $1"
}

disable() { # PATCH
    command "echo 0 > /sys/kernel/livepatch/$1/enabled"
    echo 0 > "/sys/kernel/livepatch/$1/enabled"
    gone "$1"
    log
    unload "$1"
}

title "Linux $(uname -r), as the distribution ships it"
note "The kernel is built without Rust (CONFIG_RUST: $CONFIG_RUST). The patches are Rust."

title "1. A redirected function"
cp /proc/cmdline /tmp/cmdline
show cat /proc/cmdline
load livepatch_cmdline
show cat /proc/cmdline
expect /proc/cmdline "this has been live patched"
disable livepatch_cmdline
cmp -s /proc/cmdline /tmp/cmdline || fail "/proc/cmdline is not what it was"
show cat /proc/cmdline

title "2. A state with data, and a cumulative patch that takes it over"
note "Version 1 raises the console log level, the first number, and keeps the old one as state data."
echo 4 > /proc/sys/kernel/printk
show cat /proc/sys/kernel/printk
load livepatch_loglevel_v1
show cat /proc/sys/kernel/printk
expect /proc/sys/kernel/printk '^8'
note "Version 2 replaces it: the state continues, nothing is undone and made anew."
load livepatch_loglevel_v2
show cat /proc/sys/kernel/printk
expect /proc/sys/kernel/printk '^7'
show cat /proc/cmdline
expect /proc/cmdline "version 2"
note "Version 1 is gone from the kernel, its data are not."
gone livepatch_loglevel_v1
unload livepatch_loglevel_v1
disable livepatch_loglevel_v2
show cat /proc/sys/kernel/printk
expect /proc/sys/kernel/printk '^4'

title "3. A shadow variable on every task that somebody looks at"
load livepatch_task_shadow
show 'for i in 1 2 3; do cat /proc/1/wchan; echo; done'
cat /proc/1/wchan > /tmp/wchan
expect /tmp/wchan "looked at 4 times"
note "A new task has none yet; it is freed with the task."
show 'cat /proc/self/wchan; echo'
disable livepatch_task_shadow

title "The end"
show ls -A /sys/kernel/livepatch
[ -z "$(ls -A /sys/kernel/livepatch)" ] || fail "a patch is left"
! grep -q ^livepatch_ /proc/modules || fail "a module is left"
dmesg | grep -e WARNING: -e BUG: -e Oops && fail "the kernel complained"
note "No patch, no module and no complaint of the kernel is left."
