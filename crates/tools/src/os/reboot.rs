//! os.reboot: the machine starts again, once the call is on record and answered. The wish lies in a file until init has heard
//! it, with the kernel's number of this boot: a worker that is killed meanwhile asks when it comes back, and never in
//! another boot.

use super::change::{Intent, grant, identity};
use super::plan::Work;
use super::{HOST, Os};
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::worker::{Call, Expired};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time for asking init.
const ASKING_MS: u64 = 30_000;
/// After this init is asked again.
const AGAIN: Duration = Duration::from_secs(5);

/// The wish.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Wish {
    call: String,
    boot: String,
    due_ms: u64,
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

impl Os {
    pub(super) fn intent_reboot(&self, call: &Call<'_>) -> Result<Intent> {
        let required = grant(call, HOST)?;
        let before = self.now(call.budget)?;
        let next = before.next().1.clone();
        Ok(Intent::final_one(
            Work::Reboot { boot: self.boot()? },
            identity(next.id.clone(), "deployment"),
            format!("Start the machine again, with {}", next.title()),
            required,
            before,
        ))
    }

    /// The kernel's number of this boot.
    fn boot(&self) -> Result<String> {
        let path = self.settings.at("/proc/sys/kernel/random/boot_id");
        let text = fs::read_to_string(&path)
            .map_err(|error| ToolError::io("read", path.to_string_lossy(), error))?;
        Ok(text.trim().to_owned())
    }

    pub(super) fn ask_reboot(&self, call: &str, boot: &str, budget: &Budget) -> Result<()> {
        // Who cannot reach it learns it now, not after everybody was told that the machine starts again.
        self.init.deployment(budget)?;
        let wish = Wish {
            call: call.to_owned(),
            boot: boot.to_owned(),
            due_ms: now_ms().saturating_add(self.settings.reboot_after_ms),
        };
        let text = serde_json::to_string(&wish).map_err(|error| ToolError::Defect(error.to_string()))?;
        super::write_file(&self.wish, &text)
    }

    /// Whether the wish of a call is noted, or was granted.
    pub(super) fn was_asked(&self, call: &str, boot: &str) -> Result<bool> {
        let noted = self.read_wish()?.is_some_and(|wish| wish.call == call);
        Ok(noted || self.boot()? != boot)
    }

    pub(super) fn forget_reboot(&self) -> Result<()> {
        match fs::remove_file(&self.wish) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(ToolError::io("remove", self.wish.to_string_lossy(), error))
            }
            _ => Ok(()),
        }
    }

    fn read_wish(&self) -> Result<Option<Wish>> {
        match fs::read_to_string(&self.wish) {
            Ok(text) => serde_json::from_str(&text)
                .map(Some)
                .map_err(|_| ToolError::Corrupt {
                    what: self.wish.display().to_string(),
                }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ToolError::io("read", self.wish.to_string_lossy(), error)),
        }
    }

    /// Asks init when the time has come.
    pub(super) fn reboot_when_due(&self) -> Result<Expired> {
        let Some(wish) = self.read_wish()? else {
            return Ok(Expired::default());
        };
        let wait = |time| Expired {
            taken_back: Vec::new(),
            again_in: Some(time),
        };
        if wish.boot != self.boot()? {
            self.forget_reboot()?;
            return Ok(Expired::default());
        }
        // A clock that was set back must not put it off for long.
        let left = wish
            .due_ms
            .saturating_sub(now_ms())
            .min(self.settings.reboot_after_ms);
        if left > 0 {
            return Ok(wait(Duration::from_millis(left)));
        }
        match self.init.shutdown("reboot", &Budget::of_ms(ASKING_MS)) {
            Ok(()) => {
                self.forget_reboot()?;
                Ok(Expired::default())
            }
            Err(error) => {
                tracing::error!(error = %error.report(), "the machine was to start again, and init does not do it");
                Ok(wait(AGAIN))
            }
        }
    }
}
