#!/bin/bash
# What the OS image needs of its base, whatever programs come on top: the initramfs, PID 1's names, where state lies, and an
# empty /var. A layer of its own, because it changes only with the base.
set -euo pipefail

# bootc's own files come from somebody's directory; vendor files are public.
chmod -R u+rwX,go+rX,go-w /usr/lib/bootc

# bootc wants one kernel and its initramfs below /usr/lib/modules, and /boot empty. The initramfs starts with systemd's
# own PID 1, so it is made before that makes room for ours. bootc's module mounts the root of an installed system.
bootc=()
[ ! -d /usr/lib/dracut/modules.d/51bootc ] || bootc=(--add bootc)
for modules in /usr/lib/modules/*/; do
    kernel=$(basename "$modules")
    [ -e "$modules/vmlinuz" ] || cp "/boot/vmlinuz-$kernel" "$modules/vmlinuz"
    dracut --quiet --force --no-hostonly "${bootc[@]}" --kver "$kernel" "$modules/initramfs.img"
    chmod 0644 "$modules/initramfs.img"
done
rm -rf /boot/* /initrd.img* /vmlinuz*

# Whatever starts PID 1 gets aios-init, also when the kernel command line lost its init=. Diverted, so that an update of the
# package does not bring back what was there.
divert() {
    dpkg-divert --quiet --local --rename --divert "$1.distrib" --add "$1"
    ln -s "$2" "$1"
}
divert /usr/lib/systemd/systemd ../aios/bin/aios-init
divert /usr/bin/systemctl ../lib/aios/bin/aiosctl
divert /usr/bin/systemd-run ../lib/aios/bin/aiosctl
ln -sf ../lib/aios/bin/aios-init /usr/sbin/init
ln -sf ../lib/aios/bin/aiosctl /usr/bin/aiosctl

# What packages make for themselves: dhcpcd runs as aios-dhcp, which has no privileges to separate, and each machine has
# SSH keys of its own.
sed -i '/^_dhcpcd:/d' /etc/passwd /etc/group /etc/shadow
rm -f /usr/lib/sysusers.d/dhcpcd-base.conf /etc/ssh/ssh_host_*

# What eased making the base is no setting of the product.
rm -f /etc/apt/apt.conf.d/99mmdebstrap

# /usr is vendor's, /etc the admin's, /var state: the package database is vendor's, and homes are state.
: >/etc/machine-id
mkdir -p /etc/aios /usr/lib/sysimage /sysroot
[ ! -d /var/lib/dpkg ] || mv /var/lib/dpkg /usr/lib/sysimage/dpkg
find /var /tmp /run -xdev -mindepth 1 -delete 2>/dev/null || true
state() {
    rm -rf "/$1"
    ln -s "$2" "/$1"
}
state home var/home
state root var/roothome
state srv var/srv
state mnt var/mnt
state opt var/opt
state media run/media
ln -s sysroot/ostree /ostree
rm "$0"
