//! The canary: a goal that changes nothing and touches everything on a goal's way.

use crate::checks::Problem;
use aios_core::id::GoalId;
use aios_proto::orchestrator::v1::orchestrator_client::OrchestratorClient;
use aios_proto::orchestrator::v1::submit_system_goal_request::Goal as Kind;
use aios_proto::orchestrator::v1::{CanaryGoal, Goal, GoalState, SubmitSystemGoalRequest};
use tonic::transport::Channel;

/// Canaries that may fail before the system counts as not healthy for good: an agent may just have been restarted.
const ATTEMPTS: u32 = 3;

/// One canary, and those before it that failed.
#[derive(Debug)]
pub struct Canary {
    /// Chosen by us: asking with it again answers how the goal stands.
    client_id: String,
    failed: u32,
    last: Option<Problem>,
}

impl Canary {
    /// Not stated yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            client_id: GoalId::new().to_string(),
            failed: 0,
            last: None,
        }
    }

    /// States it, or asks how it stands. None: it was done and verified.
    pub async fn look(&mut self, orchestrator: &mut OrchestratorClient<Channel>) -> Option<Problem> {
        if self.failed >= ATTEMPTS {
            return self.last.clone();
        }
        let request = SubmitSystemGoalRequest {
            goal: Some(Kind::Canary(CanaryGoal {})),
            client_id: self.client_id.clone(),
        };
        match orchestrator.submit_system_goal(request).await {
            Ok(goal) => self.judge(goal.into_inner()),
            Err(status) => Some(Problem::Canary(status.message().to_owned())),
        }
    }

    fn judge(&mut self, goal: Goal) -> Option<Problem> {
        match goal.state() {
            GoalState::Completed => None,
            GoalState::Failed | GoalState::Cancelled => {
                let problem = Problem::Canary(format!("goal {}: {}", goal.goal_id, goal.status_line));
                *self = Self {
                    failed: self.failed + 1,
                    last: Some(problem.clone()),
                    ..Self::new()
                };
                Some(problem)
            }
            _ => Some(Problem::Canary(format!(
                "goal {} is not done yet: {}",
                goal.goal_id, goal.status_line
            ))),
        }
    }
}

impl Default for Canary {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goal(state: GoalState) -> Goal {
        Goal {
            goal_id: "g".to_owned(),
            state: state.into(),
            status_line: "said so".to_owned(),
            ..Goal::default()
        }
    }

    #[test]
    fn only_a_completed_canary_is_well_and_each_failure_is_another_goal() {
        let mut canary = Canary::new();
        let first = canary.client_id.clone();
        assert!(canary.judge(goal(GoalState::InProgress)).is_some());
        assert_eq!(canary.client_id, first);
        assert!(
            canary
                .judge(goal(GoalState::Failed))
                .unwrap()
                .to_string()
                .contains("said so")
        );
        assert_ne!(canary.client_id, first);
        assert_eq!(canary.failed, 1);
        assert_eq!(canary.judge(goal(GoalState::Completed)), None);
    }

    #[tokio::test]
    async fn after_three_failures_none_is_stated_any_more() {
        let mut canary = Canary::new();
        for _ in 0..ATTEMPTS {
            canary.judge(goal(GoalState::Failed));
        }
        let nobody = aios_core::rpc::channel(std::path::Path::new("/nowhere"));
        let problem = canary.look(&mut OrchestratorClient::new(nobody)).await.unwrap();
        assert!(problem.to_string().contains("said so"), "{problem}");
    }
}
