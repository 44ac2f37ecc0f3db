//! What a guest's lines and serial console say about its test.

use serde::Deserialize;

use super::qemu::Outcome;

/// The kernel's last words when power-off was asked for and reached.
const POWERED_OFF: &str = "reboot: Power down";

/// One line of the test channel.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    /// One thing that was checked.
    Check { check: String, ok: bool },
    /// The last line.
    Done { passed: usize, failed: usize },
}

/// The number of checks that passed, or why the run failed.
pub(super) fn verdict(outcome: &Outcome, serial: &str) -> Result<usize, String> {
    let lines: Vec<Line> = outcome
        .lines
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let failed: Vec<&str> = lines
        .iter()
        .filter_map(|line| match line {
            Line::Check { check, ok: false } => Some(check.as_str()),
            _ => None,
        })
        .collect();
    if !failed.is_empty() {
        return Err(format!("failed: {}", failed.join(", ")));
    }
    if outcome.timed_out {
        return Err("the time was over before the guest powered off".to_owned());
    }
    let Some(Line::Done { passed, failed: 0 }) = lines.last() else {
        return Err("the self-test did not reach its end".to_owned());
    };
    let counted = lines
        .iter()
        .filter(|line| matches!(line, Line::Check { .. }))
        .count();
    if counted != *passed || counted == 0 {
        return Err(format!(
            "the self-test reports {passed} checks, {counted} were seen"
        ));
    }
    if !serial.contains(POWERED_OFF) {
        return Err("the guest ended without a clean power-off".to_owned());
    }
    if !outcome.qemu_ok {
        return Err("QEMU ended with an error".to_owned());
    }
    Ok(*passed)
}

#[cfg(test)]
mod tests {
    use super::{Outcome, verdict};

    const OFF: &str = "x\n[   42.499674] reboot: Power down\n";

    fn outcome(lines: &[&str]) -> Outcome {
        Outcome {
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            timed_out: false,
            qemu_ok: true,
        }
    }

    #[test]
    fn passes_only_with_all_checks_held_the_end_reached_and_a_clean_power_off() {
        let check = r#"{"check":"undo","ok":true,"detail":"same"}"#;
        let done = r#"{"passed":1,"failed":0}"#;
        assert_eq!(verdict(&outcome(&[check, "noise", done]), OFF), Ok(1));
        for (lines, serial, part) in [
            (vec![check], OFF, "did not reach its end"),
            (vec![done], OFF, "0 were seen"),
            (vec![check, done], "", "clean power-off"),
            (
                vec![r#"{"check":"label","ok":false}"#, done],
                OFF,
                "failed: label",
            ),
            (vec![check, r#"{"passed":2,"failed":0}"#], OFF, "1 were seen"),
        ] {
            let reason = verdict(&outcome(&lines), serial).unwrap_err();
            assert!(reason.contains(part), "{reason}");
        }
        let late = Outcome {
            timed_out: true,
            ..outcome(&[check, done])
        };
        assert!(verdict(&late, OFF).unwrap_err().contains("time was over"));
        let broken = Outcome {
            qemu_ok: false,
            ..outcome(&[check, done])
        };
        assert!(verdict(&broken, OFF).unwrap_err().contains("QEMU"));
    }
}
