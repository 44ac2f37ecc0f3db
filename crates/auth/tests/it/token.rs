//! Tokens: minting, narrowing, refusing; and that narrowing never widens.

use aios_auth::capability::Capability;
use aios_auth::key::SecretKey;
use aios_auth::level::Autonomy;
use aios_auth::token::{
    Grant, MAX_ATTENUATIONS, MAX_TOKEN, Minter, NoRevocations, RevocationList, Verifier, attenuate,
};
use aios_core::error::Coded;
use aios_core::id::{AgentId, GoalId, TaskId};
use biscuit_auth::builder::{Algorithm, BlockBuilder};
use biscuit_auth::{Biscuit, KeyPair, PublicKey as BiscuitKey};
use proptest::prelude::*;

struct Setup {
    key: SecretKey,
    grant: Grant,
}

impl Setup {
    fn new(caps: &[&str]) -> Self {
        let grant = Grant {
            agent: AgentId::new(),
            agent_kind: "maintenance_agent".into(),
            goal: GoalId::new(),
            task: TaskId::new(),
            capabilities: caps.iter().map(|cap| cap.parse().unwrap()).collect(),
            expires_at_ms: 10_000,
            tainted: true,
            autonomy: Autonomy::Supervised,
            epoch: 3,
        };
        Self {
            key: SecretKey::from_seed(&[7; 32]),
            grant,
        }
    }

    fn mint(&self) -> Vec<u8> {
        Minter::new(&self.key).unwrap().mint(&self.grant).unwrap().token
    }

    fn verifier(&self) -> Verifier {
        Verifier::new(&self.key.public()).unwrap()
    }

    fn code(&self, token: &[u8]) -> &'static str {
        self.verifier()
            .verify(token, 1, &NoRevocations)
            .unwrap_err()
            .code()
    }

    fn append(&self, token: &[u8], datalog: &str) -> Vec<u8> {
        let key = BiscuitKey::from_bytes(&self.key.public().to_bytes(), Algorithm::Ed25519).unwrap();
        let block = BlockBuilder::new().code(datalog).unwrap();
        Biscuit::from(token, key)
            .unwrap()
            .append(block)
            .unwrap()
            .to_vec()
            .unwrap()
    }
}

fn caps(texts: &[&str]) -> Vec<Capability> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn a_minted_token_says_what_was_granted() {
    let setup = Setup::new(&["fs:*:/var/tmp/**", "fs:read:/etc/hosts"]);
    let minted = Minter::new(&setup.key).unwrap().mint(&setup.grant).unwrap();
    let verified = setup
        .verifier()
        .verify(&minted.token, 9_999, &NoRevocations)
        .unwrap();
    assert_eq!(verified.token_id, minted.token_id);
    assert_eq!(
        (verified.agent, verified.goal, verified.task),
        (setup.grant.agent, setup.grant.goal, setup.grant.task)
    );
    assert_eq!(verified.agent_kind, "maintenance_agent");
    assert_eq!(
        (verified.autonomy, verified.tainted, verified.epoch),
        (Autonomy::Supervised, true, 3)
    );
    assert_eq!(verified.expires_at_ms, 10_000);
    assert!(verified.capabilities.allows("fs", "delete", "/var/tmp/x"));
    assert!(!verified.capabilities.allows("fs", "delete", "/etc/hosts"));
}

#[test]
fn denied_when_missing_garbled_too_large_or_of_another_guard() {
    let setup = Setup::new(&["fs:read:/**"]);
    assert_eq!(setup.code(b""), "AIOS-AUTH-0201");
    assert_eq!(setup.code(&vec![0; MAX_TOKEN + 1]), "AIOS-AUTH-0202");
    assert_eq!(setup.code(b"nonsense"), "AIOS-AUTH-0203");
    let other = Setup {
        key: SecretKey::from_seed(&[8; 32]),
        ..Setup::new(&["fs:read:/**"])
    };
    assert_eq!(setup.code(&other.mint()), "AIOS-AUTH-0203");
}

#[test]
fn every_flipped_bit_is_refused() {
    let setup = Setup::new(&["fs:read:/a"]);
    let token = setup.mint();
    let verifier = setup.verifier();
    for bit in 0..token.len() * 8 {
        let mut bad = token.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        if let Ok(verified) = verifier.verify(&bad, 1, &NoRevocations) {
            // A bit that the signature does not cover must not change anything that is said.
            let good = setup.verifier().verify(&token, 1, &NoRevocations).unwrap();
            assert_eq!(verified, good, "bit {bit}");
        }
    }
}

#[test]
fn denied_when_token_expired_also_from_the_cache() {
    let setup = Setup::new(&["fs:read:/**"]);
    let token = setup.mint();
    let verifier = setup.verifier();
    verifier.verify(&token, 9_999, &NoRevocations).unwrap();
    assert_eq!(
        verifier
            .verify(&token, 10_000, &NoRevocations)
            .unwrap_err()
            .code(),
        "AIOS-AUTH-0205"
    );
    assert_eq!(
        setup
            .verifier()
            .verify(&token, 10_000, &NoRevocations)
            .unwrap_err()
            .code(),
        "AIOS-AUTH-0205"
    );
}

