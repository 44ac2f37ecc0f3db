//! A rule: from arguments to nftables' JSON, and back for people.

use super::args::{AllowArgs, Denial, DenyArgs, Place, Port, Protocol};
use super::types::FirewallRule;
use crate::error::Result;
use crate::net::reach::interface_name;
use crate::provisional::check_window;
use crate::typed::{bad_input, plain_name};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::net::IpAddr;

/// What every id begins with.
const PREFIX: &str = "aios-";
const ID_DIGITS: usize = 12;
const LONGEST_COMMENT: usize = 100;

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Lets packets in, as far as this table is concerned.
    Accept,
    /// Drops them.
    Drop,
    /// Turns them away.
    Reject,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Drop => "drop",
            Self::Reject => "reject",
        }
    }
}

/// A rule that is to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewRule {
    /// Its name for good.
    pub id: String,
    /// What it does.
    pub verdict: Verdict,
    /// What is inside the packets.
    pub protocol: Protocol,
    /// Port, range or `any`.
    pub port: Port,
    /// Where they come from.
    pub source: Option<String>,
    /// By which interface.
    pub interface: Option<String>,
    /// Why.
    pub comment: Option<String>,
    /// Where it goes.
    pub place: Place,
}

/// The name of the rule that an execution makes: the same whenever it is made again.
pub(super) fn id_of(execution: &str) -> String {
    let digest = hex::encode(Sha256::digest(execution.as_bytes()));
    format!("{PREFIX}{}", digest.get(..ID_DIGITS).unwrap_or(&digest))
}

/// Whether a text can be the name of a rule.
pub(super) fn is_id(text: &str) -> bool {
    text.strip_prefix(PREFIX)
        .is_some_and(|rest| rest.len() == ID_DIGITS && rest.bytes().all(|it| it.is_ascii_hexdigit()))
}

/// A port in its one form.
fn port(tool: &str, protocol: Protocol, port: &Port) -> Result<Port> {
    let wrong = |problem: &str| bad_input(tool, "port", problem);
    let number = |text: &str| {
        let plain = text.bytes().all(|it| it.is_ascii_digit());
        text.parse::<u16>().ok().filter(|port| plain && *port > 0)
    };
    let port = match port {
        Port::Number(number) => Port::Number(*number),
        Port::Text(text) if text == "any" => return Ok(port.clone()),
        Port::Text(text) => match text.split_once('-') {
            None => Port::Number(number(text).ok_or_else(|| wrong("must be 1 to 65535, a range, or `any`"))?),
            Some((from, to)) => match (number(from), number(to)) {
                (Some(from), Some(to)) if from < to => Port::Text(format!("{from}-{to}")),
                _ => {
                    return Err(wrong(
                        "must be a range from a lower to a higher port, `8000-8080`",
                    ));
                }
            },
        },
    };
    if port == Port::Number(0) {
        return Err(wrong("must be 1 to 65535, a range, or `any`"));
    }
    if !matches!(protocol, Protocol::Tcp | Protocol::Udp) {
        return Err(wrong("must be `any`: only tcp and udp have ports"));
    }
    Ok(port)
}

/// A port as capabilities and people write it.
pub(super) fn port_text(port: &Port) -> String {
    match port {
        Port::Number(number) => number.to_string(),
        Port::Text(text) => text.clone(),
    }
}

fn source(tool: &str, text: &str) -> Result<String> {
    let wrong = || bad_input(tool, "source", format!("`{text}` is no address or network"));
    plain_name(tool, "source", text)?;
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix.parse::<u8>().map_err(|_| wrong())?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    match prefix {
        None => Ok(address.to_string()),
        Some(prefix) if prefix == 0 || prefix > longest => Err(wrong()),
        Some(prefix) if prefix == longest => Ok(address.to_string()),
        Some(prefix) => {
            let zeros = match address {
                IpAddr::V4(it) => u32::from(it).trailing_zeros(),
                IpAddr::V6(it) => u128::from(it).trailing_zeros(),
            };
            if zeros < u32::from(longest - prefix) {
                return Err(bad_input(
                    tool,
                    "source",
                    format!("`{text}` is an address in a network, not the network"),
                ));
            }
            Ok(format!("{address}/{prefix}"))
        }
    }
}

