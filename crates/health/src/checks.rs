//! What must hold, each with the sentence that is told when it does not.

use crate::{Clients, labels};
use aios_proto::guard::v1::StatusRequest;
use aios_proto::init::v1::{ListServicesRequest, ServiceInfo};
use std::fmt;
use std::path::Path;

/// Something that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// A service cannot be asked.
    Silent {
        /// Which.
        service: &'static str,
        /// Why.
        why: String,
    },
    /// A critical service is not ready.
    NotReady {
        /// Which.
        service: String,
        /// What it is instead, and how it ended last.
        state: String,
    },
    /// A process has another label than its service file says.
    Label {
        /// Of which service.
        service: String,
        /// What the kernel says.
        found: String,
        /// What it should be.
        wanted: String,
    },
    /// No agent's container runs confined.
    NoAgent,
    /// The audit log takes no records.
    Audit(String),
    /// The canary goal was not done.
    Canary(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent { service, why } => write!(f, "{service} does not answer: {why}"),
            Self::NotReady { service, state } => write!(f, "{service} is not ready: {state}"),
            Self::Label {
                service,
                found,
                wanted,
            } => write!(f, "{service} runs as {found} instead of {wanted}"),
            Self::NoAgent => f.write_str("no agent's container runs confined"),
            Self::Audit(why) => write!(f, "the audit log takes no records: {why}"),
            Self::Canary(why) => write!(f, "the canary goal was not done: {why}"),
        }
    }
}

/// All of them but the canary, which only makes sense when these hold.
pub async fn all(clients: &mut Clients) -> Vec<Problem> {
    let services = match clients.init.list_services(ListServicesRequest {}).await {
        Ok(answer) => answer.into_inner().services,
        Err(status) => {
            return vec![Problem::Silent {
                service: "aios-init",
                why: status.message().to_owned(),
            }];
        }
    };
    let mut problems: Vec<Problem> = services.iter().filter_map(ready).collect();
    let proc = Path::new("/proc");
    if labels::enforced(Path::new("/sys/kernel/security")) {
        problems.extend(services.iter().filter_map(|service| label(proc, service)));
        if !labels::agent(proc) {
            problems.push(Problem::NoAgent);
        }
    }
    problems.extend(audit(clients).await);
    problems
}

/// A critical service must be ready, or listen for its first caller.
fn ready(service: &ServiceInfo) -> Option<Problem> {
    let well =
        !service.critical || !service.wanted || matches!(service.state.as_str(), "ready" | "listening");
    (!well).then(|| Problem::NotReady {
        service: service.name.clone(),
        state: match service.last_exit.as_str() {
            "" => service.state.clone(),
            exit => format!("{} ({exit})", service.state),
        },
    })
}

/// Every running service that names a profile must have it, enforced.
fn label(proc: &Path, service: &ServiceInfo) -> Option<Problem> {
    let profile = &service.config.as_ref()?.apparmor;
    if service.pid == 0 || profile.is_empty() || service.state != "ready" {
        return None;
    }
    // A process that is gone is looked at again, as what follows it.
    let found = labels::of(proc, service.pid)?;
    let wanted = format!("{profile} (enforce)");
    (found != wanted).then(|| Problem::Label {
        service: service.name.clone(),
        found,
        wanted,
    })
}

/// The guard reads the whole log when it starts, and refuses to start on one that was altered or cut.
async fn audit(clients: &mut Clients) -> Option<Problem> {
    match clients.guard.status(StatusRequest {}).await {
        Ok(status) => {
            let status = status.into_inner();
            (!status.audit_writable).then_some(Problem::Audit(status.audit_problem))
        }
        Err(status) => Some(Problem::Silent {
            service: "aios-guard",
            why: status.message().to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aios_proto::init::v1::ServiceConfig;
    use std::fs;

    fn service(state: &str, critical: bool) -> ServiceInfo {
        ServiceInfo {
            name: "aios-x".to_owned(),
            state: state.to_owned(),
            critical,
            wanted: true,
            pid: 7,
            last_exit: "exit 3".to_owned(),
            config: Some(ServiceConfig {
                apparmor: "aios-x".to_owned(),
                ..ServiceConfig::default()
            }),
            ..ServiceInfo::default()
        }
    }

    #[test]
    fn only_critical_services_that_should_run_must_be_ready() {
        for (state, critical, well) in [
            ("ready", true, true),
            ("listening", true, true),
            ("backoff", true, false),
            ("starting", true, false),
            ("failed", false, true),
        ] {
            assert_eq!(ready(&service(state, critical)).is_none(), well, "{state}");
        }
        let stopped = ServiceInfo {
            wanted: false,
            ..service("stopped", true)
        };
        assert_eq!(ready(&stopped), None, "a person stopped it");
        let text = ready(&service("backoff", true)).unwrap().to_string();
        assert_eq!(text, "aios-x is not ready: backoff (exit 3)");
    }

    #[test]
    fn a_label_other_than_its_own_enforced_one_is_a_problem() {
        let proc = tempfile::tempdir().unwrap();
        let attr = proc.path().join("7/attr");
        fs::create_dir_all(&attr).unwrap();
        for (label_of, well) in [
            ("aios-x (enforce)\n", true),
            ("aios-x (complain)\n", false),
            ("unconfined\n", false),
            ("aios-y (enforce)\n", false),
        ] {
            fs::write(attr.join("current"), label_of).unwrap();
            assert_eq!(
                label(proc.path(), &service("ready", true)).is_none(),
                well,
                "{label_of}"
            );
        }
        fs::remove_dir_all(proc.path().join("7")).unwrap();
        assert_eq!(label(proc.path(), &service("ready", true)), None);
    }
}
