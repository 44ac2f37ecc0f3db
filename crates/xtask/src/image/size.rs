//! `cargo xtask image size`: what an image weighs, by part and by layer.
//!
//! Parts are told apart by path, because a person asks "what do containers cost", not "what does this package". Bytes
//! are those of the files' content, hard links counted once, as `podman images` counts; MB are 10⁶ bytes.

use anyhow::{Context, Result};
use serde::Serialize;
use std::collections::HashSet;
use std::path::Path;

use super::layers::{self, Layer, Update};
use super::{IMAGE, mounted};
use crate::host::{Host, say};

/// What an image without models may weigh unpacked, in bytes: it fits a machine with 2 GB beside the next one, which an
/// update unpacks before the old one goes.
pub(super) const LIMIT_BYTES: u64 = 650_000_000;

/// Arguments of `image size`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// An image of root's store.
    #[arg(long, default_value = IMAGE)]
    image: String,
    /// Compress the layers too, as an update transfers them: takes some seconds.
    #[arg(long)]
    compressed: bool,
    /// Say what an update from this image fetches: the layers that it does not have.
    #[arg(long, requires = "compressed")]
    update_from: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A part by where its files lie. A path of it starts with one of `starts` and ends with `ends`.
struct Part {
    name: &'static str,
    starts: &'static [&'static str],
    ends: &'static str,
}

const fn part(name: &'static str, starts: &'static [&'static str]) -> Part {
    Part {
        name,
        starts,
        ends: "",
    }
}

const MODELS: &str = "models";

/// The first that fits a path has it; the last fits all.
const PARTS: &[Part] = &[
    part(MODELS, &["usr/share/aios/models/", "usr/lib/aios/models/"]),
    Part {
        name: "initramfs",
        starts: &["usr/lib/modules/", "boot/initrd"],
        ends: ".img",
    },
    part("kernel and modules", &["usr/lib/modules/", "boot/"]),
    part(
        "firmware and udev",
        &["usr/lib/firmware/", "usr/lib/udev/", "usr/bin/udevadm"],
    ),
    part(
        "containers",
        &[
            "usr/bin/podman",
            "usr/bin/crun",
            "usr/bin/conmon",
            "usr/bin/pasta",
            "usr/bin/passt",
            "usr/bin/skopeo",
            "usr/bin/newuidmap",
            "usr/bin/newgidmap",
            "usr/lib/podman/",
            "usr/libexec/podman/",
            "usr/share/containers/",
            "etc/containers/",
        ],
    ),
    part("agent image", &["usr/lib/aios/agent-image"]),
    part("aiOS programs", &["usr/lib/aios/bin/"]),
    part("aiOS configuration and page", &["usr/lib/aios/"]),
    part(
        "Python",
        &[
            "usr/lib/python3",
            "usr/bin/python3",
            "usr/share/python3",
            "etc/python3",
        ],
    ),
    part(
        "bootc and ostree",
        &[
            "usr/bin/bootc",
            "usr/lib/bootc/",
            "usr/bin/ostree",
            "usr/lib/ostree/",
            "usr/lib/x86_64-linux-gnu/libostree",
        ],
    ),
    part(
        "systemd and boot loader",
        &[
            "usr/lib/systemd/",
            "usr/lib/x86_64-linux-gnu/systemd/",
            "usr/lib/dracut/",
        ],
    ),
    part(
        "package database",
        &["usr/lib/sysimage/", "var/lib/dpkg/", "var/lib/apt/"],
    ),
    part("other libraries", &["usr/lib/x86_64-linux-gnu/", "usr/lib64/"]),
    part("other programs", &["usr/bin/", "usr/sbin/", "usr/libexec/"]),
    part("data and licences", &["usr/share/"]),
    part("everything else", &[""]),
];

impl Part {
    fn has(&self, path: &str) -> bool {
        path.ends_with(self.ends) && self.starts.iter().any(|start| path.starts_with(start))
    }
}

/// A part's weight.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Weight {
    part: &'static str,
    files: u64,
    unpacked_bytes: u64,
}

