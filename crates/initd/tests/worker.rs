//! What the service worker may change, what stays as it is in spite of it, and what a diagnosis finds.
#![cfg(test)]

mod common;

use aios_core::rpc;
use aios_proto::init::v1::init_client::InitClient;
use aios_proto::init::v1::{
    FinalizeAtShutdownRequest, LayPackagesRequest, ReloadServicesRequest, ServiceInfo, ServiceRequest,
    ShutdownRequest,
};
use common::{Instance, eventually, is_root, python, signal};
use nix::sys::signal::Signal;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tonic::transport::Channel;
use tonic::{Response, Status};

const SLEEP: &str = "command = [\"/bin/sleep\", \"1000000\"]\nuser = \"daemon\"\nready = \"none\"\n";
/// The service worker's user here.
const WORKER: u32 = 4343;
/// The user of the worker of images.
const IMAGES: u32 = 4344;
const STRANGER: u32 = 4242;
const CHANGES: [&str; 5] = ["start", "stop", "restart", "enable", "disable"];

/// An instance with services of the distribution and one of the administrator, `web`.
async fn instance(vendor: &[(&str, &str)], web: &str) -> Instance {
    let tree = Instance::tree(vendor);
    let config =
        format!("[init]\nallow_degraded = true\n[users]\nservice = \"{WORKER}\"\nos = \"{IMAGES}\"\n");
    Instance::write_etc(tree.path(), "config.toml", &config);
    Instance::write_etc(tree.path(), "services/web.toml", web);
    let instance = Instance::start_on(tree);
    open(&instance).await;
    instance
}

/// Here the group `aios` may not exist; what is tested is the check behind the socket's mode.
async fn open(instance: &Instance) {
    instance.until("web", |_| true).await;
    fs::set_permissions(instance.path("run/init.sock"), fs::Permissions::from_mode(0o666)).unwrap();
}

async fn change(mut client: InitClient<Channel>, what: &str, name: &str) -> Result<ServiceInfo, Status> {
    let request = ServiceRequest { name: name.into() };
    match what {
        "start" => client.start_service(request).await,
        "stop" => client.stop_service(request).await,
        "restart" => client.restart_service(request).await,
        "enable" => client.enable_service(request).await,
        "disable" => client.disable_service(request).await,
        other => panic!("{other}"),
    }
    .map(Response::into_inner)
}

async fn as_worker(instance: &Instance, what: &str, name: &str) -> Result<ServiceInfo, Status> {
    instance
        .as_uid(WORKER, async |client| change(client, what, name).await)
        .await
}

fn code(result: Result<ServiceInfo, Status>) -> String {
    rpc::report_of(&result.unwrap_err()).code
}

#[tokio::test]
async fn the_service_worker_changes_what_is_not_aios_own() {
    if !is_root() {
        return;
    }
    let instance = instance(&[], SLEEP).await;
    let before = instance.until_state("web", "ready").await;
    assert!(before.enabled && !before.core, "{before:?}");
    let stopped = as_worker(&instance, "stop", "web").await.unwrap();
    assert_eq!((stopped.state.as_str(), stopped.enabled), ("stopped", true));
    assert!(!as_worker(&instance, "disable", "web").await.unwrap().enabled);
    assert_eq!(as_worker(&instance, "start", "web").await.unwrap().state, "ready");
    let again = as_worker(&instance, "restart", "web").await.unwrap();
    assert_eq!((again.state.as_str(), again.run), ("ready", before.run + 2));
    assert!(as_worker(&instance, "enable", "web").await.unwrap().enabled);
    // That is all that it may.
    let refused = instance
        .as_uid(WORKER, async |mut client| {
            let end = ShutdownRequest { kind: "exit".into() };
            [
                client.reload_services(ReloadServicesRequest {}).await.err(),
                client.shutdown(end).await.err(),
            ]
        })
        .await;
    for status in refused {
        assert_eq!(rpc::report_of(&status.unwrap()).code, "AIOS-INIT-0009");
    }
}

