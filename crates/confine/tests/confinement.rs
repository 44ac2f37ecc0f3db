//! Real processes under real plans: what a plan takes away is gone, also with capabilities that pass file modes.
#![cfg(test)]

use aios_confine::caps::CapSet;
use aios_confine::machine::Machine;
use aios_confine::plan::{Capabilities, Identity, Landlock, Limit, Plan, Resource};
use aios_confine::spawn::{Program, spawn};
use aios_confine::view::{Bind, View};
use aios_confine::{ConfineError, cgroup::Cgroup};
use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const USER: u32 = 1;

/// Whether this process may change users; if not, the test has run again as root and passed.
fn is_root() -> bool {
    aios_tests_root::as_root().unwrap()
}

fn identity() -> Option<Identity> {
    Some(Identity {
        uid: USER,
        gid: USER,
        groups: Vec::new(),
    })
}

/// Runs a Python program under the plan and yields what it printed.
fn python(plan: &Plan, code: &str) -> Result<String, ConfineError> {
    let prepared = plan.prepare(&Machine::probe(), true)?;
    let (mut reader, writer) = std::io::pipe().unwrap();
    let null = File::open("/dev/null").unwrap();
    let program = Program {
        path: "/usr/bin/python3".into(),
        args: vec!["-c".into(), code.into()],
        env: vec![("PATH".into(), "/usr/bin:/bin".into())],
        stdio: [null.as_fd(), writer.as_fd(), writer.as_fd()],
        fds: Vec::new(),
        own_pid_in: &[],
    };
    let spawned = spawn(&program, &prepared)?;
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(spawned.pid), None).unwrap();
    Ok(text)
}

fn status(plan: &Plan) -> String {
    python(plan, "print(open('/proc/self/status').read())").unwrap()
}

fn field(status: &str, name: &str) -> String {
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.trim_start_matches(name).trim().to_owned()
}

/// A directory with a secret that only root may read.
fn secrets() -> TempDir {
    let root = tempfile::Builder::new()
        .prefix("aios-confine-")
        .tempdir_in("/tmp")
        .unwrap();
    fs::set_permissions(root.path(), Permissions::from_mode(0o755)).unwrap();
    for directory in ["state", "state/keys", "state/worker", "state/worker/own"] {
        fs::create_dir(root.path().join(directory)).unwrap();
    }
    fs::write(root.path().join("state/keys/secret"), "secret").unwrap();
    fs::set_permissions(root.path().join("state/keys"), Permissions::from_mode(0o700)).unwrap();
    fs::write(root.path().join("state/worker/own/mine"), "mine").unwrap();
    root
}

fn read_all(paths: &[PathBuf]) -> String {
    let list: Vec<String> = paths
        .iter()
        .map(|path| format!("{:?}", path.to_string_lossy()))
        .collect();
    format!(
        "for p in [{}]:\n    try: print(open(p).read())\n    except OSError as e: print(e.strerror)\n",
        list.join(",")
    )
}

#[test]
fn identity_capabilities_and_limits_are_exactly_as_planned() {
    if !is_root() {
        return;
    }
    let keep = CapSet::of(&["CAP_DAC_OVERRIDE", "CAP_CHOWN"]).unwrap();
    let plan = Plan {
        identity: Some(Identity {
            uid: USER,
            gid: USER,
            groups: vec![2, 3],
        }),
        capabilities: Capabilities::Keep(keep),
        no_new_privs: true,
        umask: Some(0o027),
        limits: vec![Limit {
            resource: Resource::Nofile,
            soft: 50,
            hard: 60,
        }],
        new_session: true,
        ..Plan::default()
    };
    let status = status(&plan);
    assert_eq!(field(&status, "Uid:"), "1\t1\t1\t1");
    assert_eq!(field(&status, "Gid:"), "1\t1\t1\t1");
    assert_eq!(field(&status, "Groups:"), "2 3");
    for name in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(&status, name), "0000000000000003", "{name}");
    }
    assert_eq!(field(&status, "NoNewPrivs:"), "1");
    assert_eq!(field(&status, "Umask:"), "0027");
    let limit = python(
        &plan,
        "import resource; print(resource.getrlimit(resource.RLIMIT_NOFILE))",
    )
    .unwrap();
    assert_eq!(limit.trim(), "(50, 60)");
}

