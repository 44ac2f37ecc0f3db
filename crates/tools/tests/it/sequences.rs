//! Random sequences of changing calls on a small random tree, undone in reverse: after each undo the tree
//! is exactly what it was before the call. The model is a stack of photographs. The worker's process is
//! begun anew in between, and in the second test killed at random points of calls and undos.
//!
//! `AIOS_SEQUENCES` sets how many; the default is a short sample.

use crate::common::{Answer, GuardDouble, House, photograph, result};
use aios_auth::level::Autonomy;
use aios_auth::protected::Protected;
use aios_auth::token::{Grant, Minter, NoRevocations, VerifiedToken, Verifier};
use aios_core::clock::{Clock, SystemClock};
use aios_core::error::Coded;
use aios_core::id::{AgentId, ExecutionKey, GoalId, TaskId};
use aios_core::paths::Paths;
use aios_tools::budget::Budget;
use aios_tools::error::ToolError;
use aios_tools::fs::Fs;
use aios_tools::fs::resolve::Resolver;
use aios_tools::worker::executor::{Executor, Job};
use aios_tools::worker::journal::Journal;
use aios_tools::worker::store::{Limits, Store};
use aios_tools::worker::{Call, Namespace, Target};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const NAMES: [&str; 9] = ["a", "b", "c", "d", "d/a", "d/b", "d/e", "d/e/a", "d/e/b"];
/// Refusals that a random call may well meet; everything else would be a fault.
const REFUSALS: [&str; 6] = [
    "AIOS-TOOLS-0002",
    "AIOS-TOOLS-0004",
    "AIOS-TOOLS-0006",
    "AIOS-TOOLS-0009",
    "AIOS-TOOLS-0010",
    "AIOS-TOOLS-0011",
];

/// Random numbers of one call or one thing of the tree at the beginning.
type Dice = (u8, u8, u8, u8);

fn name(die: u8) -> &'static str {
    NAMES[usize::from(die) % NAMES.len()]
}

/// Puts one thing into the tree, when it fits.
fn plant(data: &Path, (what, place, other, bits): Dice) {
    let path = data.join(name(place));
    if path.symlink_metadata().is_ok() || !path.parent().unwrap().is_dir() {
        return;
    }
    match what % 5 {
        0 | 1 => {
            fs::create_dir(&path).unwrap();
        }
        2 => symlink(
            ["a", "../c", "nowhere", "/etc/hostname"][usize::from(bits % 4)],
            &path,
        )
        .unwrap(),
        3 if data.join(name(other)).is_file() && !data.join(name(other)).is_symlink() => {
            fs::hard_link(data.join(name(other)), &path).unwrap();
        }
        _ => fs::write(&path, vec![bits; usize::from(other) * 7]).unwrap(),
    }
    if !path.is_symlink() {
        let mode = [0o644, 0o600, 0o2755, 0o4755, 0o1777][usize::from(bits % 5)];
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        xattr::set(&path, "user.seed", &[bits]).unwrap();
    }
}

/// The call that some dice stand for.
fn call_of(data: &Path, (what, one, two, bits): Dice) -> (&'static str, Value) {
    let (a, b) = (data.join(name(one)), data.join(name(two)));
    let flag = |bit: u8| bits & (1 << bit) != 0;
    match what % 13 {
        0 => (
            "fs.write",
            json!({"path": a, "content": format!("new {two}"), "mode": "0640"}),
        ),
        1 => (
            "fs.write",
            json!({"path": a, "content": "other ".repeat(usize::from(two)), "how": "overwrite"}),
        ),
        2 => ("fs.append", json!({"path": a, "content": "more"})),
        3 => ("fs.delete", json!({"paths": [a, b]})),
        4 => ("fs.delete", json!({"path": a, "recursive": true})),
        5 => (
            "fs.mkdir",
            json!({"path": a, "parents": flag(0), "mode": if flag(1) { "0700" } else { "0755" }}),
        ),
        6 | 7 => (
            "fs.copy",
            json!({"source": a, "target": b, "recursive": true, "preserve": flag(0)}),
        ),
        8 | 9 => ("fs.move", json!({"source": a, "target": b, "replace": flag(0)})),
        10 => (
            "fs.symlink",
            json!({"path": a, "target": if flag(0) { name(two) } else { "/nowhere" }}),
        ),
        11 if flag(0) => {
            let owner = (u32::from(two) + 1000).to_string();
            (
                "fs.chown",
                json!({"path": a, "owner": owner, "group": "7", "recursive": flag(1)}),
            )
        }
        11 => {
            let mode = ["0600", "u+x,go-r", "a+rX", "4755", "g=rwx"][usize::from(two) % 5];
            ("fs.chmod", json!({"path": a, "mode": mode, "recursive": flag(1)}))
        }
        _ => {
            let end = if flag(0) { "x.tar.gz" } else { "x.tar.zst" };
            ("fs.archive", json!({"paths": [a], "target": data.join(end)}))
        }
    }
}

