//! The `pkg` namespace: Debian packages, by apt and dpkg. What can be read from their files is read there;
//! everything else is asked of `/usr/bin/apt-get`, `apt-cache`, `apt-mark`, `dpkg` and `dpkg-deb`, run by
//! `program` with an argument list, an empty environment, no input and a deadline.
//!
//! A change is simulated first, approved package by package with its version, and then made from package
//! files that were fetched and kept. What it replaces or removes is kept too, so that it can come back:
//! the packages, their configuration files and the links that enable services, and nothing else.
//!
//! It never removes an essential package, never touches one that is on hold, and does not fetch new lists
//! of packages.
//!
//! On a machine of images, whose `/usr` nobody can write, [`crate::os::packages`] does what these tools ask for.

pub mod args;
mod back;
mod change;
mod configure;
mod debs;
pub mod error;
mod files;
pub(crate) mod history;
mod lock;
pub(crate) mod names;
pub mod plan;
pub(crate) mod program;
mod reads;
pub mod root;
mod simulate;
pub mod status;

use crate::budget::Budget;
use crate::error::Result;
use crate::registry::{About, ToolSpec};
use crate::typed::{bad_input, plain_name, typed, unknown, value_of};
use crate::worker::store::{Limits, Store};
use crate::worker::{Call, Namespace, Prepared, Target};
use aios_auth::level::Risk;
use aios_proto::common::v1::Identity;
use args::{
    ChangeResult, ConfigureResult, Files, FilesArgs, History, HistoryArgs, Hits, Info, InstallArgs, KeyArgs,
    List, ListArgs, NameArgs, NoArgs, RemoveArgs, SearchArgs, Updates,
};
use debs::Debs;
use plan::{Plan, Work};
use root::Root;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Resource of a capability for the machine as a whole: `pkg:list:host`.
pub const HOST: &str = "host";
/// Taking back is not stopped by the caller's deadline, only by this one.
const ROLLBACK_MS: u64 = 600_000;
/// How long a change may take. On a machine of images it makes one, which writes the base twice: minutes on a slow disk.
const CHANGE_MS: u64 = 1_800_000;
/// Settling what a crash interrupted: nothing else is served meanwhile.
const RECOVERY_MS: u64 = 120_000;

/// The pkg namespace.
#[derive(Debug)]
pub struct Pkg {
    root: Root,
    store: Store,
    debs: Debs,
    journal: PathBuf,
}

fn read_spec<I, O>(name: &'static str, capability: &'static str, summary: &'static str) -> ToolSpec
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
        timeout_ms: 60_000,
    })
}

fn change_spec<I, O>(
    name: &'static str,
    capability: &'static str,
    reversible: bool,
    summary: &'static str,
) -> ToolSpec
where
    I: JsonSchema + DeserializeOwned + Serialize,
    O: JsonSchema + DeserializeOwned + Serialize,
{
    ToolSpec::of::<I, O>(About {
        name,
        summary,
        risk: Risk::High,
        idempotent: false,
        reversible,
        capability,
        timeout_ms: CHANGE_MS,
    })
}

