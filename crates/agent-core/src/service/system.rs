//! Goals of the system itself: the canary that proves a booted image, and the news of an update that failed.
//!
//! The health service states them, which is no person: it chooses which of the two, and nothing of what they do.

use super::requests::{Submit, goal_text};
use crate::error::Error;
use crate::model::cause::Cause;
use crate::model::event::Origin;
use aios_proto::orchestrator::v1 as api;
use aios_proto::orchestrator::v1::submit_system_goal_request::Goal;

/// What the canary is, in words that a person may use too.
const CANARY: &str = "check that aiOS works";
/// Runbook about an update that failed.
const FAILED_UPDATE: &str = "failed-update";
/// Longest part of somebody's sentence that becomes a goal's, bytes.
const MAX_WHY: usize = 500;

/// What the request asks for, and what made it be stated.
pub(super) fn goal(request: api::SubmitSystemGoalRequest) -> Result<(Submit, Origin, Cause), Error> {
    let goal = request
        .goal
        .ok_or_else(|| Error::field("goal", "is missing: a canary, or a failed update"))?;
    let (text, origin, cause) = match goal {
        Goal::Canary(_) => {
            let cause = event("boot", "aiOS", "whether it works after this boot");
            (CANARY.to_owned(), Origin::Text, cause)
        }
        Goal::FailedUpdate(update) => {
            let (image, why) = (line(&update.image), line(&update.why));
            let cause = event("update.failed", &image, &why);
            let runbook = FAILED_UPDATE.to_owned();
            (
                format!("update to {image} failed: {why}"),
                Origin::Runbook { runbook },
                cause,
            )
        }
    };
    let submit = Submit {
        text: goal_text(text)?,
        priority: 7,
        autonomy: None,
        dry_run: false,
        client_id: super::requests::client_id(request.client_id)?,
    };
    Ok((submit, origin, cause))
}

fn event(event: &str, subject: &str, reason: &str) -> Cause {
    Cause::Event {
        trigger: "health".to_owned(),
        event: event.to_owned(),
        subject: subject.to_owned(),
        reason: reason.to_owned(),
    }
}

/// One line, without control characters, cut at a character.
fn line(text: &str) -> String {
    let mut line: String = text
        .chars()
        .map(|it| if it.is_control() { ' ' } else { it })
        .collect();
    line.truncate(line.floor_char_boundary(MAX_WHY));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_that_failed_is_told_in_one_clean_line() {
        let request = api::SubmitSystemGoalRequest {
            goal: Some(Goal::FailedUpdate(api::FailedUpdateGoal {
                image: "oci:/images/v3".to_owned(),
                why: format!("line\nbreak\u{7} {}", "é".repeat(400)),
            })),
            client_id: String::new(),
        };
        let (submit, origin, cause) = goal(request).unwrap();
        assert!(
            submit
                .text
                .starts_with("update to oci:/images/v3 failed: line break"),
            "{}",
            submit.text
        );
        assert!(submit.text.len() < 600 && !submit.text.contains(char::is_control));
        assert_eq!(
            origin,
            Origin::Runbook {
                runbook: "failed-update".to_owned()
            }
        );
        assert!(
            cause.phrase().contains("update.failed of oci:/images/v3"),
            "{}",
            cause.phrase()
        );
    }

    #[test]
    fn a_request_without_a_goal_is_refused() {
        let error = goal(api::SubmitSystemGoalRequest::default()).unwrap_err();
        assert!(error.to_string().contains("goal"), "{error}");
    }
}
