//! os.upgrade, os.switch, os.reset, os.rollback: what a call would change, changing it, taking it back, and finding out
//! after a crash whether it had been done.
//!
//! Before an image is staged it is looked at in this order: what runs is trusted, the image is signed and unaltered, it did
//! not fail here before, and there is room for it. bootc is asked what it staged, never believed to have done what it was told.

use super::error::OsError;
use super::plan::{Photo, Plan, Work};
use super::source::Source;
use super::types::{Changed, Deployment, ForceArgs, SwitchArgs};
use super::{HOST, Os, Patience};
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::fs::same_identities;
use crate::typed::{bad_input, typed, unknown, value_of};
use crate::worker::{Call, Prepared};
use aios_auth::capability::Access;
use aios_auth::level::Risk;
use aios_core::failpoint;
use aios_deployment::image::Reference;
use aios_proto::common::v1::Identity;
use serde_json::Value;
use std::fs;
use std::io::ErrorKind;

/// bootc asserts so many entries when it rolls back.
const ENTRIES: usize = 2;

/// What a call comes to.
pub(crate) struct Intent {
    work: Work,
    before: Photo,
    identities: Vec<Identity>,
    required: Vec<Access>,
    reversible: bool,
    bytes: u64,
    summary: String,
    source: Option<Source>,
}

impl Intent {
    /// One that fetches nothing and cannot be undone.
    pub(super) fn final_one(
        work: Work,
        identity: Identity,
        summary: String,
        required: Vec<Access>,
        before: Photo,
    ) -> Self {
        Self {
            work,
            before,
            identities: vec![identity],
            required,
            reversible: false,
            bytes: 0,
            summary,
            source: None,
        }
    }

    /// One that finds everything as it shall be.
    pub(crate) fn nothing(
        before: Photo,
        identities: Vec<Identity>,
        required: Vec<Access>,
        summary: String,
    ) -> Self {
        Self {
            reversible: true,
            identities,
            ..Self::final_one(Work::Nothing, Identity::default(), summary, required, before)
        }
    }

    /// One that makes an image, of one that is looked at before where that is a new one.
    pub(super) fn derive(
        work: Work,
        before: Photo,
        identities: Vec<Identity>,
        required: Vec<Access>,
        summary: String,
        source: Option<Source>,
    ) -> Self {
        Self {
            work,
            source,
            ..Self::nothing(before, identities, required, summary)
        }
    }

    /// The same under other names: what a person is asked about are packages.
    pub(super) fn named(mut self, identities: Vec<Identity>, summary: &str) -> Self {
        self.identities.extend(identities);
        self.summary = format!("{summary}. {}", self.summary);
        self
    }

    pub(crate) fn prepared(self) -> Prepared {
        Prepared {
            identities: self.identities,
            required: self.required,
            risk: Risk::High,
            mutating: true,
            reversible: self.reversible,
            files: 0,
            bytes: self.bytes,
            summary: self.summary,
        }
    }
}

/// What a call needs, if it is granted.
pub(super) fn grant(call: &Call<'_>, resource: &str) -> Result<Vec<Access>> {
    let action = call.tool.split_once('.').map_or("", |(_, action)| action);
    let access = Access::new("os", action, resource).map_err(ToolError::auth)?;
    if call.caps.allows_access(&access) {
        return Ok(vec![access]);
    }
    Err(ToolError::NotGranted {
        namespace: "os".to_owned(),
        action: action.to_owned(),
        path: resource.to_owned(),
    })
}

pub(super) fn reference(text: &str) -> Result<Reference> {
    Reference::parse(text).map_err(|problem| {
        OsError::Otherwise {
            why: format!("`{text}` is no image: {problem}"),
        }
        .into()
    })
}

/// Refuses while something is staged: bootc would drop it, and no undo could bring it back.
pub(super) fn nothing_staged(now: &Photo) -> Result<()> {
    match &now.staged {
        None => Ok(()),
        Some(staged) => Err(OsError::AlreadyStaged {
            image: staged.title(),
        }
        .into()),
    }
}

