//! systemd's units for aiOS's services: the same programs with the same users, rights, sockets, order and limits.
//!
//! | aiOS | systemd |
//! |---|---|
//! | `needs`, `wants`, `after` | `Requires`, `Wants`, and `After` for all three |
//! | `ready` = `notify`, `none`, `exit` | `Type` = `notify`, `exec`, `oneshot`; `fd` has no equivalent |
//! | `[[socket]]` | a socket unit each; `on_demand` has none that starts at boot |
//! | `[[directory]]`, `runtime_dir` | tmpfiles.d |
//! | `capabilities` | `CapabilityBoundingSet` and `AmbientCapabilities` |
//! | `hide`, `hide_if_there` | `TemporaryFileSystem`, `InaccessiblePaths` |
//! | `bind…`, `read_only` | `BindPaths`, `BindReadOnlyPaths`, `ReadOnlyPaths`; for `/proc` `ProtectKernelTunables` |
//! | `delegate` | `Delegate` and `DelegateSubgroup`, and a shell that hands the controllers down |
//! | `log_lines_per_s`, `log_burst` | `LogRateLimit…` |
//! | `restart_min_ms`, `restart_max_ms` | `RestartSec`, `RestartMaxDelaySec`, `RestartSteps` |
//! | `critical` | none: systemd knows failed units, not a degraded system |

use anyhow::{Result, bail, ensure};
use std::fmt::Write;

use super::seccomp;
use super::service::{Service, Socket};
use crate::sysusers::Entry;

/// Services that phases of our boot start although their files do not enable them.
const STARTED_BY_PHASES: [&str; 2] = ["aios-network", "aios-time"];
/// What only our own supervisor makes: what is bound there is left out where it is missing.
const OWN_SOCKET: &str = "/run/aios/init.sock";
/// Directories that our boot makes beside the services' own: path, mode, group.
const DIRECTORIES: [(&str, &str, &str); 9] = [
    ("/etc/aios", "0755", "root"),
    ("/var/lib/aios", "0711", "root"),
    ("/var/lib/aios/persons", "0711", "root"),
    ("/var/lib/aios/worker", "0711", "root"),
    ("/var/lib/aios/log", "0750", "aios"),
    ("/run/aios", "0755", "root"),
    ("/run/aios/worker", "0750", "aios-workers"),
    ("/run/aios/network", "0755", "root"),
    ("/run/user", "0755", "root"),
];

/// A file below `/etc/systemd/system`, or in `/etc/tmpfiles.d`.
pub(super) struct File {
    pub(super) name: String,
    pub(super) text: String,
}

/// Whether a boot starts a service. The health judge is started too, but asks our own supervisor about everything.
pub(super) fn is_started(service: &Service) -> bool {
    service.enabled || STARTED_BY_PHASES.contains(&service.name.as_str())
}

/// Whether others wait for it: it says when it is ready.
pub(super) fn is_core(service: &Service) -> bool {
    is_started(service) && service.ready == "notify"
}

/// Units of one service and of its sockets.
pub(super) fn of(service: &Service) -> Result<Vec<File>> {
    let mut files = vec![File {
        name: format!("{}.service", service.name),
        text: unit(service)?,
    }];
    for socket in &service.socket {
        ensure!(
            !socket.on_demand,
            "{}: a socket that starts its service on demand is not compared",
            service.name
        );
        files.push(File {
            name: socket_name(service, socket),
            text: socket_unit(service, socket),
        });
    }
    Ok(files)
}

/// What starts with the system: the services, each wanted by `multi-user.target`, and the probe behind them.
pub(super) fn wanted(services: &[Service]) -> File {
    let names: Vec<String> = services.iter().map(|it| format!("{}.service", it.name)).collect();
    File {
        name: "multi-user.target.d/aios.conf".to_owned(),
        text: format!("[Unit]\nWants={} bench-boot.service\n", names.join(" ")),
    }
}

