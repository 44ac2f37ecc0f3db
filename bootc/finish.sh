#!/bin/bash
# Last step of the OS image build: users, AppArmor's compiled profiles, man pages, and an empty /var once more.
set -euo pipefail

# Users exist from the first boot on; the containers' owner has the subordinate ids that rootless Podman maps.
SYSTEMD_LOG_LEVEL=warning systemd-sysusers /usr/lib/sysusers.d/aios.conf
for file in /etc/subuid /etc/subgid; do
    grep -q '^aios-sandbox:' "$file" 2>/dev/null || echo 'aios-sandbox:524288:65536' >>"$file"
done

# Compiled for the features of the ABI that the profiles name: aios-init writes these files to the kernel as they are.
mkdir -p /usr/lib/aios/apparmor/compiled
for profile in /usr/lib/aios/apparmor/aios-*; do
    apparmor_parser --skip-cache --quiet --Include /usr/lib/aios/apparmor --kernel-features /etc/apparmor.d/abi/4.0 \
        --ofile "/usr/lib/aios/apparmor/compiled/$(basename "$profile")" "$profile"
done

# Man pages and completions go where man and the shells look.
cp -r /usr/lib/aios/share/. /usr/share/
rm -r /usr/lib/aios/share

# What the commands above left behind; and the copies of users' files that they made, which hold nothing that counts.
rm -f /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow-
find /var /tmp /run -xdev -mindepth 1 -delete 2>/dev/null || true
rm "$0"