#[tokio::test]
async fn the_worker_of_images_ends_the_system_and_nothing_else() {
    if !is_root() {
        return;
    }
    let mut instance = instance(&[], SLEEP).await;
    instance.until_state("web", "ready").await;
    for what in CHANGES {
        let result = instance
            .as_uid(IMAGES, async |client| change(client, what, "web").await)
            .await;
        assert_eq!(code(result), "AIOS-INIT-0009", "{what}");
    }
    // Only root is told what a shutdown will do; here nothing is there that it could finalize.
    for (uid, wanted) in [
        (IMAGES, "AIOS-INIT-0009"),
        (STRANGER, "AIOS-INIT-0009"),
        (0, "AIOS-INIT-0017"),
    ] {
        let asked = instance
            .as_uid(uid, async |mut client| {
                client.finalize_at_shutdown(FinalizeAtShutdownRequest {}).await
            })
            .await;
        assert_eq!(rpc::report_of(&asked.unwrap_err()).code, wanted, "{uid}");
    }
    // Where no image runs even the worker lays nothing over /usr, and root asks in vain.
    for (uid, wanted) in [
        (IMAGES, "AIOS-INIT-0017"),
        (STRANGER, "AIOS-INIT-0018"),
        (0, "AIOS-INIT-0018"),
    ] {
        let asked = instance
            .as_uid(uid, async |mut client| {
                client.lay_packages(LayPackagesRequest::default()).await
            })
            .await;
        assert_eq!(rpc::report_of(&asked.unwrap_err()).code, wanted, "{uid}");
    }
    instance
        .as_uid(IMAGES, async |mut client| {
            client.shutdown(ShutdownRequest { kind: "exit".into() }).await
        })
        .await
        .unwrap();
    eventually("its end", || instance.child.try_wait().unwrap().is_some()).await;
}

#[tokio::test]
async fn another_user_changes_nothing() {
    if !is_root() {
        return;
    }
    let instance = instance(&[], SLEEP).await;
    let before = instance.until_state("web", "ready").await;
    for what in CHANGES {
        let result = instance
            .as_uid(STRANGER, async |client| change(client, what, "web").await)
            .await;
        assert_eq!(code(result), "AIOS-INIT-0009", "{what}");
    }
    let after = instance.info("web").await.unwrap();
    assert_eq!(
        (after.run, after.enabled, after.pid),
        (before.run, true, before.pid)
    );
    assert!(instance.log().contains("AIOS-INIT-0009"));
}

#[tokio::test]
async fn no_tool_switches_off_a_part_of_aios() {
    if !is_root() {
        return;
    }
    let vendor = [
        ("aios-guard", &*format!("{SLEEP}needs = [\"disk\"]\n")),
        ("disk", SLEEP),
    ];
    let instance = instance(&vendor, &format!("{SLEEP}needs = [\"aios-guard\"]\n")).await;
    let web = instance.until_state("web", "ready").await;
    let guard = instance.info("aios-guard").await.unwrap();
    let disk = instance.info("disk").await.unwrap();
    assert_eq!((guard.core, disk.core, web.core), (true, true, false));
    for name in ["aios-guard", "disk"] {
        // Also a restart, because it was started just now.
        for what in CHANGES {
            let status = as_worker(&instance, what, name).await.unwrap_err();
            let report = rpc::report_of(&status);
            assert_eq!(report.code, "AIOS-INIT-0015", "{what} {name}");
            assert!(report.next_step.contains("enrolled person"), "{report:?}");
        }
    }
    for before in [&guard, &disk, &web] {
        let after = instance.info(&before.name).await.unwrap();
        assert_eq!(
            (after.pid, after.run, after.enabled),
            (before.pid, before.run, true)
        );
    }
    // Who tried is in the log here, and in the audit log where there is a guard.
    let log = instance.log();
    for word in ["AIOS-INIT-0015", "StopService", "DisableService"] {
        assert!(log.contains(word), "{word}: {log}");
    }
    // What a person stopped of aiOS is not started along the way.
    change(instance.client(), "stop", "aios-guard").await.unwrap();
    assert_eq!(instance.info("web").await.unwrap().state, "stopped");
    for what in ["start", "restart"] {
        assert_eq!(code(as_worker(&instance, what, "web").await), "AIOS-INIT-0015");
    }
    assert_eq!(instance.info("aios-guard").await.unwrap().state, "stopped");
    assert_eq!(
        change(instance.client(), "start", "web").await.unwrap().state,
        "ready"
    );
}

