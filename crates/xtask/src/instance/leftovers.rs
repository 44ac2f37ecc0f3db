//! What `make down` must not leave: processes of the services' users, containers, mounts, sockets.

use anyhow::{Result, ensure};
use std::path::Path;

use crate::host::Host;

/// Fails with the list of what is left.
pub(super) fn check(host: &Host, state: &Path) -> Result<()> {
    let mut left = processes(host, state)?;
    left.extend(mounts(state)?);
    left.extend(sockets(host, state)?);
    ensure!(left.is_empty(), "left behind:\n  {}", left.join("\n  "));
    Ok(())
}

/// Removes the sockets of an instance that was killed: nobody is there who would.
pub(super) fn clear_killed(host: &Host, state: &Path) -> Result<()> {
    let run = state.join("run");
    if run.exists() && processes(host, state)?.is_empty() {
        host.root_cmd("find")
            .arg(&run)
            .args(["-type", "s", "-delete"])
            .run()?;
    }
    Ok(())
}

/// Every process whose command line names this instance, but for shells, `tail` and what runs this check.
/// Containers are among them: conmon's command line names the store, and rootless containers cannot outlive it.
fn processes(host: &Host, state: &Path) -> Result<Vec<String>> {
    let output = host.root_cmd("ps").args(["-eo", "pid=,user=,args="]).read()?;
    let state = state.display().to_string();
    let own = std::process::id().to_string();
    Ok(output
        .lines()
        .map(str::trim)
        .filter(|line| line.split_whitespace().next() != Some(own.as_str()))
        .filter(|line| names_instance(line, &state))
        .map(|line| format!("process {line}"))
        .collect())
}

fn names_instance(line: &str, state: &str) -> bool {
    let program = line.split_whitespace().nth(2).unwrap_or_default();
    let bystander = ["cargo", "make", "xtask", "ps", "sudo", "bash", "sh", "tail"]
        .iter()
        .any(|name| program.rsplit('/').next() == Some(name));
    !bystander
        && ["vendor", "var", "run"]
            .iter()
            .any(|part| line.contains(&format!("{state}/{part}")))
}

fn mounts(state: &Path) -> Result<Vec<String>> {
    let table = std::fs::read_to_string("/proc/self/mountinfo")?;
    let state = format!("{}/", state.display());
    Ok(table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .filter(|point| point.starts_with(&state))
        .map(|point| format!("mount {point}"))
        .collect())
}

fn sockets(host: &Host, state: &Path) -> Result<Vec<String>> {
    let run = state.join("run");
    if !run.exists() {
        return Ok(Vec::new());
    }
    let output = host.root_cmd("find").arg(&run).args(["-type", "s"]).read()?;
    Ok(output.lines().map(|path| format!("socket {path}")).collect())
}

#[cfg(test)]
mod tests {
    use super::names_instance;

    #[test]
    fn services_and_conmon_count_and_shells_do_not() {
        for (line, wanted) in [
            ("12 aios-fs /w/.aios/vendor/bin/aios-worker fs", true),
            (
                "13 aios-sandbox /usr/bin/conmon --root /w/.aios/var/sandbox/storage",
                true,
            ),
            ("14 root bash -c ls /w/.aios/var", false),
            ("15 root /usr/bin/vi /w/other/var/x", false),
        ] {
            assert_eq!(names_instance(line, "/w/.aios"), wanted, "{line}");
        }
    }
}
