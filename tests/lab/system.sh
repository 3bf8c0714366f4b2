#!/bin/sh
# SPDX-License-Identifier: ISC
# system.sh DIR ROOT GROUP BEFORE
#
# Boots ROOT by its own systemd, as the first process of namespaces of its own
# (see system.py), in the control group GROUP.  What it writes goes to a tmpfs
# on DIR/mnt that is gone with its last process.  DIR/files is copied over ROOT,
# and BEFORE is run there, before the boot.
# system.sh DIR sweep GROUP: deletes that control group.
set -eu
dir=$1

delete_group() {
	[ ! -d "$1" ] || find "$1" -depth -type d -exec rmdir {} +
}

# The first steps are outside of it, in a mount namespace alone.
if [ $# -ne 5 ]; then
	mount -t cgroup2 lab "$dir/group"
	# Of labs that were killed.
	for old in "$dir"/group/postern-lab-*; do
		owner=${old##*-lab-}
		[ -d "/proc/${owner%%.*}" ] || delete_group "$old" || :
	done
	if [ "$2" = sweep ]; then
		delete_group "$dir/group/$3"
		exit
	fi
	mkdir "$dir/group/$3"
	echo $$ >"$dir/group/$3/cgroup.procs"
	exec unshare --cgroup --mount --pid --uts --ipc --fork \
	    --kill-child=KILL --propagation private -- "$0" "$@" inside
fi

hostname gateway
mount -t tmpfs -o mode=755 lab "$dir/mnt"
mkdir "$dir/mnt/up" "$dir/mnt/work" "$dir/mnt/root"
new=$dir/mnt/root
mount -t overlay \
    -o "lowerdir=$2,upperdir=$dir/mnt/up,workdir=$dir/mnt/work" lab "$new"
# The kernel's own settings are the machine's.
mount -t proc proc "$new/proc"
mount --bind "$new/proc/sys" "$new/proc/sys"
mount -o remount,bind,ro "$new/proc/sys"
mount -t sysfs -o ro sysfs "$new/sys"
mount -t cgroup2 lab "$new/sys/fs/cgroup"
mount -t tmpfs -o mode=755 lab "$new/run"
mount -t tmpfs -o mode=755 lab "$new/dev"
for device in null zero full random urandom tty; do
	: >"$new/dev/$device"
	mount --bind "/dev/$device" "$new/dev/$device"
done
ln -s /proc/self/fd "$new/dev/fd"
ln -s pts/ptmx "$new/dev/ptmx"
: >"$new/dev/console"
# Packages that come later are whole, with pages and documents.
rm -f "$new/etc/dpkg/dpkg.cfg.d/99mmdebstrap"
ln -s /dev/null "$new/etc/systemd/system/console-getty.service"
mkdir "$new/old"
cp -R "$dir/files/." "$new/"
chroot "$new" /bin/sh -ec "$4"
cd "$new"
pivot_root . old
umount -l old
rmdir old
# `container` tells systemd what it is in.
exec env -i container=lab NOTIFY_SOCKET="$NOTIFY_SOCKET" \
    PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd \
    --log-target=journal --show-status=no --unit=multi-user.target
