#!/bin/sh
# Boot a machine of the tests: machine_boot.sh GROUP DISK LOWER CONSOLE NAME, in its network namespace, as root.
# Ends when the machine is switched off or rebooted; what is mounted here goes with its namespaces.
set -eu
if [ "${6:-}" != inside ]; then
    # A place of its own in each of this machine's control groups, which it sees as all there is.
    for tree in /sys/fs/cgroup /sys/fs/cgroup/*; do
        [ -f "$tree/cgroup.procs" ] || continue
        group=$tree/$1/$5
        [ ! -f "$tree/cgroup.clone_children" ] || { mkdir -p "$tree/$1"; echo 1 >"$tree/$1/cgroup.clone_children"; }
        if [ -f "$tree/cpuset.cpus" ] && [ -f "$tree/cgroup.clone_children" ]; then
            for file in cpuset.cpus cpuset.mems; do cat "$tree/$file" >"$tree/$1/$file"; done
        fi
        mkdir -p "$group"
        if [ -f "$tree/cpuset.cpus" ] && [ -f "$tree/cgroup.clone_children" ]; then
            for file in cpuset.cpus cpuset.mems; do cat "$tree/$file" >"$group/$file"; done
        fi
        echo $$ >"$group/cgroup.procs"
    done
    exec unshare --mount --propagation private --pid --fork --kill-child --uts --ipc --cgroup sh "$0" "$1" "$2" "$3" "$4" "$5" inside
fi
disk=$2 root=$2/root
hostname localhost
mount -t overlay overlay -o "lowerdir=$3,upperdir=$disk/upper,workdir=$disk/work" "$root"
cd "$root"
mount -t proc proc proc
# Its own /sys says that this is EC2, as Xen's and Nitro's firmware do.
mount -t tmpfs -o mode=755 sys sys
mkdir sys/real && mount -t sysfs sysfs sys/real
for path in sys/real/*; do
    mkdir "sys/${path##*/}" && mount --bind "$path" "sys/${path##*/}"
done
umount sys/real && rmdir sys/real
mkdir sys/hypervisor && echo ec2e1916-9099-7caf-fd21-012345abcdef >sys/hypervisor/uuid
mount -t tmpfs -o mode=755 cgroup sys/fs/cgroup
# Of version 1, where this machine has its controllers there.
for name in cpu cpuacct cpuset memory devices freezer blkio pids; do
    if [ -f "/sys/fs/cgroup/$name/cgroup.clone_children" ]; then
        mkdir "sys/fs/cgroup/$name" && mount -t cgroup -o "$name" cgroup "sys/fs/cgroup/$name"
    fi
done
if [ -d /sys/fs/cgroup/systemd ]; then
    mkdir sys/fs/cgroup/systemd && mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
else
    umount sys/fs/cgroup && mount -t cgroup2 cgroup2 sys/fs/cgroup
fi
mount --bind -o ro sys/kernel sys/kernel
mount -t tmpfs -o mode=755 dev dev
for device in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
    number=${device#*:}
    mknod -m 666 "dev/${device%%:*}" c "${number%:*}" "${number#*:}"
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
for name in stdin:0 stdout:1 stderr:2; do ln -s "/proc/self/fd/${name#*:}" "dev/${name%:*}"; done
mount -t tmpfs -o mode=1777 shm dev/shm
touch dev/console && mount --bind "$4" dev/console
mount -t tmpfs -o mode=755 run run
mount -t tmpfs -o mode=1777 tmp tmp
# Layers of containers cannot lie on an overlay.
mkdir -p var/lib/docker var/lib/containerd
mount --bind "$disk/docker" var/lib/docker
mount --bind "$disk/containerd" var/lib/containerd
mkdir -p old
pivot_root . old
exec </dev/console >/dev/console 2>&1
umount -l /old
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 container=orthweb-tests \
    SYSTEMD_PROC_CMDLINE="SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1" SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1 \
    /sbin/init SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1 systemd.show_status=1
