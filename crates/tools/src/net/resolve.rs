//! From a name to addresses, as this machine is set up to do it: `/etc/hosts` first, then the servers of
//! `/etc/resolv.conf`. Every address is handed to the caller, who checks it and connects to it and to no other.

use super::dns::{self, Question};
use super::reach::Host;
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use simple_dns::rdata::RData;
use simple_dns::{RCODE, TYPE};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Most servers and search domains, as the C library has it.
const SERVERS: usize = 3;
const DOMAINS: usize = 6;
const DNS_PORT: u16 = 53;
/// How often the servers are gone through.
const ATTEMPTS: u32 = 2;
const ANSWER: Duration = Duration::from_secs(3);

/// Where this machine's settings for names are.
#[derive(Debug, Clone)]
pub struct Resolver {
    etc: PathBuf,
}

/// What `resolv.conf` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// Its text.
    pub text: String,
    /// Servers, in their order.
    pub servers: Vec<IpAddr>,
    /// Domains that are tried after a short name.
    pub search: Vec<String>,
}

impl Settings {
    /// Understands the file's text.
    pub fn parse(text: &str) -> Self {
        let mut settings = Self {
            text: text.to_owned(),
            ..Self::default()
        };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                // A zone stays with the C library: no server of this resolver is reached through one.
                Some("nameserver") => settings
                    .servers
                    .extend(words.next().and_then(|it| it.parse::<IpAddr>().ok())),
                Some("search" | "domain") => settings.search = words.map(str::to_owned).collect(),
                _ => {}
            }
        }
        settings.servers.truncate(SERVERS);
        settings.search.truncate(DOMAINS);
        settings
    }
}

impl Resolver {
    /// One with the settings in this directory, `/etc`.
    pub fn new(etc: impl Into<PathBuf>) -> Self {
        Self { etc: etc.into() }
    }

    /// What `resolv.conf` says; nothing when it is not there.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn settings(&self) -> Result<Settings> {
        Ok(Settings::parse(&text(&self.etc.join("resolv.conf"))?))
    }

    /// What `/etc/hosts` says of a name.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn hosts(&self, name: &str) -> Result<Vec<IpAddr>> {
        let text = text(&self.etc.join("hosts"))?;
        let mut found = Vec::new();
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else {
                continue;
            };
            if words.any(|word| word.eq_ignore_ascii_case(name)) && !found.contains(&address) {
                found.push(address);
            }
        }
        Ok(found)
    }

    /// Every address of a host, at least one.
    ///
    /// # Errors
    /// It has none, or no server answers in time.
    pub fn addresses(&self, host: &Host, budget: &Budget) -> Result<Vec<IpAddr>> {
        let name = match host {
            Host::Address(address) => return Ok(vec![*address]),
            Host::Name(name) => name,
        };
        // No server is asked for names of this machine (RFC 6761).
        if name == "localhost" || name.ends_with(".localhost") {
            return Ok(vec![[127, 0, 0, 1].into()]);
        }
        let listed = self.hosts(name)?;
        if !listed.is_empty() {
            return Ok(listed);
        }
        let settings = self.settings()?;
        let mut names = vec![name.clone()];
        if !name.contains('.') {
            names = settings
                .search
                .iter()
                .map(|domain| format!("{name}.{domain}"))
                .collect();
            names.push(name.clone());
        }
        for name in &names {
            let mut found = Vec::new();
            for record_type in [TYPE::AAAA, TYPE::A] {
                found.extend(ask_all(&settings, name, record_type, budget)?);
            }
            if !found.is_empty() {
                return Ok(found);
            }
        }
        Err(failed(name, "it has no address"))
    }
}

fn failed(name: &str, why: &str) -> ToolError {
    ToolError::Network {
        what: format!("looking up `{name}`"),
        why: why.to_owned(),
    }
}

fn text(path: &Path) -> Result<String> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(ToolError::io("read", path.to_string_lossy(), error)),
    }
}

/// Addresses of one kind from the first server that knows; none when there are none.
fn ask_all(settings: &Settings, name: &str, record_type: TYPE, budget: &Budget) -> Result<Vec<IpAddr>> {
    if settings.servers.is_empty() {
        return Err(failed(name, "resolv.conf names no server"));
    }
    let mut last = String::new();
    for _ in 0..ATTEMPTS {
        for server in &settings.servers {
            budget.check()?;
            let question = Question {
                server: SocketAddr::new(*server, DNS_PORT),
                name,
                record_type,
                timeout: ANSWER.min(budget.left()),
            };
            match dns::ask(&question) {
                Ok(reply) if reply.code == RCODE::NoError => {
                    return Ok(reply
                        .records
                        .iter()
                        .filter_map(|record| address(&record.data))
                        .collect());
                }
                Ok(reply) if reply.code == RCODE::NameError => return Ok(Vec::new()),
                Ok(reply) => last = format!("{server} answered {:?}", reply.code),
                Err(error) => last = format!("{server}: {error}"),
            }
        }
    }
    Err(failed(name, &last))
}

fn address(data: &RData<'_>) -> Option<IpAddr> {
    match data {
        RData::A(it) => Some(IpAddr::V4(it.address.into())),
        RData::AAAA(it) => Some(IpAddr::V6(it.address.into())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_the_c_library_reads_them() {
        let text = "# made by hand\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\n nameserver ::1 # x\n\
                    nameserver 1.1.1.1\nnameserver 9.9.9.9\nsearch a.example b.example\noptions ndots:1\nnonsense\n";
        let settings = Settings::parse(text);
        let servers: Vec<String> = settings.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.0.0.1", "::1", "1.1.1.1"]);
        assert_eq!(settings.search, ["a.example", "b.example"]);
        assert_eq!(Settings::parse("").servers, Vec::<IpAddr>::new());
    }

    #[test]
    fn the_hosts_file_comes_before_any_server() {
        let etc = tempfile::tempdir().unwrap();
        std::fs::write(
            etc.path().join("hosts"),
            "127.0.0.1 localhost\n10.0.0.9\tDB db.example # other\nnonsense db.example\n::9 db.example\n",
        )
        .unwrap();
        let resolver = Resolver::new(etc.path());
        let budget = Budget::of_ms(1000);
        let of = |name: &str| resolver.addresses(&Host::Name(name.into()), &budget);
        assert_eq!(
            of("db.example").unwrap(),
            ["10.0.0.9".parse::<IpAddr>().unwrap(), "::9".parse().unwrap()]
        );
        assert_eq!(
            of("a.localhost").unwrap(),
            ["127.0.0.1".parse::<IpAddr>().unwrap()]
        );
        assert!(of("other").unwrap_err().to_string().contains("names no server"));
    }
}
