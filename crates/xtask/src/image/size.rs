//! `cargo xtask image size`: what an image weighs, by part and by layer.
//!
//! Parts are told apart by path, because a person asks "what do containers cost", not "what does this package". Bytes
//! are those of the files' content, hard links counted once, as `podman images` counts; MB are 10⁶ bytes.

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::collections::HashSet;
use std::path::Path;

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

/// A layer's weight; the lowest comes first.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Layer {
    /// Digest of its tar file.
    pub(super) digest: String,
    /// The instruction that made it.
    pub(super) made_by: String,
    unpacked_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    compressed_bytes: Option<u64>,
}

#[cfg(test)]
impl Layer {
    /// One that only its digest tells from others.
    pub(super) fn for_test(digest: &str) -> Self {
        Self {
            digest: digest.to_owned(),
            made_by: format!("RUN {digest}"),
            unpacked_bytes: 0,
            compressed_bytes: None,
        }
    }
}

#[derive(Serialize)]
struct Report {
    unpacked_bytes: u64,
    limit_bytes: u64,
    has_models: bool,
    parts: Vec<Weight>,
    layers: Vec<Layer>,
}

/// Prints the tables of the image that the arguments name.
pub(crate) fn run(host: &Host, args: &Args) -> Result<()> {
    let report = weigh(host, &args.image, args.compressed)?;
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
    let mut layers = layers(host, image)?;
    if compressed {
        compress(host, image, &mut layers)?;
    }
    Ok(Report {
        unpacked_bytes: parts.iter().map(|part| part.unpacked_bytes).sum(),
        limit_bytes: LIMIT_BYTES,
        has_models: parts.iter().any(|part| part.part == MODELS),
        parts,
        layers,
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

/// The image's layers from Podman: digests and steps from its configuration, sizes from its history.
pub(super) fn layers(host: &Host, image: &str) -> Result<Vec<Layer>> {
    let inspected = host.podman().args(["image", "inspect", image]).read()?;
    let inspected: Vec<Inspected> = serde_json::from_str(&inspected)?;
    let history = host
        .podman()
        .args(["history", "--no-trunc", "--format", "json", image])
        .read()?;
    let sizes: Vec<Size> = serde_json::from_str(&history)?;
    let described = inspected.first().context("Podman describes the image")?;
    pair(described, &sizes).with_context(|| format!("layers of {image}"))
}

/// What `podman image inspect` says.
#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    #[serde(rename = "RootFS")]
    root_fs: RootFs,
    history: Vec<Step>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RootFs {
    layers: Vec<String>,
}

/// One step of the image's making; there are more than layers.
#[derive(serde::Deserialize)]
struct Step {
    #[serde(default)]
    created_by: String,
    #[serde(default)]
    empty_layer: bool,
}

/// What `podman history` says of a step.
#[derive(serde::Deserialize)]
struct Size {
    size: u64,
}

/// Podman's history begins with the newest step, the configuration with the oldest.
fn pair(image: &Inspected, sizes: &[Size]) -> Result<Vec<Layer>> {
    ensure!(
        image.history.len() == sizes.len(),
        "the image has {} steps, its history {}",
        image.history.len(),
        sizes.len()
    );
    let steps = image.history.iter().zip(sizes.iter().rev());
    let made: Vec<_> = steps.filter(|(step, _)| !step.empty_layer).collect();
    ensure!(
        made.len() == image.root_fs.layers.len(),
        "the history names {} layers and the image has {}",
        made.len(),
        image.root_fs.layers.len()
    );
    Ok(image
        .root_fs
        .layers
        .iter()
        .zip(made)
        .map(|(digest, (step, size))| Layer {
            digest: digest.clone(),
            made_by: instruction(&step.created_by),
            unpacked_bytes: size.size,
            compressed_bytes: None,
        })
        .collect())
}

/// The instruction as the Containerfile has it, without arguments of the build and with short digests.
fn instruction(created_by: &str) -> String {
    let text = created_by
        .split_once("/bin/sh -c ")
        .map_or(created_by, |(_, text)| text);
    let text = text.strip_prefix("#(nop) ").unwrap_or(text);
    let short = |word: &str| match word.split_once(':') {
        Some((kind, digest)) if digest.len() == 64 => {
            format!("{kind}:{}", digest.chars().take(8).collect::<String>())
        }
        _ => word.to_owned(),
    };
    text.split_whitespace().map(short).collect::<Vec<_>>().join(" ")
}

/// Writes an OCI layout as an update would fetch it, and reads the layers' sizes from its manifest.
fn compress(host: &Host, image: &str, layers: &mut [Layer]) -> Result<()> {
    let dir = host.shell.create_temp_dir()?;
    let layout = dir.path().join("layout");
    host.podman()
        .args(["push", "--quiet", "--compression-format", "zstd", image])
        .arg(format!("oci:{}:size", layout.display()))
        .ignore_stdout()
        .run()?;
    let read = |path: &Path| -> Result<serde_json::Value> {
        let text = host.root_cmd("cat").arg(path).read()?;
        Ok(serde_json::from_str(&text)?)
    };
    let index = read(&layout.join("index.json"))?;
    let digest = index
        .pointer("/manifests/0/digest")
        .and_then(|digest| digest.as_str());
    let digest = digest.and_then(|digest| digest.strip_prefix("sha256:"));
    let manifest = read(
        &layout
            .join("blobs/sha256")
            .join(digest.context("a layout names its manifest")?),
    )?;
    let sizes = manifest.pointer("/layers").and_then(|layers| layers.as_array());
    for (layer, size) in layers.iter_mut().zip(sizes.context("a manifest lists layers")?) {
        layer.compressed_bytes = size.get("size").and_then(serde_json::Value::as_u64);
    }
    Ok(())
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
    use super::{Inspected, LIMIT_BYTES, PARTS, Report, Size, Weight, excess, lines, mb, pair, weights};

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

    #[test]
    fn layers_are_paired_with_the_steps_that_made_them() {
        let image = serde_json::json!({
            "RootFS": {"Type": "layers", "Layers": ["sha256:a", "sha256:b"]},
            "History": [
                {"created_by": format!("/bin/sh -c #(nop) ADD file:{:064x} in / ", 10)},
                {"created_by": "/bin/sh -c #(nop) LABEL a=b", "empty_layer": true},
                {"created_by": "|1 SOURCE_DATE_EPOCH=1 /bin/sh -c bash /usr/lib/finish.sh"},
            ]
        });
        let mut image: Inspected = serde_json::from_value(image).unwrap();
        let sizes: Vec<Size> = serde_json::from_str(r#"[{"size": 0}, {"size": 0}, {"size": 9}]"#).unwrap();
        let layers = pair(&image, &sizes).unwrap();
        assert_eq!(layers[0].made_by, "ADD file:00000000 in /");
        assert_eq!(
            (layers[0].digest.as_str(), layers[0].unpacked_bytes),
            ("sha256:a", 9)
        );
        assert_eq!(layers[1].made_by, "bash /usr/lib/finish.sh");

        image.root_fs.layers.pop();
        let error = pair(&image, &sizes).err().unwrap();
        assert!(
            error.to_string().contains("2 layers and the image has 1"),
            "{error}"
        );
        let error = pair(&image, &[]).err().unwrap();
        assert!(error.to_string().contains("3 steps, its history 0"), "{error}");
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
        }
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
