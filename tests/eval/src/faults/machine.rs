//! Processes: one that runs away, one that leaves zombies behind, one that is stuck, one that takes the
//! memory. Beside each lives another that nobody may end.

use super::program::{Program, must_be_apart};
use crate::fault::{Fault, Made, Place, Wanted};
use crate::random::Random;
use anyhow::{Context, Result, ensure};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::rc::Rc;

/// Does nothing, for long.
const IDLE: &str = "import time\ntime.sleep(3600)\n";
/// Has work without end.
const SPIN: &str = "while True:\n    pass\n";
/// Takes memory until so many percent of it are left, and gives all back when others bring it below half of that. The
/// kernel would end it before any other process.
const HOARD: &str = "\
import mmap, sys, time
def left():
    lines = (line.split() for line in open('/proc/meminfo'))
    sizes = {words[0]: int(words[1]) for words in lines}
    return 100 * sizes['MemAvailable:'] / sizes['MemTotal:']
with open('/proc/self/oom_score_adj', 'w') as score:
    score.write('1000')
held = []
while left() > LEAST:
    held.append(mmap.mmap(-1, 128 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE))
while left() > LEAST / 2:
    time.sleep(0.05)
sys.exit('others need the memory')
";
/// Starts a program whose input has to be opened first.
const SPAWN: &str = "\
import os, time
opens = [(os.POSIX_SPAWN_OPEN, 0, 'INPUT', os.O_RDONLY, 0)]
os.waitpid(os.posix_spawn('/bin/true', ['true'], {}, file_actions=opens), 0)
time.sleep(3600)
";
/// Has something.
const HOLD: &str = "import time\nheld = b'x' * (HELD << 20)\ntime.sleep(3600)\n";
/// Has a processor to itself even where others build: how busy it is must not depend on them.
const AHEAD: i32 = -15;

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    vec![
        Box::new(Runaway),
        Box::new(Zombies),
        Box::new(Stuck),
        Box::new(Memory),
    ]
}

/// A process that must be ended and one that must live; both must live in a control.
fn ended_alone(guilty: Rc<Program>, other: Rc<Program>, broken: bool) -> Box<dyn Fn() -> Result<()>> {
    Box::new(move || {
        other.must_live()?;
        if broken {
            ensure!(!guilty.lives()?, "{} still runs", guilty.name());
            return Ok(());
        }
        guilty.must_live()
    })
}

/// A process that uses a whole processor and does nothing for it.
struct Runaway;

impl Fault for Runaway {
    fn name(&self) -> &'static str {
        "runaway-process"
    }

    fn make(&self, place: &Place<'_>, random: &mut Random, broken: bool) -> Result<Made> {
        // What is busy is ended, whoever's it is.
        must_be_apart()?;
        let code = if broken { SPIN } else { IDLE };
        let guilty = Rc::new(Program::start(place.dir, &random.name()?, code)?);
        guilty.nice(AHEAD)?;
        let other = Rc::new(Program::start(place.dir, &random.name()?, IDLE)?);
        let goals = [
            "find runaway processes and end them",
            "why is the machine so slow",
            "a process eats the processor: find out why and fix it",
        ];
        Ok(Made {
            goal: (*random.one_of(&goals)?).to_owned(),
            wanted: broken.then(|| Wanted {
                cause: "runaway_process",
                subject: format!("process {}", guilty.pid()),
                repairs: true,
            }),
            needed: Vec::new(),
            healthy: ended_alone(Rc::clone(&guilty), Rc::clone(&other), broken),
            _held: vec![Box::new(guilty), Box::new(other)],
        })
    }
}

/// A process whose children end and are not asked how. Its twin asks, though late.
struct Zombies;

impl Fault for Zombies {
    fn name(&self) -> &'static str {
        "zombies"
    }

    fn make(&self, place: &Place<'_>, random: &mut Random, broken: bool) -> Result<Made> {
        must_be_apart()?;
        let children = random.between(2, 30);
        let code = if broken {
            format!(
                "import os, time\nfor _ in range({children}):\n    if os.fork() == 0:\n        os._exit(0)\ntime.sleep(3600)\n"
            )
        } else {
            "import os, time\nwhile True:\n    if os.fork() == 0:\n        os._exit(0)\n    time.sleep(0.3)\n    os.wait()\n"
                .to_owned()
        };
        let guilty = Rc::new(Program::start(place.dir, &random.name()?, &code)?);
        let other = Rc::new(Program::start(place.dir, &random.name()?, IDLE)?);
        let wanted = usize::try_from(if broken { children } else { 1 })?;
        guilty.wait_for(&format!("{wanted} zombies"), |it| Ok(it.zombies()? >= wanted))?;
        let goals = [
            "find zombie processes and fix them",
            "why are there so many zombies",
            "find the zombies and fix them",
        ];
        Ok(Made {
            goal: (*random.one_of(&goals)?).to_owned(),
            wanted: broken.then(|| Wanted {
                cause: "zombies",
                subject: format!("process {}", guilty.pid()),
                repairs: true,
            }),
            needed: Vec::new(),
            healthy: {
                let of = guilty.pid();
                let alone = ended_alone(Rc::clone(&guilty), Rc::clone(&other), broken);
                Box::new(move || {
                    let left = if broken {
                        super::program::zombies_of(of)?
                    } else {
                        0
                    };
                    ensure!(left == 0, "{left} zombies are left");
                    alone()
                })
            },
            _held: vec![Box::new(guilty), Box::new(other)],
        })
    }
}

