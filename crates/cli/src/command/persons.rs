//! `aiosctl person …` and `aiosctl console open`

use aios_client::{Failure, Kind};
use aios_proto::guard::v1::{CreateSignInRequest, EnrolPersonRequest};
use serde::Deserialize;
use serde_json::json;

use super::Ended;
use crate::args::Person;
use crate::exit::Exit;
use crate::instance::Instance;
use crate::person;
use crate::terminal::Terminal;

/// Runs a verb.
pub(crate) async fn run(verb: Person, instance: &Instance, terminal: &mut Terminal) -> Ended {
    let Person::Enrol { user } = verb;
    let accounts = accounts()?;
    let (name, uid) = match user {
        Some(name) => {
            let uid = accounts
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, uid)| *uid);
            (name.clone(), uid.ok_or_else(|| no_user(&name))?)
        }
        None => {
            let known = accounts
                .iter()
                .find(|(_, uid)| *uid == instance.uid)
                .map(|(name, _)| name.clone());
            (
                known.ok_or_else(|| no_user(&format!("uid {}", instance.uid)))?,
                instance.uid,
            )
        }
    };
    if uid != instance.uid && instance.uid != 0 {
        return Err(only_root(&name));
    }
    // Before a key is made: without a guard nothing would be registered.
    let mut guard = instance.services.guard().await?;
    let key = person::load_or_create(uid, instance)?;
    let public_key = key.to_bytes().to_vec();
    let request = EnrolPersonRequest {
        uid,
        name: name.clone(),
        public_key,
        proof: None,
    };
    let request = person::prove_if_enrolled(request, instance)?;
    let already = guard.enrol_person(request).await?.into_inner().already;
    let path = instance.paths.person_key(uid);
    if terminal.json() {
        let key = key.to_string();
        terminal.document(
            &json!({ "name": name, "uid": uid, "public_key": key, "key_file": path, "already": already }),
        );
    } else if already {
        terminal.line(format!("{name} was enrolled already"));
    } else {
        terminal.line(format!(
            "{name} may now approve; the private key is {}",
            path.display()
        ));
    }
    Ok(Exit::Done)
}

/// Names and uids of the accounts of this machine.
fn accounts() -> Result<Vec<(String, u32)>, Failure> {
    let file = "/etc/passwd";
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::new(
            Kind::Failed,
            "AIOS-CLI-0008",
            format!("cannot read {file}: {error}"),
            "check the machine's accounts",
        )
    })?;
    let entry = |line: &str| {
        let mut fields = line.split(':');
        Some((fields.next()?.to_owned(), fields.nth(1)?.parse().ok()?))
    };
    Ok(text.lines().filter_map(entry).collect())
}

fn no_user(name: &str) -> Failure {
    Failure::new(
        Kind::NotFound,
        "AIOS-CLI-0009",
        format!("there is no user {name} on this machine"),
        "name one of those that `getent passwd` lists",
    )
}

fn only_root(name: &str) -> Failure {
    Failure::new(
        Kind::Denied,
        "AIOS-CLI-0010",
        format!("only root may make a key for {name}"),
        "try again with sudo, or let them run `aiosctl person enrol` themselves",
    )
}

/// The console's settings that a link needs.
#[derive(Debug, Deserialize)]
#[serde(default)]
struct ConsoleSettings {
    listen: String,
}

impl Default for ConsoleSettings {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:9090".to_owned(),
        }
    }
}

/// Prints a link that signs a browser in once. The code is in the fragment, which a browser never
/// sends to a server or a referrer.
pub(crate) async fn sign_in(instance: &Instance, terminal: &mut Terminal) -> Ended {
    let environment = instance.environment.clone();
    let (settings, _) =
        aios_core::config::load_with_origins::<ConsoleSettings>(&instance.paths, "console", environment)
            .map_err(|error| Failure::coded(&error))?;
    let request = person::prove(CreateSignInRequest { proof: None }, instance)?;
    let answer = instance
        .services
        .guard()
        .await?
        .create_sign_in(request)
        .await?
        .into_inner();
    let link = format!("http://{}/signin#{}", settings.listen, answer.code);
    let expires = aios_client::time::rfc3339(answer.expires_at_ms);
    if terminal.json() {
        terminal.document(&json!({ "link": link, "expires_at": expires }));
    } else {
        terminal.line(&link);
        let expires = terminal.clock(expires.as_deref());
        terminal.note(format!(
            "open it in a browser on this machine; it works once, until {expires}"
        ));
    }
    Ok(Exit::Done)
}
