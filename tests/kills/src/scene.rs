//! A running instance, a task whose calls need no person, and the counts.

use aios_harness::client::{self, Task};
use aios_harness::{Instance, Options, Service};
use aios_proto::tools::v1::call_response::Result as Answer;
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::fs;
use std::time::{Duration, Instant};

/// A call must be answered by then, restarts included; the machine may be busy.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// One try must be answered by then.
const TRY_LIMIT: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(50);
/// Files that one deletion deletes.
const LOGS: usize = 4;

/// A kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// One line is added to a file: doing it twice shows as two lines.
    Append,
    /// Files are deleted, then undone.
    DeleteAndUndo,
    /// An undo of a deletion is what is killed.
    Undo,
    /// The content of a file is replaced.
    Overwrite,
}

/// An instance with its counts.
pub struct Scene {
    pub(crate) aios: Instance,
    task: Task,
    step: u64,
    lines: Vec<String>,
    /// Signed heads of the log from before each kill: what was signed then must still be there.
    anchors: Vec<String>,
    /// Kills so far.
    pub kills: usize,
}

impl Scene {
    /// Starts guard, worker and tools; `None` when the test ran under `sudo` instead.
    ///
    /// # Errors
    /// They do not start.
    pub async fn start(options: Options) -> Result<Option<Self>> {
        if !aios_harness::as_root()? {
            return Ok(None);
        }
        let aios = Instance::start(options)?;
        let tree = aios.tree().canonicalize()?;
        let task = client::mint_full(&aios, &[&format!("fs:*:{}/**", tree.display())]).await?;
        aios.file("counter", b"")?;
        aios.file("page", b"first")?;
        Ok(Some(Self {
            aios,
            task,
            step: 0,
            lines: Vec::new(),
            anchors: Vec::new(),
            kills: 0,
        }))
    }

    fn path(&self, name: &str) -> String {
        self.aios.tree().join(name).to_string_lossy().into_owned()
    }

    fn next(&mut self) -> u64 {
        self.step += 1;
        self.step
    }

    /// Makes one change, killing `service` at `point` in the middle of it, and checks every count.
    ///
    /// # Errors
    /// The point was not reached, or a count is wrong.
    pub async fn kill_during(&mut self, change: Change, service: Service, point: &str) -> Result<()> {
        // A token lasts a minute; kills in a row take longer.
        self.renew().await?;
        self.anchors.push(head(&self.aios).await?);
        match change {
            Change::Append => self.append(service, point).await,
            Change::Overwrite => self.overwrite(service, point).await,
            Change::DeleteAndUndo => self.delete(service, point).await,
            Change::Undo => self.undo(service, point).await,
        }
        .with_context(|| format!("{change:?} while {} is killed at {point}", service.unit()))
    }

    async fn renew(&mut self) -> Result<()> {
        let tree = self.aios.tree().canonicalize()?;
        self.task = client::mint_full(&self.aios, &[&format!("fs:*:{}/**", tree.display())]).await?;
        self.step = 0;
        Ok(())
    }

    async fn append(&mut self, service: Service, point: &str) -> Result<()> {
        let line = format!("line {}", self.lines.len() + 1);
        let args = json!({"path": self.path("counter"), "content": format!("{line}\n"), "how": "append"});
        let step = self.next();
        self.through(service, point, step, "fs.write", &args).await?;
        self.lines.push(line);
        let counted: Vec<String> = fs::read_to_string(self.path("counter"))?
            .lines()
            .map(str::to_owned)
            .collect();
        ensure!(
            counted == self.lines,
            "{} lines instead of {}",
            counted.len(),
            self.lines.len()
        );
        self.recorded_once(step).await
    }

    async fn overwrite(&mut self, service: Service, point: &str) -> Result<()> {
        let content = format!("content at {point}");
        let args = json!({"path": self.path("page"), "content": content, "how": "overwrite"});
        let step = self.next();
        self.through(service, point, step, "fs.write", &args).await?;
        ensure!(
            fs::read_to_string(self.path("page"))? == content,
            "the page has other content"
        );
        self.recorded_once(step).await
    }

    fn logs(&self) -> Result<Vec<String>> {
        (0..LOGS)
            .map(|index| {
                let path = self.path(&format!("{index}.log"));
                if !fs::exists(&path)? {
                    self.aios.file(
                        &format!("{index}.log"),
                        format!("log {index}").repeat(1000).as_bytes(),
                    )?;
                }
                Ok(path)
            })
            .collect()
    }

    async fn delete(&mut self, service: Service, point: &str) -> Result<()> {
        let paths = self.logs()?;
        let before = contents(&paths);
        let step = self.next();
        self.through(service, point, step, "fs.delete", &json!({"paths": paths}))
            .await?;
        ensure!(
            paths.iter().all(|path| !fs::exists(path).unwrap_or(true)),
            "not all are deleted"
        );
        self.recorded_once(step).await?;
        let undo = self.next();
        let args = json!({"task_id": self.task.task.to_string(), "step": step});
        done(self.call(undo, "fs.undo", &args).await?)?;
        ensure!(contents(&paths) == before, "undo gave back something else");
        self.recorded_once(undo).await
    }