/// Everything about the tree, the times of its uppermost directory too.
fn photo(data: &Path) -> Vec<String> {
    use std::os::unix::fs::MetadataExt;
    let top = fs::metadata(data).unwrap();
    let mut lines = photograph(data);
    lines.push(format!("top mtime={}.{}", top.mtime(), top.mtime_nsec()));
    lines
}

/// Where the trees stand: in memory where that keeps extended attributes, or on the disk that
/// `AIOS_SEQUENCES_DIR` names.
struct Ground {
    dir: tempfile::TempDir,
    mounted: bool,
}

impl Ground {
    fn new() -> Self {
        if let Ok(dir) = std::env::var("AIOS_SEQUENCES_DIR") {
            let dir = tempfile::tempdir_in(dir).unwrap();
            return Self { dir, mounted: false };
        }
        let dir = tempfile::tempdir().unwrap();
        let flags = rustix::mount::MountFlags::empty();
        let mounted =
            rustix::mount::mount("aios-test", dir.path(), "tmpfs", flags, Some(c"size=256m")).is_ok();
        let mut ground = Self { dir, mounted };
        if mounted && xattr::set(ground.dir.path(), "user.probe", b"1").is_err() {
            ground.unmount();
        }
        ground
    }

    fn unmount(&mut self) {
        rustix::mount::unmount(self.dir.path(), rustix::mount::UnmountFlags::DETACH).unwrap();
        self.mounted = false;
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if self.mounted {
            self.unmount();
        }
    }
}

/// How many sequences are tried: what was asked for, else a sample.
fn sequences(sample: u32) -> u32 {
    std::env::var("AIOS_SEQUENCES").map_or(sample, |count| count.parse().unwrap())
}

/// A call that was done.
struct Done {
    key: ExecutionKey,
    required: Vec<aios_auth::capability::Access>,
    before: Vec<String>,
}

/// The namespace with its executor and journal, and nothing before it.
struct Bench {
    home: tempfile::TempDir,
    data: PathBuf,
    fs: Arc<Fs>,
    executor: Executor<Fs>,
    token: Arc<VerifiedToken>,
    task: TaskId,
    step: u64,
    runtime: tokio::runtime::Runtime,
}

fn open(home: &Path) -> (Arc<Fs>, Executor<Fs>) {
    let paths = Paths::development(&home.join("aios"));
    let store = Store::open(&home.join("store"), Limits::default()).unwrap();
    let clock = Arc::new(SystemClock);
    let fs = Arc::new(Fs::new(Resolver::new(Protected::of(&paths)), store, clock.clone()).unwrap());
    let journal = Journal::open(&home.join("journal.db")).unwrap();
    let executor = Executor::start(Arc::clone(&fs), journal, clock).unwrap();
    (fs, executor)
}