/// Refuses what is laid out as the image to go back to: bootc does nothing about it.
pub(super) fn not_the_rollback(now: &Photo, source: &Source) -> Result<()> {
    let digests = source.digests();
    match &now.rollback {
        Some(rollback) if digests.contains(&rollback.digest) => Err(OsError::IsRollback {
            image: source.title(),
        }
        .into()),
        _ => Ok(()),
    }
}

/// Names a deployment, or an image that becomes one.
pub(super) fn identity(path: String, kind: &str) -> Identity {
    Identity {
        path,
        kind: kind.to_owned(),
        ..Identity::default()
    }
}

/// Arguments of os.switch with the image as it is always written.
pub(super) fn canonical_switch(mut args: SwitchArgs) -> Result<SwitchArgs> {
    let image = Reference::parse(&args.image).map_err(|problem| bad_input("os.switch", "image", problem))?;
    args.image = image.to_string();
    Ok(args)
}

impl Os {
    pub(super) fn prepare_change(&self, call: &Call<'_>) -> Result<Prepared> {
        self.intent(call).map(Intent::prepared)
    }

    pub(super) fn plan_change(&self, call: &Call<'_>, prepared: &[Identity]) -> Result<Plan> {
        self.plan_of(call, self.intent(call)?, prepared)
    }

    /// What an intent comes to, which must be exactly what was approved.
    pub(crate) fn plan_of(&self, call: &Call<'_>, intent: Intent, prepared: &[Identity]) -> Result<Plan> {
        same_identities(prepared, &intent.identities)?;
        if let Some(source) = &intent.source {
            source.verify(call.budget)?;
        }
        Ok(Plan {
            call: call.key.to_string(),
            work: intent.work,
            reversible: intent.reversible,
            before: intent.before,
            after: None,
            result: Value::Null,
        })
    }

    fn intent(&self, call: &Call<'_>) -> Result<Intent> {
        let args = |tool| typed::<ForceArgs>(tool, call.args).map(|args| args.force);
        match call.tool {
            "os.upgrade" => {
                let required = grant(call, HOST)?;
                let before = self.now(call.budget)?;
                let force = args(call.tool)?;
                match self.recipe(&before.booted)? {
                    Some(recipe) => self.intent_rebuild(call, before, recipe, force, required),
                    None => {
                        let image = reference(&before.booted.image)?;
                        self.stage(before, None, image, force, required, call.budget)
                    }
                }
            }
            "os.switch" => {
                let wanted: SwitchArgs = typed(call.tool, call.args)?;
                let required = grant(call, &wanted.image)?;
                let image = reference(&wanted.image)?;
                let before = self.now(call.budget)?;
                self.stage(
                    before,
                    Some(image.clone()),
                    image,
                    wanted.force,
                    required,
                    call.budget,
                )
            }
            "os.reset" => {
                let required = grant(call, HOST)?;
                let before = self.now(call.budget)?;
                let image = reference(&self.shipped(&before)?)?;
                let switch = (image.to_string() != before.booted.image).then(|| image.clone());
                self.stage(before, switch, image, args(call.tool)?, required, call.budget)
            }
            "os.rollback" => self.intent_rollback(call, args(call.tool)?),
            "os.reboot" => self.intent_reboot(call),
            other => unknown(other),
        }
    }

