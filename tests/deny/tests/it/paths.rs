//! What a token grants is where things really are, not what they are called.

use std::os::unix::fs::{chown, symlink};
use std::path::PathBuf;

use aios_harness::client;
use aios_harness::{Instance, Options, PERSON_UID, Service};
use aios_tests_deny::{every_fs_tool, path_args, refused, start};
use anyhow::Result;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// A granted directory beside one that is not.
struct Places {
    granted: String,
    inside: PathBuf,
    outside: String,
}

fn places(aios: &Instance) -> Result<Places> {
    aios.file("in/a.log", b"mine")?;
    let outside = aios.file("out/secret", b"not yours")?;
    let inside = aios.tree().join("in");
    Ok(Places {
        granted: format!("fs:*:{}/**", inside.display()),
        inside,
        outside,
    })
}

#[tokio::test]
async fn denied_through_a_symbolic_link() -> Result<()> {
    let Some(aios) = start(Options::with_full_autonomy())? else {
        return Ok(());
    };
    let Places {
        granted,
        inside,
        outside,
    } = places(&aios)?;
    symlink(&outside, inside.join("file"))?;
    symlink(aios.tree().join("out"), inside.join("dir"))?;
    symlink("../out", inside.join("relative"))?;
    let task = client::mint_full(&aios, &[&granted]).await?;
    let mut step = 0;
    for (tool, path) in [
        ("fs.read", "file"),
        ("fs.read", "dir/secret"),
        ("fs.read", "relative/secret"),
        ("fs.list", "dir"),
        ("fs.delete", "dir/secret"),
    ] {
        step += 1;
        let args = path_args(&inside.join(path).to_string_lossy());
        refused(&aios, &task, step, tool, &args, "AIOS-TOOLS-0006").await?;
    }
    let write = serde_json::json!({"path": inside.join("relative/new"), "content": "x"}).to_string();
    refused(&aios, &task, 20, "fs.write", &write, "AIOS-TOOLS-0006").await?;
    let dots = path_args(&format!("{}/../out/secret", inside.display()));
    let answer = client::call(&aios, &task, 21, "fs.read", &dots).await;
    assert_eq!(
        client::refusal(&answer).as_deref(),
        Some("AIOS-TOOLS-0004"),
        "{answer:?}"
    );
    assert_eq!(std::fs::read(&outside)?, b"not yours");
    assert!(!aios.tree().join("out/new").exists());
    Ok(())
}

#[tokio::test]
async fn denied_writing_through_a_hard_link() -> Result<()> {
    let Some(aios) = start(Options::with_full_autonomy())? else {
        return Ok(());
    };
    let Places {
        granted,
        inside,
        outside,
    } = places(&aios)?;
    let name = inside.join("innocent");
    std::fs::hard_link(&outside, &name)?;
    let task = client::mint_full(&aios, &[&granted]).await?;
    let write = serde_json::json!({"path": name, "content": "x", "how": "overwrite"}).to_string();
    refused(&aios, &task, 1, "fs.write", &write, "AIOS-TOOLS-0008").await?;
    assert_eq!(std::fs::read(&outside)?, b"not yours");
    Ok(())
}

#[tokio::test]
async fn denied_through_a_bind_mount() -> Result<()> {
    let Some(mut aios) = start(Options::with_full_autonomy())? else {
        return Ok(());
    };
    let Places {
        granted,
        inside,
        outside,
    } = places(&aios)?;
    let point = inside.join("mounted");
    std::fs::create_dir(&point)?;
    chown(&point, Some(PERSON_UID), Some(PERSON_UID))?;
    // Made before the worker starts, so that it is in the worker's own mount namespace for certain.
    aios.stop(Service::WorkerFs)?;
    mount(
        Some(&aios.tree().join("out")),
        &point,
        None::<&str>,
        MsFlags::MS_BIND,
        None::<&str>,
    )?;
    let restarted = aios.restart(Service::WorkerFs);
    let task = client::mint_full(&aios, &[&granted]).await?;
    let args = path_args(&point.join("secret").to_string_lossy());
    let read = refused(&aios, &task, 1, "fs.read", &args, "AIOS-TOOLS-0006").await;
    let delete = refused(&aios, &task, 2, "fs.delete", &args, "AIOS-TOOLS-0006").await;
    umount2(&point, MntFlags::MNT_DETACH)?;
    restarted?;
    read?;
    delete?;
    assert_eq!(std::fs::read(&outside)?, b"not yours");
    Ok(())
}

#[tokio::test]
async fn no_grant_opens_keys_policy_secrets_log_or_sockets() -> Result<()> {
    let Some(aios) = start(Options::with_full_autonomy())? else {
        return Ok(());
    };
    let paths = aios.paths();
    let secrets = aios.file(".ssh/id_ed25519", b"a key")?;
    let targets = [
        paths.state_of("guard"),
        Service::Guard.state(paths).join("keys"),
        paths.person_key(PERSON_UID),
        paths.vendor.join("policy.toml"),
        paths.etc.join("policy.toml"),
        paths.socket("guard"),
        paths.worker_socket("fs"),
        paths.trust_file(),
        Service::WorkerFs.state(paths),
        PathBuf::from("/etc/shadow"),
        PathBuf::from("/etc/ssh"),
        PathBuf::from("/proc/1/environ"),
        PathBuf::from("/dev/mem"),
        PathBuf::from(secrets),
    ];
    let task = client::mint_full(&aios, &["fs:*:/**"]).await?;
    let mut step = 0;
    for target in targets {
        for (tool, args) in every_fs_tool(&target.to_string_lossy()) {
            step += 1;
            refused(&aios, &task, step, tool, &args, "AIOS-TOOLS-0007")
                .await
                .map_err(|error| error.context(format!("{tool} on {}", target.display())))?;
        }
    }
    // A link from a harmless place does not help.
    let link = aios.tree().join("harmless");
    symlink("/etc/shadow", &link)?;
    let args = path_args(&link.to_string_lossy());
    refused(&aios, &task, step + 1, "fs.read", &args, "AIOS-TOOLS-0006").await
}

#[tokio::test]
async fn denied_when_the_target_was_swapped_between_approval_and_run() -> Result<()> {
    let Some(aios) = start(Options::default())? else {
        return Ok(());
    };
    let file = aios.file("in/a.log", b"approved")?;
    let precious = aios.file("in/precious", b"precious")?;
    let task = client::mint(&aios, &["fs:*:/**"]).await?;
    let args = path_args(&file);
    let approval = client::ask(&aios, &task, 1, "fs.delete", &args).await?;
    client::approve(&aios, &approval).await?;
    std::fs::rename(&precious, &file)?;
    refused(&aios, &task, 1, "fs.delete", &args, "AIOS-GUARD-0014").await?;
    assert_eq!(std::fs::read(&file)?, b"precious");
    Ok(())
}