/// The pkg tools.
pub fn specs() -> Vec<ToolSpec> {
    vec![
        read_spec::<ListArgs, List>(
            "pkg.list",
            "pkg:list:host",
            "Lists packages with version and state: installed, half done, held, or left configuration files.",
        ),
        read_spec::<SearchArgs, Hits>(
            "pkg.search",
            "pkg:search:host",
            "Finds packages that can be had, by words of name and description.",
        ),
        read_spec::<NameArgs, Info>(
            "pkg.info",
            "pkg:info:NAME",
            "Says everything about a package: versions, needs, sizes, and which configuration files were changed.",
        ),
        read_spec::<FilesArgs, Files>(
            "pkg.files",
            "pkg:files:NAME",
            "Lists the files that a package brought.",
        ),
        read_spec::<NoArgs, Updates>(
            "pkg.check_updates",
            "pkg:check_updates:host",
            "Lists newer versions of installed packages, and which of them fix a weakness.",
        ),
        read_spec::<HistoryArgs, History>(
            "pkg.history",
            "pkg:history:host",
            "Says what happened to packages, by aiOS and by apt and dpkg themselves, and what was added to which image.",
        ),
        change_spec::<InstallArgs, ChangeResult>(
            "pkg.install",
            "pkg:install:NAME",
            true,
            "Installs or upgrades packages, with what they need; on a machine of images by a new image, which the next start has. Undo brings back packages, configuration files and enablement, or drops that image.",
        ),
        change_spec::<RemoveArgs, ChangeResult>(
            "pkg.remove",
            "pkg:remove:NAME",
            true,
            "Removes packages; on a machine of images those that were added, by a new image, which the next start has. Undo brings back packages, configuration files and enablement, or drops that image.",
        ),
        change_spec::<NoArgs, ConfigureResult>(
            "pkg.configure",
            "pkg:configure:host",
            false,
            "Finishes the configuration of packages that are half done; it cannot be undone.",
        ),
        change_spec::<KeyArgs, ChangeResult>(
            "pkg.rollback",
            "pkg:rollback:host",
            true,
            "Brings back the set of packages from before an earlier call, with configuration files and enablement.",
        ),
        change_spec::<KeyArgs, ChangeResult>(
            "pkg.undo",
            "pkg:ACTION:NAME",
            true,
            "Undoes a finished call: packages, configuration files and enablement; refused when somebody changed them since.",
        ),
    ]
}

impl Pkg {
    /// The namespace with its state in a directory: snapshots, kept package files, and the journal that
    /// the worker's runtime writes there.
    ///
    /// # Errors
    /// The directory cannot be used.
    pub fn open(root: Root, state: &Path) -> Result<Self> {
        Ok(Self {
            root,
            store: Store::open(&state.join("store"), Limits::default())?,
            debs: Debs::open(&state.join("debs"))?,
            journal: state.join("journal.db"),
        })
    }

    /// What a reading call looks at: the package that it names, or the machine; and a sentence.
    fn look(&self, call: &Call<'_>) -> Result<(String, String)> {
        let name = || {
            let args = call.args.get("name").and_then(Value::as_str);
            args.unwrap_or_default().to_owned()
        };
        let host = |summary: &str| Ok((HOST.to_owned(), summary.to_owned()));
        match call.tool {
            "pkg.list" => host("List packages"),
            "pkg.search" => host("Search packages"),
            "pkg.check_updates" => host("Look for newer versions of packages"),
            "pkg.history" => host("Look at what happened to packages"),
            "pkg.info" => Ok((name(), format!("Look at package {}", name()))),
            "pkg.files" => Ok((name(), format!("List the files of package {}", name()))),
            other => unknown(other),
        }
    }

    pub(crate) fn prepare_read(&self, call: &Call<'_>) -> Result<Prepared> {
        let (resource, summary) = self.look(call)?;
        let action = call.tool.split_once('.').map_or("", |(_, action)| action);
        let required = vec![change::access(action, &resource)?];
        change::granted(call, &required)?;
        Ok(Prepared {
            identities: vec![Identity {
                path: resource,
                kind: "pkg".to_owned(),
                ..Identity::default()
            }],
            required,
            risk: Risk::Read,
            mutating: false,
            reversible: true,
            files: 0,
            bytes: 0,
            summary,
        })
    }
}

impl Namespace for Pkg {
    type Plan = Plan;