    pub(super) fn stage(
        &self,
        before: Photo,
        switch: Option<Reference>,
        image: Reference,
        force: bool,
        required: Vec<Access>,
        budget: &Budget,
    ) -> Result<Intent> {
        self.not_on_trial(&before)?;
        let source = Source::find(self, &image, budget)?;
        let digests = source.digests();
        let is = |it: &Deployment| digests.contains(&it.digest) && it.image == image.to_string();
        let identity = identity(format!("{image}@{}", source.digest), "os-image");
        if is(&before.booted) && before.staged.is_none() || before.staged.as_ref().is_some_and(is) {
            let summary = format!("Nothing to do: {} runs or is staged already", source.title());
            return Ok(Intent::nothing(before, vec![identity], required, summary));
        }
        nothing_staged(&before)?;
        self.is_signed(&source)?;
        self.not_known_bad(&source, force)?;
        not_the_rollback(&before, &source)?;
        self.has_room(&before, &source)?;
        let (_, bytes) = source.sizes(self);
        Ok(Intent {
            summary: format!(
                "Fetch {} ({bytes} bytes) and stage it for the next start; {} runs until then",
                source.title(),
                before.booted.title()
            ),
            work: Work::Stage {
                switch,
                image,
                digests,
            },
            reversible: true,
            source: Some(source),
            bytes,
            before,
            identities: vec![identity],
            required,
        })
    }

    fn intent_rollback(&self, call: &Call<'_>, force: bool) -> Result<Intent> {
        let required = grant(call, HOST)?;
        let before = self.now(call.budget)?;
        nothing_staged(&before)?;
        let none = |why: &str| OsError::NoRollback { why: why.to_owned() };
        let other = before.rollback.clone();
        let other = other.ok_or_else(|| none("only what runs is laid out on this machine"))?;
        let names = self.on_boot_partition(|loader, _| {
            Ok(loader
                .entries()?
                .into_iter()
                .map(|it| it.name)
                .collect::<Vec<_>>())
        })?;
        if names.len() != ENTRIES {
            let why = format!(
                "the boot loader has {} entries, and bootc exchanges exactly two",
                names.len()
            );
            return Err(none(&why).into());
        }
        let target = if before.rollback_queued {
            before.booted.clone()
        } else {
            other
        };
        let digest = if target.digest.is_empty() {
            &target.id
        } else {
            &target.digest
        };
        if let Some(failure) = self.history()?.failure_of(digest).filter(|_| !force) {
            return Err(OsError::KnownBad {
                image: target.title(),
                why: failure.why.clone(),
            }
            .into());
        }
        // bootc writes both entries anew, without counters: exchanged back, one on trial would count as trusted.
        let reversible = names.iter().all(|name| name.tries.is_none());
        Ok(Intent {
            work: Work::Rollback,
            identities: vec![identity(target.id.clone(), "deployment")],
            summary: format!(
                "Start {} the next time, instead of {}",
                target.title(),
                before.next().1.title()
            ),
            reversible,
            bytes: 0,
            source: None,
            before,
            required,
        })
    }

