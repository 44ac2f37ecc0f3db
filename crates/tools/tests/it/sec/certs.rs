//! Certificates: read, checked, made, taken away.

use super::{Bench, caps, listed};
use aios_tools::budget::Budget;
use aios_tools::error::ToolError;
use aios_tools::worker::Namespace;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519,
};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::MetadataExt;
use time::{Duration, OffsetDateTime};

const DAY: Duration = Duration::days(1);

/// An authority, and a server's certificate that it signed.
struct Chain {
    authority: String,
    between: String,
    server: String,
    key: String,
}

fn params(name: &str, days: i64) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["example.org".to_owned(), "192.0.2.7".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = OffsetDateTime::now_utc() - DAY * 400;
    params.not_after = OffsetDateTime::now_utc() + DAY * i32::try_from(days).unwrap();
    params
}

/// `days` until the server's certificate expires; `signs` whether the one between may sign.
fn chain(days: i64, signs: bool) -> Chain {
    let authority = |name: &str, may: bool| {
        let mut params = params(name, 1000);
        params.is_ca = if may {
            IsCa::Ca(BasicConstraints::Unconstrained)
        } else {
            IsCa::ExplicitNoCa
        };
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params
    };
    let (root_key, between_key) = (
        KeyPair::generate().unwrap(),
        KeyPair::generate_for(&PKCS_ED25519).unwrap(),
    );
    let root_params = authority("Root", true);
    let root = root_params.self_signed(&root_key).unwrap();
    let root_issuer = Issuer::from_params(&root_params, &root_key);
    let between_params = authority("Between", signs);
    let between = between_params.signed_by(&between_key, &root_issuer).unwrap();
    let between_issuer = Issuer::from_params(&between_params, &between_key);
    let key = KeyPair::generate().unwrap();
    let server = params("server", days).signed_by(&key, &between_issuer).unwrap();
    Chain {
        authority: root.pem(),
        between: between.pem(),
        server: server.pem(),
        key: key.serialize_pem(),
    }
}

#[test]
fn a_chain_is_followed_to_what_is_trusted_or_its_fault_is_named() {
    for (days, signs, parts, trusted, expected) in [
        (90, true, "server between", "root", None),
        (
            90,
            true,
            "server between",
            "other",
            Some("the signature of `CN=Between` by `CN=Root`"),
        ),
        (
            90,
            true,
            "server",
            "root",
            Some("no trusted certificate of the issuer `CN=Between`"),
        ),
        (
            -5,
            true,
            "server between",
            "root",
            Some("`CN=server` is not valid now"),
        ),
        (
            90,
            false,
            "server between",
            "root",
            Some("`CN=Between` may not sign"),
        ),
        (
            90,
            true,
            "server forged",
            "root",
            Some("the signature of `CN=server` by `CN=Between`"),
        ),
    ] {
        let (bench, made, other) = (Bench::new(), chain(days, signs), chain(90, true));
        let part = |name: &str| match name {
            "server" => made.server.clone(),
            "between" => made.between.clone(),
            // Of the same name, with another key.
            "forged" => other.between.clone(),
            "root" => made.authority.clone(),
            _ => other.authority.clone(),
        };
        let bundle: String = parts.split(' ').map(part).collect();
        let args = json!({
            "path": bench.write("srv/server.crt", bundle, 0o644),
            "trust_path": bench.write("srv/root.crt", part(trusted), 0o644),
            "key_path": bench.write("srv/server.key", &made.key, 0o600),
        });
        let answer = bench.read("sec.cert_info", args);
        let problem = answer["chain_problem"].as_str();
        match expected {
            None => assert_eq!(problem, None),
            Some(expected) => assert!(problem.is_some_and(|it| it.starts_with(expected)), "{problem:?}"),
        }
        assert_eq!(answer["chain_verified"], expected.is_none());
        assert_eq!(answer["key_matches"], true);
        let server = &answer["certificates"][0];
        assert_eq!(server["days_left"], days - 1, "{server:#}");
        assert_eq!(server["valid_now"], days > 0);
        assert_eq!(
            server["alternative_names"],
            json!(["dns:example.org", "ip:192.0.2.7"])
        );
        assert_eq!(
            (&server["key_type"], &server["key_bits"]),
            (&json!("ec p-256"), &json!(256))
        );
        assert_eq!(server["self_signed"], false);
        assert_eq!(
            server["concerns"].as_array().unwrap().len(),
            usize::from(days < 0)
        );
        assert!(!answer.to_string().contains("PRIVATE"));
    }
}