/// The probe: it runs as soon as every core service is ready.
pub(super) fn probe(services: &[Service]) -> [File; 2] {
    let names = |core: bool| -> Vec<&str> {
        let fits = services.iter().filter(|it| is_core(it) == core);
        fits.map(|it| it.name.as_str()).collect()
    };
    let (core, others) = (names(true), names(false));
    let units = |names: &[&str]| {
        let all: Vec<String> = names.iter().map(|name| format!("{name}.service")).collect();
        all.join(" ")
    };
    let systemd = format!(
        "[Unit]\nDescription=Figures of this boot\nRequires={core}\nAfter={core} {others}\n\n[Service]\n\
         Type=exec\nExecStart=/bin/sh /usr/lib/aios-bench/probe\n",
        core = units(&core),
        others = units(&others)
    );
    let aios = format!(
        "description = \"Figures of this boot\"\ncommand = [\"/bin/sh\", \"/usr/lib/aios-bench/probe\"]\n\
         user = \"root\"\nready = \"none\"\nrestart = \"never\"\nneeds = {core:?}\nafter = {others:?}\n\n\
         [confine]\nsetuid_helpers = true\nno_new_privs = false\numask = \"0022\"\n"
    );
    [
        File {
            name: "bench-boot.service".to_owned(),
            text: systemd,
        },
        File {
            name: "bench-boot.toml".to_owned(),
            text: aios,
        },
    ]
}

/// The directories of all services, as tmpfiles.d(5) has them.
pub(super) fn tmpfiles(services: &[Service], users: &[Entry]) -> Result<File> {
    let mut text = String::new();
    for (path, mode, group) in DIRECTORIES {
        writeln!(text, "d {path} {mode} root {group}")?;
    }
    let or = |said: &str, unsaid: &str| if said.is_empty() { unsaid } else { said }.to_owned();
    for service in services {
        for directory in &service.directory {
            writeln!(
                text,
                "d {} {} {} {}",
                directory.path,
                or(&directory.mode, "0700"),
                or(&directory.user, &service.user),
                or(&directory.group, service.group())
            )?;
        }
        if service.runtime_dir {
            writeln!(
                text,
                "d {} 0700 {} {}",
                runtime_dir(service, users)?,
                service.user,
                service.group()
            )?;
        }
    }
    text += "C /run/aios/network/dhcpcd.conf 0644 root root - /usr/lib/aios-bench/dhcpcd.conf\n";
    Ok(File {
        name: "aios-bench.conf".to_owned(),
        text,
    })
}

/// Which numbers users have is part of the image.
fn runtime_dir(service: &Service, users: &[Entry]) -> Result<String> {
    let id = users.iter().find_map(|entry| match entry {
        Entry::User { name, id, .. } if *name == service.user => Some(*id),
        _ => None,
    });
    match id {
        Some(id) => Ok(format!("/run/user/{id}")),
        None => bail!("{}: no user {}", service.name, service.user),
    }
}

/// The environment of a service with a directory of its own in `/run/user`.
pub(super) fn runtime_environment(service: &Service, users: &[Entry]) -> Result<Option<File>> {
    if !service.runtime_dir {
        return Ok(None);
    }
    Ok(Some(File {
        name: format!("{}.service.d/runtime-dir.conf", service.name),
        text: format!(
            "[Service]\nEnvironment=XDG_RUNTIME_DIR={}\nWorkingDirectory=~\n",
            runtime_dir(service, users)?
        ),
    }))
}

fn unit(service: &Service) -> Result<String> {
    let units = |names: &[&[String]]| {
        let all: Vec<String> = names
            .concat()
            .iter()
            .map(|name| format!("{name}.service"))
            .collect();
        all.join(" ")
    };
    let Service {
        needs, wants, after, ..
    } = service;
    let mut lines = vec![
        "[Unit]".to_owned(),
        format!("Description={}", service.description),
        format!("Requires={}", units(&[needs])),
        format!("Wants={}", units(&[wants])),
        format!("After={}", units(&[needs, wants, after])),
        // Ours are tried again for ever.
        "StartLimitIntervalSec=0".to_owned(),
        String::new(),
        "[Service]".to_owned(),
    ];
    lines.extend(start(service)?);
    lines.extend(restart(service)?);
    lines.extend(limits(service));
    lines.extend(rights(service));
    lines.extend(view(service));
    lines.extend(seccomp::lines(&service.confine.seccomp)?);
    Ok(lines.join("\n") + "\n")
}

