# Runs one command ("$@") in the checkout on the fresh machine. Works in namespaces of its own for mounts and
# processes: whatever is mounted or started here ends with it.
#
# ROOT    the directory of the fresh machine
# RUSTUP  RUSTUP_HOME of this machine
# CARGO   CARGO_HOME of this machine
set -e

# A link in a toolchain may be absolute: what is handed in keeps its path.
hand_in() {
    mkdir -p "$ROOT$1"
    mount --bind "$1" "$ROOT$1"
    mount -o remount,bind,ro "$ROOT$1"
}

# A root directory is a mount point, which `cargo xtask test` asks of its own.
mount --bind "$ROOT" "$ROOT"
hand_in "$RUSTUP"
hand_in "$CARGO/bin"
mount --rbind /dev "$ROOT/dev"
mount -t proc proc "$ROOT/proc"
mount -t sysfs -o ro sysfs "$ROOT/sys"
exec chroot "$ROOT" /bin/sh -c 'cd /klp && exec "$@"' sh "$@"
