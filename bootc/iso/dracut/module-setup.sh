#!/bin/bash
# Starts the system from a medium: its root file system read-only below, memory above.
check() {
    return 255
}

depends() {
    echo systemd udev-rules
}

installkernel() {
    instmods isofs sr_mod cdrom squashfs overlay loop sd_mod ahci ata_piix usb_storage uas xhci_pci ehci_pci \
        virtio_blk virtio_scsi virtio_pci nvme sdhci_pci mmc_block
}

install() {
    inst_multiple mount mkdir sleep
    inst_hook cmdline 30 "$moddir/parse.sh"
    inst_script "$moddir/medium.sh" /usr/lib/aios-live/medium.sh
    inst_simple "$moddir/aios-live.service" "$systemdsystemunitdir/aios-live.service"
    inst_simple "$moddir/sysroot.mount" "$systemdsystemunitdir/sysroot.mount"
    inst_simple "$moddir/sysroot-var.mount" "$systemdsystemunitdir/sysroot-var.mount"
    required initrd-root-fs.target sysroot.mount
    required initrd-fs.target sysroot-var.mount
}

# Has a target of the initramfs wait for a unit.
required() {
    mkdir -p "$initdir$systemdsystemunitdir/$1.requires"
    ln -s "../$2" "$initdir$systemdsystemunitdir/$1.requires/$2"
}
