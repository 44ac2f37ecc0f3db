//! The os tools, with a double of bootc on a tree of its own.

use super::entry::{Ends, Entry, changes, looks};
use super::scene::{Scene, options};
use super::silence::Late;
use aios_auth::key::SecretKey;
use aios_deployment::signature;
use aios_harness::{Instance, Options, Service};
use aios_tests_bootc::Machine;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

const UPGRADE: (&str, &str) = ("os.upgrade", "{}");
const OF_LAST: &str = r#"{"task_id": "{task}", "step": {step}}"#;
/// Nobody answers on init's socket.
const UNANSWERED: &str = "AIOS-TOOLS-0025";

/// What takes longer than it is given, once the machine is [slow](Images::slow).
pub(super) const LATE: &[Late] = &[Late {
    tool: UPGRADE.0,
    args: UPGRADE.1,
    timeout_ms: 4000,
}];

pub(super) const TABLE: &[Entry] = &[
    looks("os.check", "{}", &["os:check:host"]),
    looks("os.status", "{}", &["os:status:host"]),
    changes(UPGRADE.0, UPGRADE.1, &["os:upgrade:host"]),
    changes("os.switch", r#"{"image": "{other}"}"#, &["os:switch:{other}"]),
    changes("os.reset", "{}", &["os:reset:host"]),
    // What was dropped must be fetched again.
    changes("os.undo", OF_LAST, &["os:upgrade:host"])
        .after(&[UPGRADE])
        .ends(Ends::Final),
    changes("os.reboot", "{}", &["os:reboot:host"]).ends(Ends::Fails(UNANSWERED)),
    changes("os.rollback", "{}", &["os:rollback:host"]),
];

/// An instance whose worker of images works on a machine of a double.
pub(super) struct Images {
    aios: Instance,
    machine: Machine,
    _home: TempDir,
}

fn key() -> SecretKey {
    SecretKey::from_seed(&[7; 32])
}

impl Images {
    pub(super) fn new() -> Result<Self> {
        let home = tempfile::Builder::new()
            .prefix("aios-images-")
            .tempdir_in("/tmp")?;
        fs::set_permissions(home.path(), PermissionsExt::from_mode(0o755))?;
        let machine = Machine::furnish(home.path())?;
        for (name, version) in [("os", "2.0"), ("other", "9.0")] {
            machine.publish(name, version, &format!("kernel {version}"))?;
            machine.sign(name, &key())?;
        }
        let base = options(Service::WorkerOs);
        let aios = Instance::start(Options {
            config: format!("{}{}", base.config, machine.section()),
            ..base
        })?;
        let keys = aios.paths().vendor.join("trust/images");
        fs::create_dir_all(&keys)?;
        fs::write(
            keys.join("test.pub"),
            signature::write_key(&key().public(), "test"),
        )?;
        Ok(Self {
            aios,
            machine,
            _home: home,
        })
    }

    /// There is a newer image, and fetching it takes for ever.
    pub(super) fn slow(&self) -> Result<()> {
        self.machine.publish("os", "3.0", "kernel 3.0")?;
        self.machine.sign("os", &key())?;
        self.machine.turn("delay", "600")
    }
}

impl Scene for Images {
    fn aios(&mut self) -> &mut Instance {
        &mut self.aios
    }

    fn names(&self) -> Vec<(&'static str, String)> {
        vec![("other", format!("oci:{}", self.machine.image("other").display()))]
    }

    /// There is something to go back to.
    async fn renew(&mut self, tool: &str) -> Result<()> {
        if tool == "os.rollback" {
            self.machine.bootc(&["upgrade", "--quiet"])?;
            self.machine.restart()?;
        }
        Ok(())
    }

    /// What is laid out and what starts next. The names of the boot loader's entries change with each rollback.
    async fn photo(&mut self) -> Result<Value> {
        let root = self.machine.root();
        Ok(json!({
            "status": self.machine.status()?,
            "kernels": names(&root.join("esp/EFI/Linux"))?,
            "loader": names(&root.join("esp/loader"))?,
            "deployments": names(&root.join("sysroot/state/deploy"))?,
            "layers": names(&root.join("sysroot/composefs/streams"))?,
        }))
    }
}

fn names(dir: &Path) -> Result<Vec<String>> {
    let files = fs::read_dir(dir).with_context(|| dir.display().to_string())?;
    let mut names = files
        .map(|file| Ok(file?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<Vec<_>>>()?;
    names.sort();
    Ok(names)
}
