//! `aiosctl approval notify`

use clap::Args;

/// Whom to tell of approvals that wait.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("hook").required(true).multiple(true).args(["post", "command"]))]
pub struct Notify {
    /// Send each as a POST with a JSON body; answered by 2xx
    #[arg(long, value_name = "URL", value_parser = url)]
    pub post: Option<String>,
    /// Look once and end; fails when somebody could not be told
    #[arg(long)]
    pub once: bool,
    /// Pause between two looks, milliseconds
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(50..=3_600_000))]
    pub every_ms: u64,
    /// Run this program for each, its JSON on standard input; an absolute path, then its arguments
    #[arg(last = true, value_name = "PROGRAM", value_parser = word)]
    pub command: Vec<String>,
}

fn url(text: &str) -> Result<String, String> {
    let uri: hyper::Uri = text.parse().map_err(|error| format!("no address: {error}"))?;
    match uri.scheme_str() {
        Some("http") if uri.host().is_some_and(|host| !host.is_empty()) => Ok(text.to_owned()),
        Some("https") => Err("only http:// is spoken here; for https run a program such as curl".to_owned()),
        _ => Err("an address is written http://HOST:PORT/PATH".to_owned()),
    }
}

fn word(text: &str) -> Result<String, String> {
    if text.contains('\0') || text.len() > 4096 {
        return Err("must have no NUL and at most 4096 bytes".to_owned());
    }
    Ok(text.to_owned())
}