#[derive(Serialize)]
struct Report {
    unpacked_bytes: u64,
    limit_bytes: u64,
    has_models: bool,
    parts: Vec<Weight>,
    layers: Vec<Layer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    update: Option<Update>,
}

/// Prints the tables of the image that the arguments name.
pub(crate) fn run(host: &Host, args: &Args) -> Result<()> {
    let mut report = weigh(host, &args.image, args.compressed)?;
    if let Some(old) = &args.update_from {
        report.update = Some(Update::new(&layers::of(host, old)?, &report.layers));
    }
    if args.json {
        say(&serde_json::to_string(&report)?);
    } else {
        lines(&report).iter().for_each(|line| say(line));
    }
    Ok(())
}

/// Prints the tables of an image that was just built, and by how much it is too big.
pub(super) fn show(host: &Host, image: &str) -> Result<()> {
    let report = weigh(host, image, false)?;
    lines(&report).iter().for_each(|line| say(line));
    Ok(())
}

fn weigh(host: &Host, image: &str, compressed: bool) -> Result<Report> {
    let listed = mounted::with(host, image, |root| list(host, root))?;
    let parts = weights(&listed)?;
    let mut layers = layers::of(host, image)?;
    if compressed {
        layers::compress(host, image, &mut layers)?;
    }
    Ok(Report {
        unpacked_bytes: parts.iter().map(|part| part.unpacked_bytes).sum(),
        limit_bytes: LIMIT_BYTES,
        has_models: parts.iter().any(|part| part.part == MODELS),
        parts,
        layers,
        update: None,
    })
}

/// Regular files as `INODE SIZE PATH`, each ended by a zero byte: root's store is root's to read, `find` too.
fn list(host: &Host, root: &Path) -> Result<Vec<u8>> {
    let output = host
        .root_cmd("find")
        .arg(root)
        .args(["-xdev", "-type", "f", "-printf", r"%i %s %P\0"])
        .output()?;
    Ok(output.stdout)
}

/// Adds the files up; parts that have none are left out.
fn weights(listed: &[u8]) -> Result<Vec<Weight>> {
    let mut seen = HashSet::new();
    let mut sums = vec![(0_u64, 0_u64); PARTS.len()];
    for line in listed.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
        let line = String::from_utf8_lossy(line);
        let mut words = line.splitn(3, ' ');
        let (Some(inode), Some(size), Some(path)) = (words.next(), words.next(), words.next()) else {
            anyhow::bail!("`find` printed a line that is no inode, size and path: {line}");
        };
        let size: u64 = size.parse().with_context(|| line.to_string())?;
        if !seen.insert(inode.to_owned()) {
            continue;
        }
        let place = PARTS.iter().position(|part| part.has(path));
        if let Some((files, bytes)) = place.and_then(|place| sums.get_mut(place)) {
            *files += 1;
            *bytes += size;
        }
    }
    let weights = PARTS.iter().zip(sums).filter(|(_, (files, _))| *files > 0);
    Ok(weights
        .map(|(part, (files, unpacked_bytes))| Weight {
            part: part.name,
            files,
            unpacked_bytes,
        })
        .collect())
}

fn lines(report: &Report) -> Vec<String> {
    let mut lines = vec![format!("{:<30} {:>8} {:>10}", "part", "files", "MB")];
    for part in &report.parts {
        lines.push(format!(
            "{:<30} {:>8} {:>10}",
            part.part,
            part.files,
            mb(part.unpacked_bytes)
        ));
    }
    lines.push(format!(
        "{:<30} {:>8} {:>10}",
        "all",
        "",
        mb(report.unpacked_bytes)
    ));
    lines.push(format!(
        "{:<20} {:>10} {:>10}  made by",
        "layer", "MB", "packed MB"
    ));
    for layer in &report.layers {
        let digest: String = layer
            .digest
            .trim_start_matches("sha256:")
            .chars()
            .take(16)
            .collect();
        let packed = layer.compressed_bytes.map_or_else(|| "-".to_owned(), mb);
        lines.push(format!(
            "{digest:<20} {:>10} {packed:>10}  {}",
            mb(layer.unpacked_bytes),
            layer.made_by
        ));
    }
    if let Some(update) = &report.update {
        lines.push(format!(
            "update: fetches {} of {} layers, {} bytes",
            update.layers,
            report.layers.len(),
            update.compressed_bytes
        ));
    }
    lines.extend(excess(report));
    lines
}

