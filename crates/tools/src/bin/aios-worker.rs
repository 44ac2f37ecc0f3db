//! Every worker: `aios-worker NAME` serves the namespaces of one, with the privileges that its service file gives it.
//!
//! One program, because most of each would be the same: an image carries it once, and the pages of its text are in
//! memory once for all workers.

use aios_core::service;
use aios_tools::run;
use std::io::Write;
use std::process::ExitCode;

/// Threads for what may wait: for a disk, a driver, a program, the network or another service. What waits has threads
/// of its own, so that it holds up nothing.
const fn threads(lanes: usize) -> usize {
    lanes + run::SPARE_THREADS
}

/// Serves one worker. The text names the service in its log.
macro_rules! serve {
    ($name:literal, $lanes:expr, $worker:path) => {
        service::main(
            concat!("aios-worker-", $name),
            threads($lanes),
            |paths| async move { $worker(&paths).await },
        )
    };
}

fn main() -> ExitCode {
    let name = std::env::args().nth(1).unwrap_or_default();
    match name.as_str() {
        "fs" => serve!("fs", run::FILE_LANES, run::worker_fs),
        "host" => serve!("host", 2 * run::LOOKING_LANES, run::worker_host),
        "net" => serve!("net", run::NET_LANES + run::LOOKING_LANES, run::worker_net),
        "os" => serve!("os", run::IMAGE_LANES, run::worker_os),
        "pkg" => serve!("pkg", run::PACKAGE_LANES, run::worker_pkg),
        "process" => serve!("process", run::PROCESS_LANES, run::worker_process),
        "sec" => serve!("sec", run::LOOKING_LANES, run::worker_sec),
        "service" => serve!("service", run::LOOKING_LANES, run::worker_service),
        _ => unknown(&name),
    }
}

fn unknown(name: &str) -> ExitCode {
    // Where standard error is closed, the exit status says it.
    let _unheard = writeln!(
        std::io::stderr(),
        "aios-worker: no worker {name:?}: use one of fs, host, net, os, pkg, process, sec, service"
    );
    ExitCode::from(2)
}