fn comment(tool: &str, text: &str) -> Result<()> {
    plain_name(tool, "comment", text)?;
    if text.len() > LONGEST_COMMENT || text.contains(['"', '\\']) {
        return Err(bad_input(
            tool,
            "comment",
            "must be at most 100 bytes without quotes and backslashes",
        ));
    }
    Ok(())
}

/// What allowing and denying have in common, in its one form.
struct Common<'a> {
    protocol: Protocol,
    port: &'a mut Port,
    source: &'a mut Option<String>,
    interface: Option<&'a str>,
    comment: Option<&'a str>,
    window_ms: u64,
}

fn common(tool: &str, args: Common<'_>) -> Result<()> {
    check_window(tool, args.window_ms)?;
    *args.port = port(tool, args.protocol, args.port)?;
    if let Some(text) = args.source.as_deref() {
        *args.source = Some(source(tool, text)?);
    }
    if let Some(name) = args.interface {
        interface_name(tool, "interface", name)?;
        if name.contains(['"', '*']) {
            return Err(bad_input(tool, "interface", "is no name of one interface"));
        }
    }
    args.comment.map_or(Ok(()), |text| comment(tool, text))
}

pub(super) fn canonical_allow(tool: &str, mut args: AllowArgs) -> Result<AllowArgs> {
    common(
        tool,
        Common {
            protocol: args.protocol,
            port: &mut args.port,
            source: &mut args.source,
            interface: args.interface.as_deref(),
            comment: args.comment.as_deref(),
            window_ms: args.confirm_within_ms,
        },
    )?;
    Ok(args)
}

pub(super) fn canonical_deny(tool: &str, mut args: DenyArgs) -> Result<DenyArgs> {
    common(
        tool,
        Common {
            protocol: args.protocol,
            port: &mut args.port,
            source: &mut args.source,
            interface: args.interface.as_deref(),
            comment: args.comment.as_deref(),
            window_ms: args.confirm_within_ms,
        },
    )?;
    Ok(args)
}

impl NewRule {
    pub(super) fn allow(execution: &str, args: AllowArgs) -> Self {
        Self {
            id: id_of(execution),
            verdict: Verdict::Accept,
            protocol: args.protocol,
            port: args.port,
            source: args.source,
            interface: args.interface,
            comment: args.comment,
            place: args.place,
        }
    }

    pub(super) fn deny(execution: &str, args: DenyArgs) -> Self {
        Self {
            id: id_of(execution),
            verdict: match args.how {
                Denial::Drop => Verdict::Drop,
                Denial::Reject => Verdict::Reject,
            },
            protocol: args.protocol,
            port: args.port,
            source: args.source,
            interface: args.interface,
            comment: args.comment,
            place: args.place,
        }
    }

    /// What a capability names: `tcp:443`.
    pub(super) fn resource(&self) -> String {
        format!("{}:{}", self.protocol.as_str(), port_text(&self.port))
    }

    pub(super) fn summary(&self) -> String {
        let mut text = match self.verdict {
            Verdict::Accept => "Let in".to_owned(),
            other => format!("Turn away ({})", other.as_str()),
        };
        text.push_str(&match (self.protocol, port_text(&self.port).as_str()) {
            (Protocol::Any, _) => " everything".to_owned(),
            (protocol, "any") => format!(" {}", protocol.as_str()),
            (protocol, port) => format!(" {} port {port}", protocol.as_str()),
        });
        for (word, what) in [("from", &self.source), ("by", &self.interface)] {
            if let Some(what) = what {
                text.push_str(&format!(" {word} {what}"));
            }
        }
        text
    }

    /// Its comment in the kernel: name first.
    fn label(&self) -> String {
        match &self.comment {
            Some(comment) => format!("{} {comment}", self.id),
            None => self.id.clone(),
        }
    }

