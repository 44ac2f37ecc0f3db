//! The second half: services.
//!
//! One task, [`manager`], owns all state; everything else sends it events. Sockets, log pipes and the
//! notification socket are also stored with PID 1, and what runs is written to `run/init/state.json`,
//! so that a successor takes over without a service noticing.

mod adopt;
mod clock;
mod info;
mod keeping;
mod launch;
mod logs;
mod manager;
mod memory;
mod notify;
mod overlay;
mod persons;
mod reload;
mod requests;
mod rules;
mod server;
mod shed;
mod sockets;
mod sources;
mod stopping;
mod switches;
mod trial;
mod unit;
mod users;
mod watch;
mod watchdog;
mod world;

use crate::boot;
use crate::error::{InitError, Result};
use crate::link::End;
use crate::spec;
use aios_core::error::Report;
use aios_core::tasks::{Tasks, termination};
use manager::{Event, Manager};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::mpsc;

pub(crate) use launch::runtime_dir;
pub(crate) use users::{account, gid_or, uid_or};
pub(crate) use world::World;

/// The boot that an earlier supervisor of this instance made.
pub(crate) fn recalled_boot(world: &World) -> boot::Boot {
    world.recalled.boot.clone()
}

/// Events that may wait for the manager; senders wait when there are more.
const QUEUE: usize = 1024;

/// Runs until everything has stopped. `state` names a development tree.
pub fn run(state: Option<&Path>) -> ExitCode {
    let to_file = if state.is_none() && nix::unistd::getppid().as_raw() == 1 {
        log_to_file()
    } else {
        Ok(())
    };
    aios_core::telemetry::init("aios-init");
    if let Err(error) = to_file {
        tracing::error!(%error, "the log stays on the console");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime
        .map_err(InitError::system("cannot start the runtime"))
        .and_then(|runtime| runtime.block_on(supervise(state)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let report = Report::of(&error);
            tracing::error!(
                code = report.code,
                next_step = report.next_step,
                "{}",
                report.message
            );
            ExitCode::FAILURE
        }
    }
}

/// On a booted machine standard error is the console, which is for a person and may be a slow serial line.
fn log_to_file() -> Result<()> {
    use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
    let directory = aios_core::paths::Paths::from_env().state.join("log");
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o711)
        .create(&directory)
        .map_err(InitError::path("cannot make", &directory))?;
    let path = directory.join("aios-init.log");
    // A supervisor writes little: once, when it starts, is often enough.
    logs::rotate(&path).map_err(InitError::path("cannot set aside", &path))?;
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o640)
        .open(&path)
        .map_err(InitError::path("cannot open", &path))?;
    nix::unistd::dup2_stderr(&file).map_err(InitError::system("cannot redirect the log"))
}

/// When memory runs out the kernel looks for its victim among others: without us nothing is started again.
fn spare_us(world: &World) {
    if world.booted
        && let Err(error) = std::fs::write("/proc/self/oom_score_adj", "-900")
    {
        tracing::warn!(%error, "not spared when memory runs out");
    }
}

/// One line on the console of a booted machine. Where there is none, nobody is watching.
pub(crate) fn console(world: &World, text: &str) {
    use std::io::Write;
    if world.own_machine
        && let Ok(mut console) = std::fs::OpenOptions::new().write(true).open("/dev/console")
    {
        let _unwatched = writeln!(console, "aiOS: {}", plain(text));
    }
}

/// A text without control characters: what stands in a file or was said by a service may not steer the
/// terminal of whoever reads it.
pub(crate) fn plain(text: &str) -> String {
    text.replace(char::is_control, " ")
}

async fn supervise(state: Option<&Path>) -> Result<()> {
    let mut world = World::open(state)?;
    spare_us(&world);
    let mut boot = boot::run(&mut world);
    let (mut specs, mut errors) = world.specs();
    let (order, refused) = spec::admit(&mut specs);
    errors.extend(world.problem.take());
    errors.extend(refused);
    let errors = world.judge(errors)?;
    boot::before_services(&world, &mut specs, &mut boot)?;
    let (listener, served) = server::listen(&mut world)?;
    let tasks = Tasks::new();
    boot::end_of_udevs_wait(&world, &tasks);
    let (events, inbox) = mpsc::channel(QUEUE);
    let mut manager = Manager::new(world, specs, order, boot, events.clone(), tasks.clone())?;
    manager.refused(&errors);
    listen_for_signals(&tasks, events.clone());
    server::start(&manager, listener, events, &tasks);
    let (end, world) = manager.run(inbox).await;
    let in_time = tasks.shutdown(Duration::from_secs(5)).await;
    tracing::info!(end = end.word(), in_time, "everything has stopped");
    drop(served);
    finalize(&world, end).await;
    world.ended(end);
    memory::forget(&world);
    Ok(())
}

/// The last thing before a machine goes down: an image that is staged becomes the one that boots next. When that fails the
/// one that runs boots again, and the console says why.
async fn finalize(world: &World, end: End) {
    let Some(running) = world.deployment.as_ref().filter(|_| end != End::Exit) else {
        return;
    };
    let tell = |text: &str| {
        world.more_time();
        console(world, text);
    };
    let tries = world.config.trial_tries;
    match crate::deployment::finalize(running, &world.places(), tries, tell).await {
        Ok(Some(next)) => {
            let text = format!("image {} boots next, on trial", next.id.short());
            tracing::info!("{text}");
            console(world, &text);
        }
        Ok(None) => {}
        Err(error) => {
            tracing::error!(%error, "the staged image was not finalized");
            console(
                world,
                &format!("the staged image was not finalized, this one boots again: {error}"),
            );
        }
    }
}

/// SIGTERM and SIGINT stop everything in order.
fn listen_for_signals(tasks: &Tasks, events: mpsc::Sender<Event>) {
    let token = tasks.token();
    tasks.spawn("signals", async move {
        tokio::select! {
            () = token.cancelled() => {}
            result = termination() => {
                if let Err(error) = result {
                    tracing::error!(%error, "cannot hear signals");
                }
                // Without a manager there is nothing left to stop.
                let _ended = events.send(Event::End(End::Exit)).await;
            }
        }
    });
}
