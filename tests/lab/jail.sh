#!/bin/sh
# SPDX-License-Identifier: ISC
# jail.sh DIR ROOT HOSTNAME COMMAND...
#
# Runs COMMAND with ROOT as its root, first process of its namespaces (see
# jail.py).  What it writes goes to a tmpfs on DIR/mnt that is gone with its
# last process.  DIR/files is copied over ROOT; DIR/log is its /dev/log.
set -eu
dir=$1 root=$2 host=$3
shift 3

hostname "$host"
mount -t tmpfs -o mode=755 lab "$dir/mnt"
mkdir "$dir/mnt/up" "$dir/mnt/work" "$dir/mnt/root"
new=$dir/mnt/root
mount -t overlay \
    -o "lowerdir=$root,upperdir=$dir/mnt/up,workdir=$dir/mnt/work" lab "$new"
mount -t proc proc "$new/proc"
mount -t tmpfs -o mode=755 lab "$new/dev"
for device in null zero full random urandom tty; do
	: >"$new/dev/$device"
	mount --bind "/dev/$device" "$new/dev/$device"
done
ln -s /proc/self/fd "$new/dev/fd"
mkdir -m 1777 "$new/dev/shm"
: >"$new/dev/log"
mount --bind "$dir/log" "$new/dev/log"
cp -R "$dir/files/." "$new/"
exec chroot "$new" "$@"
