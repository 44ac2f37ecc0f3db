//! Processes: one that runs away, one that leaves zombies behind. Beside each lives another that nobody may end.

use super::program::Program;
use crate::fault::{Fault, Made, Place, Wanted};
use crate::random::Random;
use anyhow::{Result, ensure};
use std::rc::Rc;

/// Does nothing, for long.
const IDLE: &str = "import time\ntime.sleep(3600)\n";
/// Has work without end.
const SPIN: &str = "while True:\n    pass\n";
/// Has a processor to itself even where others build: how busy it is must not depend on them.
const AHEAD: i32 = -15;

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    vec![Box::new(Runaway), Box::new(Zombies)]
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
