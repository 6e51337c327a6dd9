# klp-tools and two revisions of a patch, whose paths are the arguments: nothing is loaded in a chroot, but all scripts run.
# Debian's rpm wants to hear that it is meant; nothing of what these packages need is known to it.
rpm() { command rpm --force-debian --nodeps "$@"; }
fail() { echo "rpm: $*" >&2; exit 1; }
installed() { (cd / && ls usr/lib/klp/*/*.ko) | sed 's,.*/,,'; }

for package; do
    command rpm -qp --requires --scripts "$package" > /tmp/query
    grep -Eq '^post(install|trans) scriptlet' /tmp/query || fail "no script in $package"
done
rpm -U "$1"
[ -x /usr/sbin/klp ] && [ -e /usr/lib/systemd/system/klp.service ] || fail "klp-tools is not there"
rpm -U "$2"
[ "$(installed)" = fix_1.ko ] || fail "not installed: $(installed)"
rpm -U "$3"
[ "$(installed)" = fix_2.ko ] || fail "not upgraded: $(installed)"
! rpm -U --oldpackage "$2" 2> /tmp/said || fail "a downgrade is not refused"
grep -q 'version 2 is installed, and has fixes that 1 lacks' /tmp/said || fail "a downgrade is refused without a reason: $(cat /tmp/said)"
[ "$(installed)" = fix_2.ko ] || fail "a downgrade that is refused changes something: $(installed)"
KLP_ALLOW_DOWNGRADE=1 command rpm --force-debian --nodeps -U --oldpackage "$2"
[ "$(installed)" = fix_1.ko ] || fail "not downgraded: $(installed)"
mkdir -p /var/lib/klp/trial
rpm -e livepatch-operate klp-tools
left=$(find / -xdev \( -path /proc -o -path /tmp \) -prune -o -name '*klp*' -print)
[ -z "$left" ] || fail "left behind: $left"