#[test]
fn without_capabilities_nothing_is_left() {
    if !is_root() {
        return;
    }
    let plan = Plan {
        identity: identity(),
        capabilities: Capabilities::Keep(CapSet::EMPTY),
        ..Plan::default()
    };
    let status = status(&plan);
    for name in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(&status, name), "0000000000000000", "{name}");
    }
}

#[test]
fn a_hidden_directory_is_empty_even_for_one_that_passes_file_modes() {
    if !is_root() {
        return;
    }
    let root = secrets();
    let state = root.path().join("state");
    let paths = [
        state.join("keys/secret"),
        state.join("worker/own/mine"),
        PathBuf::from("/dev/vda"),
    ];
    let capable = Plan {
        identity: identity(),
        capabilities: Capabilities::Keep(CapSet::of(&["CAP_DAC_OVERRIDE"]).unwrap()),
        ..Plan::default()
    };
    // Without a view the capability opens it: the test would see a leak.
    assert!(
        python(&capable, &read_all(&paths[..1]))
            .unwrap()
            .contains("secret")
    );
    let view = View {
        hide: vec![state.clone(), "/dev".into()],
        bind: vec![
            Bind::writable(state.join("worker/own")),
            Bind::writable("/dev/null"),
        ],
        ..View::default()
    };
    let plan = Plan {
        view: Some(view),
        ..capable
    };
    assert_eq!(
        python(&plan, &read_all(&paths))
            .unwrap()
            .lines()
            .collect::<Vec<_>>(),
        ["No such file or directory", "mine", "No such file or directory"]
    );
    let write = format!(
        "import os\nopen('{0}/worker/own/new','w').write('x')\n\
         try: open('{0}/x','w')\nexcept OSError as e: print(e.strerror)\n\
         print(sorted(os.listdir('{0}')), sorted(os.listdir('/dev')))\n",
        state.display()
    );
    assert_eq!(
        python(&plan, &write).unwrap().lines().collect::<Vec<_>>(),
        ["Read-only file system", "['worker'] ['null']"]
    );
    assert!(
        state.join("worker/own/new").exists(),
        "what is put back is the real directory"
    );
    assert!(state.join("keys/secret").exists(), "the outside is untouched");
}

#[test]
fn another_name_of_a_hidden_directory_is_hidden_too() {
    if !is_root() {
        return;
    }
    let root = secrets();
    let (state, alias) = (root.path().join("state"), root.path().join("alias"));
    fs::create_dir(&alias).unwrap();
    let flags = nix::mount::MsFlags::MS_BIND;
    nix::mount::mount(Some(root.path()), &alias, None::<&str>, flags, None::<&str>).unwrap();
    let plan = Plan {
        identity: identity(),
        capabilities: Capabilities::Keep(CapSet::of(&["CAP_DAC_OVERRIDE"]).unwrap()),
        view: Some(View {
            hide: vec![state],
            ..View::default()
        }),
        ..Plan::default()
    };
    let said = python(&plan, &read_all(&[alias.join("state/keys/secret")]));
    nix::mount::umount(&alias).unwrap();
    assert_eq!(said.unwrap().trim(), "No such file or directory");
}

#[test]
fn a_read_only_path_cannot_be_written_by_its_owner() {
    if !is_root() {
        return;
    }
    let root = secrets();
    let own = root.path().join("state/worker/own");
    nix::unistd::chown(&own, Some(USER.into()), None).unwrap();
    let code = format!(
        "try: open('{}/x','w')\nexcept OSError as e: print(e.strerror)",
        own.display()
    );
    for view in [
        View {
            read_only: vec![own.clone()],
            ..View::default()
        },
        View {
            hide: vec![root.path().join("state")],
            bind: vec![Bind::read_only(own.clone())],
            ..View::default()
        },
    ] {
        let plan = Plan {
            identity: identity(),
            view: Some(view),
            ..Plan::default()
        };
        assert_eq!(python(&plan, &code).unwrap().trim(), "Read-only file system");
    }
}

