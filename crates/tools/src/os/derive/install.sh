#!/bin/sh
# Installs packages into an image that is being built, as the last of its layers: what the image ships, and nothing of /var.
# Reads `packages` and the machine's `passwd` and `group` in its own directory; writes there what it found.
set -eu
here=${0%/*} database=/usr/lib/sysimage/dpkg
export DEBIAN_FRONTEND=noninteractive DEBIAN_PRIORITY=critical LC_ALL=C HOME=/root
exec 2>"$here/errors"
look() { # What is there: packages, files that packages have and that are missing, kernels, places in /var.
    dpkg-query --show --showformat '${Package}\t${Version}\t${db:Status-Status}\n' | sort >"$here/packages.$1"
    cat "$database"/info/*.list 2>/dev/null | grep -Ev '^/(var|run|tmp)/' | sort -u | while IFS= read -r path; do
        [ -e "$path" ] || [ -L "$path" ] || printf '%s\n' "$path"
    done >"$here/missing.$1"
    find /usr/lib/modules /boot -name 'vmlinuz*' 2>/dev/null | sort >"$here/kernels.$1"
    find /var -mindepth 1 | sort >"$here/var.$1"
}
mkdir -p /var/lib/apt/lists/partial /var/cache/apt/archives/partial /var/log/apt /var/tmp
[ -e /var/lib/dpkg ] || ln -s ../../usr/lib/sysimage/dpkg /var/lib/dpkg
[ ! -x /usr/bin/systemd-tmpfiles ] || systemd-tmpfiles --create --prefix=/var >/dev/null 2>&1 || true
look before
# Users of this machine keep their numbers: a package whose user is there already gets that one.
for file in passwd group; do
    cp "/etc/$file" "/tmp/$file"
    awk -F: 'NR == FNR { seen[$1]; next } !($1 in seen) && $3 < 1000' "/tmp/$file" "$here/$file" >>"/etc/$file"
done
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d
apt-get -q -o APT::Update::Error-Mode=any update >"$here/log" 2>&1
xargs apt-get -q -y --no-remove -o Dpkg::Use-Pty=0 -o DPkg::Options::=--force-confdef -o DPkg::Options::=--force-confold \
    install <"$here/packages" >>"$here/log" 2>&1
rm -f /usr/sbin/policy-rc.d /etc/passwd- /etc/group- /etc/shadow- /etc/gshadow-
look after
# /etc/passwd is merged with the machine's, which has changes of its own, and /var is not laid out at all: the next
# start makes both from these.
mkdir -p /usr/lib/sysusers.d /usr/lib/tmpfiles.d
users=/usr/lib/sysusers.d/aios-packages.conf
awk -F: 'NR == FNR { seen[$1]; next } !($1 in seen) { print "g", $1, $3 }' /tmp/group /etc/group >"$users"
awk -F: 'NR == FNR { seen[$1]; next } !($1 in seen) { printf "u %s %s:%s \"%s\" %s %s\n", $1, $3, $4, $5, $6, $7 }' \
    /tmp/passwd /etc/passwd >>"$users"
comm -13 "$here/var.before" "$here/var.after" | grep -Ev '^/var/(cache|tmp|lib/(apt|dpkg))/|^/var/log/.*\.(log|xz)$' |
    while IFS= read -r path; do
        case $path in *[[:space:]%]*) echo "E: a name in /var with a blank or %: $path" >>"$here/log" && exit 1 ;; esac
        if [ -L "$path" ]; then find "$path" -printf 'L %p - - - - %l\n'
        elif [ -d "$path" ]; then find "$path" -maxdepth 0 -printf 'd %p %m %U %G\n'
        elif [ -f "$path" ]; then
            mkdir -p "/usr/share/factory${path%/*}" && cp -p "$path" "/usr/share/factory$path"
            find "$path" -printf 'C %p %m %U %G\n'
        fi
    done >/usr/lib/tmpfiles.d/aios-packages.conf
find /var /tmp -xdev -mindepth 1 -maxdepth 1 -exec rm -rf {} +
find /run -xdev -mindepth 1 -maxdepth 1 ! -path "$here" -exec rm -rf {} + 2>/dev/null || true
