//! `aiosctl os …`: tool calls, as a person makes them by `aiosctl tool call`, so that approval and audit hold; and what needs no
//! service, signing images.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use aios_auth::key::SecretKey;
use aios_client::{Failure, Kind};
use aios_deployment::image::{Layout, Reference};
use aios_deployment::signature;
use aios_proto::orchestrator::v1::CallToolRequest;
use serde_json::{Value, json};

use super::{Ended, follow};
use crate::args::{Follow, Os, OsChange};
use crate::exit::Exit;
use crate::instance::Instance;
use crate::render::os as render;
use crate::render::text::size;
use crate::terminal::Terminal;

/// Reading more than this takes a while, which is told, bytes.
const LONG: u64 = 256 << 20;
/// The service that fetches and stages.
const WORKER: &str = "aios-worker-os";

/// Runs a verb.
pub(crate) async fn run(verb: Os, instance: &Instance, terminal: &mut Terminal) -> Ended {
    match verb {
        Os::Status => look("os.status", render::status, instance, terminal).await,
        Os::Check => look("os.check", render::check, instance, terminal).await,
        Os::Upgrade { change } => alter("os.upgrade", forced(change), change, instance, terminal).await,
        Os::Switch {
            image,
            transport,
            change,
        } => {
            let image = reference(transport.as_deref(), &image)?;
            let args = json!({ "image": image, "force": change.force });
            alter("os.switch", args, change, instance, terminal).await
        }
        Os::Rollback { change } => alter("os.rollback", forced(change), change, instance, terminal).await,
        Os::Reset { change } => alter("os.reset", forced(change), change, instance, terminal).await,
        Os::Reboot { follow } => {
            let show = follow::Show::step_by_step(render::changed);
            call("os.reboot", &json!({}), follow, show, instance, terminal).await
        }
        Os::Sign { dir, key } => sign(&dir, &key, terminal),
        Os::Key { file } => make_key(&file, terminal),
    }
}

fn forced(change: OsChange) -> Value {
    json!({ "force": change.force })
}

async fn look(
    tool: &str,
    show: fn(&mut Terminal, &Value),
    instance: &Instance,
    terminal: &mut Terminal,
) -> Ended {
    let show = follow::Show::result(show);
    call(tool, &json!({}), Follow::default(), show, instance, terminal).await
}

async fn alter(
    tool: &str,
    args: Value,
    change: OsChange,
    instance: &Instance,
    terminal: &mut Terminal,
) -> Ended {
    let show = follow::Show::step_by_step(render::changed).telling(WORKER);
    call(tool, &args, change.follow, show, instance, terminal).await
}

async fn call(
    tool: &str,
    args: &Value,
    how: Follow,
    show: follow::Show,
    instance: &Instance,
    terminal: &mut Terminal,
) -> Ended {
    let request = CallToolRequest {
        tool: tool.to_owned(),
        args_json: args.to_string(),
        dry_run: false,
        client_id: uuid::Uuid::now_v7().to_string(),
    };
    let goal = instance.services.orchestrator().await?.call_tool(request).await?;
    follow::call_shown(goal.into_inner().into(), how, show, instance, terminal).await
}

/// An image as the tool writes it, so that the capability of the call is on what the tool asks for.
fn reference(transport: Option<&str>, image: &str) -> Result<String, Failure> {
    let read = match transport {
        Some(transport) => Reference::of(transport, image),
        None => Reference::parse(image),
    };
    let wrong = |problem| {
        Failure::new(
            Kind::Invalid,
            "AIOS-CLI-0022",
            format!("`{image}` names no image: {problem}"),
            "write quay.io/org/os:7, oci:/DIR:TAG or containers-storage:NAME",
        )
    };
    Ok(read.map_err(wrong)?.to_string())
}

fn sign(dir: &str, key: &Path, terminal: &mut Terminal) -> Ended {
    let key = SecretKey::load(key).map_err(|error| Failure::coded(&error))?;
    let layout = Layout::open(dir).map_err(|error| Failure::coded(&error))?;
    let total = layout.manifest.layers.iter().map(|layer| layer.size).sum();
    if !terminal.json() && total > LONG {
        terminal.note(format!("reading {} of layers", size(total)));
    }
    // Whoever signs stands for what the digest names, so that must be what is there.
    layout.verify(&|_| true).map_err(|error| Failure::coded(&error))?;
    let id = signature::sign(&layout, &key).map_err(|error| Failure::coded(&error))?;
    if terminal.json() {
        terminal.document(&json!({ "digest": layout.digest, "key": id }));
    } else {
        terminal.line(format!("signed {} with key {id}", layout.digest));
    }
    Ok(Exit::Done)
}

fn make_key(file: &Path, terminal: &mut Terminal) -> Ended {
    let public: PathBuf = [file.as_os_str(), ".pub".as_ref()]
        .into_iter()
        .collect::<std::ffi::OsString>()
        .into();
    let failed = |error: std::io::Error| {
        Failure::new(
            Kind::Failed,
            "AIOS-CLI-0021",
            format!("cannot write {}: {error}", public.display()),
            "name a file that is not there, in a directory of yours",
        )
    };
    // Begun first: a private key without its public half would be of no use.
    let mut half = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&public)
        .map_err(failed)?;
    let key = SecretKey::generate().map_err(|error| Failure::coded(&error))?;
    if let Err(error) = key.store_new(file) {
        std::fs::remove_file(&public).map_err(failed)?;
        return Err(Failure::coded(&error));
    }
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    half.write_all(signature::write_key(&key.public(), &name).as_bytes())
        .and_then(|()| half.sync_all())
        .map_err(failed)?;
    let id = signature::key_id(&key.public());
    if terminal.json() {
        terminal.document(&json!({ "key": id, "private": file, "public": public }));
    } else {
        terminal.line(format!(
            "key {id}: {} is private, {} is public",
            file.display(),
            public.display()
        ));
        terminal.line("machines trust it that have the public one in /etc/aios/trust/images or, from their image, /usr/lib/aios/trust/images");
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::reference;

    #[test]
    fn an_image_is_written_as_the_tool_writes_it() {
        for (transport, image, written) in [
            (None, "quay.io/org/os:7", "docker://quay.io/org/os:7"),
            (None, "oci:/srv/os:v2", "oci:/srv/os:v2"),
            (Some("oci"), "/srv/os", "oci:/srv/os"),
            (Some("registry"), "quay.io/org/os:7", "docker://quay.io/org/os:7"),
        ] {
            assert_eq!(reference(transport, image).unwrap(), written);
        }
        for (transport, image) in [(Some("ftp"), "x"), (None, "oci:here"), (None, "")] {
            let error = reference(transport, image).unwrap_err();
            assert_eq!(error.code, "AIOS-CLI-0022", "{}", error.message);
        }
    }
}
