# Runs in the guest: every script of the kernel's livepatch selftests, with the modules in C (c) and
# with ours (klp), as SIDES says. DIRECTORY has both, KDIR is the kernel's build directory.
release=$(uname -r)
export KDIR
for side in $SIDES; do
    cd "$DIRECTORY/$side/livepatch" || exit
    # What modprobe finds.
    mount --bind "root/lib/modules/$release" "/lib/modules/$release" || exit
    for script in test-*.sh; do
        echo "@start $side $script"
        "./$script" 2>&1
        echo "@end $?"
    done
    umount "/lib/modules/$release"
done