    /// As nftables' JSON.
    pub(super) fn object(&self, family: &str, table: &str, chain: &str) -> Value {
        let matching =
            |op: &str, left: Value, right: Value| json!({"match": {"op": op, "left": left, "right": right}});
        let meta = |key: &str| json!({"meta": {"key": key}});
        let mut expr = Vec::new();
        match &self.interface {
            Some(name) => expr.push(matching("==", meta("iifname"), json!(name))),
            // Turning away what this machine says to itself would break what nobody meant.
            None if self.verdict != Verdict::Accept => {
                expr.push(matching("!=", meta("iifname"), json!("lo")))
            }
            None => {}
        }
        if let Some(source) = &self.source {
            let family = if source.contains(':') { "ip6" } else { "ip" };
            let right = match source.split_once('/') {
                Some((addr, len)) => json!({"prefix": {"addr": addr, "len": len.parse::<u8>().unwrap_or(0)}}),
                None => json!(source),
            };
            expr.push(matching(
                "==",
                json!({"payload": {"protocol": family, "field": "saddr"}}),
                right,
            ));
        }
        match (self.protocol, &self.port) {
            (Protocol::Any, _) => {}
            (Protocol::Icmp, _) => {
                expr.push(matching(
                    "==",
                    meta("l4proto"),
                    json!({"set": ["icmp", "ipv6-icmp"]}),
                ));
            }
            (protocol, Port::Text(text)) if text == "any" => {
                expr.push(matching("==", meta("l4proto"), json!(protocol.as_str())));
            }
            (protocol, port) => {
                let left = json!({"payload": {"protocol": protocol.as_str(), "field": "dport"}});
                let right = match port {
                    Port::Number(number) => json!(number),
                    Port::Text(text) => {
                        let ends: Vec<u16> = text.split('-').filter_map(|it| it.parse().ok()).collect();
                        json!({ "range": ends })
                    }
                };
                expr.push(matching("==", left, right));
            }
        }
        expr.push(json!({"counter": null}));
        let mut verdict = serde_json::Map::new();
        verdict.insert(self.verdict.as_str().to_owned(), Value::Null);
        expr.push(Value::Object(verdict));
        json!({"rule": {"family": family, "table": table, "chain": chain, "comment": self.label(), "expr": expr}})
    }
}

/// The name of a rule of aiOS, from its comment in the kernel.
pub(super) fn id_in(rule: &Value) -> Option<&str> {
    let first = rule.get("comment")?.as_str()?.split(' ').next()?;
    is_id(first).then_some(first)
}

/// A rule as people see it; what it looks at is told when every part of it is understood.
pub(super) fn shown(rule: &Value) -> FirewallRule {
    let expr = rule
        .get("expr")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let mut seen = FirewallRule {
        id: id_in(rule).map(str::to_owned),
        verdict: None,
        protocol: Some("any".to_owned()),
        port: Some("any".to_owned()),
        source: None,
        interface: None,
        comment: None,
        packets: None,
        bytes: None,
        expression: Value::Array(expr.clone())
            .to_string()
            .chars()
            .take(1000)
            .collect(),
    };
    let label = rule.get("comment").and_then(Value::as_str);
    seen.comment = match (&seen.id, label) {
        (Some(id), Some(label)) => label
            .strip_prefix(id.as_str())
            .map(|rest| rest.trim_start().to_owned()),
        (None, label) => label.map(str::to_owned),
        (Some(_), None) => None,
    };
    seen.comment = seen.comment.filter(|comment| !comment.is_empty());
    if !expr.iter().all(|part| understand(part, &mut seen)) {
        (seen.protocol, seen.port) = (None, None);
    }
    seen
}

/// Whether a part of a rule is one of those that are told.
fn understand(part: &Value, seen: &mut FirewallRule) -> bool {
    for verdict in [Verdict::Accept, Verdict::Drop, Verdict::Reject] {
        if part.get(verdict.as_str()).is_some() {
            seen.verdict = Some(verdict.as_str().to_owned());
            return true;
        }
    }
    if let Some(counter) = part.get("counter") {
        seen.packets = counter.get("packets").and_then(Value::as_u64);
        seen.bytes = counter.get("bytes").and_then(Value::as_u64);
        return true;
    }
    let Some(right) = part.pointer("/match/right") else {
        return false;
    };
    let text = |pointer: &str| part.pointer(pointer).and_then(Value::as_str);
    let equal = text("/match/op") == Some("==");
    match (text("/match/left/meta/key"), text("/match/left/payload/field")) {
        (Some("iifname"), _) if equal => seen.interface = right.as_str().map(str::to_owned),
        (Some("iifname"), _) => return *right == json!("lo"),
        (Some("l4proto"), _) if equal => {
            let icmp = right
                .get("set")
                .is_some_and(|set| *set == json!(["icmp", "ipv6-icmp"]));
            seen.protocol = if icmp {
                Some("icmp".to_owned())
            } else {
                right.as_str().map(str::to_owned)
            };
        }
        (_, Some("saddr")) if equal => seen.source = address(right),
        (_, Some("dport")) if equal => {
            seen.protocol = text("/match/left/payload/protocol").map(str::to_owned);
            seen.port = ports(right);
        }
        _ => return false,
    }
    seen.protocol.is_some() && seen.port.is_some()
}

