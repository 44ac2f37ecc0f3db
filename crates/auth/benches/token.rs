//! What a call pays for its token: verified anew, and from the cache; beside it one plain Ed25519
//! verification. Run with `cargo bench --profile release -p aios-auth`.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints and stops at the first error"
)]

use aios_auth::capability::Capability;
use aios_auth::key::{Domain, SecretKey};
use aios_auth::level::Autonomy;
use aios_auth::policy::{Policy, PolicyCall};
use aios_auth::token::{Grant, Minter, NoRevocations, Verifier};
use aios_core::id::{AgentId, GoalId, TaskId};
use std::hint::black_box;
use std::time::Instant;

fn time<T>(what: &str, rounds: u32, mut work: impl FnMut() -> T) {
    let started = Instant::now();
    for _ in 0..rounds {
        black_box(work());
    }
    let each = started.elapsed().as_secs_f64() * 1e6 / f64::from(rounds);
    println!("{what:40} {each:9.3} µs");
}

fn main() {
    let key = SecretKey::generate().unwrap();
    let capabilities = [
        "fs:disk_usage:/var/tmp/**",
        "fs:search:/var/tmp/**",
        "fs:stat:/var/tmp/**",
        "fs:delete:/var/tmp/**",
    ];
    let grant = Grant {
        agent: AgentId::new(),
        agent_kind: "maintenance_agent".into(),
        goal: GoalId::new(),
        task: TaskId::new(),
        capabilities: capabilities
            .iter()
            .map(|text| Capability::parse(text).unwrap())
            .collect(),
        expires_at_ms: i64::MAX,
        tainted: false,
        autonomy: Autonomy::Supervised,
        epoch: 1,
    };
    let minter = Minter::new(&key).unwrap();
    let token = minter.mint(&grant).unwrap().token;
    let verifier = Verifier::new(&key.public()).unwrap();
    let signature = key.sign(Domain::Receipt, &token);
    println!("token of {} bytes", token.len());
    time("plain Ed25519 verification", 2_000, || {
        key.public().verify(Domain::Receipt, &token, &signature)
    });
    time("mint", 2_000, || minter.mint(&grant).unwrap());
    time("verify, new", 2_000, || {
        Verifier::new(&key.public())
            .unwrap()
            .verify(&token, 1, &NoRevocations)
            .unwrap()
    });
    time("verify, cached", 1_000_000, || {
        verifier.verify(&token, 1, &NoRevocations).unwrap()
    });
    let verified = verifier.verify(&token, 1, &NoRevocations).unwrap();
    time("capability check", 1_000_000, || {
        verified.capabilities.allows("fs", "delete", "/var/tmp/a/b/c.log")
    });
    let text = include_str!("../../../configs/policy.toml");
    let policy = Policy::parse(&[("policy.toml", text)], None).unwrap();
    let call = PolicyCall {
        paths: &["/var/tmp/a/b/c.log"],
        ..PolicyCall::explain("fs.stat")
    };
    time("policy decision", 200_000, || policy.decide(&call));
}
