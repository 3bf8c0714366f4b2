#!/bin/sh
# SPDX-License-Identifier: ISC
# The first process of the virtual machine that scripts/vm boots, twice over:
# in the initramfs, where it makes a root of the outer machine's files, and in
# that root, where it runs the command, tells its status and ends the machine.
#
# The root is the outer machine's, read-only, below a tmpfs: everything is at
# its own path, and what is written is gone with the machine.
set -eu

# What of the kernel is a module and needed before there is a root: in order.
modules() {
	while read -r module; do
		insmod "/modules/$module"
	done </modules/order
}

make_root() {
	mount -t proc proc /proc
	mount -t sysfs sys /sys
	mount -t devtmpfs dev /dev
	modules
	# Files of the outer machine are taken not to change meanwhile: without
	# this, each look at one is a question to it.
	mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=512000 \
	    -o cache=loose outer /lower
	mount -t tmpfs -o mode=755 vm /writes
	mkdir /writes/up /writes/work
	mount -t overlay -o lowerdir=/lower,upperdir=/writes/up \
	    -o workdir=/writes/work vm /root
	for each in proc sys dev; do
		mount --move "/$each" "/root/$each"
	done
	mount -t tmpfs -o mode=755 vm /root/run
	cp /tree /command /root/run
}

find_modules() {
	version=$(uname -r)
	mkdir -p "/lib/modules/$version"
	mount --bind "build/lab/kernel/lib/modules/$version" \
	    "/lib/modules/$version"
}

mounts() {
	mkdir -p /dev/shm /dev/pts
	mount -t tmpfs -o mode=1777 vm /dev/shm
	mount -t devpts vm /dev/pts
	mount -t cgroup2 vm /sys/fs/cgroup
	ln -sfn /proc/self/fd /dev/fd
}

run_command() {
	# A terminal's line ends are not the command's.
	stty -opost
	env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
	    HOME=/root TERM=dumb LC_ALL=C.UTF-8 \
	    sh /run/command </dev/null
}

# The machine ends at this byte (scripts/vm gives it the device for that), and
# without a word, as it would not by poweroff.  stty waits for what was said.
end() {
	stty -opost
	printf '%s\n' "$1" >/dev/ttyS1
	stty -F /dev/ttyS1 -opost
	printf '\0' | dd of=/dev/port bs=1 seek=$((0x501)) status=none
}

if [ -d /modules ]; then
	make_root
	exec switch_root /root "$(cat /tree)/tests/lab/vm.sh"
fi
cd "$(cat /run/tree)"
mounts
find_modules
ip link set lo up
status=0
run_command || status=$?
end "$status"
