//! What is tried of each tool. All that is wrong is collected, so that one run tells of every tool.

use super::entry::{Ends, Entry};
use super::record::{Expected, Log};
use super::scene::{Scene, difference};
use super::schema::every_wrong;
use aios_harness::client::{self, Task, plain};
use aios_harness::{Instance, Service, Who};
use aios_proto::common::v1::Autonomy;
use aios_proto::guard::v1::{ExecutionKey, StatusRequest};
use aios_proto::tools::v1::call_response::Result as Answer;
use aios_proto::tools::v1::{CallRequest, Done, ListRequest, Tool, UndoRequest};
use aios_tests_deny::HEARD;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::time::{Duration, Instant};
use tonic::Status;

/// What a refusal of arguments is.
const BAD_INPUT: &str = "AIOS-TOOLS-0002";
/// What a worker says that finds no grant.
const NOT_GRANTED: &str = "AIOS-TOOLS-0005";
/// What an undo answers that is impossible.
const NOT_UNDOABLE: &str = "AIOS-TOOLS-0018";
/// How long the machine may take until everything is as it was: a kernel makes addresses in its own time.
const SETTLES: Duration = Duration::from_secs(20);

/// Tries every row of a namespace.
pub(super) async fn walk(scene: &mut impl Scene, table: &[Entry]) -> Result<()> {
    heard(scene.aios(), table).await?;
    let mut faults = Vec::new();
    for entry in table {
        let mut walk = Walk::begin(scene, entry).await?;
        if let Err(error) = walk.go().await {
            walk.faults.push(format!("{error:#}"));
        }
        faults.extend(walk.faults.iter().map(|fault| format!("{}: {fault}", entry.tool)));
    }
    ensure!(faults.is_empty(), "\n{}", faults.join("\n"));
    Ok(())
}

