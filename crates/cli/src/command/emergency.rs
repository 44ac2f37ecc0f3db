//! `aiosctl emergency …`

use aios_client::system::EmergencyView;
use aios_proto::guard::v1::{EmergencyStopRequest, ResumeRequest};

use super::Ended;
use crate::args::{DEFAULT_REASON, Emergency};
use crate::exit::Exit;
use crate::instance::Instance;
use crate::person;
use crate::render::text::one_line;
use crate::terminal::Terminal;

/// Longest reason that is sent, characters.
const MAX_REASON: usize = 1000;

/// Runs a verb.
pub(crate) async fn run(verb: Emergency, instance: &Instance, terminal: &mut Terminal) -> Ended {
    let mut guard = instance.services.guard().await?;
    let state = match verb {
        Emergency::Stop { reason } => {
            let reason = worth_sending(&reason);
            let request = EmergencyStopRequest { reason, proof: None };
            guard.emergency_stop(person::prove(request, instance)?).await?
        }
        Emergency::Resume => {
            guard
                .resume(person::prove(ResumeRequest { proof: None }, instance)?)
                .await?
        }
    };
    let state = EmergencyView::from(state.into_inner());
    if terminal.json() {
        terminal.document(&state);
    } else if state.stopped {
        terminal.line(format!(
            "stopped by {}: {}",
            one_line(&state.by),
            one_line(&state.reason)
        ));
        terminal.line("nothing is changed until: aiosctl emergency resume");
    } else {
        terminal.line("resumed: agents may work again");
    }
    Ok(Exit::Done)
}

/// Nobody is kept from stopping everything by what they say about it: nothing said becomes the usual
/// words, and what is too long is cut.
fn worth_sending(reason: &str) -> String {
    match reason.trim() {
        "" => DEFAULT_REASON.to_owned(),
        said if said.chars().nth(MAX_REASON).is_some() => {
            let kept: String = said.chars().take(MAX_REASON).collect();
            format!("{kept}…")
        }
        said => said.to_owned(),
    }
}
