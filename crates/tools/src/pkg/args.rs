//! Arguments and results of the package tools.

use super::status::State;
use crate::os::types::{AddedPackage, Base, Deployment};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which packages are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// Those that are there, also half.
    #[default]
    Installed,
    /// Those that are half done: half-installed, unpacked, half-configured, or with triggers to run.
    Unsettled,
    /// Those of which only configuration files are left.
    ConfigFiles,
    /// Those that a person keeps at their version.
    Held,
    /// Those that came only because another one needs them.
    Automatic,
    /// All that dpkg knows.
    All,
}

/// Arguments of pkg.list.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListArgs {
    /// Which packages.
    #[serde(default)]
    pub which: Which,
    /// Glob of names, `linux-*`.
    #[serde(default)]
    pub name_glob: Option<String>,
    /// Most packages to answer, 1 to 10000.
    #[serde(default = "many")]
    pub limit: u64,
}

fn many() -> u64 {
    1000
}

/// A package that dpkg knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Listed {
    /// Name; `name:arch` where the architecture is not the machine's own.
    pub name: String,
    /// Version.
    pub version: String,
    /// Architecture.
    pub architecture: String,
    /// How far it is installed.
    pub state: State,
    /// Whether dpkg wants it installed again before anything else, because that broke off.
    pub needs_reinstall: bool,
    /// Whether a person keeps it at this version.
    pub held: bool,
    /// Whether it came only because another one needs it.
    pub automatic: bool,
    /// Whether the machine cannot be without it.
    pub essential: bool,
    /// Space that it takes, bytes, as the package says.
    pub installed_bytes: u64,
    /// One line.
    pub summary: String,
}

/// Packages.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct List {
    /// The packages, by name.
    pub packages: Vec<Listed>,
    /// How many there are in all.
    pub total: u64,
    /// Whether the limit left some out.
    pub truncated: bool,
}

/// Arguments of pkg.search.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchArgs {
    /// Words; each must stand in the name or the description.
    pub text: String,
    /// Whether only names are searched.
    #[serde(default)]
    pub names_only: bool,
    /// Most packages to answer, 1 to 10000.
    #[serde(default = "some")]
    pub limit: u64,
}

fn some() -> u64 {
    100
}

/// A package that can be had.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Hit {
    /// Name.
    pub name: String,
    /// One line.
    pub summary: String,
    /// Version that is installed, if any.
    pub installed_version: Option<String>,
}

/// What a search found.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Hits {
    /// The packages, by name.
    pub packages: Vec<Hit>,
    /// How many there are in all.
    pub total: u64,
    /// Whether the limit left some out.
    pub truncated: bool,
}

/// Names a package.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NameArgs {
    /// Package, `nginx`.
    pub name: String,
}

/// A configuration file of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConfigFile {
    /// Path.
    pub path: String,
    /// Whether it is there.
    pub exists: bool,
    /// Whether it differs from what the package brought; `null` where that cannot be told.
    pub changed: Option<bool>,
}

/// Everything about a package.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Info {
    /// Name.
    pub name: String,
    /// How far it is installed.
    pub state: State,
    /// Version that is installed, if any.
    pub installed_version: Option<String>,
    /// Version that pkg.install would install.
    pub candidate_version: Option<String>,
    /// Where the candidate comes from.
    pub origins: Vec<String>,
    /// Architecture.
    pub architecture: String,
    /// One line.
    pub summary: String,
    /// The rest of the description.
    pub description: String,
    /// What it needs, as Debian writes it.
    pub depends: String,
    /// What it would like to have.
    pub recommends: String,
    /// What it cannot be beside.
    pub conflicts: String,
    /// Source package.
    pub source: String,
    /// Section.
    pub section: String,
    /// Home page.
    pub homepage: String,
    /// Size of the candidate's package file, bytes; `null` when it cannot be had.
    pub download_bytes: Option<u64>,
    /// Space that it takes when installed, bytes.
    pub installed_bytes: u64,
    /// Whether a person keeps it at its version.
    pub held: bool,
    /// Whether it came only because another one needs it.
    pub automatic: bool,
    /// Whether the machine cannot be without it.
    pub essential: bool,
    /// Its configuration files.
    pub conffiles: Vec<ConfigFile>,
}

/// Arguments of pkg.files.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FilesArgs {
    /// Package, `nginx`.
    pub name: String,
    /// Most paths to answer, 1 to 10000.
    #[serde(default = "many")]
    pub limit: u64,
}

/// Files of a package.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Files {
    /// Name.
    pub name: String,
    /// Paths of files and directories, as the package brought them.
    pub paths: Vec<String>,
    /// How many there are in all.
    pub total: u64,
    /// Whether the limit left some out.
    pub truncated: bool,
}

/// No arguments.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoArgs {}

/// A newer version of an installed package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Update {
    /// Name.
    pub name: String,
    /// Version that is installed.
    pub installed_version: String,
    /// Version that can be had.
    pub candidate_version: String,
    /// Where it comes from.
    pub origin: String,
    /// Whether it comes from a source of security fixes.
    pub security: bool,
}

/// Updates that can be had.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Updates {
    /// Packages with a newer version, by name.
    pub updates: Vec<Update>,
    /// How many of them fix a weakness.
    pub security: u64,
    /// Newer packages that those need and that are not installed.
    pub new_packages: Vec<String>,
    /// Packages with a newer version that apt holds back.
    pub kept_back: Vec<String>,
    /// When the lists of packages were fetched last, UTC milliseconds; `null` when never.
    pub lists_fetched_ms: Option<i64>,
}

