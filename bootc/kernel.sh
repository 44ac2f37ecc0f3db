#!/bin/bash
# Another kernel than the base's, from its Debian archive, when the builder asked for one by KERNEL.
set -euo pipefail

case "${KERNEL:-}" in
"") kernel= ;;
cloud) kernel=linux-image-cloud-amd64 ;;
generic) kernel=linux-image-amd64 ;;
*)
    echo "KERNEL is cloud, generic or empty, not $KERNEL" >&2
    exit 1
    ;;
esac
if [ -n "$kernel" ] && ! dpkg-query --show "$kernel" >/dev/null 2>&1; then
    mapfile -t others < <(dpkg-query --show --showformat '${Package}\n' 'linux-image-*')
    apt-get update
    apt-get install --yes --no-install-recommends "$kernel"
    apt-get purge --yes "${others[@]}"
fi
rm "$0"