impl Bench {
    fn new(ground: &Ground) -> Self {
        let home = tempfile::tempdir_in(ground.dir.path()).unwrap();
        let data = home.path().canonicalize().unwrap().join("data");
        fs::create_dir(&data).unwrap();
        let (fs, executor) = open(home.path());
        let guard = GuardDouble::new();
        let secrets = &guard.inner.secrets;
        let task = TaskId::new();
        let grant = Grant {
            agent: AgentId::new(),
            agent_kind: "maintenance_agent".into(),
            goal: GoalId::new(),
            task,
            capabilities: vec![format!("fs:*:{}/**", data.display()).parse().unwrap()],
            expires_at_ms: SystemClock.now_ms() + 60_000,
            tainted: false,
            autonomy: Autonomy::Full,
            epoch: 1,
        };
        let minted = Minter::new(&secrets.mint).unwrap().mint(&grant).unwrap();
        let token = Verifier::new(&secrets.mint.public())
            .unwrap()
            .verify(&minted.token, SystemClock.now_ms(), &NoRevocations)
            .unwrap();
        Self {
            home,
            data,
            fs,
            executor,
            token,
            task,
            step: 0,
            runtime: tokio::runtime::Builder::new_current_thread().build().unwrap(),
        }
    }

    fn restart(&mut self) {
        (self.fs, self.executor) = open(self.home.path());
    }

    /// Prepares and executes; the refusal's code when it was refused.
    fn run(
        &mut self,
        tool: &str,
        args: &Value,
        undo: Option<&Done>,
    ) -> Result<(ExecutionKey, Vec<aios_auth::capability::Access>), (String, String)> {
        let told = |error: ToolError| (error.code().to_owned(), error.report().message);
        self.step += 1;
        let key = ExecutionKey {
            task: self.task,
            step: self.step,
        };
        let args = self.fs.canonical(tool, &args.to_string()).map_err(told)?;
        let budget = Budget::of_ms(60_000);
        let call = Call {
            tool,
            args: &args,
            caps: &self.token.capabilities,
            key,
            budget: &budget,
        };
        let target = undo.map(|done| self.target(done));
        let prepared = match &target {
            None => self.fs.prepare(&call),
            Some(target) => self.fs.prepare_undo(&call, target),
        }
        .map_err(told)?;
        let required = prepared.required.clone();
        let job = Job {
            key,
            tool: tool.to_owned(),
            args_text: args.to_string(),
            args: args.clone(),
            identities: prepared.identities,
            digest: [7; 32],
            prepared: Vec::new(),
            token: Arc::clone(&self.token),
            target,
            budget: budget.clone(),
        };
        let executed = self.runtime.block_on(self.executor.execute(job)).map_err(told)?;
        match executed.outcome {
            Ok(_) => Ok((key, required)),
            Err(report) => Err((report.code, report.message)),
        }
    }

    fn target(&self, done: &Done) -> Target<aios_tools::fs::plan::Plan> {
        let journal = Journal::reader(&self.home.path().join("journal.db")).unwrap();
        let plan = journal.find(done.key).unwrap().unwrap().plan.unwrap();
        Target {
            key: done.key,
            required: done.required.clone(),
            plan: serde_json::from_str(&plan).unwrap(),
        }
    }

    fn undo(&mut self, done: &Done) {
        let args = json!({"task_id": self.task.to_string(), "step": done.key.step});
        let undone = self.run("fs.undo", &args, Some(done));
        undone.unwrap_or_else(|why| panic!("undo of step {}: {why:?}", done.key.step));
        assert_eq!(photo(&self.data), done.before, "undo of step {}", done.key.step);
    }
}

/// One sequence; how many of its calls had an effect.
fn sequence(ground: &Ground, seeds: &[Dice], calls: &[Dice]) -> usize {
    let mut bench = Bench::new(ground);
    for seed in seeds {
        plant(&bench.data, *seed);
    }
    let mut done: Vec<Done> = Vec::new();
    let mut count = 0;
    for dice in calls {
        match dice.0 % 16 {
            13 => bench.restart(),
            14 | 15 => {
                if let Some(last) = done.pop() {
                    bench.undo(&last);
                }
            }
            _ => {
                let before = photo(&bench.data);
                let (tool, args) = call_of(&bench.data, *dice);
                match bench.run(tool, &args, None) {
                    Ok((key, required)) => {
                        count += 1;
                        done.push(Done {
                            key,
                            required,
                            before,
                        });
                    }
                    Err((code, why)) => {
                        assert!(REFUSALS.contains(&code.as_str()), "{tool} {args}: {code} {why}");
                        assert_eq!(photo(&bench.data), before, "{tool} {args} was refused: {why}");
                    }
                }
            }
        }
    }
    bench.restart();
    while let Some(last) = done.pop() {
        bench.undo(&last);
    }
    count
}