fn address(right: &Value) -> Option<String> {
    match right.get("prefix") {
        Some(prefix) => Some(format!(
            "{}/{}",
            prefix.get("addr")?.as_str()?,
            prefix.get("len")?
        )),
        None => right.as_str().map(str::to_owned),
    }
}

fn ports(right: &Value) -> Option<String> {
    match right.get("range").and_then(Value::as_array).map(Vec::as_slice) {
        Some([from, to]) => Some(format!("{from}-{to}")),
        Some(_) => None,
        None => right.as_u64().map(|port| port.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deny(args: Value) -> Result<NewRule> {
        let args = canonical_deny("firewall.deny", serde_json::from_value(args).unwrap())?;
        Ok(NewRule::deny("task/1", args))
    }

    #[test]
    fn a_rule_is_told_as_it_was_asked_for() {
        for args in [
            json!({"protocol": "tcp", "port": 443, "comment": "the web"}),
            json!({"protocol": "udp", "port": "8000-8080", "source": "10.0.0.0/8", "how": "reject"}),
            json!({"protocol": "tcp", "port": "any", "source": "2001:db8::7", "interface": "eth0"}),
            json!({"protocol": "icmp", "port": "any"}),
            json!({"protocol": "any", "port": "any"}),
        ] {
            let rule = deny(args.clone()).unwrap();
            let seen = shown(&rule.object("inet", "aios", "input")["rule"]);
            assert_eq!(seen.id.as_deref(), Some(rule.id.as_str()));
            assert_eq!(
                seen.verdict.as_deref(),
                Some(args["how"].as_str().unwrap_or("drop")),
                "{args}"
            );
            assert_eq!(seen.protocol.as_deref(), args["protocol"].as_str());
            assert_eq!(seen.port, Some(port_text(&rule.port)));
            assert_eq!((seen.source, seen.interface), (rule.source, rule.interface));
            assert_eq!(seen.comment.as_deref(), args["comment"].as_str());
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_says_which() {
        for (args, field) in [
            (json!({"protocol": "tcp", "port": 0}), "`port`"),
            (json!({"protocol": "tcp", "port": "http"}), "`port`"),
            (json!({"protocol": "tcp", "port": "90-80"}), "`port`"),
            (json!({"protocol": "tcp", "port": "+80"}), "`port`"),
            (json!({"protocol": "icmp", "port": 80}), "`port`"),
            (
                json!({"protocol": "tcp", "port": 80, "source": "example.org"}),
                "`source`",
            ),
            (
                json!({"protocol": "tcp", "port": 80, "source": "10.0.0.1/8"}),
                "`source`",
            ),
            (
                json!({"protocol": "tcp", "port": 80, "source": "10.0.0.0/33"}),
                "`source`",
            ),
            (
                json!({"protocol": "tcp", "port": 80, "interface": "-eth0"}),
                "`interface`",
            ),
            (
                json!({"protocol": "tcp", "port": 80, "interface": "eth*"}),
                "`interface`",
            ),
            (
                json!({"protocol": "tcp", "port": 80, "comment": "a\nb"}),
                "`comment`",
            ),
            (
                json!({"protocol": "tcp", "port": 80, "comment": "\"; flush ruleset"}),
                "`comment`",
            ),
            (
                json!({"protocol": "tcp", "port": 80, "confirm_within_ms": 1}),
                "`confirm_within_ms`",
            ),
        ] {
            let error = deny(args.clone()).unwrap_err().to_string();
            assert!(error.contains(field), "{args}: {error}");
        }
    }

    #[test]
    fn the_same_execution_always_makes_the_same_name() {
        assert_eq!(id_of("a/1"), id_of("a/1"));
        assert_ne!(id_of("a/1"), id_of("a/2"));
        assert!(is_id(&id_of("a/1")));
        for text in ["", "aios-", "aios-xyz", "aios-0123456789abc", "eth0"] {
            assert!(!is_id(text), "{text}");
        }
    }
}