/// Arguments of pkg.install.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstallArgs {
    /// Packages to install or to upgrade.
    pub names: Vec<String>,
    /// Exact version of some of them, `{"nginx": "1.22.1-9"}`; the others get the newest.
    #[serde(default)]
    pub versions: BTreeMap<String, String>,
    /// Whether packages that they only recommend are installed too.
    #[serde(default)]
    pub recommends: bool,
    /// Whether they are there at once and until the next start only. On a machine of images alone, and for packages that bring
    /// nothing but what lies in `/usr`.
    #[serde(default)]
    pub transient: bool,
}

/// Arguments of pkg.remove.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveArgs {
    /// Packages to remove.
    pub names: Vec<String>,
    /// Whether their configuration files are removed too.
    #[serde(default)]
    pub purge: bool,
}

/// What became of a package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// Name.
    pub name: String,
    /// Version before; `null` when it was not there.
    pub version_before: Option<String>,
    /// Version now; `null` when it is not there.
    pub version_now: Option<String>,
    /// How far it is installed now.
    pub state: State,
}

/// An image with packages that were added, which a change made on a machine of images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewImage {
    /// Its name, `oci:DIR:TAG`.
    pub image: String,
    /// Digest of its manifest.
    pub digest: String,
    /// The image that it was made of.
    pub base: String,
    /// Every package that it was made with, by the names that were asked for.
    pub added: Vec<String>,
    /// What a person does next.
    pub then: String,
}

/// What a change did.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ChangeResult {
    /// Packages that were changed, by name.
    pub packages: Vec<Changed>,
    /// Configuration files that were changed with them.
    pub conffiles: Vec<String>,
    /// Links that enable services which were changed with them.
    pub enablement: Vec<String>,
    /// What an undo brings back, and what not.
    pub undo: String,
    /// The image that has them from the next start on, on a machine of images; `null` elsewhere.
    #[serde(default)]
    pub image: Option<NewImage>,
    /// Whether they are there until the next start only.
    #[serde(default)]
    pub transient: bool,
}

/// A package that is still half done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StillUnsettled {
    /// Name.
    pub name: String,
    /// How far it is installed.
    pub state: State,
}

/// What pkg.configure did.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ConfigureResult {
    /// Packages that were half done and are installed now.
    pub configured: Vec<String>,
    /// Packages that are still half done.
    pub left: Vec<StillUnsettled>,
    /// Why those are left, in dpkg's words; empty when none is.
    pub said: String,
}

/// Arguments of pkg.history.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HistoryArgs {
    /// Only of this package.
    #[serde(default)]
    pub name: Option<String>,
    /// Most entries of each kind, the newest, 1 to 10000.
    #[serde(default = "some")]
    pub limit: u64,
}

/// A call that changed packages.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PastCall {
    /// Task; with the step it names the call for pkg.rollback and for an undo.
    pub task_id: String,
    /// Step.
    pub step: u64,
    /// Tool.
    pub tool: String,
    /// `done`, `undone`, `rolled_back`, `running`.
    pub state: String,
    /// When it began, UTC milliseconds.
    pub time_ms: i64,
    /// What became of the packages.
    pub packages: Vec<Changed>,
}

/// A line of dpkg's own log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// When, in the machine's local time, as dpkg writes it.
    pub time_local: String,
    /// `install`, `upgrade`, `remove`, `purge`, `configure`.
    pub action: String,
    /// Name.
    pub name: String,
    /// Version before; `null` for none.
    pub version_before: Option<String>,
    /// Version afterwards; `null` for none.
    pub version_after: Option<String>,
}

/// A run of apt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AptRun {
    /// When it began, in the machine's local time, as apt writes it.
    pub time_local: String,
    /// The command.
    pub command: String,
    /// Who asked for it, where apt knows.
    pub requested_by: Option<String>,
    /// What it did, `Install: nginx:amd64 (1.22.1-9)`.
    pub changes: Vec<String>,
    /// What went wrong, where something did.
    pub error: Option<String>,
}

/// An image and the packages that were added to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImagePackages {
    /// `running`, `staged`, `rollback`.
    pub slot: String,
    /// The image.
    pub deployment: Deployment,
    /// What it was made of, when packages were added to it.
    pub base: Option<Base>,
    /// Those that were asked for.
    pub added: Vec<AddedPackage>,
    /// Every package that is not the base's, with its version.
    pub brought: BTreeMap<String, String>,
}

/// What happened to packages.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct History {
    /// Calls of aiOS, the newest first.
    pub calls: Vec<PastCall>,
    /// Images that this machine can start, on a machine of images: what runs, what is staged, what a rollback goes to.
    #[serde(default)]
    pub images: Vec<ImagePackages>,
    /// apt's log, the newest first, of the current file only.
    pub apt: Vec<AptRun>,
    /// dpkg's log, the newest first, of the current file only.
    pub dpkg: Vec<LogLine>,
    /// The logs' text comes from packages and people.
    pub tainted: bool,
}

/// Names an execution.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyArgs {
    /// Task of the call.
    pub task_id: String,
    /// Step of the call.
    pub step: u64,
}