fn dice() -> impl Strategy<Value = Dice> {
    (any::<u8>(), any::<u8>(), any::<u8>(), any::<u8>())
}

#[test]
fn whatever_was_done_is_undone_exactly_in_reverse() {
    // Only root can give files away.
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let config = Config {
        cases: sequences(64),
        failure_persistence: None,
        max_shrink_iters: 400,
        ..Config::default()
    };
    let (ground, count) = (Ground::new(), AtomicUsize::new(0));
    let strategy = (vec(dice(), 4..16), vec(dice(), 4..24));
    TestRunner::new(config)
        .run(&strategy, |(seeds, calls)| {
            count.fetch_add(sequence(&ground, &seeds, &calls), Ordering::SeqCst);
            Ok(())
        })
        .unwrap();
    let count = count.into_inner();
    eprintln!("{count} calls had an effect and were undone");
    assert!(
        count > sequences(64) as usize,
        "the sequences did next to nothing"
    );
}

const POINTS: [&str; 8] = [
    "worker.fs.before_snapshot",
    "worker.fs.after_snapshot",
    "worker.fs.mid_effect",
    "worker.fs.mid_rename",
    "worker.fs.after_effect",
    "worker.fs.before_commit",
    "worker.fs.after_commit",
    "worker.fs.before_answer",
];

/// Sends a call, into a crash when the dice say so, until it is answered; counts the crashes.
async fn through(
    house: &mut House,
    crashes: &mut usize,
    key: ExecutionKey,
    (tool, args): (&str, &Value),
    die: u8,
) -> Answer {
    let before = photo(&house.data);
    let point = POINTS.get(usize::from(die) % (2 * POINTS.len()));
    if let Some(point) = point {
        house.arm(point);
    }
    let first = house.try_call(house.token(), key, tool, args.clone()).await;
    if let Some(point) = point {
        house.disarm(point);
    }
    let broken = match first {
        Ok(answer) => return answer,
        Err(status) => status,
    };
    assert!(point.is_some(), "{tool} {args}: {broken}");
    house.after_crash().await;
    *crashes += 1;
    if house.status(key).await.state() != aios_proto::worker::v1::ExecutionState::Done {
        assert_eq!(
            photo(&house.data),
            before,
            "{tool} {args} at {point:?} left something half done"
        );
    }
    house.call_as(house.token(), key, tool, args.clone()).await
}

#[tokio::test]
async fn whatever_was_done_is_undone_exactly_though_the_worker_is_killed_in_between() {
    // Only root can give files away.
    if !aios_tests_root::as_root().unwrap() {
        return;
    }
    let mut runner = TestRunner::deterministic();
    let strategy = (vec(dice(), 4..12), vec(dice(), 12..24));
    let (mut crashes, mut undone) = (0, 0);
    for _ in 0..sequences(2) {
        use proptest::strategy::ValueTree;
        let (seeds, calls) = strategy.new_tree(&mut runner).unwrap().current();
        let mut house = House::with_process().await;
        for seed in &seeds {
            plant(&house.data, *seed);
        }
        let mut done = Vec::new();
        for dice in &calls {
            let before = photo(&house.data);
            let (tool, args) = call_of(&house.data, *dice);
            let key = house.key();
            match through(
                &mut house,
                &mut crashes,
                key,
                (tool, &args),
                dice.3.wrapping_mul(37),
            )
            .await
            {
                Answer::Done(_) => done.push((key, before, dice.3)),
                _ => assert_eq!(photo(&house.data), before, "{tool} {args} was refused"),
            }
        }
        while let Some((key, before, die)) = done.pop() {
            let undo = house.key();
            let args = json!({"task_id": key.task.to_string(), "step": key.step});
            let call = ("fs.undo", &args);
            result(through(&mut house, &mut crashes, undo, call, die.wrapping_mul(59)).await);
            assert_eq!(photo(&house.data), before, "undo of {key}");
            undone += 1;
        }
    }
    eprintln!("{undone} calls had an effect and were undone, through {crashes} kills");
    assert!(
        crashes > 0 && undone > 0,
        "nothing was killed, or nothing had an effect"
    );
}
