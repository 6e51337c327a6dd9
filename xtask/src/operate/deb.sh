# klp-tools and two revisions of a patch, whose paths are the arguments, in a chroot: nothing is loaded there.
fail() { echo "deb: $*" >&2; exit 1; }
installed() { (cd / && ls usr/lib/klp/*/*.ko) | sed 's,.*/,,'; }
wants=/etc/systemd/system/sysinit.target.wants

dpkg -i "$1" "$2"
[ -L "$wants/klp.service" ] && [ -L "$wants/klp-confirm.path" ] || fail "the units are not enabled: $(ls -l $wants)"
[ "$(installed)" = fix_1.ko ] || fail "not installed: $(installed)"
# What the administrator has turned off stays off.
rm "$wants/klp.service"
dpkg -i "$1" "$3"
[ ! -e "$wants/klp.service" ] || fail "an upgrade enables a unit that was disabled"
[ "$(installed)" = fix_2.ko ] || fail "not upgraded: $(installed)"
! dpkg -i "$2" 2> /tmp/said || fail "a downgrade is not refused"
grep -q 'version 2 is installed, and has fixes that 1 lacks' /tmp/said || fail "a downgrade is refused without a reason: $(cat /tmp/said)"
[ "$(installed)" = fix_2.ko ] || fail "a downgrade that is refused changes something: $(installed)"
KLP_ALLOW_DOWNGRADE=1 dpkg -i "$2"
[ "$(installed)" = fix_1.ko ] || fail "not downgraded: $(installed)"
mkdir -p /var/lib/klp/trial
dpkg -P livepatch-operate klp-tools
left=$(find / -xdev \( -path /proc -o -path /tmp \) -prune -o -name '*klp*' -print)
[ -z "$left" ] || fail "left behind: $left"
