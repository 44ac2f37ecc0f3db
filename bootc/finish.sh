#!/bin/bash
# Last step of the OS image build: users, AppArmor's compiled profiles, PID 1, and an empty /var.
set -euo pipefail

# Whatever umask the checkout was made under: vendor files are public.
chmod -R u+rwX,go+rX,go-w /usr/lib/aios /usr/lib/sysusers.d /usr/lib/tmpfiles.d /usr/lib/bootc /etc/containers

# Users exist from the first boot on; the containers' owner has the subordinate ids that rootless Podman maps.
systemd-sysusers /usr/lib/sysusers.d/aios.conf
for file in /etc/subuid /etc/subgid; do
    grep -q '^aios-sandbox:' "$file" 2>/dev/null || echo 'aios-sandbox:524288:65536' >>"$file"
done

# Compiled for the features of the ABI that the profiles name: aios-init writes these files to the kernel as they are.
mkdir -p /usr/lib/aios/apparmor/compiled
for profile in /usr/lib/aios/apparmor/aios-*; do
    apparmor_parser --skip-cache --quiet --Include /usr/lib/aios/apparmor --kernel-features /etc/apparmor.d/abi/4.0 \
        --ofile "/usr/lib/aios/apparmor/compiled/$(basename "$profile")" "$profile"
done

# Whatever starts PID 1 gets aios-init, also when the kernel command line lost its init=.
ln -sf ../lib/aios/bin/aios-init /usr/sbin/init
ln -sf ../lib/aios/bin/aiosctl /usr/bin/aiosctl

# Man pages and completions go where man and the shells look.
cp -r /usr/lib/aios/share/. /usr/share/
rm -r /usr/lib/aios/share

# bootc wants kernel and initramfs below /usr/lib/modules, and /boot empty.
for initramfs in /boot/initrd.img-*; do
    [ -e "$initramfs" ] || continue
    kernel=${initramfs#/boot/initrd.img-}
    mv "$initramfs" "/usr/lib/modules/$kernel/initramfs.img"
    [ -e "/usr/lib/modules/$kernel/vmlinuz" ] || cp "/boot/vmlinuz-$kernel" "/usr/lib/modules/$kernel/vmlinuz"
done
rm -rf /boot/*

# What eased making the base is no setting of the product.
rm -f /etc/apt/apt.conf.d/99mmdebstrap

# /usr is vendor's, /etc the admin's, /var state: the package database is vendor's.
: >/etc/machine-id
mkdir -p /etc/aios /usr/lib/sysimage
[ ! -d /var/lib/dpkg ] || mv /var/lib/dpkg /usr/lib/sysimage/dpkg
find /var /tmp /run -xdev -mindepth 1 -not -path /tmp/finish.sh -delete 2>/dev/null || true
rm -f /tmp/finish.sh