/// Waits until the worker has heard of the guard, before which it changes nothing.
async fn heard(aios: &Instance, table: &[Entry]) -> Result<()> {
    let until = Instant::now() + HEARD;
    loop {
        let status = client::guard(aios, Who::Person)?.status(StatusRequest {}).await?;
        let reached = status.into_inner().workers_reached;
        if table
            .iter()
            .all(|entry| reached.iter().any(|it| it == entry.namespace()))
        {
            return Ok(());
        }
        ensure!(
            Instant::now() < until,
            "only these have heard of the guard: {reached:?}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// One tool.
struct Walk<'a, S> {
    scene: &'a mut S,
    entry: &'a Entry,
    /// How the call ends on this machine.
    ends: Ends,
    spec: Tool,
    /// Of the calls around the tool's own: it may do everything in the namespace.
    helper: Task,
    /// The last of the calls before.
    last: Option<ExecutionKey>,
    /// Name of the firewall rule that they made.
    rule: Option<String>,
    /// Everything before the tool was called.
    before: Value,
    step: u64,
    log: Log,
    faults: Vec<String>,
}

/// How a change went.
struct Changed {
    done: Done,
    key: ExecutionKey,
}

impl<'a, S: Scene> Walk<'a, S> {
    async fn begin(scene: &'a mut S, entry: &'a Entry) -> Result<Self> {
        scene.renew(entry.tool).await?;
        let namespace = entry.namespace();
        let request = ListRequest {
            namespace: namespace.to_owned(),
        };
        let tools = client::tools(scene.aios(), Who::Person)?.list(request).await?;
        let spec = tools
            .into_inner()
            .tools
            .into_iter()
            .find(|tool| tool.name == entry.tool);
        let helper = helper(scene, namespace).await?;
        let log = Log::begin(scene.aios()).await?;
        Ok(Self {
            spec: spec.context("no such tool")?,
            helper,
            last: None,
            rule: None,
            before: scene.photo().await?,
            step: 0,
            log,
            faults: Vec::new(),
            ends: entry.ends_here(),
            scene,
            entry,
        })
    }

    async fn go(&mut self) -> Result<()> {
        let origin = self.before.clone();
        for (tool, args) in self.entry.first {
            let args = self.fill(args);
            let (task, step) = (self.helper.clone(), self.next());
            let changed = self.change(&task, step, tool, &args).await;
            let changed = changed.with_context(|| format!("{tool} before it"))?;
            let result: Value = serde_json::from_str(&changed.done.result_json)?;
            let rule = result.pointer("/rule/id").and_then(Value::as_str);
            self.rule = rule.map(str::to_owned).or(self.rule.take());
            self.last = Some(changed.key);
        }
        self.before = self.scene.photo().await?;
        let wrong = self.wrong_arguments().await;
        self.note("wrong arguments", wrong);
        let denied = self.denied_without_capability().await;
        self.note("without its capability", denied);
        let rehearsed = self.rehearsed().await;
        self.note("dry run", rehearsed);
        let called = self.called().await.context("called");
        let restored = self.restore(called?, &origin).await;
        self.note("afterwards", restored);
        let logged = self.log.check(self.scene.aios()).await;
        self.note("audit log", logged);
        Ok(())
    }

    fn note(&mut self, what: &str, found: Result<()>) {
        if let Err(error) = found {
            self.faults.push(format!("{what}: {error:#}"));
        }
    }

    fn next(&mut self) -> u64 {
        self.step += 1;
        self.step
    }

    fn fill(&self, text: &str) -> String {
        let mut names = self.scene.names();
        names.extend(self.rule.clone().map(|rule| ("rule", rule)));
        if let Some(last) = &self.last {
            names.push(("task", last.task_id.clone()));
            names.push(("step", last.step.to_string()));
        }
        fill(text, &names)
    }

    fn args(&self) -> String {
        self.fill(self.entry.args)
    }

    fn needs(&self) -> Vec<String> {
        let needs = self.entry.needs.iter();
        needs.map(|need| self.fill(need)).collect()
    }

    async fn mint(&mut self, capabilities: &[String], autonomy: Autonomy) -> Result<Task> {
        let capabilities: Vec<&str> = capabilities.iter().map(String::as_str).collect();
        let request = aios_proto::guard::v1::MintRequest {
            autonomy: autonomy.into(),
            ..client::mint_request(&capabilities)
        };
        client::mint_with(self.scene.aios(), request).await
    }

    async fn call(&mut self, request: CallRequest) -> Result<Answer, Status> {
        call(self.scene, request).await
    }

    /// Nothing is other than before the tool was called.
    async fn untouched(&mut self) -> Result<()> {
        let before = self.before.clone();
        self.is_again(&before).await
    }

    async fn is_again(&mut self, wanted: &Value) -> Result<()> {
        is_again(self.scene, wanted).await
    }

    /// Every way to spoil the arguments is refused, and by name of the field.
    async fn wrong_arguments(&mut self) -> Result<()> {
        let task = self.mint(&self.needs(), Autonomy::Supervised).await?;
        let schema: Value = serde_json::from_str(&self.spec.input_schema_json)?;
        let good: Value = serde_json::from_str(&self.args())?;
        for wrong in every_wrong(&schema, &good)? {
            let step = self.next();
            let request = client::call_request(&task, step, self.entry.tool, &wrong.args);
            match self.call(request).await {
                Err(status) if client::code(&status) == BAD_INPUT => {
                    let named = format!("`{}", wrong.field);
                    ensure!(
                        status.message().contains(&named),
                        "{named} is not named: {}",
                        status.message()
                    );
                }
                other => bail!("{} should be refused with {BAD_INPUT}: {other:?}", wrong.args),
            }
        }
        self.untouched().await
    }

    /// With each capability that it needs replaced by one for another action, and by one for another thing.
    async fn denied_without_capability(&mut self) -> Result<()> {
        let (needs, args) = (self.needs(), self.args());
        for (index, held) in needs.iter().enumerate() {
            for other in others(held)? {
                let mut capabilities = needs.clone();
                if let Some(place) = capabilities.get_mut(index) {
                    place.clone_from(&other);
                }
                let task = self.mint(&capabilities, Autonomy::Full).await?;
                let request = client::call_request(&task, 1, self.entry.tool, &args);
                let answer = self.call(request).await;
                let code = client::refusal(&answer);
                let denied = matches!(answer, Ok(Answer::Denied(_))) && code.as_deref() == Some(NOT_GRANTED);
                ensure!(
                    denied,
                    "{NOT_GRANTED} was wanted with {other} for {held}: {answer:?}"
                );
                self.log
                    .expect(Expected::denied(&task.key(1), self.entry.tool, NOT_GRANTED));
            }
        }
        self.untouched().await
    }

    /// A dry run says what would be done and what policy would say, and changes nothing.
    async fn rehearsed(&mut self) -> Result<()> {
        let task = self.mint(&self.needs(), Autonomy::Supervised).await?;
        let request = CallRequest {
            dry_run: true,
            ..client::call_request(&task, 1, self.entry.tool, &self.args())
        };
        let answer = self.call(request).await;
        match &answer {
            Ok(Answer::DryRun(dry)) => {
                ensure!(
                    !dry.summary.is_empty(),
                    "it does not say what would be done: {dry:?}"
                );
                let would = dry.would.as_ref().context("what policy would say")?;
                let own_undo = self.entry.tool.ends_with(".undo");
                let wanted = if self.spec.mutating { "confirm" } else { "allow" };
                ensure!(
                    would.effect == wanted || own_undo && would.effect == "allow",
                    "{wanted} was wanted: {would:?}"
                );
                self.log
                    .expect(Expected::call("dry_run", &task.key(1), self.entry.tool));
            }
            _ => bail!("a dry run was wanted: {answer:?}"),
        }
        self.untouched().await
    }

    /// The call itself; what is left of it, if anything.
    async fn called(&mut self) -> Result<Option<Changed>> {
        let task = self.mint(&self.needs(), Autonomy::Supervised).await?;
        let args = self.args();
        match self.ends {
            Ends::Looks => {
                ensure!(!self.spec.mutating, "the registry says that it changes something");
                self.looked(&task, &args).await?;
                Ok(None)
            }
            Ends::Fails(code) => {
                self.fails(&task, &args, code).await?;
                self.untouched().await?;
                Ok(None)
            }
            Ends::Undone => self.undone(&task, &args).await.map(Some),
            Ends::Final => self.finally_done(&task, &args).await.map(Some),
        }
    }

    async fn looked(&mut self, task: &Task, args: &str) -> Result<()> {
        let request = client::call_request(task, 1, self.entry.tool, args);
        match self.call(request).await.map_err(plain)? {
            Answer::Done(done) => ensure!(
                !done.undoable && serde_json::from_str::<Value>(&done.result_json)?.is_object(),
                "{done:?}"
            ),
            other => bail!("an answer was wanted: {other:?}"),
        }
        self.log
            .expect(Expected::call("read", &task.key(1), self.entry.tool));
        self.untouched().await
    }

    /// Begun when a person has agreed, and failed with nothing changed.
    async fn fails(&mut self, task: &Task, args: &str, code: &str) -> Result<()> {
        let (tool, key) = (self.entry.tool, task.key(1));
        let approval = client::ask(self.scene.aios(), task, 1, tool, args).await?;
        self.untouched().await.context("before a person agreed")?;
        self.approved(&key, tool, &approval).await?;
        let answer = self.call(client::call_request(task, 1, tool, args)).await;
        let found = client::refusal(&answer);
        let failed = matches!(answer, Ok(Answer::Failed(_))) && found.as_deref() == Some(code);
        ensure!(failed, "{code} was wanted: {answer:?}");
        self.log.expect(Expected::call("intent", &key, tool));
        self.log.expect(Expected::outcome_failed(&key, code));
        Ok(())
    }

    /// Done when a person has agreed, and undone.
    async fn undone(&mut self, task: &Task, args: &str) -> Result<Changed> {
        let changed = self.change(task, 1, self.entry.tool, args).await?;
        ensure!(changed.done.undoable, "it says that it cannot be undone");
        let now = self.scene.photo().await?;
        ensure!(
            now != self.before,
            "it changed nothing, so undoing it proves nothing"
        );
        // The same capabilities are enough.
        let undone = self.undo(task, 2, &changed.key).await.context("its undo")?;
        self.untouched().await.context("undone")?;
        Ok(undone)
    }

    /// Done when a person has agreed, who is asked though the goal has full autonomy.
    async fn finally_done(&mut self, task: &Task, args: &str) -> Result<Changed> {
        ensure!(!self.spec.reversible, "the registry says that it can be undone");
        let free = self.mint(&self.needs(), Autonomy::Full).await?;
        let request = client::call_request(&free, 1, self.entry.tool, args);
        match self.call(request).await.map_err(plain)? {
            Answer::ApprovalRequired(_) => {}
            other => bail!("an approval was wanted at full autonomy: {other:?}"),
        }
        self.log.expect(Expected::call(
            "approval.requested",
            &free.key(1),
            self.entry.tool,
        ));
        self.untouched().await?;
        let changed = self.change(task, 1, self.entry.tool, args).await?;
        ensure!(!changed.done.undoable, "it says that it can be undone");
        let undo = UndoRequest {
            token: task.token.clone(),
            key: Some(task.key(2)),
            target: Some(changed.key.clone()),
            namespace: self.entry.namespace().to_owned(),
        };
        let answer = undo_call(self.scene, undo).await;
        let code = client::refusal(&answer);
        ensure!(
            code.as_deref() == Some(NOT_UNDOABLE),
            "{NOT_UNDOABLE} was wanted: {answer:?}"
        );
        let undo = format!("{}.undo", self.entry.namespace());
        self.log
            .expect(Expected::failed(&task.key(2), &undo, NOT_UNDOABLE));
        Ok(changed)
    }

    async fn approved(&mut self, key: &ExecutionKey, tool: &str, approval: &str) -> Result<()> {
        client::approve(self.scene.aios(), approval).await?;
        self.log.expect(Expected::call("approval.requested", key, tool));
        self.log.expect(Expected::call("approval.decided", key, tool));
        Ok(())
    }

    /// Makes a change; a person agrees when asked, as for everything but an undo.
    async fn change(&mut self, task: &Task, step: u64, tool: &str, args: &str) -> Result<Changed> {
        let before = self.scene.photo().await?;
        let request = client::call_request(task, step, tool, args);
        let mut answer = self.call(request.clone()).await.map_err(plain)?;
        if let Answer::ApprovalRequired(required) = &answer {
            self.is_again(&before).await.context("before a person agreed")?;
            self.approved(&task.key(step), tool, &required.approval_id)
                .await?;
            answer = self.call(request).await.map_err(plain)?;
        } else {
            ensure!(tool.ends_with(".undo"), "nobody was asked: {answer:?}");
        }
        self.finished(task.key(step), tool, answer)
    }

    async fn undo(&mut self, task: &Task, step: u64, target: &ExecutionKey) -> Result<Changed> {
        let namespace = self.entry.namespace();
        let request = UndoRequest {
            token: task.token.clone(),
            key: Some(task.key(step)),
            target: Some(target.clone()),
            namespace: namespace.to_owned(),
        };
        let tool = format!("{namespace}.undo");
        let mut answer = undo_call(self.scene, request.clone()).await.map_err(plain)?;
        if let Answer::ApprovalRequired(required) = &answer {
            self.approved(&task.key(step), &tool, &required.approval_id)
                .await?;
            answer = undo_call(self.scene, request).await.map_err(plain)?;
        }
        self.finished(task.key(step), &tool, answer)
    }

    fn finished(&mut self, key: ExecutionKey, tool: &str, answer: Answer) -> Result<Changed> {
        let Answer::Done(done) = answer else {
            bail!("it was to be done: {answer:?}");
        };
        self.log.expect(Expected::call("intent", &key, tool));
        self.log.expect(Expected::outcome_done(&key));
        Ok(Changed { done, key })
    }

    /// Undoes what was done before the call, so that the next row finds what this one found.
    async fn restore(&mut self, left: Option<Changed>, origin: &Value) -> Result<()> {
        let task = helper(self.scene, self.entry.namespace()).await?;
        match (self.entry.first.is_empty(), self.ends, left) {
            (true, ..) => {}
            // The call undid what was before it, and its undo did that again.
            (false, Ends::Undone, Some(undone)) if takes_back(self.entry.tool) => {
                self.undo(&task, 1, &undone.key).await?;
            }
            (false, Ends::Final, _) if takes_back(self.entry.tool) => {}
            (false, ..) => {
                for step in (1..=self.entry.first.len() as u64).rev() {
                    let target = self.helper.key(step);
                    self.undo(&task, step, &target).await?;
                }
            }
        }
        if self.ends == Ends::Final && !takes_back(self.entry.tool) {
            return Ok(());
        }
        self.is_again(origin).await
    }
}

/// Waits until everything is as it was.
pub(super) async fn is_again(scene: &mut impl Scene, wanted: &Value) -> Result<()> {
    let until = Instant::now() + SETTLES;
    loop {
        let now = scene.photo().await?;
        if now == *wanted {
            return Ok(());
        }
        ensure!(Instant::now() < until, "changed: {}", difference(wanted, &now));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Whether a tool's effect is to take another call's back.
fn takes_back(tool: &str) -> bool {
    tool.ends_with(".undo") || tool == "pkg.rollback"
}

/// Puts names' meanings into a text.
pub(super) fn fill(text: &str, names: &[(&str, String)]) -> String {
    names.iter().fold(text.to_owned(), |text, (name, meaning)| {
        text.replace(&format!("{{{name}}}"), meaning)
    })
}

/// Capabilities for another action, and for another thing.
fn others(capability: &str) -> Result<[String; 2]> {
    let (namespace, rest) = capability.split_once(':').context("a namespace")?;
    let (action, resource) = rest.split_once(':').context("an action")?;
    let elsewhere = if resource.starts_with('/') {
        "/elsewhere/**"
    } else {
        "elsewhere"
    };
    Ok([
        format!("{namespace}:nothing:{resource}"),
        format!("{namespace}:{action}:{elsewhere}"),
    ])
}

/// A task that may do everything in a namespace.
pub(super) async fn helper(scene: &mut impl Scene, namespace: &str) -> Result<Task> {
    let (names, paths) = (format!("{namespace}:*:**"), format!("{namespace}:*:/**"));
    let all: Vec<&str> = if namespace == "fs" {
        vec![&paths]
    } else {
        vec![&names, &paths]
    };
    client::mint(scene.aios(), &all).await
}

/// Makes a call as the orchestrator.
pub(super) async fn call(scene: &mut impl Scene, request: CallRequest) -> Result<Answer, Status> {
    let tools = client::tools(scene.aios(), Who::Of(Service::Orchestrator));
    let mut tools = tools.map_err(|error| Status::internal(error.to_string()))?;
    let answer = tools.call(request).await?.into_inner().result;
    answer.ok_or_else(|| Status::internal("an answer without a result"))
}

async fn undo_call(scene: &mut impl Scene, request: UndoRequest) -> Result<Answer, Status> {
    let tools = client::tools(scene.aios(), Who::Of(Service::Orchestrator));
    let mut tools = tools.map_err(|error| Status::internal(error.to_string()))?;
    let answer = tools.undo(request).await?.into_inner().result;
    answer.ok_or_else(|| Status::internal("an answer without a result"))
}
