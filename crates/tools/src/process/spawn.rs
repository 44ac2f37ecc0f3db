//! process.spawn: what may be run, as whom, with what.
//!
//! The program is named by its real path: a symbolic link that leads to something that is not granted is
//! refused. It is no way to start a daemon: nothing that it starts outlives the call.

use super::Process;
use super::args::SpawnArgs;
use super::plan::{Launch, Mark, Marks};
use super::run;
use super::table::printable;
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::fs::resolve::normalize;
use crate::fs::same_identities;
use crate::typed::{bad_input, typed, value_of};
use crate::worker::{Call, Prepared};
use aios_auth::capability::Access;
use aios_auth::level::Risk;
use aios_auth::peer::Roles;
use aios_proto::common::v1::Identity;
use nix::unistd::{Uid, User};
use serde_json::Value;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

const NAME: &str = "process.spawn";
/// Longest time that a program may run, milliseconds: other calls wait meanwhile.
pub(super) const LONGEST_MS: u64 = 120_000;
/// Most bytes kept of a stream.
const MOST_OUTPUT: u64 = 262_144;
/// Most arguments, and variables.
const MOST_WORDS: usize = 256;
/// Most bytes of all arguments and variables together.
const MOST_BYTES: usize = 65_536;
/// Longest command line that a person is shown, characters.
const SHOWN: usize = 300;

/// Checks arguments and brings them to their one form.
pub(super) fn canonical(mut args: SpawnArgs) -> Result<SpawnArgs> {
    args.path = normalize(&args.path)?;
    args.cwd = normalize(&args.cwd)?;
    if !(1..=LONGEST_MS).contains(&args.run_ms) {
        return Err(bad_input(NAME, "run_ms", "must be 1 to 120000"));
    }
    if args.max_output_bytes > MOST_OUTPUT {
        return Err(bad_input(NAME, "max_output_bytes", "must be 0 to 262144"));
    }
    crate::typed::plain_name(NAME, "user", &args.user)?;
    if args.arguments.len() > MOST_WORDS || args.env.len() > MOST_WORDS {
        return Err(bad_input(NAME, "arguments", "there are more than 256"));
    }
    for (index, argument) in args.arguments.iter().enumerate() {
        if argument.contains('\0') {
            return Err(bad_input(NAME, &format!("arguments[{index}]"), "holds a NUL"));
        }
    }
    for (name, value) in &args.env {
        variable(name, value)?;
    }
    let words = args.arguments.iter().map(String::len).sum::<usize>();
    let bytes = words
        + args
            .env
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum::<usize>();
    if bytes > MOST_BYTES {
        return Err(ToolError::TooLarge {
            what: "all arguments and variables together, in bytes,",
            actual: bytes as u64,
            limit: MOST_BYTES as u64,
        });
    }
    Ok(args)
}

/// A variable must have a plain name, and must not make the dynamic loader run something else.
fn variable(name: &str, value: &str) -> Result<()> {
    let field = format!("env.{}", printable(name).chars().take(60).collect::<String>());
    let plain = name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_')
        && name.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    let problem = if !plain {
        "must be letters, digits and `_`"
    } else if name.starts_with("LD_") || name == "GLIBC_TUNABLES" {
        "is heeded by the dynamic loader, and could make it run what was not granted"
    } else if value.contains('\0') {
        "holds a NUL"
    } else {
        return Ok(());
    };
    Err(bad_input(NAME, &field, problem))
}

/// The user that a program runs as.
fn user(name: &str, roles: &Roles) -> Result<User> {
    let found = match name.parse::<u32>() {
        Ok(uid) => User::from_uid(Uid::from_raw(uid)),
        Err(_) => User::from_name(name),
    };
    let found = found.map_err(|errno| {
        let error = std::io::Error::from_raw_os_error(errno as i32);
        ToolError::io("look up", format!("user {name}"), error)
    })?;
    let found = found.ok_or_else(|| ToolError::NotFound {
        path: format!("user {name}"),
    })?;
    if roles.is_service(found.uid.as_raw()) {
        return Err(ToolError::Protected {
            path: format!("user {}", found.name),
        });
    }
    Ok(found)
}

/// What a call would run.
struct Target {
    launch: Launch,
    user: String,
    required: Vec<Access>,
}

impl Target {
    fn identity(&self) -> Identity {
        Identity {
            path: self.launch.path.clone(),
            dev: self.launch.dev,
            ino: self.launch.ino,
            kind: "file".to_owned(),
        }
    }
}

fn target(process: &Process, call: &Call<'_>) -> Result<Target> {
    let args: SpawnArgs = typed(NAME, call.args)?;
    // Of what is not granted not even whether it exists is told.
    Process::granted(call, "spawn", &args.path)?;
    let (path, meta) = program(&args.path)?;
    if path != args.path && !call.caps.allows("process", "spawn", &path) {
        return Err(ToolError::LeavesRoot {
            root: args.path.clone(),
            path: args.path,
            by: "symbolic link",
        });
    }
    let mut required = vec![Process::granted(call, "spawn", &path)?];
    let user = user(&args.user, &process.roles)?;
    if user.uid.is_root() {
        required.push(Process::granted(call, "spawn_as_root", &path)?);
    }
    let needed = Duration::from_millis(args.run_ms) + run::MARGIN;
    if needed > call.budget.left() + run::MARGIN {
        return Err(bad_input(
            NAME,
            "run_ms",
            "is longer than the time that the call is given",
        ));
    }
    if !Path::new(&args.cwd).is_dir() {
        return Err(bad_input(
            NAME,
            "cwd",
            "is not a directory, or cannot be looked at",
        ));
    }
    let launch = Launch {
        path,
        dev: meta.dev(),
        ino: meta.ino(),
        env: run::environment(&args.env),
        arguments: args.arguments,
        cwd: args.cwd,
        uid: user.uid.as_raw(),
        gid: user.gid.as_raw(),
        run_ms: args.run_ms,
        max_output_bytes: args.max_output_bytes,
    };
    Ok(Target {
        launch,
        user: user.name,
        required,
    })
}