#[tokio::test]
async fn a_part_of_aios_that_fails_can_be_restarted_by_a_tool() {
    if !is_root() {
        return;
    }
    let failing = python(
        "if not os.path.exists('${OUT}/go'): sys.exit(3)\nnotify(b'READY=1')\ntime.sleep(1000)\n",
        "restart_min_ms = 100000\nrestart_max_ms = 100000\n",
    );
    let instance = instance(&[("aios-memory", &failing)], SLEEP).await;
    instance.until_state("aios-memory", "backoff").await;
    fs::write(instance.path("out/go"), "").unwrap();
    let state = as_worker(&instance, "restart", "aios-memory")
        .await
        .unwrap()
        .state;
    assert_eq!(state, "ready");
}

#[tokio::test]
async fn what_was_disabled_stays_so_over_kills_and_boots() {
    if !is_root() {
        return;
    }
    let mut instance = instance(&[("base", SLEEP)], SLEEP).await;
    let running = instance.until_state("web", "ready").await;
    assert!(!as_worker(&instance, "disable", "web").await.unwrap().enabled);
    // Neither the supervisor's death nor its successor changes what runs or what was said.
    let supervisor = instance.supervisor();
    signal(supervisor, Signal::SIGKILL);
    eventually("the supervisor is replaced", || {
        instance.supervisor() != supervisor
    })
    .await;
    let kept = instance.until_state("web", "ready").await;
    assert_eq!(
        (kept.pid, kept.run, kept.enabled),
        (running.pid, running.run, false)
    );
    instance.power_cut(kept.pid).await;
    instance.again();
    instance.until_state("base", "ready").await;
    let down = instance.info("web").await.unwrap();
    assert_eq!(
        (down.state.as_str(), down.enabled, down.run),
        ("stopped", false, 0)
    );
    // A boot later nobody has to say it again; and what is switched on is started.
    open(&instance).await;
    assert!(as_worker(&instance, "enable", "web").await.unwrap().enabled);
    let kept = instance.path("var/init/services");
    assert_eq!(
        fs::read_dir(kept).unwrap().count(),
        0,
        "its own file says the same"
    );
    assert!(instance.stop());
    instance.again();
    assert!(instance.until_state("web", "ready").await.enabled);
}