#[test]
fn a_key_that_does_not_fit_or_cannot_be_read_is_told_apart() {
    let (bench, made) = (Bench::new(), chain(90, true));
    let cert = bench.write("srv/a.crt", &made.server, 0o644);
    for (key, matches, problem) in [
        (made.key.clone(), json!(true), None),
        (chain(90, true).key, json!(false), None),
        (
            "no key".to_owned(),
            Value::Null,
            Some("no private key in a known form"),
        ),
        (made.server.clone(), Value::Null, Some("no private key")),
        (
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n".to_owned(),
            Value::Null,
            Some("encrypted"),
        ),
        (
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n".to_owned(),
            Value::Null,
            Some("damaged"),
        ),
    ] {
        let args = json!({"path": cert, "key_path": bench.write("srv/a.key", key, 0o600)});
        let answer = bench.read("sec.cert_info", args);
        assert_eq!(answer["key_matches"], matches);
        let told = answer["key_problem"].as_str();
        assert!(
            problem.map_or(told.is_none(), |it| told.unwrap().contains(it)),
            "{told:?}"
        );
        assert_eq!(answer["chain_verified"], Value::Null);
    }
}

#[test]
fn what_is_no_certificate_is_refused_and_der_is_read_too() {
    let (bench, made) = (Bench::new(), chain(90, true));
    let mut pem = x509_parser::pem::Pem::iter_from_buffer(made.server.as_bytes());
    let der = pem.next().unwrap().unwrap().contents;
    let path = bench.write("srv/a.der", &der, 0o644);
    let answer = bench.read("sec.cert_info", json!({"path": path}));
    assert_eq!(answer["certificates"][0]["subject"], "CN=server");
    for content in [&b"hello"[..], b"", &[0x30, 0x82, 0xff], made.key.as_bytes()] {
        let path = bench.write("srv/bad.crt", content, 0o644);
        let error = bench
            .try_read("sec.cert_info", &json!({"path": path}), &Budget::of_ms(5000))
            .unwrap_err();
        assert!(matches!(error, ToolError::Io { .. }), "{error}");
    }
}

fn request(bench: &Bench, what: &str, key: &str) -> Value {
    json!({
        "directory": bench.dir("srv/tls", 0o755), "name": "web", "what": what, "key": key,
        "common_name": "example.org", "alternative_names": ["example.org", "*.example.org", "192.0.2.1"],
    })
}

#[test]
fn a_new_key_is_in_its_file_and_nowhere_else_and_is_taken_away_exactly() {
    for (what, ending) in [("self_signed", "crt"), ("request", "csr")] {
        for key in ["ecdsa_p256", "ed25519"] {
            let mut bench = Bench::new();
            let done = bench.change("sec.cert_generate", request(&bench, what, key));
            let dir = bench.path("srv/tls");
            assert_eq!(listed(&dir), [format!("web.{ending}"), "web.key".to_owned()]);
            let modes = |name: &str| fs::metadata(format!("{dir}/{name}")).unwrap().mode() & 0o7777;
            assert_eq!(
                (modes("web.key"), modes(&format!("web.{ending}"))),
                (0o600, 0o644)
            );
            let pem = fs::read_to_string(format!("{dir}/web.key")).unwrap();
            assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----"));
            let secret = pem.lines().nth(1).unwrap();
            let told = format!(
                "{}{}{:?}{:?}",
                serde_json::to_string(&done.plan).unwrap(),
                done.result,
                done.prepared,
                done.plan
            );
            assert!(!told.contains(secret) && !told.contains("PRIVATE KEY"), "{told}");
            if what == "self_signed" {
                let args = json!({
                    "path": format!("{dir}/web.crt"), "trust_path": format!("{dir}/web.crt"),
                    "key_path": format!("{dir}/web.key"),
                });
                let info = bench.read("sec.cert_info", args);
                assert_eq!(
                    (&info["key_matches"], &info["chain_verified"]),
                    (&json!(true), &json!(true))
                );
                let cert = &info["certificates"][0];
                assert_eq!(
                    (&cert["self_signed"], &cert["days_left"]),
                    (&json!(true), &json!(89))
                );
                assert_eq!(cert["not_after_ms"], done.result["not_after_ms"]);
                assert_eq!(cert["concerns"], json!([]));
            }
            bench.restart();
            let undo = bench.undo(&done).unwrap();
            assert!(!undo.prepared.reversible && undo.prepared.risk == aios_auth::level::Risk::High);
            assert_eq!(listed(&dir), Vec::<String>::new());
            assert!(matches!(
                bench.plan_undo(&undo),
                Err(ToolError::NotUndoable { .. })
            ));
        }
    }
}

#[test]
fn nothing_that_is_there_is_overwritten_or_taken_away() {
    let bench = Bench::new();
    let args = request(&bench, "self_signed", "ed25519");
    bench.write("srv/tls/web.crt", "mine", 0o644);
    assert!(matches!(
        bench.try_change("sec.cert_generate", &args),
        Err(ToolError::Exists { .. })
    ));
    fs::remove_file(bench.path("srv/tls/web.crt")).unwrap();
    // Somebody puts a file there between plan and effect: theirs stays, and nothing of ours.
    let (mut plan, _) = bench.plan("sec.cert_generate", &args).unwrap();
    bench.write("srv/tls/web.crt", "mine", 0o644);
    assert!(bench.sec.apply(&mut plan, &Budget::of_ms(5000)).is_err());
    bench.sec.roll_back(&plan).unwrap();
    assert_eq!(listed(&bench.path("srv/tls")), ["web.crt"]);
    assert_eq!(fs::read_to_string(bench.path("srv/tls/web.crt")).unwrap(), "mine");
    fs::remove_file(bench.path("srv/tls/web.crt")).unwrap();
    // A person changed the certificate since: the undo is refused and names it.
    let done = bench.change("sec.cert_generate", args);
    bench.write("srv/tls/web.crt", "signed by somebody", 0o644);
    let Err(ToolError::UndoConflict { differences, .. }) = bench.undo(&done) else {
        panic!("an undo over a person's file");
    };
    assert!(differences.contains("web.crt: other content"), "{differences}");
    assert_eq!(listed(&bench.path("srv/tls")).len(), 2);
}

