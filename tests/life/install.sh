#!/bin/bash
# In the machine that installs: lays the image on the empty disk, as a person would by hand, and powers off.
set -euxo pipefail
exec </dev/null >/dev/hvc0 2>&1
export PATH=/usr/sbin:/usr/bin TMPDIR=/var/tmp
# The disks are known by the serial numbers that the machine outside gave them.
disk() {
    for name in /sys/block/nvme*; do
        [ "$(tr -d ' ' <"$name/device/serial")" != "$1" ] || echo "/dev/$(basename "$name")"
    done
}
trap 'echo "{\"installed\": false}"; kill -USR2 1' ERR
mkdir -p /run/images
mount -o ro "$(disk images)" /run/images
bootc install to-disk --composefs-backend --wipe --generic-image --skip-fetch-check \
    --source-imgref oci:/run/images/v1 --target-transport oci --target-imgref /var/images/current \
    ${KARGS:-} "$(disk target)"
sync
echo '{"installed": true}'
kill -USR2 1