fn start(service: &Service) -> Result<Vec<String>> {
    let kind = match service.ready.as_str() {
        "notify" => "notify",
        "none" => "exec",
        "exit" => "oneshot",
        other => bail!("{}: systemd has no readiness `{other}`", service.name),
    };
    let words = service
        .command
        .iter()
        .map(|word| quoted(&word.replace('$', "$$")));
    let mut command = words.collect::<Vec<String>>().join(" ");
    if service.confine.delegate {
        // systemd leaves it to the service, which runs in a leaf, to hand its controllers down; ours expects that it is done.
        command = format!(
            "/bin/sh -c 'echo +cpu +io +memory +pids \
             >/sys/fs/cgroup/aios.slice/aios-{}.slice/{}.service/cgroup.subtree_control && exec {command}'",
            service.confine.slice, service.name
        );
    }
    let mut lines = vec![
        format!("Type={kind}"),
        format!("ExecStart={command}"),
        format!("User={}", service.user),
        format!("Group={}", service.group()),
        format!("SupplementaryGroups={}", service.groups.join(" ")),
        format!("TimeoutStartSec={}ms", service.start_timeout_ms),
        format!("TimeoutStopSec={}ms", service.stop_timeout_ms),
        // First the main process, then whatever it left.
        "KillMode=mixed".to_owned(),
        "Environment=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8".to_owned(),
        "Environment=AIOS_VENDOR_DIR=/usr/lib/aios AIOS_ETC_DIR=/etc/aios AIOS_STATE_DIR=/var/lib/aios AIOS_RUN_DIR=/run/aios"
            .to_owned(),
    ];
    if !service.working_directory.is_empty() {
        lines.push(format!("WorkingDirectory={}", service.working_directory));
    }
    if service.watchdog_ms > 0 {
        lines.push(format!("WatchdogSec={}ms", service.watchdog_ms));
    }
    for (name, value) in &service.environment {
        lines.push(format!("Environment={}", quoted(&format!("{name}={value}"))));
    }
    for socket in &service.socket {
        lines.push(format!("Sockets={}", socket_name(service, socket)));
    }
    Ok(lines)
}

fn restart(service: &Service) -> Result<Vec<String>> {
    let word = match service.restart() {
        "always" => "always",
        "on-failure" => "on-failure",
        "never" => "no",
        other => bail!("{}: systemd has no restart `{other}`", service.name),
    };
    let (first, last) = (service.restart_min_ms.max(1), service.restart_max_ms.max(1));
    // Each pause is twice the one before.
    let steps = (last / first).max(1).ilog2() + 1;
    Ok(vec![
        format!("Restart={word}"),
        format!("RestartSec={first}ms"),
        format!("RestartMaxDelaySec={last}ms"),
        format!("RestartSteps={steps}"),
    ])
}

fn limits(service: &Service) -> Vec<String> {
    let limits = &service.limits;
    let mut lines = vec![
        format!("Slice=aios-{}.slice", service.confine.slice),
        format!("OOMScoreAdjust={}", limits.oom_score_adj.unwrap_or(0)),
        "LimitCORE=0".to_owned(),
    ];
    for (word, value) in [
        ("MemoryMax", limits.memory_bytes),
        ("TasksMax", limits.pids),
        ("CPUWeight", limits.cpu_weight),
        ("LimitNOFILE", limits.open_files),
    ] {
        lines.extend(value.map(|value| format!("{word}={value}")));
    }
    // As many at once, and no more in the long run; no rate is no limit for both.
    let window_ms = service
        .log_burst
        .saturating_mul(1000)
        .checked_div(service.log_lines_per_s);
    lines.push(format!("LogRateLimitIntervalSec={}ms", window_ms.unwrap_or(0)));
    lines.push(format!("LogRateLimitBurst={}", service.log_burst));
    if service.confine.delegate {
        lines.push("Delegate=yes".to_owned());
        lines.push("DelegateSubgroup=leaf".to_owned());
    }
    lines
}

fn rights(service: &Service) -> Vec<String> {
    let confine = &service.confine;
    let mut lines = vec![format!("UMask={}", confine.umask)];
    if !confine.setuid_helpers {
        let kept = [&confine.capabilities[..], &confine.capabilities_if_there]
            .concat()
            .join(" ");
        lines.push(format!("CapabilityBoundingSet={kept}"));
        lines.push(format!("AmbientCapabilities={kept}"));
    }
    if confine.no_new_privs {
        lines.push("NoNewPrivileges=yes".to_owned());
    }
    if !confine.apparmor.is_empty() {
        lines.push(format!("AppArmorProfile={}", confine.apparmor));
    }
    lines
}

