#!/bin/busybox sh
# The first program of a guest that has a disk of its own: brings what a boot is handed to /run/klp-test, and leaves the
# rest to systemd.
#
# /klp/modules  modules to load, in order
# /klp/files    what is handed in

# What fails here ends the guest with a panic, with the error on the console.
set -e

/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
while read -r module; do
    insmod "/klp/$module"
done < /klp/modules
until [ -e /dev/vda ]; do usleep 10000; done
mount -t ext4 /dev/vda /root
mount -t tmpfs -o mode=755 tmpfs /root/run
cp -r /klp/files /root/run/klp-test
for directory in dev proc sys; do
    mount -o move "/$directory" "/root/$directory"
done
exec switch_root /root /lib/systemd/systemd