    /// The image that this machine came with: what the configuration says, else what ran before the first switch.
    fn shipped(&self, now: &Photo) -> Result<String> {
        if !self.settings.image.is_empty() {
            return Ok(self.settings.image.clone());
        }
        match fs::read_to_string(&self.shipped) {
            Ok(image) => Ok(image.trim().to_owned()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(now.booted.image.clone()),
            Err(error) => Err(ToolError::io("read", self.shipped.to_string_lossy(), error)),
        }
    }

    /// Before the first switch: notes what to reset to.
    pub(super) fn note_shipped(&self, before: &Photo) -> Result<()> {
        if self.shipped.exists() {
            return Ok(());
        }
        super::write_file(&self.shipped, &before.booted.image)
    }

    pub(crate) fn carry_out(&self, plan: &mut Plan, budget: &Budget) -> Result<()> {
        let turn = self
            .turn(budget)
            .and_then(|turn| self.as_it_was(plan, budget).map(|()| turn));
        let _nobody_else = match turn {
            Ok(turn) => turn,
            Err(error) => {
                // Nothing was done, so nothing is taken back: what is there is somebody else's.
                plan.work = Work::Nothing;
                return Err(error);
            }
        };
        match &plan.work {
            Work::Nothing => {}
            Work::Derive { .. } => self.derive(plan, budget)?,
            Work::Lay { .. } => self.lay(plan, budget)?,
            Work::Stage {
                switch,
                digests,
                image,
            } => {
                if switch.is_some() {
                    self.note_shipped(&plan.before)?;
                }
                let said = self.fetch(switch.as_ref(), budget)?;
                failpoint::hit("worker.os.mid_effect");
                self.right_one(image, digests, &said, budget)?;
            }
            Work::Rollback => {
                self.bootc(&["rollback"], budget)?;
                failpoint::hit("worker.os.mid_effect");
            }
            Work::Unstage { .. } => self.unstage(true, budget)?,
            Work::Reboot { boot } => self.ask_reboot(&plan.call, boot, budget)?,
        }
        // What is not collected now is collected by the next change.
        if let Err(error) = self.collect(budget) {
            tracing::warn!(error = %error.report(), "images that nobody needs still take room");
        }
        let after = self.now(budget)?;
        if plan.work == Work::Rollback && after.rollback_queued == plan.before.rollback_queued {
            let why = "the same image starts next as before".to_owned();
            return Err(OsError::Otherwise { why }.into());
        }
        done(plan, after)
    }

    /// Has bootc fetch and stage; answers what it said.
    pub(super) fn fetch(&self, switch: Option<&Reference>, budget: &Budget) -> Result<String> {
        let patience = self.activity.begin("fetching").patience(budget);
        let answer = match switch {
            None => self.bootc.change(&["upgrade", "--quiet"], true, &patience),
            Some(image) => {
                let args = ["switch", "--quiet", "--transport", &image.transport, &image.name];
                self.bootc.change(&args, true, &patience)
            }
        };
        drop(patience);
        super::stopped(answer, budget)
    }

    /// Refuses when somebody changed what starts next since the plan was made.
    fn as_it_was(&self, plan: &Plan, budget: &Budget) -> Result<()> {
        match plan.work.difference(&plan.before, &self.now(budget)?) {
            None => Ok(()),
            Some(difference) => Err(ToolError::Changed {
                path: HOST.to_owned(),
                difference,
            }),
        }
    }

    /// What is staged must be what was looked at: the place that it came from may have changed meanwhile.
    pub(super) fn right_one(
        &self,
        image: &Reference,
        digests: &[String],
        said: &str,
        budget: &Budget,
    ) -> Result<()> {
        let why = match self.now(budget)?.staged {
            Some(staged) if digests.contains(&staged.digest) => return Ok(()),
            Some(staged) => format!(
                "{image} changed while it was fetched: {} is not what was looked at",
                staged.digest
            ),
            None => format!("nothing is staged; it said: {}", said.trim()),
        };
        Err(OsError::Otherwise { why }.into())
    }

    pub(super) fn bootc(&self, args: &[&str], budget: &Budget) -> Result<String> {
        super::stopped(self.bootc.change(args, false, &Patience::of(budget)), budget)
    }

    /// Drops what is staged. The first step decides: without that file a shutdown finalizes nothing. `fetched` says whether
    /// what was fetched for it goes too; else only kernels go, for which there is little room.
    pub(super) fn unstage(&self, fetched: bool, budget: &Budget) -> Result<()> {
        let file = self.settings.at(aios_deployment::staged::STAGED);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(ToolError::io("remove", file.to_string_lossy(), error));
            }
            _ => {}
        }
        failpoint::hit("worker.os.mid_unstage");
        self.on_boot_partition(|loader, _| loader.unstage())?;
        // What is not collected now is collected by the next upgrade.
        let all = ["internals", "composefs-gc", "--prune-repo"];
        let collect = if fetched { &all[..] } else { &all[..2] };
        if let Err(error) = self.bootc(collect, budget) {
            tracing::warn!(error = %error.report(), "what was staged still takes room");
        }
        Ok(())
    }

    /// Drops what a call staged, and not what another one did.
    fn unstage_own(&self, image: &Reference, budget: &Budget) -> Result<()> {
        match self.now(budget).map(|now| now.staged) {
            Ok(Some(other)) if other.image != image.to_string() => Ok(()),
            _ => self.unstage(false, budget),
        }
    }

    /// After a crash, or before taking back: ends what bootc still does for a worker that is gone.
    pub(super) fn settle(&self) -> Result<()> {
        Ok(self.bootc.settle().map_err(OsError::from)?)
    }

    pub(crate) fn was_done(&self, plan: &mut Plan, budget: &Budget) -> Result<bool> {
        let _nobody_else = self.turn(budget)?;
        self.settle()?;
        let now = self.now(budget)?;
        let complete = match &plan.work {
            Work::Nothing => true,
            Work::Stage { digests, .. } => now.staged.as_ref().is_some_and(|it| digests.contains(&it.digest)),
            // Its name is this call's and nobody else's.
            Work::Derive { image, .. } => now
                .staged
                .as_ref()
                .is_some_and(|it| it.image == image.to_string()),
            Work::Lay { name, .. } => now.laid == *name,
            Work::Rollback => now.rollback_queued != plan.before.rollback_queued,
            Work::Unstage { id } => {
                if now.staged.as_ref().is_some_and(|it| it.id == *id) {
                    return Ok(false);
                }
                self.unstage(true, budget)?;
                true
            }
            Work::Reboot { boot } => self.was_asked(&plan.call, boot)?,
        };
        if complete {
            done(plan, self.now(budget)?)?;
        }
        Ok(complete)
    }

    pub(crate) fn take_back(&self, plan: &Plan, budget: &Budget) -> Result<()> {
        let half = |error: ToolError| ToolError::HalfDone {
            key: plan.call.clone(),
            why: error.report().to_string(),
        };
        let back = || -> Result<()> {
            let _nobody_else = self.turn(budget)?;
            self.settle()?;
            match &plan.work {
                Work::Nothing => Ok(()),
                // Nothing was staged when the plan was made, so whatever is there, whole or half, came by this call, unless it
                // is whole and another image. Layers stay: a fetch that was too long for one call is done by the next.
                Work::Stage { image, .. } => self.unstage_own(image, budget),
                Work::Derive { image, .. } => {
                    self.unstage_own(image, budget)?;
                    self.tidy()?;
                    self.collect(budget)
                }
                Work::Lay { name, recipe, .. } => {
                    // What an undo goes back to is an earlier call's.
                    let own = recipe.as_ref().and(name.as_deref());
                    self.take_off(plan, own, budget)?;
                    self.tidy()?;
                    self.collect(budget)
                }
                Work::Rollback => {
                    if self.now(budget)?.rollback_queued == plan.before.rollback_queued {
                        return Ok(());
                    }
                    self.bootc(&["rollback"], budget).map(drop)
                }
                Work::Unstage { id } => match self.now(budget)?.staged {
                    Some(staged) if staged.id == *id => Ok(()),
                    _ => Err(OsError::Otherwise {
                        why: "it is not staged any more, and its entries remain".to_owned(),
                    }
                    .into()),
                },
                Work::Reboot { .. } => self.forget_reboot(),
            }
        };
        back().map_err(half)
    }
}

/// Notes what is there afterwards, and answers.
fn done(plan: &mut Plan, after: Photo) -> Result<()> {
    let (next_boot, next) = after.next();
    let then = match (&plan.work, next_boot) {
        (Work::Lay { .. }, _) => "the next start has only what its image has",
        (Work::Reboot { .. }, _) => "the machine starts again in a few seconds",
        (_, "running") => "what runs starts again the next time",
        _ => "it starts the next time: `aiosctl os reboot` starts the machine again",
    };
    let changed = plan.work != Work::Nothing;
    plan.result = value_of(&Changed {
        changed,
        next_boot: next_boot.to_owned(),
        next: next.clone(),
        then: then.to_owned(),
    })?;
    plan.after = Some(after);
    Ok(())
}
