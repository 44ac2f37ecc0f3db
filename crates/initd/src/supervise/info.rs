//! What the API says of a service.

use super::clock::Stamp;
use super::launch;
use super::manager::Manager;
use super::rules;
use super::unit::{Exit, State, Unit};
use super::users;
use crate::error::Result;
use crate::spec::Spec;
use aios_confine::cgroup::Cgroup;
use aios_confine::machine::Feature;
use aios_proto::common::v1::Usage;
use aios_proto::init::v1::{self as pb, ServiceConfig, ServiceInfo};
use std::collections::BTreeMap;

impl Manager {
    /// All services, in start order.
    pub(super) fn list(&self) -> Result<Vec<ServiceInfo>> {
        let specs = self.specs();
        let units = self.order.iter().filter_map(|name| self.units.get(name));
        units.map(|unit| self.info_among(unit, &specs)).collect()
    }

    pub(super) fn info(&self, unit: &Unit) -> Result<ServiceInfo> {
        self.info_among(unit, &self.specs())
    }

    fn info_among(&self, unit: &Unit, specs: &BTreeMap<String, Spec>) -> Result<ServiceInfo> {
        let spec = &unit.spec;
        let held = self.sockets.get(&spec.name).into_iter().flatten();
        Ok(ServiceInfo {
            name: spec.name.clone(),
            state: unit.state.word().into(),
            pid: unit.pid(),
            user: spec.user.clone(),
            restarts: unit.restarts,
            ready_since_ms: unit.ready_since.utc_ms,
            ready_ms: unit.ready_ms,
            last_exit: unit.last_exit.clone(),
            usage: Some(usage(unit, launch::group_of(&self.world, spec).as_ref())),
            needs: spec.needs.clone(),
            sockets: held.map(|held| held.path.display().to_string()).collect(),
            critical: spec.critical,
            next_start_ms: if unit.state == State::Backoff {
                unit.next_start.shown(Stamp::now())
            } else {
                0
            },
            confinement: confinement(unit),
            enabled: spec.enabled,
            core: rules::is_core(&spec.name, specs),
            run: unit.run,
            started_ms: unit.started.utc_ms,
            exits: unit.exits.iter().map(exit).collect(),
            config: Some(config(spec)?),
            status: unit.status.clone(),
            changed: unit.next.is_some(),
            wanted: unit.wanted,
        })
    }
}

fn exit(exit: &Exit) -> pb::Exit {
    let number = |word: &str| exit.how.strip_prefix(word).and_then(|number| number.parse().ok());
    pb::Exit {
        time_ms: exit.time_ms,
        how: exit.how.clone(),
        code: number("exit "),
        signal: number("signal "),
        was_ready: exit.was_ready,
        ran_ms: exit.ran_ms,
        asked: exit.asked,
        out_of_memory: exit.out_of_memory,
        why: exit.why.clone(),
    }
}

fn config(spec: &Spec) -> Result<ServiceConfig> {
    // Without the account the service does not start, which its last exit says; what is known is still told.
    let directory = users::account(spec)
        .map(|account| launch::working_directory(spec, &account).display().to_string())
        .unwrap_or_else(|_| spec.working_directory.clone());
    Ok(ServiceConfig {
        description: spec.description.clone(),
        command: spec.command.clone(),
        working_directory: directory,
        user: spec.user.clone(),
        group: spec.group.clone(),
        groups: spec.groups.clone(),
        wants: spec.wants.clone(),
        after: spec.after.clone(),
        ready: spec.ready.word().into(),
        restart: spec.restart.word().into(),
        start_timeout_ms: spec.start_timeout_ms,
        stop_timeout_ms: spec.stop_timeout_ms,
        directories: spec.directory.iter().map(|it| it.path.clone()).collect(),
        memory_limit_bytes: spec.limits.memory_bytes.unwrap_or(0),
        environment_names: spec.environment.keys().cloned().collect(),
        files: spec.files.clone(),
        digest: spec.digest()?,
        apparmor: spec.confine.apparmor.clone(),
    })
}

/// What its file asks for, without what this machine does not have.
fn confinement(unit: &Unit) -> Vec<String> {
    let lacks = |what: &str| unit.degradations.iter().any(|missing| missing.what == what);
    let mut words = unit.spec.confinement();
    words.retain(|word| match word.as_str() {
        "apparmor" => !lacks(Feature::AppArmor.name()),
        "cgroup" => !lacks(Feature::Cgroup2.name()),
        _ => true,
    });
    words
}

/// Of the whole group where the kernel counts it, else of the main process.
fn usage(unit: &Unit, group: Option<&Cgroup>) -> Usage {
    let cpu_ms = group.and_then(Cgroup::cpu_us).map_or(0, |us| us / 1000);
    let rss_bytes = group
        .and_then(Cgroup::memory_bytes)
        .or_else(|| resident(unit.pid()))
        .unwrap_or(0);
    Usage { rss_bytes, cpu_ms }
}

/// Resident memory of a process, bytes.
fn resident(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace()
        .next()?
        .parse::<u64>()
        .ok()
        .map(|kib| kib * 1024)
}
