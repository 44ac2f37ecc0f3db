//! What must hold in a service's files beyond the types of their keys.

use super::load::Layer;
use super::{Ready, Restart, Spec};
use crate::error::{InitError, Result};
use std::collections::BTreeSet;
use std::path::{Component, Path};

/// Longest name of a service or of a socket, bytes; two of them make the name of a kept descriptor.
const LONGEST_NAME: usize = 40;
/// Sockets of one service.
const MOST_SOCKETS: usize = 8;
/// Longest path of a socket, bytes: what fits into `sockaddr_un` with its end (unix(7)).
const LONGEST_SOCKET_PATH: usize = 107;
/// `cpu.weight` and `io.weight` of cgroup v2.
const WEIGHTS: std::ops::RangeInclusive<u64> = 1..=10_000;

/// Whether `name` can be that of a service or a socket: it becomes part of paths and messages.
pub(super) fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(plain)
}

/// Checks a service that the layers make together.
///
/// # Errors
/// The first thing that is wrong, with file and line of the key.
pub(super) fn check(spec: &Spec, layers: &[Layer]) -> Result<()> {
    let checks = [run, texts, order, paths, sockets, limits, confine];
    for check in checks {
        if let Err((key, message)) = check(spec) {
            let file = place(layers, key);
            return Err(InitError::Spec { file, message });
        }
    }
    for names in [&spec.confine.capabilities, &spec.confine.capabilities_if_there] {
        aios_confine::caps::CapSet::of(names).map_err(|source| InitError::Confine {
            service: spec.name.clone(),
            source,
        })?;
    }
    Ok(())
}

/// `FILE:LINE` of a key in the last layer that has it, else the last file.
pub(super) fn place(layers: &[Layer], key: &str) -> String {
    let has = |line: &str| {
        line.trim_start()
            .strip_prefix(key)
            .is_some_and(|rest| rest.trim_start().starts_with('='))
    };
    for layer in layers.iter().rev() {
        if let Some(index) = layer.text.lines().position(has) {
            return format!("{}:{}", layer.file, index + 1);
        }
    }
    layers.last().map(|layer| layer.file.clone()).unwrap_or_default()
}

