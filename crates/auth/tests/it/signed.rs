//! Receipts, approvals, person proofs and the call digest: each accepted for exactly what
//! it is about, refused for everything else.

use std::os::unix::fs::PermissionsExt;

use aios_auth::approval::{ApprovalBody, Covered};
use aios_auth::call;
use aios_auth::capability::Access;
use aios_auth::key::SecretKey;
use aios_auth::level::Risk;
use aios_auth::person::{MemoryNonces, PersonKey, verify};
use aios_auth::receipt::{Expected, Extent, GROWTH, ReceiptBody};
use aios_core::error::Coded;
use aios_core::id::{ApprovalId, ExecutionKey, GoalId, TaskId};
use aios_core::paths::Paths;
use aios_proto::common::v1::{Identity, KeyProof, person_proof::Credential};
use aios_proto::guard::v1::{DecideApprovalRequest, ResumeRequest};
use serde_json::json;

fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed(&[seed; 32])
}

fn identity(path: &str, ino: u64) -> Identity {
    Identity {
        path: path.into(),
        dev: 1,
        ino,
        kind: "file".into(),
    }
}

#[test]
fn the_call_digest_is_pinned() {
    let identities = [identity("/b", u64::MAX), identity("/a", 7)];
    let args = json!({"path": "/a", "n": 1.0, "ä": null});
    let text = String::from_utf8(call::canonical_call("fs.delete", &args, &identities).unwrap()).unwrap();
    assert_eq!(
        text,
        r#"{"args":{"n":1,"path":"/a","ä":null},"identities":[{"dev":"1","ino":"7","kind":"file","path":"/a"},{"dev":"1","ino":"18446744073709551615","kind":"file","path":"/b"}],"tool":"fs.delete"}"#,
    );
    let digest = call::digest("fs.delete", &args, &identities).unwrap();
    let swapped = [identities[1].clone(), identities[0].clone()];
    let same = call::digest_json("fs.delete", r#" {"ä":null,"path":"/a","n":1}"#, &swapped).unwrap();
    assert_eq!(digest, same);
}

#[test]
fn every_part_of_a_call_changes_its_digest() {
    let args = json!({"path": "/a"});
    let digest = |tool, args, identities: &[Identity]| call::digest(tool, args, identities).unwrap();
    let own = digest("fs.delete", &args, &[identity("/a", 1)]);
    for other in [
        digest("fs.write", &args, &[identity("/a", 1)]),
        digest("fs.delete", &json!({"path": "/b"}), &[identity("/a", 1)]),
        digest("fs.delete", &args, &[identity("/a", 2)]),
        digest("fs.delete", &args, &[identity("/b", 1)]),
        digest(
            "fs.delete",
            &args,
            &[Identity {
                dev: 2,
                ..identity("/a", 1)
            }],
        ),
        digest(
            "fs.delete",
            &args,
            &[Identity {
                kind: "dir".into(),
                ..identity("/a", 1)
            }],
        ),
        digest("fs.delete", &args, &[]),
    ] {
        assert_ne!(own, other);
    }
}

#[test]
fn arguments_that_have_no_exact_form_are_refused() {
    let cases = [
        ("[1]", "AIOS-AUTH-0302"),
        ("null", "AIOS-AUTH-0302"),
        ("{", "AIOS-AUTH-0301"),
        (r#"{"n": 9007199254740993}"#, "AIOS-AUTH-0303"),
        (r#"{"a": [{"n": -9007199254740993}]}"#, "AIOS-AUTH-0303"),
    ];
    for (text, code) in cases {
        assert_eq!(
            call::digest_json("fs.read", text, &[]).unwrap_err().code(),
            code,
            "{text}"
        );
    }
    let huge = format!(r#"{{"a":"{}"}}"#, "x".repeat(call::MAX_ARGS));
    assert_eq!(call::parse_args(&huge).unwrap_err().code(), "AIOS-AUTH-0304");
}

const EXTENT: Extent = Extent {
    risk: Risk::Medium,
    reversible: true,
    files: 3,
    bytes: 100,
};

fn receipt() -> ReceiptBody {
    ReceiptBody {
        key: ExecutionKey {
            task: TaskId::new(),
            step: 2,
        },
        tool: "fs.delete".into(),
        call_digest: [5; 32],
        token_id: "aa".into(),
        rule_id: "r".into(),
        approval_id: None,
        mutating: true,
        extent: EXTENT,
        audit_seq: 9,
        epoch: 1,
        issued_at_ms: 1,
        expires_at_ms: 100,
    }
}

fn expected(body: &ReceiptBody) -> Expected<'_> {
    Expected {
        key: body.key,
        tool: &body.tool,
        call_digest: [5; 32],
        token_id: &body.token_id,
        mutating: true,
        extent: Some(EXTENT),
        now_ms: 50,
    }
}

#[test]
fn a_receipt_fits_one_call_only() {
    let body = receipt();
    let signed = body.sign(&key(1), None).unwrap();
    let read = ReceiptBody::verify(Some(&signed), &key(1).public()).unwrap();
    assert_eq!(read, body);
    read.check(&expected(&body)).unwrap();
    let good = expected(&body);
    let cases = [
        (
            Expected {
                key: ExecutionKey { step: 3, ..body.key },
                ..good.clone()
            },
            "AIOS-AUTH-0414",
        ),
        (
            Expected {
                tool: "fs.write",
                ..good.clone()
            },
            "AIOS-AUTH-0414",
        ),
        (
            Expected {
                call_digest: [6; 32],
                ..good.clone()
            },
            "AIOS-AUTH-0414",
        ),
        (
            Expected {
                token_id: "bb",
                ..good.clone()
            },
            "AIOS-AUTH-0414",
        ),
        (
            Expected {
                now_ms: 100,
                ..good.clone()
            },
            "AIOS-AUTH-0413",
        ),
    ];
    for (case, code) in cases {
        assert_eq!(read.check(&case).unwrap_err().code(), code, "{case:?}");
    }
    let beyond = [
        (
            Extent {
                risk: Risk::High,
                ..EXTENT
            },
            "AIOS-AUTH-0414",
        ),
        (
            Extent {
                risk: Risk::Low,
                ..EXTENT
            },
            "AIOS-AUTH-0414",
        ),
        (
            Extent {
                reversible: false,
                ..EXTENT
            },
            "AIOS-AUTH-0414",
        ),
        (Extent { files: 4, ..EXTENT }, "AIOS-AUTH-0415"),
        (
            Extent {
                bytes: EXTENT.bytes + GROWTH + 1,
                ..EXTENT
            },
            "AIOS-AUTH-0415",
        ),
    ];
    for (extent, code) in beyond {
        let case = Expected {
            extent: Some(extent),
            ..good.clone()
        };
        assert_eq!(read.check(&case).unwrap_err().code(), code, "{case:?}");
    }
    // Files shrink and grow by themselves while a call is decided.
    for (files, bytes) in [(2, 0), (3, EXTENT.bytes + GROWTH)] {
        let moved = Expected {
            extent: Some(Extent {
                files,
                bytes,
                ..EXTENT
            }),
            ..good.clone()
        };
        read.check(&moved).unwrap();
    }
    let for_a_read = ReceiptBody {
        mutating: false,
        ..body.clone()
    };
    assert_eq!(for_a_read.check(&good).unwrap_err().code(), "AIOS-AUTH-0414");
}

#[test]
fn forged_receipts_are_refused() {
    let body = receipt();
    let signed = body.sign(&key(1), None).unwrap();
    let public = key(1).public();
    assert_eq!(
        ReceiptBody::verify(None, &public).unwrap_err().code(),
        "AIOS-AUTH-0410"
    );
    assert_eq!(
        ReceiptBody::verify(Some(&Default::default()), &public)
            .unwrap_err()
            .code(),
        "AIOS-AUTH-0410"
    );
    assert_eq!(
        ReceiptBody::verify(Some(&signed), &key(2).public())
            .unwrap_err()
            .code(),
        "AIOS-AUTH-0411"
    );
    for at in 0..signed.body.len() {
        let mut bad = signed.clone();
        bad.body[at] ^= 1;
        assert_eq!(
            ReceiptBody::verify(Some(&bad), &public).unwrap_err().code(),
            "AIOS-AUTH-0411"
        );
    }
    // A signature for another purpose does not count, even by the same key over the same bytes.
    let mut other = signed.clone();
    other.signature = key(1)
        .sign(aios_auth::key::Domain::Approval, &signed.body)
        .to_vec();
    assert_eq!(
        ReceiptBody::verify(Some(&other), &public).unwrap_err().code(),
        "AIOS-AUTH-0411"
    );
}

fn approval(scope: Option<&str>) -> ApprovalBody {
    ApprovalBody {
        approval_id: ApprovalId::new(),
        goal: GoalId::new(),
        key: ExecutionKey {
            task: TaskId::new(),
            step: 1,
        },
        call_digest: [5; 32],
        scope: scope.map(|scope| scope.parse().unwrap()),
        approver_uid: 1000,
        approver: "alex".into(),
        decided_at_ms: 1,
        expires_at_ms: 100,
    }
}

#[test]
fn an_approval_of_one_call_covers_no_other() {
    let body = approval(None);
    let signed = body.sign(&key(1)).unwrap();
    let read = ApprovalBody::verify(Some(&signed), &key(1).public()).unwrap();
    assert_eq!(read, body);
    let good = Covered {
        approval_id: body.approval_id,
        key: body.key,
        call_digest: [5; 32],
        required: &[],
        now_ms: 50,
    };
    read.check(&good).unwrap();
    for (case, code) in [
        (
            Covered {
                approval_id: ApprovalId::new(),
                ..good.clone()
            },
            "AIOS-AUTH-0414",
        ),
        (
            Covered {
                key: ExecutionKey { step: 2, ..body.key },
                ..good.clone()
            },
            "AIOS-AUTH-0414",
        ),
        (
            Covered {
                call_digest: [6; 32],
                ..good.clone()
            },
            "AIOS-AUTH-0414",
        ),
        (
            Covered {
                now_ms: 100,
                ..good.clone()
            },
            "AIOS-AUTH-0413",
        ),
    ] {
        assert_eq!(read.check(&case).unwrap_err().code(), code, "{case:?}");
    }
    assert_eq!(
        ApprovalBody::verify(Some(&signed), &key(2).public())
            .unwrap_err()
            .code(),
        "AIOS-AUTH-0411"
    );
    assert_eq!(
        ApprovalBody::verify(None, &key(1).public()).unwrap_err().code(),
        "AIOS-AUTH-0410"
    );
}

#[test]
fn a_remembered_approval_covers_what_its_scope_allows() {
    let body = approval(Some("fs:delete:/var/tmp/**"));
    let call = |required| Covered {
        approval_id: body.approval_id,
        key: ExecutionKey {
            task: TaskId::new(),
            step: 9,
        },
        call_digest: [9; 32],
        required,
        now_ms: 50,
    };
    let within = [Access::parse("fs:delete:/var/tmp/a").unwrap()];
    let beyond = [within[0].clone(), Access::parse("fs:delete:/var/log/a").unwrap()];
    body.check(&call(&within)).unwrap();
    assert_eq!(body.check(&call(&beyond)).unwrap_err().code(), "AIOS-AUTH-0415");
    assert_eq!(body.check(&call(&[])).unwrap_err().code(), "AIOS-AUTH-0415");
}

struct Proofs {
    key: PersonKey,
    nonces: MemoryNonces,
}

impl Proofs {
    fn code(&mut self, request: &DecideApprovalRequest, uid: u32, now_ms: i64) -> Result<(), &'static str> {
        let enrolled = self.key.public();
        let owner = |key: &_| (*key == enrolled).then_some(1000);
        verify(request, uid, owner, now_ms, &mut self.nonces)
            .map(|_| ())
            .map_err(|error| error.code())
    }
}

fn proof_of(request: &mut DecideApprovalRequest) -> &mut KeyProof {
    match request.proof.as_mut().and_then(|proof| proof.credential.as_mut()) {
        Some(Credential::Key(proof)) => proof,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_proof_holds_for_one_request_one_person_and_one_time() {
    let mut proofs = Proofs {
        key: PersonKey::new(1000, key(9)),
        nonces: MemoryNonces::default(),
    };
    let bare = DecideApprovalRequest {
        approval_id: "x".into(),
        approve: true,
        ..Default::default()
    };
    let mut good = bare.clone();
    proofs.key.prove(&mut good, 100_000).unwrap();

    assert_eq!(proofs.code(&bare, 1000, 100_000), Err("AIOS-AUTH-0501"));
    assert_eq!(proofs.code(&good, 1001, 100_000), Err("AIOS-AUTH-0503"));
    assert_eq!(proofs.code(&good, 1000, 130_001), Err("AIOS-AUTH-0504"));
    assert_eq!(proofs.code(&good, 1000, 69_999), Err("AIOS-AUTH-0504"));
    let other = DecideApprovalRequest {
        approve: false,
        ..good.clone()
    };
    assert_eq!(proofs.code(&other, 1000, 100_000), Err("AIOS-AUTH-0506"));
    let mut later = good.clone();
    proof_of(&mut later).signed_at_ms += 1;
    assert_eq!(proofs.code(&later, 1000, 100_000), Err("AIOS-AUTH-0506"));
    let mut short = good.clone();
    proof_of(&mut short).nonce.pop();
    assert_eq!(proofs.code(&short, 1000, 100_000), Err("AIOS-AUTH-0501"));
    let mut stranger = bare.clone();
    PersonKey::new(1000, key(8))
        .prove(&mut stranger, 100_000)
        .unwrap();
    assert_eq!(proofs.code(&stranger, 1000, 100_000), Err("AIOS-AUTH-0502"));
    // None of these used up the nonce of the good one.
    assert_eq!(proofs.code(&good, 1000, 100_000), Ok(()));
    assert_eq!(proofs.code(&good, 1000, 100_000), Err("AIOS-AUTH-0505"));
}

#[test]
fn a_proof_for_one_method_is_none_for_another() {
    let key = PersonKey::new(1000, key(9));
    let mut stop = aios_proto::guard::v1::EmergencyStopRequest::default();
    key.prove(&mut stop, 1).unwrap();
    let resume = ResumeRequest { proof: stop.proof };
    let error = verify(&resume, 1000, |_| Some(1000), 1, &mut MemoryNonces::default()).unwrap_err();
    assert_eq!(error.code(), "AIOS-AUTH-0506");
}

#[test]
fn person_keys_are_private_files() {
    let dir = tempfile::tempdir().unwrap();
    let paths = Paths::development(dir.path());
    let first = PersonKey::load_or_create(&paths, 1000).unwrap().public();
    assert_eq!(PersonKey::load_or_create(&paths, 1000).unwrap().public(), first);
    let file = paths.person_key(1000);
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    assert_eq!(
        std::fs::metadata(file.parent().unwrap())
            .unwrap()
            .permissions()
            .mode()
            & 0o7777,
        0o700
    );
    assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);

    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
    assert_eq!(PersonKey::load(&file, 1000).unwrap_err().code(), "AIOS-AUTH-0405");
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    let link = file.with_file_name("link");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    assert_eq!(PersonKey::load(&link, 1000).unwrap_err().code(), "AIOS-AUTH-0404");
    std::fs::write(&file, [0; 33]).unwrap();
    assert_eq!(PersonKey::load(&file, 1000).unwrap_err().code(), "AIOS-AUTH-0405");
    std::fs::write(&file, [0; 31]).unwrap();
    assert_eq!(PersonKey::load(&file, 1000).unwrap_err().code(), "AIOS-AUTH-0404");
}

#[test]
fn secrets_print_as_stars() {
    assert_eq!(format!("{:?}", key(3)), "SecretKey(***)");
    assert!(!format!("{:?}", PersonKey::new(1, key(3))).contains(&hex::encode([3; 32])));
}