    async fn undo(&mut self, service: Service, point: &str) -> Result<()> {
        let paths = self.logs()?;
        let before = contents(&paths);
        let step = self.next();
        done(self.call(step, "fs.delete", &json!({"paths": paths})).await?)?;
        let undo = self.next();
        let args = json!({"task_id": self.task.task.to_string(), "step": step});
        self.through(service, point, undo, "fs.undo", &args).await?;
        ensure!(contents(&paths) == before, "undo gave back something else");
        self.recorded_once(undo).await
    }

    /// Sends a call into a kill, starts the service again, and sends it until it is answered.
    async fn through(
        &mut self,
        service: Service,
        point: &str,
        step: u64,
        tool: &str,
        args: &Value,
    ) -> Result<()> {
        self.aios.arm(point)?;
        let before = self.kills;
        let until = Instant::now() + ANSWER_LIMIT;
        loop {
            match self.call(step, tool, args).await {
                Ok(answer) => {
                    ensure!(!self.aios.armed(point), "nothing reached {point}");
                    // A call may be answered although the service dies right behind it.
                    if self.kills == before {
                        self.replace(service)?;
                    }
                    done(answer)?;
                    return Ok(());
                }
                Err(problem) if Instant::now() > until => bail!("no answer in time: {problem}"),
                Err(_) => {
                    // Its connections close a moment before the kernel says that it ended.
                    tokio::time::sleep(RETRY).await;
                    self.revive(service)?;
                }
            }
        }
    }

    /// Starts a service again if it died by its failpoint.
    fn revive(&mut self, service: Service) -> Result<()> {
        if self.aios.ended(service)?.is_none() {
            return Ok(());
        }
        self.replace(service)
    }

    /// Waits until a service has died by its failpoint, and starts it again.
    fn replace(&mut self, service: Service) -> Result<()> {
        self.aios.wait_killed(service)?;
        self.kills += 1;
        self.aios.restart(service)
    }

    /// A call to a dead service waits at its open socket, so each try has a limit of its own.
    async fn call(&self, step: u64, tool: &str, args: &Value) -> Result<Answer> {
        let args = args.to_string();
        let call = client::call(&self.aios, &self.task, step, tool, &args);
        tokio::time::timeout(TRY_LIMIT, call)
            .await
            .context("no answer to one try")?
            .map_err(client::plain)
    }

    /// Checks that the audit log has one intent and one outcome of a step.
    async fn recorded_once(&self, step: u64) -> Result<()> {
        let task = self.task.task.to_string();
        for (kind, wanted) in [("intent", 1), ("outcome", 1)] {
            let count = count(&self.aios, kind, &task, step).await?;
            ensure!(
                count == wanted,
                "{count} records `{kind}` of step {step} instead of {wanted}"
            );
        }
        Ok(())
    }

    /// Checks the audit log offline, with its newest head and with each from before a kill as anchor.
    ///
    /// # Errors
    /// It does not verify.
    pub async fn verify(&self) -> Result<()> {
        verify(&self.aios, &self.anchors).await
    }
}

/// The newest signed head of the log.
pub(crate) async fn head(aios: &Instance) -> Result<String> {
    let mut guard = client::guard(aios, aios_harness::Who::Person)?;
    let request = aios_proto::guard::v1::AuditHeadRequest {};
    let head = guard.audit_head(request).await.map_err(client::plain)?;
    Ok(head.into_inner().note)
}

/// Records of a kind about one step.
pub(crate) async fn count(aios: &Instance, kind: &str, task: &str, step: u64) -> Result<usize> {
    let about = |it: &Value| {
        it.get("kind").is_some_and(|it| it == kind)
            && it.pointer("/record/task_id").is_some_and(|it| it == task)
            && it
                .pointer("/record/step")
                .is_some_and(|it| it.as_u64() == Some(step))
    };
    Ok(client::audit(aios).await?.iter().filter(|it| about(it)).count())
}

/// Checks the log offline against the newest head and `anchors`.
pub(crate) async fn verify(aios: &Instance, anchors: &[String]) -> Result<()> {
    let newest = head(aios).await?;
    let directory = aios.paths().state_of("guard").join("audit");
    for anchor in anchors.iter().chain([&newest]) {
        let report = aios_audit::verify::verify_dir(&directory, Some(anchor))?;
        ensure!(
            report.ok(),
            "the audit log does not verify: {:?}",
            report.findings
        );
        ensure!(report.records > 0, "the audit log is empty");
    }
    Ok(())
}

fn contents(paths: &[String]) -> Vec<Option<Vec<u8>>> {
    paths.iter().map(|path| fs::read(path).ok()).collect()
}

fn done(answer: Answer) -> Result<Value> {
    match answer {
        Answer::Done(done) => Ok(serde_json::from_str(&done.result_json)?),
        other => bail!("the call is not done: {other:?}"),
    }
}