/// The key that is wrong, and why.
type Checked = std::result::Result<(), (&'static str, String)>;

fn run(spec: &Spec) -> Checked {
    if spec.command.is_empty() {
        return Err(("command", "key `command` is missing: the program to run".into()));
    }
    if spec.user.is_empty() {
        return Err(("user", "key `user` is missing: the user to run as".into()));
    }
    if spec.restart_min_ms == 0 || spec.restart_max_ms < spec.restart_min_ms {
        let message = "`restart_min_ms` must be above 0 and not above `restart_max_ms`";
        return Err(("restart_min_ms", message.into()));
    }
    if spec.ready == Ready::Exit && spec.restart == Restart::Always {
        let message = "`ready = \"exit\"` goes with `restart = \"on-failure\"` or `\"never\"`";
        return Err(("restart", message.into()));
    }
    Ok(())
}

/// A control character in a text would reach the console of whoever lists services; a NUL cannot be passed on.
fn texts(spec: &Spec) -> Checked {
    let one = |key, text: &str, free: &str| {
        let wrong = |c: &char| c.is_control() && !free.contains(*c);
        match text.chars().find(wrong) {
            None => Ok(()),
            Some(c) => Err((key, format!("`{key}` has the control character {c:?}"))),
        }
    };
    for text in &spec.command {
        one("command", text, "\n\t")?;
    }
    for (key, text) in [
        ("description", &spec.description),
        ("user", &spec.user),
        ("group", &spec.group),
    ] {
        one(key, text, "")?;
    }
    for text in &spec.groups {
        one("groups", text, "")?;
    }
    for (name, value) in &spec.environment {
        one("environment", value, "\n\t")?;
        if name.is_empty() || name.contains(['=', '\0']) {
            let message = format!("{name:?} cannot be the name of a variable");
            return Err(("environment", message));
        }
        one("environment", name, "")?;
    }
    Ok(())
}

fn order(spec: &Spec) -> Checked {
    for (key, names) in [
        ("needs", &spec.needs),
        ("wants", &spec.wants),
        ("after", &spec.after),
    ] {
        if let Some(name) = names.iter().find(|name| !is_name(name)) {
            return Err((key, format!("`{key}`: {name:?} cannot be the name of a service")));
        }
    }
    Ok(())
}

fn paths(spec: &Spec) -> Checked {
    let confine = &spec.confine;
    let lists = [
        ("hide", &confine.hide),
        ("hide_if_there", &confine.hide_if_there),
        ("bind", &confine.bind),
        ("bind_read_only", &confine.bind_read_only),
        ("bind_read_only_if_there", &confine.bind_read_only_if_there),
        ("read_only", &confine.read_only),
    ];
    let lists = lists
        .into_iter()
        .flat_map(|(key, list)| list.iter().map(move |path| (key, path)));
    let own = spec.socket.iter().map(|socket| ("path", &socket.path));
    let own = own.chain(spec.directory.iter().map(|directory| ("path", &directory.path)));
    let one = [("working_directory", &spec.working_directory)];
    let one = one.into_iter().filter(|(_, path)| !path.is_empty());
    let program = spec.command.first().map(|path| ("command", path));
    for (key, path) in lists.chain(own).chain(one).chain(program) {
        if !is_plain(path) {
            let message = format!("`{key}` is {path:?}, which is no absolute path without `..`");
            return Err((key, message));
        }
    }
    Ok(())
}

fn is_plain(path: &str) -> bool {
    let up = |part: Component<'_>| part == Component::ParentDir;
    path.starts_with('/') && !path.contains(char::is_control) && !Path::new(path).components().any(up)
}

fn sockets(spec: &Spec) -> Checked {
    if spec.socket.len() > MOST_SOCKETS {
        return Err(("path", format!("a service has at most {MOST_SOCKETS} sockets")));
    }
    let mut names = BTreeSet::new();
    for socket in &spec.socket {
        let name = socket.fd_name();
        if !is_name(&name.replace('.', "-")) {
            return Err(("name", format!("{name:?} cannot be the name of a socket")));
        }
        if socket.path.len() > LONGEST_SOCKET_PATH {
            let message = format!("a socket's path has at most {LONGEST_SOCKET_PATH} bytes");
            return Err(("path", message));
        }
        if !names.insert(name.clone()) {
            return Err(("path", format!("two sockets are named {name}")));
        }
    }
    Ok(())
}

fn limits(spec: &Spec) -> Checked {
    let limits = &spec.limits;
    if limits
        .oom_score_adj
        .is_some_and(|it| !(-1000..=1000).contains(&it))
    {
        return Err(("oom_score_adj", "`oom_score_adj` is from -1000 to 1000".into()));
    }
    for (key, weight) in [("cpu_weight", limits.cpu_weight), ("io_weight", limits.io_weight)] {
        if weight.is_some_and(|weight| !WEIGHTS.contains(&weight)) {
            return Err((key, format!("`{key}` is from 1 to 10000")));
        }
    }
    for (key, number) in [
        ("memory_bytes", limits.memory_bytes),
        ("memory_high_bytes", limits.memory_high_bytes),
        ("pids", limits.pids),
    ] {
        if number == Some(0) {
            return Err((key, format!("`{key}` is 0, which nothing runs with")));
        }
    }
    if spec.shed > 0 && spec.critical {
        return Err((
            "shed",
            "a critical service is not stopped for want of memory".into(),
        ));
    }
    Ok(())
}

fn confine(spec: &Spec) -> Checked {
    let confine = &spec.confine;
    if !confine.seccomp.is_empty() && !confine.no_new_privs {
        return Err(("seccomp", "`confine.seccomp` needs `confine.no_new_privs`".into()));
    }
    if !["services", "workers", "agents"].contains(&confine.slice.as_str()) {
        let message = format!(
            "`confine.slice` is {:?}, not services, workers or agents",
            confine.slice
        );
        return Err(("slice", message));
    }
    let modes = spec.socket.iter().map(|s| &s.mode);
    let modes = modes.chain(spec.directory.iter().map(|d| &d.mode));
    let modes = modes
        .map(|mode| ("mode", mode))
        .chain([("umask", &confine.umask)]);
    for (key, mode) in modes {
        if u32::from_str_radix(mode, 8).map_or(true, |bits| bits > 0o7777) {
            return Err((key, format!("{mode:?} is not an octal mode")));
        }
    }
    Ok(())
}
