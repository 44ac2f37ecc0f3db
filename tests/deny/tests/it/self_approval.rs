//! A person's credential presented by anything that aiOS confines is refused, also when it has the
//! person's uid and key.

use std::process::Output;

use aios_confine::plan::Identity;
use aios_harness::client::{self, Task};
use aios_harness::{Instance, Options, PERSON_UID, Service, Who};
use aios_proto::guard::v1::{ApprovalState, GetApprovalRequest};
use aios_tests_deny::{Refusal, logged, path_args, start};
use anyhow::{Context, Result};

/// The guard's code for a caller that aiOS confines.
const CONFINED: &str = "AIOS-AUTH-0603";

/// A call that waits for approval, and what a captured process would run to approve it.
struct Waiting {
    aios: Instance,
    approval: String,
    probe: Vec<String>,
    _task: Task,
}

impl Waiting {
    async fn new() -> Result<Option<Self>> {
        let Some(aios) = start(Options::default())? else {
            return Ok(None);
        };
        let file = aios.file("a.log", b"text")?;
        let task = client::mint(&aios, &["fs:*:/**"]).await?;
        let approval = client::ask(&aios, &task, 1, "fs.delete", &path_args(&file)).await?;
        let digest = hex::encode(client::decision(&aios, &approval, true).await?.call_digest);
        let probe = vec![
            aios.install("deny-probe")?.to_string_lossy().into_owned(),
            aios.paths().run.to_string_lossy().into_owned(),
            aios.paths().person_key(PERSON_UID).to_string_lossy().into_owned(),
            PERSON_UID.to_string(),
            approval.clone(),
            digest,
        ];
        Ok(Some(Self {
            aios,
            approval,
            probe,
            _task: task,
        }))
    }

    fn run(&self, who: Who, confined: bool, wrap: &[&str]) -> Result<String> {
        let words: Vec<&str> = wrap
            .iter()
            .copied()
            .chain(self.probe.iter().map(String::as_str))
            .collect();
        said(&self.aios.probe(who, confined, &words)?)
    }

    async fn still_pending(&self) -> Result<()> {
        let request = GetApprovalRequest {
            approval_id: self.approval.clone(),
        };
        let approval = client::guard(&self.aios, Who::Person)?
            .get_approval(request)
            .await?
            .into_inner();
        anyhow::ensure!(approval.state() == ApprovalState::Pending, "{approval:?}");
        Ok(())
    }

    /// Checks what the probe said as `who`, and that the guard says the same in the log since `since`.
    async fn refused(&self, since: u64, who: Who, said: &str, code: &str) -> Result<()> {
        anyhow::ensure!(said == code, "{code} was wanted, not {said}");
        self.still_pending().await?;
        logged(&self.aios, since, &Refusal::of_rpc(who, "DecideApproval", code)?).await
    }

    /// Checks what the probe said where it does not come as far as the guard.
    async fn kept_out(&self, since: u64, said: &str, why: &str) -> Result<()> {
        anyhow::ensure!(said.trim() == why, "{why} was wanted, not {said}");
        self.still_pending().await?;
        let asked = client::audit_from(&self.aios, since).await?;
        anyhow::ensure!(asked.iter().all(|record| record["kind"] != "denied"), "{asked:?}");
        Ok(())
    }
}

fn said(output: &Output) -> Result<String> {
    let text = String::from_utf8(output.stdout.clone())?;
    anyhow::ensure!(output.status.success(), "{output:?}");
    Ok(text.trim().to_owned())
}

#[tokio::test]
async fn the_person_approves_from_an_ordinary_process() -> Result<()> {
    let Some(waiting) = Waiting::new().await? else {
        return Ok(());
    };
    assert_eq!(waiting.run(Who::Person, false, &[])?, "approved");
    Ok(())
}

#[tokio::test]
async fn refused_from_a_process_under_no_new_privs_with_the_persons_uid_and_key() -> Result<()> {
    let Some(waiting) = Waiting::new().await? else {
        return Ok(());
    };
    let since = client::audit_size(&waiting.aios).await?;
    let said = waiting.run(Who::Person, true, &[])?;
    waiting.refused(since, Who::Person, &said, CONFINED).await
}