#[test]
fn the_worker_filter_refuses_what_no_worker_does() {
    if !is_root() {
        return;
    }
    // As root with all capabilities: only the filter stands between the call and its effect.
    let plan = Plan {
        no_new_privs: true,
        seccomp: Some("worker".into()),
        ..Plan::default()
    };
    let code = "\
import ctypes,os,socket
c=ctypes.CDLL(None,use_errno=True)
def t(name,*a):
    ctypes.set_errno(0); r=c.syscall(*a); print(name, r, os.strerror(ctypes.get_errno()))
t('mount',165,0,0,0,0,0)
t('ptrace',101,0,0,0,0)
t('bpf',321,0,0,0)
t('kexec_load',246,0,0,0,0)
t('init_module',175,0,0,0)
t('keyctl',250,0,0,0,0,0)
t('unshare',272,0x20000)
t('setns',308,0,0)
t('clone_newns',56,0x20000|17,0,0,0,0)
t('clone3',435,0,0)
t('io_uring_setup',425,1,0)
t('open_tree',428,0,0,0)
t('x32',0x40000000|39)
for f in (socket.AF_INET,socket.AF_NETLINK):
    try: socket.socket(f,socket.SOCK_RAW if f==16 else socket.SOCK_STREAM); print('socket open')
    except OSError as e: print('socket',e.strerror)
socket.socket(socket.AF_UNIX); print('unix fine')
try: os.mknod('/tmp/aios-mknod-test',0o60600,os.makedev(7,0)); print('made')
except OSError as e: print('mknod',e.strerror)
if os.fork()==0: os._exit(3)
print('fork',os.wait()[1]>>8)
";
    let said = python(&plan, code).unwrap();
    for line in said.lines() {
        let fine = match line.split(' ').next().unwrap() {
            "clone3" => line.ends_with("Function not implemented"),
            "unix" => line == "unix fine",
            "fork" => line == "fork 3",
            _ => line.ends_with("Operation not permitted"),
        };
        assert!(fine, "{line}\n{said}");
    }
    assert_eq!(said.lines().count(), 18, "{said}");
}

#[test]
fn landlock_allows_what_is_named_and_nothing_else() {
    if !is_root() {
        return;
    }
    if !Machine::probe().has(aios_confine::machine::Feature::Landlock) {
        eprintln!("SKIPPED landlock_allows_what_is_named_and_nothing_else: this kernel has no Landlock");
        return;
    }
    let root = secrets();
    let own = root.path().join("state/worker/own");
    let plan = Plan {
        no_new_privs: true,
        landlock: Some(Landlock {
            read: vec![
                "/usr".into(),
                "/lib".into(),
                "/lib64".into(),
                "/etc/ld.so.cache".into(),
            ],
            write: vec![own.clone(), "/dev/null".into()],
            scoped: false,
        }),
        ..Plan::default()
    };
    let said = python(
        &plan,
        &read_all(&[root.path().join("state/keys/secret"), own.join("mine")]),
    )
    .unwrap();
    assert_eq!(said.lines().collect::<Vec<_>>(), ["Permission denied", "mine"]);
}

#[test]
fn a_failing_step_is_named_and_no_process_is_left() {
    if !is_root() {
        return;
    }
    let cases = [
        (
            Plan {
                directory: Some("/nonexistent".into()),
                ..Plan::default()
            },
            "directory",
        ),
        (
            Plan {
                oom_score_adj: Some(4000),
                ..Plan::default()
            },
            "oom_score_adj",
        ),
        (
            Plan {
                cgroup: Some("/nonexistent".into()),
                ..Plan::default()
            },
            "cgroup",
        ),
    ];
    for (plan, wanted) in cases {
        match python(&plan, "print('ran')") {
            Err(ConfineError::Step { step, .. }) => assert_eq!(step, wanted),
            other => panic!("{other:?}"),
        }
    }
    let mut children = String::new();
    let path = format!("/proc/self/task/{}/children", nix::unistd::gettid());
    File::open(path).unwrap().read_to_string(&mut children).unwrap();
    assert_eq!(children.trim(), "");
}

#[test]
fn a_cgroup_finds_and_kills_what_left_its_session() {
    if !is_root() {
        return;
    }
    let Some(root) = Machine::probe().cgroup_root else {
        eprintln!("SKIPPED a_cgroup_finds_and_kills_what_left_its_session: no cgroup v2");
        return;
    };
    let group = Cgroup::create(root.join(format!("aios-confine-test-{}", std::process::id()))).unwrap();
    let plan = Plan {
        cgroup: Some(group.path().to_owned()),
        ..Plan::default()
    };
    let code = "import os,sys\nif os.fork()==0:\n    os.setsid(); d=os.open('/dev/null',1); os.dup2(d,1); os.dup2(d,2); os.execv('/bin/sleep',['sleep','100000'])\n";
    python(&plan, code).unwrap();
    assert_eq!(group.processes().unwrap().len(), 1);
    group.kill().unwrap();
    while group.remove().is_err() {
        std::thread::yield_now();
    }
    assert!(!Path::exists(group.path()));
}