#[test]
fn denied_when_revoked_by_id_or_epoch_also_from_the_cache() {
    let setup = Setup::new(&["fs:read:/**"]);
    let token = setup.mint();
    let narrow = attenuate(&token, &setup.key.public(), &caps(&["fs:read:/a"]), None).unwrap();
    let verifier = setup.verifier();
    let mut list = RevocationList::default();
    let id = verifier.verify(&token, 1, &list).unwrap().token_id.clone();
    assert_eq!(verifier.verify(&narrow, 1, &list).unwrap().token_id, id);

    list.revoked.insert(id.clone());
    list.epoch += 1;
    for token in [&token, &narrow] {
        assert_eq!(
            verifier.verify(token, 1, &list).unwrap_err().code(),
            "AIOS-AUTH-0206"
        );
    }
    list.revoked.clear();
    list.epoch += 1;
    verifier.verify(&narrow, 1, &list).unwrap();

    list.min_token_epoch = 4;
    list.epoch += 1;
    assert_eq!(
        verifier.verify(&narrow, 1, &list).unwrap_err().code(),
        "AIOS-AUTH-0206"
    );
}

#[test]
fn what_was_just_minted_is_known_until_anything_is_revoked() {
    let setup = Setup::new(&["fs:read:/**"]);
    let minted = Minter::new(&setup.key).unwrap().mint(&setup.grant).unwrap();
    // A verifier with another key would refuse it, so what it answers comes from the note.
    let verifier = Verifier::new(&SecretKey::from_seed(&[8; 32]).public()).unwrap();
    let mut list = RevocationList {
        epoch: setup.grant.epoch + 1,
        ..RevocationList::default()
    };
    let noted = |verifier: &Verifier, list: &RevocationList| {
        verifier.note_minted(&minted, 1, list);
        verifier
            .verify(&minted.token, 1, list)
            .map(|token| token.token_id.clone())
    };
    assert!(noted(&verifier, &list).is_err(), "it is of an earlier epoch");
    list.epoch -= 1;
    assert_eq!(noted(&verifier, &list).unwrap(), minted.token_id);
    let late = verifier.verify(&minted.token, i64::MAX, &list).unwrap_err();
    assert_eq!(late.code(), "AIOS-AUTH-0205");
    list.epoch += 1;
    assert!(noted(&verifier, &list).is_err());
}

#[test]
fn a_narrowed_token_can_be_revoked_alone() {
    let setup = Setup::new(&["fs:read:/**"]);
    let token = setup.mint();
    let narrow = attenuate(&token, &setup.key.public(), &caps(&["fs:read:/a"]), None).unwrap();
    let own = setup
        .verifier()
        .verify(&narrow, 1, &NoRevocations)
        .unwrap()
        .revocation_ids[1]
        .clone();
    let list = RevocationList {
        revoked: [own].into(),
        ..RevocationList::default()
    };
    assert!(setup.verifier().verify(&narrow, 1, &list).is_err());
    assert!(setup.verifier().verify(&token, 1, &list).is_ok());
}

#[test]
fn narrowing_keeps_the_earlier_end_and_refuses_to_widen() {
    let setup = Setup::new(&["fs:read:/a/**"]);
    let token = setup.mint();
    let key = setup.key.public();
    let sooner = attenuate(&token, &key, &caps(&["fs:read:/a/b"]), Some(5_000)).unwrap();
    assert_eq!(
        setup
            .verifier()
            .verify(&sooner, 1, &NoRevocations)
            .unwrap()
            .expires_at_ms,
        5_000
    );
    let later = attenuate(&token, &key, &caps(&["fs:read:/a/b"]), Some(99_000)).unwrap();
    assert_eq!(
        setup
            .verifier()
            .verify(&later, 1, &NoRevocations)
            .unwrap()
            .expires_at_ms,
        10_000
    );
    for wide in ["fs:read:/**", "fs:*:/a/b", "fs:read:/b", "net:connect:**"] {
        assert_eq!(
            attenuate(&token, &key, &caps(&[wide]), None).unwrap_err().code(),
            "AIOS-AUTH-0207",
            "{wide}"
        );
        assert!(attenuate(&sooner, &key, &caps(&["fs:read:/a/c"]), None).is_err());
    }
    assert_eq!(
        attenuate(&token, &key, &[], None).unwrap_err().code(),
        "AIOS-AUTH-0208"
    );
}

