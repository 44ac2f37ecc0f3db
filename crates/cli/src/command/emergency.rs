//! `aiosctl emergency …`

use aios_client::system::EmergencyView;
use aios_proto::guard::v1::{EmergencyStopRequest, ResumeRequest};

use super::Ended;
use crate::args::Emergency;
use crate::exit::Exit;
use crate::instance::Instance;
use crate::person;
use crate::render::text::one_line;
use crate::terminal::Terminal;

/// Runs a verb.
pub(crate) async fn run(verb: Emergency, instance: &Instance, terminal: &mut Terminal) -> Ended {
    let mut guard = instance.services.guard().await?;
    let state = match verb {
        Emergency::Stop { reason } => {
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
