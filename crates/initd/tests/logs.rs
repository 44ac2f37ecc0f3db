//! Logs under stress: floods, full disks, and supervisors that die while lines are on their way.
#![cfg(test)]

mod common;

use aios_proto::init::v1::LogsRequest;
use common::{Instance, eventually, is_root, python, signal};
use nix::sys::signal::Signal;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio_stream::StreamExt;

/// All that a service's log files hold, the oldest first, without the times.
fn lines(directory: &Path, name: &str) -> Vec<String> {
    let files = [".log.3", ".log.2", ".log.1", ".log"].map(|end| directory.join(format!("{name}{end}")));
    let text: String = files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap_or_default())
        .collect();
    // The last one may be about to be written.
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole
        .lines()
        .map(|line| match line.split_once(' ') {
            Some((_, text)) => text.to_owned(),
            None => panic!("{line:?} in {name}"),
        })
        .collect()
}

/// The numbers in the supervisor's own lines: how many lines are missing.
fn missing(lines: &[String]) -> usize {
    let told = lines.iter().filter_map(|line| line.strip_prefix("aios-init: "));
    told.map(|text| text.split(' ').next().unwrap().parse::<usize>().unwrap())
        .sum()
}

#[tokio::test]
async fn a_flood_is_cut_and_counted_and_no_other_service_loses_a_line() {
    if !is_root() {
        return;
    }
    const FLOOD: usize = 400_000;
    let flood = format!(
        "notify(b'READY=1')\nfor n in range({}): os.write(1,b''.join(b'line %d\\n'%i for i in range(n*100,n*100+100)))\n\
         say('flooded','1')\ntime.sleep(1000)\n",
        FLOOD / 100
    );
    let quiet = "notify(b'READY=1')\nfor n in range(1000):\n    print('quiet',n); time.sleep(0.001)\nsay('quiet','1')\ntime.sleep(1000)\n";
    let mut instance = Instance::start(&[
        (
            "flood",
            &python(&flood, "log_lines_per_s = 500\nlog_burst = 1000\n"),
        ),
        ("quiet", &python(quiet, "")),
    ]);
    let mut answers = 0;
    while instance.out("flooded").is_empty() || instance.out("quiet").is_empty() {
        answers += u32::from(instance.info("flood").await.is_some());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(answers > 3, "the supervisor answers meanwhile");
    let directory = instance.path("var/log");
    eventually("each line is there or counted", || {
        let lines = lines(&directory, "flood");
        let there = lines.iter().filter(|line| line.starts_with("line ")).count();
        there + missing(&lines) == FLOOD
    })
    .await;
    let flooded = lines(&directory, "flood");
    assert!(missing(&flooded) > FLOOD / 2);
    assert!(
        flooded
            .iter()
            .any(|line| line.contains(" lines dropped in the last "))
    );
    let wanted: Vec<String> = (0..1000).map(|number| format!("quiet {number}")).collect();
    eventually("the other's lines are all there", || {
        lines(&directory, "quiet") == wanted
    })
    .await;
    assert!(instance.stop());
}

#[tokio::test]
async fn no_line_is_lost_or_doubled_when_supervisors_are_killed() {
    if !is_root() {
        return;
    }
    const LINES: usize = 60_000;
    let body = format!(
        "notify(b'READY=1')\nfor n in range({LINES}):\n    print('line',n)\n    if n%20==0: time.sleep(0.001)\nsay('done','1')\ntime.sleep(1000)\n"
    );
    let mut instance = Instance::start(&[("talker", &python(&body, "log_lines_per_s = 0\n"))]);
    let first = instance.until_state("talker", "ready").await;
    for round in 0..5 {
        tokio::time::sleep(Duration::from_millis(50 + 37 * round)).await;
        let supervisor = instance.supervisor();
        signal(supervisor, Signal::SIGKILL);
        eventually("another one is there", || instance.supervisor() != supervisor).await;
        instance.until_state("talker", "ready").await;
    }
    eventually("all is written", || instance.out("done") == "1\n").await;
    assert_eq!(instance.info("talker").await.unwrap().pid, first.pid);
    assert!(instance.stop());
    let wanted: Vec<String> = (0..LINES).map(|number| format!("line {number}")).collect();
    let found = lines(&instance.path("var/log"), "talker");
    let differs = wanted.iter().zip(&found).position(|(a, b)| a != b);
    assert!(
        found == wanted,
        "{} lines, different from {differs:?} on",
        found.len()
    );
}

#[tokio::test]
async fn without_room_for_logs_services_run_and_the_log_tells_later_what_is_missing() {
    if !is_root() {
        return;
    }
    let talker = "notify(b'READY=1')\nn=0\nwhile not os.path.exists('${OUT}/stop'):\n    print('line',n); n+=1; time.sleep(0.002)\n\
        say('count',str(n))\ntime.sleep(1000)\n";
    let sleep =
        "command = [\"/bin/sleep\", \"1000000\"]\nuser = \"daemon\"\nready = \"none\"\nrestart_min_ms = 20\n";
    let tree = Instance::tree(&[("talker", &python(talker, "")), ("other", sleep)]);
    fs::create_dir(tree.path().join("var")).unwrap();
    // The supervisor's own log lies there too.
    let script = "mount -t tmpfs -o size=512k none $1/var && exec $2 --state $1 2>$1/var/init.log";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"])
        .arg(tree.path())
        .arg(env!("CARGO_BIN_EXE_aios-init"))
        .stdin(Stdio::null());
    let mut instance = Instance::start_by(tree, command);
    instance.until_state("talker", "ready").await;
    let other = instance.until_state("other", "ready").await;
    let supervisor = instance.supervisor();
    let inside = format!(
        "/proc/{}/root{}",
        instance.child.id(),
        instance.path("var").display()
    );
    let inside = Path::new(&inside);
    let filler = inside.join("filler");
    // Until nothing more fits.
    assert!(fs::write(&filler, vec![0; 1024 * 1024]).is_err());
    let number = |line: &str| line.strip_prefix("line ").unwrap().parse::<usize>().unwrap();
    let in_file = || number(lines(&inside.join("log"), "talker").last().unwrap());
    let in_memory = async || {
        let request = LogsRequest {
            name: "talker".into(),
            last: 1,
            follow: false,
        };
        let mut lines = instance.client().logs(request).await.unwrap().into_inner();
        number(&lines.next().await.unwrap().unwrap().text)
    };
    // Lines go on in memory alone.
    while in_memory().await < in_file() + 100 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    signal(i32::try_from(other.pid).unwrap(), Signal::SIGKILL);
    let again = instance
        .until("other", |info| info.state == "ready" && info.pid != other.pid)
        .await;
    assert_eq!(again.restarts, 1);
    assert_eq!(instance.supervisor(), supervisor);
    fs::remove_file(&filler).unwrap();
    eventually("the log tells", || {
        missing(&lines(&inside.join("log"), "talker")) > 0
    })
    .await;
    fs::write(instance.path("out/stop"), "").unwrap();
    eventually("it has stopped", || !instance.out("count").is_empty()).await;
    let count: usize = instance.out("count").trim().parse().unwrap();
    let mut found = Vec::new();
    eventually("each line is there or counted", || {
        found = lines(&inside.join("log"), "talker");
        let there = found.iter().filter(|line| line.starts_with("line ")).count();
        there + missing(&found) == count
    })
    .await;
    assert!(
        found
            .iter()
            .any(|line| line.contains("could not be written here: No space left"))
    );
    assert_eq!(instance.supervisor(), supervisor);
    assert!(instance.stop());
}