/// A process that waits and cannot be interrupted: for a child that it shares its memory with until the child's program
/// runs, which first waits for a pipe that nobody opens. Unlike one that waits for a broken disk it can be killed, so
/// that nothing is left when this ends. Its twin's child waits for nothing.
struct Stuck;

impl Fault for Stuck {
    fn name(&self) -> &'static str {
        "stuck-process"
    }

    fn make(&self, place: &Place<'_>, random: &mut Random, broken: bool) -> Result<Made> {
        must_be_apart()?;
        // Not below the place, whose files are read to see what changed.
        let dir = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()?;
        let pipe = dir.path().join(random.name()?);
        mknodat(CWD, &pipe, FileType::Fifo, Mode::from_raw_mode(0o644), 0)?;
        let input = if broken {
            pipe.display().to_string()
        } else {
            "/dev/null".to_owned()
        };
        let code = SPAWN.replace("INPUT", &input);
        let guilty = Rc::new(Program::start(place.dir, &random.name()?, &code)?);
        let other = Rc::new(Program::start(place.dir, &random.name()?, IDLE)?);
        if broken {
            guilty.wait_for("waiting that cannot be interrupted", |it| Ok(it.state()? == "D"))?;
        }
        let goals = ["are there stuck processes", "find hanging processes"];
        Ok(Made {
            goal: (*random.one_of(&goals)?).to_owned(),
            wanted: broken.then(|| Wanted {
                cause: "stuck_process",
                subject: format!("process {}", guilty.pid()),
                repairs: false,
            }),
            needed: Vec::new(),
            healthy: ended_alone(Rc::clone(&guilty), Rc::clone(&other), false),
            _held: vec![Box::new(guilty), Box::new(other), Box::new(dir)],
        })
    }
}

/// A process that takes nearly all memory. Its twin has some.
struct Memory;

/// Memory that is not taken, percent.
fn available_percent() -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let size = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let words = line.and_then(|rest| rest.split_whitespace().next());
        words
            .and_then(|it| it.parse::<u64>().ok())
            .context("/proc/meminfo")
    };
    Ok(size("MemAvailable:")? * 100 / size("MemTotal:")?.max(1))
}

impl Fault for Memory {
    fn name(&self) -> &'static str {
        "memory-pressure"
    }

    fn make(&self, place: &Place<'_>, random: &mut Random, broken: bool) -> Result<Made> {
        must_be_apart()?;
        let before = available_percent()?;
        ensure!(
            before > 50,
            "only {before} % of the memory are left: others work here"
        );
        let least = random.between(7, 9);
        let code = if broken {
            HOARD.replace("LEAST", &least.to_string())
        } else {
            HOLD.replace("HELD", &random.between(20, 900).to_string())
        };
        let other = Rc::new(Program::start(place.dir, &random.name()?, IDLE)?);
        let guilty = Rc::new(Program::start(place.dir, &random.name()?, &code)?);
        if broken {
            guilty.wait_for("memory was taken", |_| Ok(available_percent()? <= least))?;
        }
        let goals = [
            "why is memory short",
            "free some memory",
            "which process takes all the memory",
        ];
        let alone = ended_alone(Rc::clone(&guilty), Rc::clone(&other), broken);
        Ok(Made {
            goal: (*random.one_of(&goals)?).to_owned(),
            wanted: broken.then(|| Wanted {
                cause: "memory_pressure",
                subject: format!("process {}", guilty.pid()),
                repairs: true,
            }),
            needed: Vec::new(),
            healthy: Box::new(move || {
                let left = available_percent()?;
                ensure!(left > 20, "only {left} % of the memory are left");
                alone()
            }),
            _held: vec![Box::new(guilty), Box::new(other)],
        })
    }
}
