//! The `os` namespace: the images that this machine starts from, by bootc. An image is staged beside what runs, finalized by
//! a shutdown, tried by the next start and trusted when it is healthy; this namespace stages, goes back and starts again.
//! Trying, trusting and falling back are init's and the boot loader's (docs/architecture/UPDATE.md).
//!
//! bootc is run as root, by an argument list, with an empty environment and a deadline. The worker itself is a user of
//! its own, by which init knows who may ask it for the end.

mod activity;
mod change;
pub(crate) mod derive;
pub mod error;
mod look;
pub mod packages;
pub mod plan;
mod reboot;
pub mod settings;
mod source;
mod transient;
pub mod types;
mod undo;

use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::fs::same_identities;
use crate::registry::{About, ToolSpec};
use crate::service::init::Init;
use crate::typed::{bad_input, typed, unknown, value_of};
use crate::worker::{Call, Expired, Namespace, Prepared, Target};
use activity::{Activity, Doing};
use aios_auth::level::Risk;
use aios_core::id::TaskId;
use aios_core::paths::Paths;
use aios_deployment::bootc::{Bootc, Progress, Status as Host, Watch};
use aios_deployment::derived::Images;
use aios_deployment::{DeploymentError, history, signature};
use aios_proto::common::v1::Identity;
use error::OsError;
use plan::{Photo, Plan};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use settings::Settings;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, TryLockError};
use std::time::Duration;
use types::{Changed, Check, ForceArgs, NoArgs, Status, SwitchArgs, UndoArgs};

/// Resource of a capability for the machine as a whole: `os:status:host`.
const HOST: &str = "host";
/// Taking back is not stopped by the caller's deadline, only by this one.
const TAKING_BACK_MS: u64 = 600_000;
/// Settling what a crash interrupted: nothing else is served meanwhile.
const RECOVERY_MS: u64 = 120_000;
/// The longest that a call may take. What was fetched until then is kept: the next call goes on from there.
const FETCHING_MS: u64 = 600_000;

/// How often it is asked whether another change has ended.
const GLANCE: Duration = Duration::from_millis(50);

/// The os namespace.
pub struct Os {
    settings: Settings,
    bootc: Bootc,
    init: Init,
    /// Images that were made here.
    images: Images,
    /// Where they are made.
    workshop: PathBuf,
    /// What lies over `/usr` until the next start.
    transient: PathBuf,
    /// Held while what starts next is changed: packages are changed on a thread of their own.
    changing: Mutex<()>,
    /// Directories of keys that images are trusted by.
    keys: Vec<PathBuf>,
    /// What was tried, blessed and given up; init writes it.
    record: PathBuf,
    /// What `os.reset` goes back to, when the configuration does not say.
    shipped: PathBuf,
    /// The wish to start again.
    wish: PathBuf,
    /// Where the boot partition is mounted while it is used.
    mount_point: PathBuf,
    mounting: Mutex<()>,
    activity: Activity,
}

fn read_spec<I, O>(
    name: &'static str,
    capability: &'static str,
    timeout_ms: u64,
    summary: &'static str,
) -> ToolSpec
where
    I: JsonSchema + DeserializeOwned + Serialize,
    O: JsonSchema + DeserializeOwned + Serialize,
{
    ToolSpec::of::<I, O>(About {
        name,
        summary,
        risk: Risk::Read,
        idempotent: true,
        reversible: true,
        capability,
        timeout_ms,
    })
}

fn change_spec<I>(
    name: &'static str,
    capability: &'static str,
    reversible: bool,
    timeout_ms: u64,
    summary: &'static str,
) -> ToolSpec
where
    I: JsonSchema + DeserializeOwned + Serialize,
{
    ToolSpec::of::<I, Changed>(About {
        name,
        summary,
        risk: Risk::High,
        idempotent: false,
        reversible,
        capability,
        timeout_ms,
    })
}

