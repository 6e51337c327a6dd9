#!/bin/busybox sh
# The guest's first program, in the initramfs: puts the host's files together as the root file
# system, runs the one command there, and says how it ended. The host takes the guest down then.
#
# /klp/config   RELEASE, MARKER, TERMINAL (rows and columns, or empty), STDIN (1 or empty), FOREIGN (1 where the
#               host's programs are of another architecture, or empty)
# /klp/modules  modules to load, in order
# /klp/shares   a tag and a directory a line: what is shared writable
# /klp/command  the command, as a script for the host's shell

# What fails here ends the guest with a panic, seen by the host, with the error in the log.
set -e

/bin/busybox --install -s /bin
export PATH=/bin
. /klp/config

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
while read -r module; do
    insmod "/klp/$module"
done < /klp/modules

host=trans=virtio,version=9p2000.L,msize=262144
mount -t 9p -o "ro,cache=loose,$host" root /lower
mount -t tmpfs tmpfs /upper
mkdir /upper/files /upper/work
lower=/lower
if [ -n "$FOREIGN" ]; then
    mkdir -p /programs/usr/bin /programs/usr/sbin
    cp /bin/busybox /programs/usr/bin/busybox
    busybox --install -s /programs/usr/bin
    busybox --install -s /programs/usr/sbin
    lower=/programs:/lower
fi
mount -t overlay -o "lowerdir=$lower,upperdir=/upper/files,workdir=/upper/work" overlay /root

mount -t proc proc /root/proc
mount -t sysfs sysfs /root/sys
mount -t debugfs debugfs /root/sys/kernel/debug
mount -t tracefs tracefs /root/sys/kernel/tracing
mount -t devtmpfs devtmpfs /root/dev
mkdir -p /root/dev/pts /root/dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /root/dev/pts
mount -t tmpfs -o mode=1777 tmpfs /root/dev/shm
ln -sf /proc/self/fd /root/dev/fd
ln -sf /proc/self/fd/0 /root/dev/stdin
ln -sf /proc/self/fd/1 /root/dev/stdout
ln -sf /proc/self/fd/2 /root/dev/stderr
mount -t tmpfs -o mode=755 tmpfs /root/run
mkdir -p "/root/lib/modules/$RELEASE"
mount -t 9p -o "ro,cache=loose,$host" modules "/root/lib/modules/$RELEASE"
while read -r tag directory; do
    mkdir -p "/root$directory"
    mount -t 9p -o "cache=mmap,$host" "$tag" "/root$directory"
done < /klp/shares
cp /klp/command /root/run/klp-command
hostname klp
# A small kernel may lack the Internet protocols.
if [ -e /proc/sys/net/ipv4 ]; then
    ifconfig lo up
fi

# The ports appear some time after their controller.
appear() {
    until [ -e "$1" ]; do usleep 10000; done
}
until port=$(echo /dev/vport*p1); [ -e "$port" ]; do usleep 10000; done
port=${port%1}
exec 3> "${port}1"

if [ -n "$TERMINAL" ]; then
    appear /dev/hvc0
    echo ready >&3
    # The leader of the session outlives the command: its end hangs up the terminal, which drops what
    # is not read yet. Keys such as ^C are for the command only.
    export MARKER TERMINAL
    setsid -c sh -c '
        trap : INT QUIT TSTP
        stty sane rows "${TERMINAL% *}" cols "${TERMINAL#* }"
        chroot /root /bin/sh /run/klp-command 3>&-
        code=$?
        printf %s "$MARKER"
        sync
        echo "exit $code" >&3
        while :; do sleep 60; done
    ' < /dev/hvc0 > /dev/hvc0 2>&1
else
    # Pipes, since a port can be opened only once: /dev/stderr would not work in the command.
    # They are held open here, so that the marker comes through last.
    mkfifo /klp/stdin /klp/stdout /klp/stderr
    appear "${port}4"
    exec 4<> /klp/stdout 5<> /klp/stderr
    cat < /klp/stdout > "${port}3" 3>&- 4>&- 5>&- &
    cat < /klp/stderr > "${port}4" 3>&- 4>&- 5>&- &
    if [ -n "$STDIN" ]; then
        cat < "${port}2" > /klp/stdin 3>&- 4>&- 5>&- &
    else
        : > /klp/stdin &
    fi
    echo ready >&3
    set +e
    chroot /root /bin/sh /run/klp-command < /klp/stdin >&4 2>&5 3>&- 4>&- 5>&-
    code=$?
    printf %s "$MARKER" >&4
    printf %s "$MARKER" >&5
    sync
    echo "exit $code" >&3
fi
while :; do sleep 60; done
