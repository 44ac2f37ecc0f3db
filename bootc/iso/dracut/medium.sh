#!/bin/sh
# Mounts the medium, which is known by its label, and the root file system that is a file on it. Slow buses take their time.
set -u
at=/run/aios-live
mkdir -p "$at/medium" "$at/root" "$at/memory"
tries=90
until mount -o ro LABEL=AIOS_LIVE "$at/medium" 2>/dev/null; do
    tries=$((tries - 1))
    if [ "$tries" -eq 0 ]; then
        echo "aios-live: no medium labelled AIOS_LIVE was found" >&2
        exit 1
    fi
    sleep 1
done
mount -t squashfs -o ro,loop "$at/medium/aios/root.squashfs" "$at/root" || exit 1
mount -t tmpfs -o mode=0755 aios-live "$at/memory" || exit 1
mkdir "$at/memory/upper" "$at/memory/work"
