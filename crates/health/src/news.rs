//! Telling that an update failed: the boot that finds it out opens a goal about it, with the reason.

use crate::Clients;
use aios_proto::init::v1 as init;
use aios_proto::orchestrator::v1::submit_system_goal_request::Goal;
use aios_proto::orchestrator::v1::{FailedUpdateGoal, SubmitSystemGoalRequest};

/// States a goal for each image whose failure this boot found out. The supervisor knows which are new, so that a restart of this
/// program tells nothing twice.
pub async fn tell(clients: &mut Clients, deployment: &init::DeploymentInfo) {
    for failed in deployment.failed.iter().filter(|failed| failed.new) {
        let Some(image) = &failed.deployment else { continue };
        let request = SubmitSystemGoalRequest {
            goal: Some(Goal::FailedUpdate(FailedUpdateGoal {
                image: name(image).to_owned(),
                why: failed.why.clone(),
            })),
            client_id: client_id(image, failed.found_ms),
        };
        match clients.orchestrator.submit_system_goal(request).await {
            Ok(goal) => tracing::info!(goal = goal.into_inner().goal_id, "an update failed"),
            // The supervisor's record and the console have it all the same.
            Err(status) => {
                tracing::error!(image = name(image), %status, "an update failed, and no goal could be opened about it")
            }
        }
    }
}

/// The reference that a person knows, or the digest.
fn name(image: &init::Deployment) -> &str {
    if image.image.is_empty() {
        &image.id
    } else {
        &image.image
    }
}

/// A UUID that is the same for the same failure: digits of the deployment's own digest and the time it was found out.
fn client_id(image: &init::Deployment, found_ms: i64) -> String {
    let digits: String = image
        .id
        .chars()
        .filter(char::is_ascii_hexdigit)
        .take(12)
        .collect();
    let time = format!("{:012x}", found_ms.max(0));
    let (high, low) = time.split_at(8);
    format!("{high}-{low}-7000-8000-{digits:0>12}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_failure_has_the_same_id_and_another_one_another() {
        let image = init::Deployment {
            id: "ab".repeat(64),
            ..init::Deployment::default()
        };
        let id = client_id(&image, 1_795_429_033_435);
        assert!(aios_core::id::GoalId::parse(&id).is_ok(), "{id}");
        assert_eq!(id, client_id(&image, 1_795_429_033_435));
        assert_ne!(id, client_id(&image, 1_795_429_033_436));
        let other = init::Deployment {
            id: "cd".repeat(64),
            ..image
        };
        assert_ne!(id, client_id(&other, 1_795_429_033_435));
    }
}