/// The real path of a program, and what lies there.
fn program(path: &str) -> Result<(String, std::fs::Metadata)> {
    let real = std::fs::canonicalize(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => ToolError::NotFound {
            path: path.to_owned(),
        },
        _ => ToolError::io("look at", path, error),
    })?;
    let Some(text) = real.to_str().map(str::to_owned) else {
        return Err(ToolError::BadPath {
            path: real.to_string_lossy().into_owned(),
            problem: "it leads to a name that is no UTF-8",
        });
    };
    let meta = std::fs::metadata(&real).map_err(|error| ToolError::io("look at", &text, error))?;
    let is = if meta.is_dir() {
        "directory"
    } else if !meta.is_file() {
        "special file"
    } else if meta.mode() & 0o111 == 0 {
        "file that nobody may execute"
    } else {
        return Ok((text, meta));
    };
    Err(ToolError::WrongKind {
        path: text,
        is,
        wanted: "a program",
    })
}

pub(super) fn prepare(process: &Process, call: &Call<'_>) -> Result<Prepared> {
    let target = target(process, call)?;
    let words = target
        .launch
        .arguments
        .iter()
        .map(|word| format!(" {}", printable(word)));
    let line = format!("{}{}", target.launch.path, words.collect::<String>());
    let mut shown: String = line.chars().take(SHOWN).collect();
    if shown.len() < line.len() {
        shown.push('…');
    }
    Ok(Prepared {
        identities: vec![target.identity()],
        required: target.required,
        risk: Risk::High,
        mutating: true,
        reversible: false,
        files: 0,
        bytes: 0,
        summary: format!(
            "Run `{shown}` as {} for at most {} ms; what it does cannot be undone",
            target.user, target.launch.run_ms
        ),
    })
}

pub(super) fn plan(process: &Process, call: &Call<'_>, identities: &[Identity]) -> Result<Launch> {
    let target = target(process, call)?;
    same_identities(identities, &[target.identity()])?;
    Ok(target.launch)
}

/// Runs it; what the call answers.
pub(super) fn apply(marks: &Marks, tag: &str, launch: &Launch, budget: &Budget) -> Result<Value> {
    marks.forget_ended()?;
    let now =
        std::fs::metadata(&launch.path).map_err(|error| ToolError::io("look at", &launch.path, error))?;
    if (now.dev(), now.ino()) != (launch.dev, launch.ino) {
        return Err(ToolError::Changed {
            path: launch.path.clone(),
            difference: "another file is there now".to_owned(),
        });
    }
    marks.write(tag, &Mark::Begun)?;
    let running = match run::start(launch) {
        Ok(running) => running,
        Err(error) => {
            // It was not started, so nothing of the call remains.
            marks.remove(tag)?;
            return Err(error);
        }
    };
    let known = running
        .process()
        .and_then(|process| marks.write(tag, &Mark::Running { process }));
    aios_core::failpoint::hit("worker.process.mid_effect");
    let result = value_of(&running.wait(launch, known, budget)?)?;
    let mark = Mark::Ended {
        result: result.clone(),
        kept: false,
    };
    marks.write(tag, &mark)?;
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn args(more: Value) -> Result<SpawnArgs> {
        let mut all = json!({"path": "/usr/bin/true"});
        let given = more.as_object().unwrap().clone();
        all.as_object_mut().unwrap().extend(given);
        canonical(serde_json::from_value(all).unwrap())
    }

    #[test]
    fn what_could_run_something_else_is_refused() {
        for bad in [
            json!({"path": "true"}),
            json!({"path": "/usr/../bin/true"}),
            json!({"path": "/usr/bin/tr\0ue"}),
            json!({"cwd": "tmp"}),
            json!({"arguments": ["a\0b"]}),
            json!({"arguments": vec!["a"; 257]}),
            json!({"arguments": ["a".repeat(70_000)]}),
            json!({"env": {"LD_PRELOAD": "/tmp/x.so"}}),
            json!({"env": {"GLIBC_TUNABLES": "x"}}),
            json!({"env": {"A=B": "x"}}),
            json!({"env": {"": "x"}}),
            json!({"env": {"1A": "x"}}),
            json!({"env": {"A": "x\0y"}}),
            json!({"user": "-root"}),
            json!({"user": ""}),
            json!({"run_ms": 0}),
            json!({"run_ms": 120_001}),
            json!({"max_output_bytes": 262_145}),
        ] {
            assert!(args(bad.clone()).is_err(), "{bad}");
        }
        assert!(args(json!({"arguments": ["-n", "a b", "$(x)"], "env": {"TZ": "UTC"}})).is_ok());
    }
}