#[tokio::test]
async fn a_crash_loop_leaves_the_evidence_of_its_cause() {
    if !is_root() {
        return;
    }
    let keys = "working_directory = \"${STATE}\"\nrestart_min_ms = 10\nrestart_max_ms = 20\n\
        [environment]\nTOKEN = \"secret\"\n[[directory]]\npath = \"${STATE}/web\"\n";
    let body =
        "say('cwd',os.getcwd())\nif os.path.exists('${OUT}/kill'): os.kill(os.getpid(),9)\nsys.exit(3)\n";
    let instance = instance(&[], &python(body, keys)).await;
    let info = instance.until("web", |info| info.exits.len() == 10).await;
    let state = instance.path("var").display().to_string();
    assert!(instance.out("cwd").starts_with(&state));
    for exit in &info.exits {
        assert_eq!(
            (exit.code, exit.signal, exit.how.as_str()),
            (Some(3), None, "exit 3")
        );
        assert!(!exit.was_ready && !exit.asked && exit.time_ms > 0, "{exit:?}");
    }
    assert!(info.exits.is_sorted_by_key(|exit| exit.time_ms));
    let config = info.config.unwrap();
    assert_eq!(
        (config.working_directory, config.user.as_str()),
        (state.clone(), "daemon")
    );
    assert_eq!(config.directories, [format!("{state}/web")]);
    assert_eq!(
        config.command.first().map(String::as_str),
        Some("/usr/bin/python3")
    );
    assert_eq!(config.environment_names, ["TOKEN"]);
    let file = instance.path("etc/services/web.toml").display().to_string();
    assert_eq!(config.files, [file.as_str()]);
    // The next supervisor knows it too.
    let supervisor = instance.supervisor();
    signal(supervisor, Signal::SIGKILL);
    eventually("the supervisor is replaced", || {
        instance.supervisor() != supervisor
    })
    .await;
    fs::write(instance.path("out/kill"), "").unwrap();
    let info = instance
        .until("web", |info| {
            info.exits.last().is_some_and(|exit| exit.signal == Some(9))
        })
        .await;
    assert!(info.exits.len() == 10 && info.run > 10, "{info:?}");
    // What cannot even be started says why.
    let broken = fs::read_to_string(&file)
        .unwrap()
        .replace("/usr/bin/python3", "/usr/bin/no-such-program");
    fs::write(&file, broken).unwrap();
    let mut client = instance.client();
    client.reload_services(ReloadServicesRequest {}).await.unwrap();
    let why = instance
        .until("web", |info| {
            info.exits
                .last()
                .is_some_and(|exit| exit.code.is_none() && exit.signal.is_none())
        })
        .await;
    let last = why.exits.last().unwrap();
    assert!(last.how.contains("No such file") && last.ran_ms == 0, "{last:?}");
}

#[tokio::test]
async fn changed_files_are_read_without_restarting_anything() {
    if !is_root() {
        return;
    }
    let instance = instance(&[("base", SLEEP)], SLEEP).await;
    let before = instance.until_state("web", "ready").await;
    let write = |name: &str, text: &str| {
        Instance::write_etc(instance.root.path(), &format!("services/{name}.toml"), text);
    };
    write("web", &format!("{SLEEP}stop_timeout_ms = 1234\n"));
    write("base", "stop_timeout_ms = \"x\"\n");
    let lazy = "command = [\"/bin/sleep\", \"1000001\"]\nuser = \"daemon\"\nready = \"none\"\n";
    write(
        "fresh",
        &format!("{lazy}[[socket]]\npath = \"${{RUN}}/fresh.sock\"\ngroup = \"daemon\"\n"),
    );
    let mut client = instance.client();
    let read = client
        .reload_services(ReloadServicesRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (read.added, read.changed, read.gone),
        (vec!["fresh".into()], vec!["web".into()], vec![])
    );
    assert!(
        read.errors.len() == 1 && read.errors[0].contains("base.toml:1"),
        "{:?}",
        read.errors
    );
    let same = instance.info("web").await.unwrap();
    assert_eq!((same.pid, same.changed), (before.pid, true));
    assert_eq!(same.config.unwrap().stop_timeout_ms, 15_000);
    assert_eq!(instance.info("base").await.unwrap().state, "ready");
    assert_eq!(instance.info("fresh").await.unwrap().state, "stopped");
    assert!(!instance.path("run/fresh.sock").exists());
    let started = change(instance.client(), "start", "fresh").await.unwrap();
    assert_eq!(
        started.sockets,
        [instance.path("run/fresh.sock").display().to_string()]
    );
    let restarted = as_worker(&instance, "restart", "web").await.unwrap();
    assert_eq!((restarted.state.as_str(), restarted.changed), ("ready", false));
    assert_eq!(restarted.config.unwrap().stop_timeout_ms, 1234);
    // A socket that its files drop goes with the next start, one that they name anew comes with it.
    write("fresh", lazy);
    fs::remove_file(instance.path("etc/services/web.toml")).unwrap();
    let read = client
        .reload_services(ReloadServicesRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (read.changed, read.gone),
        (vec!["fresh".to_owned()], vec!["web".to_owned()])
    );
    assert!(instance.path("run/fresh.sock").exists());
    change(instance.client(), "restart", "fresh").await.unwrap();
    assert!(!instance.path("run/fresh.sock").exists());
    assert_eq!(instance.info("web").await.unwrap().pid, restarted.pid);
}