/// The os tools.
pub fn specs() -> Vec<ToolSpec> {
    vec![
        read_spec::<NoArgs, Status>(
            "os.status",
            "os:status:host",
            60_000,
            "Says which image of the operating system runs, which starts next, and which failed and why.",
        ),
        read_spec::<NoArgs, Check>(
            "os.check",
            "os:check:host",
            120_000,
            "Says what an upgrade would bring: version, size, room, signature, and what stands in its way.",
        ),
        change_spec::<ForceArgs>(
            "os.upgrade",
            "os:upgrade:host",
            true,
            FETCHING_MS,
            "Fetches the newer image of the same name, adds the packages that were added to the one that runs, and stages it for the next start; undo drops it.",
        ),
        change_spec::<SwitchArgs>(
            "os.switch",
            "os:switch:IMAGE",
            true,
            FETCHING_MS,
            "Fetches another image and stages it for the next start; undo drops it.",
        ),
        change_spec::<ForceArgs>(
            "os.reset",
            "os:reset:host",
            true,
            FETCHING_MS,
            "Stages the image that this machine came with, without packages added since; /etc and /var stay; undo drops it.",
        ),
        change_spec::<ForceArgs>(
            "os.rollback",
            "os:rollback:host",
            true,
            300_000,
            "Has the image before this one start the next time, or takes that back; undo exchanges them again.",
        ),
        change_spec::<NoArgs>(
            "os.reboot",
            "os:reboot:host",
            false,
            60_000,
            "Starts the machine again a few seconds after the call is recorded; it cannot be undone.",
        ),
        change_spec::<UndoArgs>(
            "os.undo",
            "os:ACTION:host",
            false,
            600_000,
            "Undoes a finished call: drops what it staged, or exchanges the entries again; refused when somebody changed that since.",
        ),
    ]
}

impl Os {
    /// The images of the machine that the settings name, with the worker's state in a directory.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn open(settings: Settings, paths: &Paths, state: &Path) -> Result<Self> {
        let failed = |error| ToolError::io("make", state.to_string_lossy(), error);
        fs::create_dir_all(state).map_err(failed)?;
        // The kernel names mounts below it so, and bootc images in it.
        let state = &state.canonicalize().map_err(failed)?;
        Ok(Self {
            bootc: Bootc {
                command: settings.bootc.clone(),
                lock: state.join("bootc.lock"),
                as_root: may_be_root(),
                dir: None,
            },
            images: Images::at(state.join("images")),
            workshop: state.join("build"),
            transient: state.join("transient"),
            changing: Mutex::new(()),
            init: Init::of(paths),
            keys: signature::key_dirs(paths),
            record: history::file(&paths.state),
            shipped: state.join("shipped"),
            wish: state.join("reboot.json"),
            mount_point: state.join("esp"),
            mounting: Mutex::new(()),
            activity: Activity::default(),
            settings,
        })
    }

    /// What bootc says of this machine.
    fn host(&self, budget: &Budget) -> Result<Host> {
        match self.bootc.status(&Patience::of(budget)) {
            Err(DeploymentError::NotRun { program, source }) => Err(OsError::NotInstalled {
                why: format!("{program} cannot be run: {source}"),
            }
            .into()),
            other => stopped(other, budget),
        }
    }

    fn now(&self, budget: &Budget) -> Result<Photo> {
        Ok(Photo {
            laid: self.laid()?,
            ..Photo::of(&self.host(budget)?)?
        })
    }

    /// Waits until nobody else changes what starts next.
    fn turn(&self, budget: &Budget) -> Result<MutexGuard<'_, ()>> {
        loop {
            match self.changing.try_lock() {
                Ok(turn) => return Ok(turn),
                Err(TryLockError::Poisoned(turn)) => return Ok(turn.into_inner()),
                Err(TryLockError::WouldBlock) => budget.check()?,
            }
            crate::pkg::program::pause(GLANCE);
        }
    }

    /// Until when a trial must have been found healthy. Only init knows; without it the rest of the answer holds.
    fn deadline_ms(&self, budget: &Budget) -> Option<i64> {
        match self.init.deployment(budget) {
            Ok(info) => info.on_trial.then_some(info.deadline_ms),
            Err(error) => {
                tracing::warn!(error = %error.report(), "until when the trial lasts is not known");
                None
            }
        }
    }

    fn prepare_look(&self, call: &Call<'_>) -> Result<Prepared> {
        let summary = match call.tool {
            "os.status" => "Look which image of the operating system runs",
            "os.check" => "Look for a newer image of the operating system",
            other => return unknown(other),
        };
        Ok(Prepared {
            required: change::grant(call, HOST)?,
            identities: vec![change::identity(HOST.to_owned(), "os")],
            risk: Risk::Read,
            mutating: false,
            reversible: true,
            files: 0,
            bytes: 0,
            summary: summary.to_owned(),
        })
    }
}

impl Namespace for Os {
    type Plan = Plan;

