//! Who has a port.

use super::program::Program;
use crate::fault::{Fault, Made, Place, Wanted};
use crate::random::Random;
use aios_tests_e2e::ctl::pause;
use anyhow::{Result, ensure};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn all() -> Vec<Box<dyn Fault>> {
    vec![Box::new(Listener)]
}

/// Somebody listens, and who that is is asked.
struct Listener;

impl Fault for Listener {
    fn name(&self) -> &'static str {
        "who-listens"
    }

    fn make(&self, place: &Place<'_>, random: &mut Random, broken: bool) -> Result<Made> {
        let address = *random.one_of(&["127.0.0.1", "0.0.0.0"])?;
        let name = random.name()?;
        let free = || Ok::<u16, std::io::Error>(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port());
        let (asked, other) = (free()?, free()?);
        // In the control the same program listens elsewhere.
        let port = if broken { asked } else { other };
        // As servers do: a child has the port too.
        let code = format!(
            "import os, socket, time\ns = socket.socket()\ns.bind(('{address}', {port}))\ns.listen()\nos.fork()\ntime.sleep(3600)\n"
        );
        let program = Program::start(place.dir, &name, &code)?;
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            ensure!(begun.elapsed() < PATIENCE, "nobody took port {port}");
            pause();
        }
        let pid = program.pid();
        Ok(Made {
            goal: random
                .one_of(&[
                    format!("who listens on port {asked}?"),
                    format!("which process uses port {asked}?"),
                ])?
                .clone(),
            wanted: broken.then(|| Wanted {
                cause: "listens",
                subject: format!("{address}:{asked}\n{name} (process {pid}) of nobody"),
                repairs: false,
            }),
            needed: Vec::new(),
            healthy: Box::new(|| Ok(())),
            _held: vec![Box::new(program)],
        })
    }
}
