#!/bin/sh
# Leaves a task in get_fs_type(), which can't be woken, until /run/klp-test/hold is gone: mount asks for a file system that
# nobody knows, and the kernel runs this script in place of modprobe to get it.
hold=/run/klp-test/hold

if [ "$1" = -q ]; then
    while [ -e "$hold" ]; do sleep 0.1; done
    exit 1
fi
touch "$hold"
modprobe=$(cat /proc/sys/kernel/modprobe)
echo "$0" > /proc/sys/kernel/modprobe
mount -t klp_test none /mnt &
until grep -q get_fs_type "/proc/$!/stack"; do
    kill -0 $! || exit 1
    sleep 0.1
done
echo "$modprobe" > /proc/sys/kernel/modprobe