#[test]
fn a_block_that_claims_more_gains_nothing() {
    let setup = Setup::new(&["fs:read:/a"]);
    let token = setup.append(&setup.mint(), r#"cap("fs:*:/**"); expires(99999);"#);
    let verified = setup.verifier().verify(&token, 1, &NoRevocations).unwrap();
    assert!(verified.capabilities.allows("fs", "read", "/a"));
    assert!(
        !verified.capabilities.allows("fs", "read", "/b")
            && !verified.capabilities.allows("fs", "write", "/a")
    );
    assert_eq!(verified.expires_at_ms, 10_000);
    assert_eq!(verified.capabilities.effective(), caps(&["fs:read:/a"]));
}

#[test]
fn blocks_that_are_not_understood_are_refused() {
    let setup = Setup::new(&["fs:read:/a"]);
    let token = setup.mint();
    for datalog in [
        r#"check if resource("x");"#,
        r#"cap($x) <- other($x);"#,
        r#"agent("someone else");"#,
        r#"tainted(false);"#,
        r#"epoch(99);"#,
        r#"autonomy("full");"#,
        r#"anything("at all");"#,
        r#"expires(1); expires(2);"#,
        r#"cap(5);"#,
    ] {
        assert_eq!(
            setup.code(&setup.append(&token, datalog)),
            "AIOS-AUTH-0204",
            "{datalog}"
        );
    }
    assert_eq!(
        setup.code(&setup.append(&token, r#"cap("nonsense");"#)),
        "AIOS-AUTH-0101"
    );
}

#[test]
fn a_third_partys_block_is_refused() {
    let setup = Setup::new(&["fs:read:/a"]);
    let key = BiscuitKey::from_bytes(&setup.key.public().to_bytes(), Algorithm::Ed25519).unwrap();
    let biscuit = Biscuit::from(setup.mint(), key).unwrap();
    let other = KeyPair::new();
    let request = biscuit.third_party_request().unwrap();
    let block = BlockBuilder::new().code(r#"cap("fs:read:/a");"#).unwrap();
    let block = request.create_block(&other.private(), block).unwrap();
    let token = biscuit
        .append_third_party(other.public(), block)
        .unwrap()
        .to_vec()
        .unwrap();
    assert_eq!(setup.code(&token), "AIOS-AUTH-0204");
}

#[test]
fn too_many_narrowings_and_unfit_grants_are_refused() {
    let mut setup = Setup::new(&["fs:read:/a"]);
    let mut token = setup.mint();
    for _ in 0..MAX_ATTENUATIONS {
        token = attenuate(&token, &setup.key.public(), &caps(&["fs:read:/a"]), None).unwrap();
    }
    assert!(setup.verifier().verify(&token, 1, &NoRevocations).is_ok());
    assert_eq!(
        attenuate(&token, &setup.key.public(), &caps(&["fs:read:/a"]), None)
            .unwrap_err()
            .code(),
        "AIOS-AUTH-0208"
    );
    assert_eq!(
        setup.code(&setup.append(&token, r#"cap("fs:read:/a");"#)),
        "AIOS-AUTH-0204"
    );

    let minter = Minter::new(&setup.key).unwrap();
    for bad in [r#"fs:read:/a"); cap("fs:*:/**"#, r"fs:read:/a\b"] {
        setup.grant.capabilities = caps(&[bad]);
        assert_eq!(
            minter.mint(&setup.grant).unwrap_err().code(),
            "AIOS-AUTH-0208",
            "{bad}"
        );
    }
    setup.grant.capabilities = caps(&["fs:read:/a"]);
    setup.grant.agent_kind = "x\"); cap(\"fs:*:/**".into();
    assert!(minter.mint(&setup.grant).is_err());
    setup.grant.capabilities.clear();
    assert!(minter.mint(&setup.grant).is_err());
}

fn pattern() -> impl Strategy<Value = String> {
    let segment = prop_oneof![Just("a"), Just("b"), Just("*"), Just("**"), Just("a*")];
    let action = prop_oneof![Just("read"), Just("write"), Just("*")];
    (action, prop::collection::vec(segment, 0..4))
        .prop_map(|(action, path)| format!("fs:{action}:/{}", path.join("/")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn narrowing_never_widens(
        granted in prop::collection::vec(pattern(), 1..4),
        layers in prop::collection::vec(prop::collection::vec(pattern(), 1..3), 1..4),
        path in prop::collection::vec(prop_oneof![Just("a"), Just("b"), Just("ab")], 0..4),
        write in any::<bool>(),
    ) {
        let setup = Setup::new(&granted.iter().map(String::as_str).collect::<Vec<_>>());
        let (path, action) = (format!("/{}", path.join("/")), if write { "write" } else { "read" });
        let mut token = setup.mint();
        let mut before = setup.verifier().verify(&token, 1, &NoRevocations).unwrap();
        for layer in &layers {
            // Not `attenuate`: a captured holder appends whatever it likes.
            let datalog: String = layer.iter().map(|cap| format!("cap(\"{cap}\");")).collect();
            token = setup.append(&token, &datalog);
            let after = setup.verifier().verify(&token, 1, &NoRevocations).unwrap();
            if after.capabilities.allows("fs", action, &path) {
                prop_assert!(before.capabilities.allows("fs", action, &path));
                prop_assert!(layer.iter().any(|cap| cap.parse::<Capability>().unwrap().allows("fs", action, &path)));
            }
            for cap in after.capabilities.effective() {
                prop_assert!(before.capabilities.covers(&cap));
            }
            before = after;
        }
    }

    #[test]
    fn any_bytes_are_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(Setup::new(&["fs:read:/a"]).verifier().verify(&bytes, 1, &NoRevocations).is_err());
    }
}
