#!/bin/bash
# Last step of the image: what systemd starts, what it must not, and the profiles under which services may speak with it.
set -euo pipefail
cd /usr/lib/aios-bench

# Lines of `masked`: `unit NAME` or `generator NAME`.
mkdir -p /etc/systemd/system-generators
while read -r kind name _; do
    case $kind in
    unit) rm -rf "/etc/systemd/system/$name" && ln -s /dev/null "/etc/systemd/system/$name" ;;
    generator) ln -s /dev/null "/etc/systemd/system-generators/$name" ;;
    esac
done < <(grep -v '^#' masked)

# The distribution's unit loads the distribution's file; the rules are ours.
printf 'include "/usr/lib/aios/network/firewall.nft"\n' >/etc/nftables.conf
mkdir -p /etc/systemd/system/sysinit.target.wants
ln -s /usr/lib/systemd/system/nftables.service /etc/systemd/system/aios-apparmor.service \
    /etc/systemd/system/sysinit.target.wants/

# The same profiles, and the two sockets by which systemd hears of its services. Ours lie in /run/aios.
mkdir apparmor
for profile in /usr/lib/aios/apparmor/aios-*; do
    name=$(basename "$profile")
    sed '$ s|^}|  /run/systemd/notify w,\n  /run/systemd/journal/{stdout,socket,dev-log} rw,\n}|' "$profile" >"/tmp/$name"
    apparmor_parser --skip-cache --quiet --Include /usr/lib/aios/apparmor --kernel-features /etc/apparmor.d/abi/4.0 \
        --ofile "apparmor/$name" "/tmp/$name"
done
rm -f /tmp/aios-*
find /var /tmp /run -xdev -mindepth 1 -delete 2>/dev/null || true