fn view(service: &Service) -> Vec<String> {
    let confine = &service.confine;
    let mut lines = Vec::new();
    let mut add = |word: &str, paths: &[String], optional: bool| {
        for path in paths {
            let dash = if optional || path == OWN_SOCKET { "-" } else { "" };
            lines.push(format!("{word}={dash}{path}"));
        }
    };
    add("InaccessiblePaths", &confine.hide_if_there, true);
    add("BindPaths", &confine.bind, false);
    add("BindReadOnlyPaths", &confine.bind_read_only, false);
    add("BindReadOnlyPaths", &confine.bind_read_only_if_there, true);
    // Through a read-only /proc systemd could not ask for the AppArmor profile; what is to be protected there is this.
    let (proc, read_only): (Vec<String>, Vec<String>) = confine
        .read_only
        .iter()
        .cloned()
        .partition(|path| path == "/proc");
    add("ReadOnlyPaths", &read_only, false);
    lines.extend(proc.first().map(|_| "ProtectKernelTunables=yes".to_owned()));
    let hidden = confine.hide.iter();
    lines
        .extend(hidden.map(|path| format!("TemporaryFileSystem={path}:ro,mode=0755,size=64k,nr_inodes=256")));
    lines
}

fn socket_name(service: &Service, socket: &Socket) -> String {
    format!("{}-{}.socket", service.name, socket.fd_name())
}

fn socket_unit(service: &Service, socket: &Socket) -> String {
    let or = |said: &str, unsaid: &str| if said.is_empty() { unsaid } else { said }.to_owned();
    format!(
        "[Socket]\nListenStream={}\nFileDescriptorName={}\nSocketUser={}\nSocketGroup={}\nSocketMode={}\n\
         Service={}.service\n",
        socket.path,
        socket.fd_name(),
        or(&socket.user, &service.user),
        or(&socket.group, "aios"),
        or(&socket.mode, "0660"),
        service.name
    )
}