    fn name(&self) -> &'static str {
        "pkg"
    }

    fn specs(&self) -> Vec<ToolSpec> {
        specs()
    }

    fn canonical(&self, tool: &str, args_json: &str) -> Result<Value> {
        canonical(tool, args_json)
    }

    fn prepare(&self, call: &Call<'_>) -> Result<Prepared> {
        match call.tool {
            "pkg.install" | "pkg.remove" => change::prepare(self, call),
            "pkg.configure" => configure::prepare(self, call),
            "pkg.rollback" => back::prepare_rollback(self, call),
            _ => self.prepare_read(call),
        }
    }

    fn prepare_undo(&self, call: &Call<'_>, target: &Target<Plan>) -> Result<Prepared> {
        back::prepare_undo(self, call, target)
    }

    fn read(&self, call: &Call<'_>, identities: &[Identity]) -> Result<Value> {
        crate::fs::same_identities(identities, &self.prepare_read(call)?.identities)?;
        let (tool, args, budget) = (call.tool, call.args, call.budget);
        match tool {
            "pkg.list" => value_of(&reads::list(self, &typed(tool, args)?)?),
            "pkg.search" => value_of(&reads::search(self, &typed(tool, args)?, budget)?),
            "pkg.info" => value_of(&reads::info(self, &typed(tool, args)?, budget)?),
            "pkg.files" => value_of(&reads::files(self, &typed(tool, args)?)?),
            "pkg.check_updates" => value_of(&reads::check_updates(self, budget)?),
            "pkg.history" => value_of(&history::history(self, &typed(tool, args)?)?),
            other => unknown(other),
        }
    }

    fn plan(&self, call: &Call<'_>, identities: &[Identity]) -> Result<Plan> {
        match call.tool {
            "pkg.install" | "pkg.remove" => change::plan(self, call, identities),
            "pkg.configure" => configure::plan(self, call, identities),
            "pkg.rollback" => back::plan_rollback(self, call, identities),
            other => unknown(other),
        }
    }

    fn plan_undo(&self, call: &Call<'_>, target: &Target<Plan>, identities: &[Identity]) -> Result<Plan> {
        back::plan_undo(self, call, target, identities)
    }

    fn apply(&self, plan: &mut Plan, budget: &Budget) -> Result<()> {
        match plan.work {
            Work::Change { .. } => change::apply(self, plan, budget),
            Work::Configure => configure::apply(self, plan, budget),
            Work::Back { .. } => back::apply(self, plan, budget),
        }
    }

    fn roll_back(&self, plan: &Plan) -> Result<()> {
        back::roll_back(self, plan, &Budget::of_ms(ROLLBACK_MS))
    }

    fn finish(&self, plan: &mut Plan) -> Result<bool> {
        back::finish(self, plan, &Budget::of_ms(RECOVERY_MS))
    }

    fn result(&self, plan: &Plan) -> Value {
        plan.result.clone()
    }
}

/// Arguments of a pkg tool in their one canonical form: names checked, sorted, once each.
///
/// # Errors
/// [`BadInput`](crate::error::ToolError::BadInput) or
/// [`UnknownTool`](crate::error::ToolError::UnknownTool).
pub fn canonical(tool: &str, args_json: &str) -> Result<Value> {
    let specs = specs();
    let Some(spec) = specs.iter().find(|spec| spec.name == tool) else {
        return unknown(tool);
    };
    let args = spec.check_input(args_json)?;
    if let Some(limit) = args.get("limit").and_then(Value::as_u64)
        && !(1..=10_000).contains(&limit)
    {
        return Err(bad_input(tool, "limit", "must be 1 to 10000"));
    }
    if let Some(name) = args.get("name").and_then(Value::as_str) {
        names::check_name(tool, "name", name)?;
    }
    match tool {
        "pkg.install" => value_of(&canonical_install(typed(tool, &args)?)?),
        "pkg.remove" => {
            let mut args: RemoveArgs = typed(tool, &args)?;
            names::check_names(tool, &mut args.names)?;
            value_of(&args)
        }
        "pkg.rollback" | "pkg.undo" => value_of(&back::canonical(tool, typed(tool, &args)?)?),
        "pkg.search" => {
            let text = args.get("text").and_then(Value::as_str).unwrap_or_default();
            plain_name(tool, "text", text.trim())?;
            Ok(args)
        }
        "pkg.list" => match args.get("name_glob").and_then(Value::as_str) {
            Some(glob) => plain_name(tool, "name_glob", glob).map(|()| args),
            None => Ok(args),
        },
        _ => Ok(args),
    }
}

fn canonical_install(mut args: InstallArgs) -> Result<InstallArgs> {
    let tool = "pkg.install";
    names::check_names(tool, &mut args.names)?;
    for (name, version) in &args.versions {
        if !args.names.contains(name) {
            return Err(bad_input(
                tool,
                "versions",
                format!("`{name}` is not among the names"),
            ));
        }
        names::check_version(tool, &format!("versions.{name}"), version)?;
    }
    Ok(args)
}