#[test]
fn a_crash_leaves_both_files_or_none() {
    // Made whole, but not yet recorded: a new process takes it back.
    let mut bench = Bench::new();
    let args = request(&bench, "self_signed", "ecdsa_p256");
    let (mut plan, _) = bench.plan("sec.cert_generate", &args).unwrap();
    bench.sec.apply(&mut plan.clone(), &Budget::of_ms(5000)).unwrap();
    assert_eq!(listed(&bench.path("srv/tls")).len(), 2);
    bench.restart();
    assert!(!bench.sec.finish(&mut plan).unwrap());
    bench.sec.roll_back(&plan).unwrap();
    bench.sec.roll_back(&plan).unwrap();
    assert_eq!(listed(&bench.path("srv/tls")), Vec::<String>::new());
    // Before anything was made there is no key any more to make it of.
    let (mut plan, _) = bench.plan("sec.cert_generate", &args).unwrap();
    bench.restart();
    assert!(bench.sec.apply(&mut plan, &Budget::of_ms(5000)).is_err());
    assert_eq!(listed(&bench.path("srv/tls")), Vec::<String>::new());
    // Taken away halfway: put back; wholly: finished.
    let done = bench.change("sec.cert_generate", args);
    let (mut undo, _) = bench.plan_undo(&done).unwrap();
    let text = serde_json::to_string(&undo).unwrap();
    let tag = serde_json::from_str::<Value>(&text).unwrap()["tag"]
        .as_str()
        .unwrap()
        .to_owned();
    let dir = bench.path("srv/tls");
    fs::rename(format!("{dir}/web.key"), format!("{dir}/.aios-sec-{tag}-0")).unwrap();
    bench.restart();
    assert!(!bench.sec.finish(&mut undo).unwrap());
    bench.sec.roll_back(&undo).unwrap();
    assert_eq!(listed(&dir), ["web.crt", "web.key"]);
    fs::rename(format!("{dir}/web.key"), format!("{dir}/.aios-sec-{tag}-0")).unwrap();
    fs::rename(format!("{dir}/web.crt"), format!("{dir}/.aios-sec-{tag}-1")).unwrap();
    bench.restart();
    assert!(bench.sec.finish(&mut undo).unwrap());
    assert_eq!(listed(&dir), Vec::<String>::new());
}

#[test]
fn a_key_goes_only_where_it_was_granted() {
    let mut bench = Bench::new();
    let args = request(&bench, "request", "ed25519");
    for granted in ["sec:cert_generate:/elsewhere/**", "sec:cert_info:/**", "fs:*:/**"] {
        bench.caps = caps(&[granted]);
        let error = bench.try_change("sec.cert_generate", &args).err().unwrap();
        assert!(error.is_denial(), "{granted}: {error}");
    }
    bench.caps = caps(&["sec:*:/**"]);
    let mut protected = args.clone();
    protected["directory"] = json!(bench.dir("home/.ssh", 0o700));
    let error = bench.try_change("sec.cert_generate", &protected).err().unwrap();
    assert!(error.is_denial(), "{error}");
    assert_eq!(listed(&bench.path("home/.ssh")), Vec::<String>::new());
}

#[test]
fn certificates_and_keys_of_other_programs_are_read_too() {
    // Made by OpenSSL: an RSA key in PKCS#1 and a key on P-384 in SEC 1.
    for (cert, key, other, kind, bits) in [
        (
            include_str!("fixtures/rsa.crt"),
            include_str!("fixtures/rsa.key"),
            include_str!("fixtures/ec.key"),
            "rsa",
            2048,
        ),
        (
            include_str!("fixtures/ec.crt"),
            include_str!("fixtures/ec.key"),
            include_str!("fixtures/rsa.key"),
            "ec p-384",
            384,
        ),
    ] {
        let bench = Bench::new();
        let path = bench.write("srv/a.crt", cert, 0o644);
        for (content, matches) in [(key, true), (other, false)] {
            let key = bench.write("srv/a.key", content, 0o600);
            let answer = bench.read(
                "sec.cert_info",
                json!({"path": path, "trust_path": path, "key_path": key}),
            );
            let found = &answer["certificates"][0];
            assert_eq!(
                (&found["key_type"], &found["key_bits"]),
                (&json!(kind), &json!(bits))
            );
            assert_eq!(
                (&found["self_signed"], &answer["chain_verified"]),
                (&json!(true), &json!(true))
            );
            assert_eq!(answer["key_matches"], matches, "{answer:#}");
        }
    }
}
