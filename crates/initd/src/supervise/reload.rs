//! Reading the service files again while services run. Nothing is started, stopped or restarted by it: a
//! running service goes on as it was started, and its next start takes what the files say then.

use super::manager::Manager;
use super::sockets;
use super::unit::State;
use crate::error::InitError;
use crate::error::Result;
use crate::graph;
use crate::spec::{self, Spec};
use aios_proto::init::v1::ReloadServicesResponse;
use std::collections::BTreeMap;

impl Manager {
    /// Takes in new and changed files. A wrong file leaves its service as it was, and so does a circle.
    pub(super) fn reload(&mut self) -> Result<ReloadServicesResponse> {
        let (mut specs, mut errors) = self.world.specs();
        let mut known: BTreeMap<String, Spec> = self.specs();
        for (name, unit) in &self.units {
            if let Some(next) = &unit.next {
                known.insert(name.clone(), next.clone());
            }
        }
        let missing = known.keys().filter(|name| !specs.contains_key(*name));
        let gone = missing.filter(|name| !self.has_file(name)).cloned().collect();
        errors.extend(leave_out(&known, &mut specs));
        known.extend(specs.iter().map(|(name, spec)| (name.clone(), spec.clone())));
        self.order = graph::start_order(&known)?;
        let mut answer = ReloadServicesResponse {
            gone,
            errors: errors.iter().map(ToString::to_string).collect(),
            ..ReloadServicesResponse::default()
        };
        for (name, spec) in specs {
            if self.units.contains_key(&name) {
                if self.change_files(&name, spec)? {
                    answer.changed.push(name);
                }
            } else {
                self.add(&name, spec)?;
                answer.added.push(name);
            }
        }
        tracing::info!(?answer, "service files were read again");
        Ok(answer)
    }

    fn has_file(&self, name: &str) -> bool {
        let layers = self.world.paths.layers("services");
        layers
            .iter()
            .any(|layer| layer.join(format!("{name}.toml")).exists())
    }

    fn add(&mut self, name: &str, spec: Spec) -> Result<()> {
        let writer = self.logs.open(&mut self.world, &spec, &self.tasks)?;
        self.log_pipes.insert(name.to_owned(), writer);
        self.units.insert(name.to_owned(), self.switches.unit(spec));
        Ok(())
    }

    /// Whether the files of a known service say something else than before.
    fn change_files(&mut self, name: &str, spec: Spec) -> Result<bool> {
        let fresh = self.switches.unit(spec);
        let Some(unit) = self.units.get_mut(name) else {
            return Ok(false);
        };
        unit.spec.enabled = fresh.spec.enabled;
        unit.enabled_by_file = fresh.enabled_by_file;
        let digest = fresh.spec.digest()?;
        let latest = unit.next.as_ref().unwrap_or(&unit.spec).digest()?;
        unit.next = (digest != unit.spec.digest()?).then_some(fresh.spec);
        // A socket that is listened on belongs to what runs.
        if !unit.state.has_process() && unit.state != State::Listening {
            self.take_changed(name);
        }
        Ok(digest != latest)
    }

    /// Lets changed files hold, now that nothing runs by the old ones.
    pub(super) fn take_changed(&mut self, name: &str) {
        let Some(unit) = self.units.get_mut(name) else {
            return;
        };
        let Some(next) = unit.next.take() else { return };
        let enabled = unit.spec.enabled;
        let other_sockets = next.socket != unit.spec.socket || next.user != unit.spec.user;
        unit.spec = Spec { enabled, ..next };
        if other_sockets {
            self.close_sockets(name);
        }
    }

    /// Closes the sockets of a service; its next start opens them anew.
    pub(super) fn close_sockets(&mut self, name: &str) {
        for held in self.sockets.remove(name).unwrap_or_default() {
            sockets::close(&held);
            self.world.forget(&sockets::key(name, &held.name));
        }
    }
}

/// Takes those of the new specs out that could not be started beside the others; yields why.
fn leave_out(known: &BTreeMap<String, Spec>, new: &mut BTreeMap<String, Spec>) -> Vec<InitError> {
    let mut all = known.clone();
    all.extend(new.iter().map(|(name, spec)| (name.clone(), spec.clone())));
    let (_, errors) = spec::admit(&mut all);
    new.retain(|name, _| all.contains_key(name));
    errors
}