/// By how much the image is too big, if it is.
fn excess(report: &Report) -> Option<String> {
    let over = report.unpacked_bytes.saturating_sub(report.limit_bytes);
    (over > 0 && !report.has_models).then(|| {
        format!(
            "size: WARNING: {} MB more than the {} MB that an image without models may have",
            mb(over),
            mb(report.limit_bytes)
        )
    })
}

/// Millions of bytes with one decimal.
fn mb(bytes: u64) -> String {
    let tenths = (bytes + 50_000) / 100_000;
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::{LIMIT_BYTES, PARTS, Report, Update, Weight, excess, lines, mb, weights};

    #[test]
    fn files_count_for_the_first_part_that_fits_and_hard_links_once() {
        let listed = b"1 100 usr/lib/modules/7.2/initramfs.img\x002 50 usr/lib/modules/7.2/vmlinuz\x00\
            3 7 usr/bin/podman\x003 7 usr/bin/podman-remote\x004 5 opt/two words\x005 1 usr/lib/aios/bin/aios-init\x00";
        let found = weights(listed).unwrap();
        let found: Vec<(&str, u64, u64)> = found
            .iter()
            .map(|weight| (weight.part, weight.files, weight.unpacked_bytes))
            .collect();
        assert_eq!(
            found,
            [
                ("initramfs", 1, 100),
                ("kernel and modules", 1, 50),
                ("containers", 1, 7),
                ("aiOS programs", 1, 1),
                ("everything else", 1, 5),
            ]
        );
        assert!(weights(b"x").unwrap_err().to_string().contains("no inode"));
    }

    #[test]
    fn every_path_has_a_part() {
        assert!(PARTS.iter().any(|part| part.has("any/path")));
    }

    fn report(unpacked_bytes: u64, has_models: bool) -> Report {
        Report {
            unpacked_bytes,
            limit_bytes: LIMIT_BYTES,
            has_models,
            parts: vec![Weight {
                part: "models",
                files: 1,
                unpacked_bytes,
            }],
            layers: Vec::new(),
            update: None,
        }
    }

    #[test]
    fn an_update_is_told_in_bytes() {
        let mut report = report(1, false);
        report.update = Some(Update {
            layers: 2,
            compressed_bytes: 20,
        });
        assert!(
            lines(&report)
                .iter()
                .any(|line| line == "update: fetches 2 of 0 layers, 20 bytes")
        );
    }

    #[test]
    fn only_what_is_over_the_limit_without_models_is_too_big() {
        assert_eq!(excess(&report(LIMIT_BYTES, false)), None);
        assert_eq!(excess(&report(LIMIT_BYTES * 2, true)), None);
        let warning = excess(&report(LIMIT_BYTES + 2_000_000, false)).unwrap();
        assert!(
            warning.contains("WARNING: 2.0 MB more than the 650.0 MB"),
            "{warning}"
        );
        assert_eq!(
            lines(&report(LIMIT_BYTES + 1, false))
                .last()
                .unwrap()
                .matches("WARNING")
                .count(),
            1
        );
    }

    #[test]
    fn megabytes_are_rounded() {
        assert_eq!(
            [mb(0), mb(49_999), mb(50_000), mb(1_950_000)],
            ["0.0", "0.0", "0.1", "2.0"]
        );
    }
}
