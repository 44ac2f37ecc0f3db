//! service.list, service.status, service.logs.

use super::init::Init;
use super::plan::needing;
use super::types::{Exit, Line, List, Logs, LogsArgs, Status, Summary};
use crate::budget::Budget;
use crate::error::Result;
use aios_proto::init::v1 as pb;

/// Lines that init keeps of each service.
const KEPT: u32 = 1000;
/// Most text that service.logs answers, bytes.
const LARGEST: usize = 1 << 20;

pub(super) fn list(init: &Init, budget: &Budget) -> Result<List> {
    let services = init.list(budget)?;
    Ok(List {
        services: services.iter().map(summary).collect(),
    })
}

fn summary(info: &pb::ServiceInfo) -> Summary {
    let description = info.config.as_ref().map(|config| config.description.clone());
    Summary {
        name: info.name.clone(),
        description: description.unwrap_or_default(),
        state: info.state.clone(),
        enabled: info.enabled,
        core: info.core,
        pid: (info.pid != 0).then_some(info.pid),
        restarts: info.restarts,
        last_exit: info.last_exit.clone(),
    }
}

/// `now` are all services, `info` is one of them.
pub(super) fn status(info: &pb::ServiceInfo, now: &[pb::ServiceInfo]) -> Status {
    let config = info.config.clone().unwrap_or_default();
    let usage = info.usage.unwrap_or_default();
    let time = |ms: i64| (ms != 0).then_some(ms);
    Status {
        service: summary(info),
        status: info.status.clone(),
        wanted: info.wanted,
        run: info.run,
        started_ms: time(info.started_ms),
        ready_since_ms: time(info.ready_since_ms),
        next_start_ms: time(info.next_start_ms),
        exits: info.exits.iter().map(exit).collect(),
        memory_bytes: usage.rss_bytes,
        memory_limit_bytes: (config.memory_limit_bytes != 0).then_some(config.memory_limit_bytes),
        cpu_ms: usage.cpu_ms,
        command: config.command,
        working_directory: config.working_directory,
        user: config.user,
        group: config.group,
        groups: config.groups,
        sockets: info.sockets.clone(),
        directories: config.directories,
        needs: info.needs.clone(),
        wants: config.wants,
        needed_by: needing(&info.name, now).into_iter().map(str::to_owned).collect(),
        ready_by: config.ready,
        restart: config.restart,
        start_timeout_ms: config.start_timeout_ms,
        environment_names: config.environment_names,
        files: config.files,
        files_changed: info.changed,
        confinement: info.confinement.clone(),
    }
}

fn exit(exit: &pb::Exit) -> Exit {
    Exit {
        time_ms: exit.time_ms,
        how: exit.how.clone(),
        code: exit.code,
        signal: exit.signal,
        was_ready: exit.was_ready,
        ran_ms: exit.ran_ms,
        asked: exit.asked,
        out_of_memory: exit.out_of_memory,
    }
}

pub(super) fn logs(init: &Init, args: &LogsArgs, budget: &Budget) -> Result<Logs> {
    let lines = init.logs(&args.name, KEPT, budget)?;
    Ok(choose(lines, args))
}

/// The newest lines that fit, as many as asked for and as there is room for.
fn choose(lines: Vec<pb::LogLine>, args: &LogsArgs) -> Logs {
    let fits = |line: &pb::LogLine| {
        args.since_ms.is_none_or(|since| line.time_ms >= since)
            && args.contains.as_ref().is_none_or(|text| line.text.contains(text))
    };
    let fitting: Vec<pb::LogLine> = lines.into_iter().filter(fits).collect();
    let (count, most) = (fitting.len(), usize::try_from(args.lines).unwrap_or(usize::MAX));
    let mut room = LARGEST;
    let mut chosen: Vec<Line> = Vec::new();
    for line in fitting.into_iter().rev().take(most) {
        let Some(left) = room.checked_sub(line.text.len()) else {
            break;
        };
        room = left;
        chosen.push(Line {
            time_ms: line.time_ms,
            text: line.text,
        });
    }
    chosen.reverse();
    Logs {
        left_out: (count - chosen.len()) as u64,
        lines: chosen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(time_ms: i64, text: &str) -> pb::LogLine {
        pb::LogLine {
            time_ms,
            text: text.into(),
            ..pb::LogLine::default()
        }
    }

    #[test]
    fn the_newest_lines_that_fit_are_chosen() {
        let lines = vec![
            line(1, "error: a"),
            line(2, "fine"),
            line(3, "error: b"),
            line(4, "error: c"),
        ];
        let ask = |lines: u32, since_ms, contains: Option<&str>| LogsArgs {
            name: "x".into(),
            lines,
            since_ms,
            contains: contains.map(str::to_owned),
        };
        for (args, wanted, left_out) in [
            (ask(100, None, None), &[1, 2, 3, 4][..], 0),
            (ask(2, None, Some("error")), &[3, 4], 1),
            (ask(100, Some(3), None), &[3, 4], 0),
            (ask(100, Some(2), Some("error: b")), &[3], 0),
            (ask(1, None, Some(".*")), &[], 0),
        ] {
            let found = choose(lines.clone(), &args);
            let times: Vec<i64> = found.lines.iter().map(|line| line.time_ms).collect();
            assert_eq!((times.as_slice(), found.left_out), (wanted, left_out), "{args:?}");
        }
        let long = vec![line(1, &"x".repeat(LARGEST)), line(2, "y")];
        let found = choose(long, &ask(10, None, None));
        assert_eq!(
            (found.lines, found.left_out),
            (
                vec![Line {
                    time_ms: 2,
                    text: "y".into()
                }],
                1
            )
        );
    }
}