    fn name(&self) -> &'static str {
        "os"
    }

    fn specs(&self) -> Vec<ToolSpec> {
        specs()
    }

    fn canonical(&self, tool: &str, args_json: &str) -> Result<Value> {
        let specs = specs();
        let Some(spec) = specs.iter().find(|spec| spec.name == tool) else {
            return unknown(tool);
        };
        let args = spec.check_input(args_json)?;
        match tool {
            "os.switch" => value_of(&change::canonical_switch(typed(tool, &args)?)?),
            "os.undo" => value_of(&canonical_undo(typed(tool, &args)?)?),
            _ => Ok(args),
        }
    }

    fn prepare(&self, call: &Call<'_>) -> Result<Prepared> {
        match call.tool {
            "os.status" | "os.check" => self.prepare_look(call),
            _ => self.prepare_change(call),
        }
    }

    fn prepare_undo(&self, call: &Call<'_>, target: &Target<Plan>) -> Result<Prepared> {
        self.prepare_back(call, target)
    }

    fn read(&self, call: &Call<'_>, identities: &[Identity]) -> Result<Value> {
        same_identities(identities, &self.prepare_look(call)?.identities)?;
        match call.tool {
            "os.status" => value_of(&self.status(call.budget)?),
            "os.check" => value_of(&self.check(call.budget)?),
            other => unknown(other),
        }
    }

    fn plan(&self, call: &Call<'_>, identities: &[Identity]) -> Result<Plan> {
        self.plan_change(call, identities)
    }

    fn plan_undo(&self, call: &Call<'_>, target: &Target<Plan>, identities: &[Identity]) -> Result<Plan> {
        self.plan_back(call, target, identities)
    }

    fn apply(&self, plan: &mut Plan, budget: &Budget) -> Result<()> {
        self.carry_out(plan, budget)
    }

    fn roll_back(&self, plan: &Plan) -> Result<()> {
        self.take_back(plan, &Budget::of_ms(TAKING_BACK_MS))
    }

    fn finish(&self, plan: &mut Plan) -> Result<bool> {
        self.was_done(plan, &Budget::of_ms(RECOVERY_MS))
    }

    fn result(&self, plan: &Plan) -> Value {
        plan.result.clone()
    }

    fn expire(&self) -> Result<Expired> {
        self.reboot_when_due()
    }
}

/// Whether this process is somebody else, and may start a program as root. Where it may not, bootc says what it lacks.
fn may_be_root() -> bool {
    const SETUID: u64 = 1 << 7;
    let own = procfs::process::Process::myself().and_then(|me| me.status());
    !nix::unistd::geteuid().is_root() && own.is_ok_and(|status| status.capeff & SETUID != 0)
}

fn canonical_undo(mut args: UndoArgs) -> Result<UndoArgs> {
    let bad = |field: &str, problem: String| bad_input("os.undo", field, problem);
    let task = TaskId::parse(&args.task_id).map_err(|error| bad("task_id", error.to_string()))?;
    if args.step == 0 {
        return Err(bad("step", "must be at least 1".to_owned()));
    }
    args.task_id = task.to_string();
    Ok(args)
}

/// A program goes on while the call may.
struct Patience<'a> {
    budget: &'a Budget,
    doing: Option<Doing<'a>>,
}

impl<'a> Patience<'a> {
    fn of(budget: &'a Budget) -> Self {
        Self { budget, doing: None }
    }
}

impl Watch for Patience<'_> {
    fn go_on(&self) -> bool {
        self.budget.check().is_ok()
    }

    fn progress(&self, progress: &Progress) {
        if let Some(doing) = &self.doing {
            doing.progress(progress);
        }
    }
}

/// The answer of a program; one that was stopped was stopped because time was up or somebody cancelled.
fn stopped<T>(answer: aios_deployment::Result<T>, budget: &Budget) -> Result<T> {
    match answer {
        Err(DeploymentError::Stopped) => {
            budget.check()?;
            Err(OsError::from(DeploymentError::Stopped).into())
        }
        other => Ok(other.map_err(OsError::from)?),
    }
}

/// Replaces a small file, and returns when it is on the disk.
fn write_file(path: &Path, text: &str) -> Result<()> {
    let part = path.with_extension("part");
    let written = File::create(&part).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&part, path)?;
        path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    });
    written.map_err(|error| ToolError::io("write", path.to_string_lossy(), error))
}