/// A word of a command line (systemd.service(5), "Command lines").
fn quoted(word: &str) -> String {
    let escaped = word.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%");
    if escaped.contains([' ', '\t', ';']) {
        format!("\"{escaped}\"")
    } else {
        escaped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(text: &str) -> Service {
        let head = "command = [\"aios-x\", \"50 %\"]\nuser = \"u\"\n";
        Service::parse("aios-x", &format!("{head}{text}")).unwrap()
    }

    fn shipped() -> Vec<Service> {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/services");
        let files = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        files
            .map(|path| {
                let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
                Service::parse(&name, &std::fs::read_to_string(&path).unwrap()).unwrap()
            })
            .collect()
    }

    #[test]
    fn each_key_has_its_word() {
        for (text, wanted) in [
            ("", "ExecStart=/usr/lib/aios/bin/aios-x \"50 %%\""),
            ("", "Type=notify"),
            ("ready = \"none\"", "Type=exec"),
            ("ready = \"exit\"", "Type=oneshot"),
            ("", "Restart=always"),
            ("ready = \"exit\"", "Restart=no"),
            ("", "RestartSteps=8"),
            (
                "needs = [\"a\"]\nwants = [\"b\"]\nafter = [\"c\"]",
                "Requires=a.service",
            ),
            (
                "needs = [\"a\"]\nwants = [\"b\"]\nafter = [\"c\"]",
                "Wants=b.service",
            ),
            (
                "needs = [\"a\"]\nwants = [\"b\"]\nafter = [\"c\"]",
                "After=a.service b.service c.service",
            ),
            ("[limits]\nmemory_bytes = 7", "MemoryMax=7"),
            ("[limits]\npids = 7", "TasksMax=7"),
            ("", "LogRateLimitIntervalSec=10000ms"),
            ("log_lines_per_s = 0", "LogRateLimitIntervalSec=0ms"),
            ("", "CapabilityBoundingSet="),
            (
                "[confine]\ncapabilities = [\"CAP_KILL\"]\ncapabilities_if_there = [\"CAP_CHOWN\"]",
                "AmbientCapabilities=CAP_KILL CAP_CHOWN",
            ),
            ("", "NoNewPrivileges=yes"),
            ("[confine]\napparmor = \"p\"", "AppArmorProfile=p"),
            (
                "[confine]\nhide = [\"${STATE}\"]",
                "TemporaryFileSystem=/var/lib/aios:ro,mode=0755,size=64k,nr_inodes=256",
            ),
            (
                "[confine]\nhide_if_there = [\"/home\"]",
                "InaccessiblePaths=-/home",
            ),
            (
                "[confine]\nbind = [\"${RUN}/init.sock\"]",
                "BindPaths=-/run/aios/init.sock",
            ),
            ("[confine]\nbind_read_only = [\"/x\"]", "BindReadOnlyPaths=/x"),
            (
                "[confine]\nread_only = [\"/proc\", \"/x\"]",
                "ProtectKernelTunables=yes",
            ),
            ("[confine]\nread_only = [\"/proc\", \"/x\"]", "ReadOnlyPaths=/x"),
            ("[confine]\nslice = \"workers\"", "Slice=aios-workers.slice"),
            ("[confine]\ndelegate = true", "DelegateSubgroup=leaf"),
            (
                "[confine]\nseccomp = \"worker\"",
                "RestrictAddressFamilies=AF_UNIX",
            ),
        ] {
            let unit = unit(&service(text)).unwrap();
            assert!(
                unit.lines().any(|line| line == wanted),
                "{wanted} not in:\n{unit}"
            );
        }
        let helpers = unit(&service("[confine]\nsetuid_helpers = true\nno_new_privs = false")).unwrap();
        assert!(!helpers.contains("Capabilit") && !helpers.contains("NoNewPrivileges"));
    }

    #[test]
    fn what_systemd_cannot_be_told_is_refused() {
        for (text, part) in [
            ("ready = \"fd\"", "readiness `fd`"),
            ("restart = \"sometimes\"", "restart `sometimes`"),
            ("[[socket]]\npath = \"/s\"\non_demand = true", "on demand"),
            ("[confine]\nseccomp = \"other\"", "filter `other`"),
        ] {
            let error = of(&service(text)).err().unwrap().to_string();
            assert!(error.contains(part), "{error}");
        }
        for text in ["colour = 1", "description = \"${HOST}\""] {
            let text = format!("command = [\"x\"]\nuser = \"u\"\n{text}\n");
            assert!(Service::parse("aios-x", &text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_socket_is_a_unit_that_its_service_names() {
        let service =
            service("[[socket]]\npath = \"${RUN}/worker/fs.sock\"\nname = \"worker-fs\"\ngroup = \"g\"");
        let files = of(&service).unwrap();
        let [unit, socket] = files.as_slice() else {
            panic!("two files");
        };
        assert_eq!(socket.name, "aios-x-worker-fs.socket");
        assert!(unit.text.contains("Sockets=aios-x-worker-fs.socket\n"));
        assert_eq!(
            socket.text,
            "[Socket]\nListenStream=/run/aios/worker/fs.sock\nFileDescriptorName=worker-fs\nSocketUser=u\n\
             SocketGroup=g\nSocketMode=0660\nService=aios-x.service\n"
        );
    }

    #[test]
    fn every_shipped_service_has_units_and_the_probe_waits_for_all_that_say_when_they_are_ready() {
        let mut services = shipped();
        for service in &services {
            of(service).unwrap();
        }
        services.retain(is_started);
        let names: Vec<&str> = services.iter().map(|it| it.name.as_str()).collect();
        assert!(
            names.contains(&"aios-network") && !names.contains(&"aios-sshd"),
            "{names:?}"
        );
        let [systemd, aios] = probe(&services);
        for core in ["aios-guard", "aios-orchestrator", "aios-sandbox", "aios-console"] {
            let line = systemd
                .text
                .lines()
                .find(|line| line.starts_with("Requires="))
                .unwrap();
            assert!(line.contains(&format!("{core}.service")), "{line}");
        }
        let parsed = Service::parse("bench-boot", &aios.text).unwrap();
        assert!(parsed.needs.contains(&"aios-tools".to_owned()));
        assert_eq!(
            parsed.after,
            ["aios-network", "aios-time"].map(str::to_owned).to_vec()
        );
    }

    #[test]
    fn directories_are_those_of_the_files_and_of_our_boot() {
        let users = crate::sysusers::parse("u u 788 \"\" / /").unwrap();
        let service = service("runtime_dir = true\n[[directory]]\npath = \"${STATE}/x\"\nmode = \"0711\"");
        let text = tmpfiles(std::slice::from_ref(&service), &users).unwrap().text;
        for line in [
            "d /run/aios 0755 root root",
            "d /var/lib/aios/x 0711 u u",
            "d /run/user/788 0700 u u",
        ] {
            assert!(text.lines().any(|it| it == line), "{line} not in:\n{text}");
        }
        let more = runtime_environment(&service, &users).unwrap().unwrap();
        assert!(more.text.contains("XDG_RUNTIME_DIR=/run/user/788"));
        assert!(tmpfiles(std::slice::from_ref(&service), &[]).is_err());
    }
}