#[tokio::test]
async fn refused_from_a_detached_descendant_of_a_confined_process() -> Result<()> {
    let Some(waiting) = Waiting::new().await? else {
        return Ok(());
    };
    let since = client::audit_size(&waiting.aios).await?;
    let answer = waiting.aios.tree().join("answer");
    let answer = answer.to_string_lossy();
    // Forks twice in a session of its own; the first two processes are gone before it speaks. Behind what the
    // probe says it writes its uid, the two processes, and who its parent is now.
    let detached = format!(
        "gone() {{ while read -r _ _ _ parent _ < /proc/self/stat && [ \"$parent\" = \"$1\" ]; do sleep 0.05; done; }}
        gone $0
        (gone $$; {{ \"$@\"; echo \"$(id -u) $0 $$ $parent\"; }} > {answer}.new; mv {answer}.new {answer}) &"
    );
    let script = format!("setsid sh -c '{detached}' $$ \"$@\" &");
    let words: Vec<&str> = ["sh", "-c", &script, "sh"]
        .into_iter()
        .chain(waiting.probe.iter().map(String::as_str))
        .collect();
    let output = waiting.aios.probe(Who::Person, true, &words)?;
    anyhow::ensure!(output.status.success(), "{output:?}");
    for _ in 0..200 {
        if std::fs::exists(&*answer)? {
            let said = std::fs::read_to_string(&*answer)?;
            let (code, who) = said.trim().split_once('\n').with_context(|| said.clone())?;
            let [uid, first, second, parent] = who.split(' ').collect::<Vec<_>>()[..] else {
                anyhow::bail!("{said}");
            };
            anyhow::ensure!(uid == PERSON_UID.to_string(), "{said}");
            anyhow::ensure!(parent != first && parent != second, "its parents live: {said}");
            return waiting.refused(since, Who::Person, code, CONFINED).await;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    anyhow::bail!("the detached process never answered")
}

#[tokio::test]
async fn refused_from_namespaces_of_its_own() -> Result<()> {
    let Some(waiting) = Waiting::new().await? else {
        return Ok(());
    };
    // A namespace in which the person's uid stays what it is: no other sign tells it apart.
    let since = client::audit_size(&waiting.aios).await?;
    let said = waiting.run(Who::Person, false, &["unshare", "--user", "--map-current-user"])?;
    waiting.refused(since, Who::Person, &said, CONFINED).await
}

#[tokio::test]
async fn refused_within_a_workers_confinement() -> Result<()> {
    let Some(waiting) = Waiting::new().await? else {
        return Ok(());
    };
    let aios = &waiting.aios;
    // As the worker is: neither the key nor the socket is in its view.
    let since = client::audit_size(aios).await?;
    let own = aios.run_confined(Service::WorkerFs, None, &waiting.probe)?;
    waiting.kept_out(since, &own, "no key: entity not found").await?;
    // Even with the person's uid in that confinement.
    let ids = Identity {
        uid: PERSON_UID,
        gid: PERSON_UID,
        groups: Vec::new(),
    };
    let other = aios.run_confined(Service::WorkerFs, Some(ids.clone()), &waiting.probe)?;
    waiting
        .kept_out(since, &other, "no key: entity not found")
        .await?;
    // And in that of a service which does see the guard's socket, with a copy of the key.
    let copy = aios.tree().join("stolen");
    std::fs::copy(aios.paths().person_key(PERSON_UID), &copy)?;
    std::os::unix::fs::chown(&copy, Some(PERSON_UID), Some(PERSON_UID))?;
    let mut probe = waiting.probe.clone();
    *probe.get_mut(2).context("the key")? = copy.to_string_lossy().into_owned();
    let groups = vec![
        nix::unistd::Group::from_name("aios")?
            .context("group aios")?
            .gid
            .as_raw(),
    ];
    let said = aios.run_confined(Service::Tools, Some(Identity { groups, ..ids }), &probe)?;
    waiting.refused(since, Who::Person, said.trim(), CONFINED).await
}

#[tokio::test]
async fn refused_from_every_service_with_the_persons_key() -> Result<()> {
    let Some(waiting) = Waiting::new().await? else {
        return Ok(());
    };
    let aios = &waiting.aios;
    for service in [
        Service::Tools,
        Service::WorkerFs,
        Service::Orchestrator,
        Service::Sandbox,
        Service::Memory,
        Service::Console,
    ] {
        let decision = client::decision(aios, &waiting.approval, true).await?;
        let since = client::audit_size(aios).await?;
        let answer = client::guard(aios, Who::Of(service))?
            .decide_approval(decision)
            .await;
        let status = answer.err().with_context(|| format!("{service:?} approved"))?;
        let said = client::code(&status);
        waiting
            .refused(since, Who::Of(service), &said, "AIOS-AUTH-0602")
            .await?;
    }
    Ok(())
}
