//! The guard's word to its workers: what is revoked, and the file with the keys that prove it.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use aios_auth::key::SecretKey;
use aios_auth::trust::{TrustKeys, TrustState, TrustView};
use aios_core::error::Coded;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn state(counter: u64) -> TrustState {
    TrustState {
        counter,
        epoch: 1,
        min_token_epoch: 0,
        revoked: BTreeSet::from(["aa".to_owned()]),
        emergency: false,
        issued_at_ms: 1_000,
    }
}

fn trust_keys() -> TrustKeys {
    let [mint, receipt, approval, trust] = [1, 2, 3, 4].map(|seed| key(seed).public());
    TrustKeys {
        mint,
        receipt,
        approval,
        trust,
    }
}

#[test]
fn a_worker_mutates_only_while_it_hears_the_guard() {
    use aios_auth::token::Revocations;
    let view = TrustView::new(&trust_keys());
    let start = Instant::now();
    assert_eq!(view.may_mutate(start).unwrap_err().code(), "AIOS-AUTH-0425");
    assert_eq!(
        view.accept(&state(5).sign(&key(4)).unwrap(), start, 1_000)
            .unwrap(),
        5
    );
    view.may_mutate(start + Duration::from_secs(5)).unwrap();
    assert!(view.is_revoked("aa") && view.epoch() == 1);
    assert_eq!(
        view.may_mutate(start + Duration::from_millis(5_001))
            .unwrap_err()
            .code(),
        "AIOS-AUTH-0425"
    );

    let push = |state: TrustState, seed| view.accept(&state.sign(&key(seed)).unwrap(), start, 1_000);
    assert_eq!(push(state(5), 4).unwrap_err().code(), "AIOS-AUTH-0423");
    assert_eq!(push(state(4), 4).unwrap_err().code(), "AIOS-AUTH-0423");
    assert_eq!(
        push(TrustState { epoch: 0, ..state(6) }, 4).unwrap_err().code(),
        "AIOS-AUTH-0423"
    );
    assert_eq!(push(state(6), 3).unwrap_err().code(), "AIOS-AUTH-0411");
    assert_eq!(
        push(
            TrustState {
                issued_at_ms: -9_000,
                ..state(6)
            },
            4
        )
        .unwrap_err()
        .code(),
        "AIOS-AUTH-0424"
    );
    assert_eq!(
        push(
            TrustState {
                issued_at_ms: 9_000,
                ..state(6)
            },
            4
        )
        .unwrap_err()
        .code(),
        "AIOS-AUTH-0424"
    );
    push(
        TrustState {
            emergency: true,
            epoch: 2,
            ..state(6)
        },
        4,
    )
    .unwrap();
    assert_eq!(view.may_mutate(start).unwrap_err().code(), "AIOS-AUTH-0426");
}

#[test]
fn the_trust_file_is_replaced_whole_and_refused_when_others_can_write_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trust.json");
    trust_keys().write(&path).unwrap();
    trust_keys().write(&path).unwrap();
    let own = rustix::process::geteuid().as_raw();
    assert_eq!(TrustKeys::read(&path, Some(own)).unwrap(), trust_keys());
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
    assert_eq!(
        TrustKeys::read(&path, Some(own)).unwrap_err().code(),
        "AIOS-AUTH-0421"
    );
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::write(&path, "{}").unwrap();
    assert_eq!(
        TrustKeys::read(&path, Some(own)).unwrap_err().code(),
        "AIOS-AUTH-0422"
    );
    assert_eq!(
        TrustKeys::read(&dir.path().join("none"), None)
            .unwrap_err()
            .code(),
        "AIOS-AUTH-0420"
    );
}
