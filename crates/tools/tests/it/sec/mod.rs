//! The sec tools on trees, certificates and machines that are laid out here for real.

mod certs;
mod machines;
mod pipeline;
mod trees;

use aios_auth::capability::CapabilitySet;
use aios_auth::protected::Protected;
use aios_core::clock::SystemClock;
use aios_core::id::{ExecutionKey, TaskId};
use aios_core::paths::Paths;
use aios_tools::budget::Budget;
use aios_tools::error::ToolError;
use aios_tools::fs::resolve::Resolver;
use aios_tools::registry::Registry;
use aios_tools::sec::machine::Machine;
use aios_tools::sec::{Plan, Sec};
use aios_tools::worker::{Call, Namespace, Prepared, Target};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The namespace over a machine that lies in a directory.
struct Bench {
    home: tempfile::TempDir,
    /// Root of the machine.
    root: PathBuf,
    sec: Sec,
    caps: CapabilitySet,
}

/// A change that was made, as the journal has it.
struct Done {
    plan: Plan,
    prepared: Prepared,
    result: Value,
}

impl Bench {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().canonicalize().unwrap().join("machine");
        fs::create_dir(&root).unwrap();
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
        let sec = open(&home, &root);
        let own = format!("sec:*:{}/**", root.display());
        let caps = caps(&[&own, "sec:*:host", "sec:*:log"]);
        let bench = Self {
            home,
            root,
            sec,
            caps,
        };
        bench.write(
            "etc/passwd",
            "root:x:0:0::/root:/bin/sh\nada:x:1000:1000::/:/bin/sh\n",
            0o644,
        );
        bench.write("etc/group", "root:x:0:\nstaff:x:50:\nada:x:1000:\n", 0o644);
        bench
    }

    /// Another process over the same state: nothing that was only in memory is there any more.
    fn restart(&mut self) {
        self.sec = open(&self.home, &self.root);
    }

    fn path(&self, name: &str) -> String {
        self.root
            .join(name)
            .to_str()
            .unwrap()
            .trim_end_matches('/')
            .to_owned()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>, mode: u32) -> String {
        let path = self.path(name);
        let parent = Path::new(&path).parent().unwrap();
        if !parent.exists() {
            fs::create_dir_all(parent).unwrap();
        }
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn dir(&self, name: &str, mode: u32) -> String {
        let path = self.path(name);
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn own(&self, name: &str, uid: u32, gid: u32) {
        chown(self.path(name), Some(uid), Some(gid)).unwrap();
    }

    fn with<T>(
        &self,
        tool: &str,
        args: &Value,
        budget: &Budget,
        work: impl FnOnce(&Call<'_>) -> Result<T, ToolError>,
    ) -> Result<T, ToolError> {
        let args = self.sec.canonical(tool, &args.to_string())?;
        let again = self.sec.canonical(tool, &args.to_string())?;
        assert_eq!(
            args, again,
            "{tool}: the canonical form is its own canonical form"
        );
        work(&Call {
            tool,
            args: &args,
            caps: &self.caps,
            key: key(),
            budget,
        })
    }

    fn try_read(&self, tool: &str, args: &Value, budget: &Budget) -> Result<Value, ToolError> {
        let answer = self.with(tool, args, budget, |call| {
            let prepared = self.sec.prepare(call)?;
            assert!(!prepared.mutating);
            assert!(prepared.required.iter().all(|it| self.caps.allows_access(it)));
            self.sec.read(call, &prepared.identities)
        })?;
        let spec = Registry::builtin().get(tool).unwrap().clone();
        spec.check_output(&answer.to_string())
            .unwrap_or_else(|error| panic!("{tool}: {error}: {answer:#}"));
        Ok(answer)
    }

    fn read(&self, tool: &str, args: Value) -> Value {
        self.try_read(tool, &args, &Budget::of_ms(60_000))
            .unwrap_or_else(|error| panic!("{tool}: {error}"))
    }

    /// Prepares and plans a change, and gives the plan as it would come back from the journal.
    fn plan(&self, tool: &str, args: &Value) -> Result<(Plan, Prepared), ToolError> {
        self.with(tool, args, &Budget::of_ms(60_000), |call| {
            let prepared = self.sec.prepare(call)?;
            let plan = self.sec.plan(call, &prepared.identities)?;
            Ok((journaled(&plan), prepared))
        })
    }

    fn try_change(&self, tool: &str, args: &Value) -> Result<Done, ToolError> {
        let (mut plan, prepared) = self.plan(tool, args)?;
        self.sec.apply(&mut plan, &Budget::of_ms(60_000))?;
        let result = self.sec.result(&plan);
        let spec = Registry::builtin().get(tool).unwrap().clone();
        spec.check_output(&result.to_string()).unwrap();
        Ok(Done {
            plan: journaled(&plan),
            prepared,
            result,
        })
    }

    fn change(&self, tool: &str, args: Value) -> Done {
        self.try_change(tool, &args)
            .unwrap_or_else(|error| panic!("{tool}: {error}"))
    }

    fn plan_undo(&self, done: &Done) -> Result<(Plan, Prepared), ToolError> {
        let target = Target {
            key: key(),
            required: done.prepared.required.clone(),
            plan: journaled(&done.plan),
        };
        let args = json!({"task_id": target.key.task.to_string(), "step": 1});
        self.with("sec.undo", &args, &Budget::of_ms(60_000), |call| {
            let prepared = self.sec.prepare_undo(call, &target)?;
            let plan = self.sec.plan_undo(call, &target, &prepared.identities)?;
            Ok((journaled(&plan), prepared))
        })
    }

    fn undo(&self, done: &Done) -> Result<Done, ToolError> {
        let (mut plan, prepared) = self.plan_undo(done)?;
        self.sec.apply(&mut plan, &Budget::of_ms(60_000))?;
        let result = self.sec.result(&plan);
        Ok(Done {
            plan,
            prepared,
            result,
        })
    }
}

fn open(home: &tempfile::TempDir, root: &Path) -> Sec {
    let paths = Paths::development(&home.path().join("aios"));
    let resolver = Resolver::of("sec", Protected::of(&paths));
    let machine = Machine::at(root, home.path().join("proc"));
    Sec::open(
        machine,
        resolver,
        &home.path().join("state"),
        Arc::new(SystemClock),
    )
    .unwrap()
}

fn caps(capabilities: &[&str]) -> CapabilitySet {
    CapabilitySet::new(capabilities.iter().map(|cap| cap.parse().unwrap()).collect())
}

fn key() -> ExecutionKey {
    ExecutionKey {
        task: TaskId::new(),
        step: 1,
    }
}

fn journaled(plan: &Plan) -> Plan {
    serde_json::from_str(&serde_json::to_string(plan).unwrap()).unwrap()
}

/// Names of the files in a directory, sorted.
fn listed(dir: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|it| it.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
