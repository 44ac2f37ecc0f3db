//! sec.cert_generate: a new key and its certificate or request.
//!
//! The key is made in the worker's memory, written to its file and forgotten: it is in no plan, result, log or
//! audit payload. The worker has no power to write where others may not, so the directory must be open to its
//! user: the grant and the directory's mode are two locks, and both must be open.

use super::files::Making;
use crate::error::{Result, ToolError};
use crate::fs::resolve::{Follow, Place, join, normalize};
use crate::fs::same_identities;
use crate::registry::{About, ToolSpec};
use crate::sec::types::{CertGenerateArgs, CertGenerateResult, CertKind, KeyKind};
use crate::sec::{Sec, access};
use crate::typed::{bad_input, plain_name, typed, value_of};
use crate::worker::store::Store;
use crate::worker::{Call, Prepared};
use aios_auth::level::Risk;
use aios_proto::common::v1::Identity;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData,
};
use rustix::fd::AsFd;
use rustix::fs::{Access, AtFlags, accessat};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use time::{Duration, OffsetDateTime};
use zeroize::Zeroizing;

pub(in crate::sec) const NAME: &str = "sec.cert_generate";
const ACTION: &str = "cert_generate";
/// Longest time that browsers take from anybody, days.
const LONGEST_DAYS: u32 = 825;
/// Most names in one certificate.
const MOST_NAMES: usize = 100;

/// Keys that were made and not written yet, PEM by the digest of their public half.
#[derive(Default)]
pub(in crate::sec) struct Keys(Mutex<HashMap<String, Zeroizing<String>>>);

impl Keys {
    fn held(&self) -> MutexGuard<'_, HashMap<String, Zeroizing<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a key out.
    pub(super) fn take(&self, public_sha256: &str) -> Option<Zeroizing<String>> {
        self.held().remove(public_sha256)
    }
}

pub(in crate::sec) fn spec() -> ToolSpec {
    ToolSpec::of::<CertGenerateArgs, CertGenerateResult>(About {
        name: NAME,
        summary: "Makes a new private key with a self-signed certificate or a request, as two new files.",
        risk: Risk::Medium,
        idempotent: false,
        reversible: true,
        capability: "sec:cert_generate:PATH",
        timeout_ms: 10_000,
    })
}

pub(in crate::sec) fn canonical(mut args: CertGenerateArgs) -> Result<CertGenerateArgs> {
    args.directory = normalize(&args.directory)?;
    plain_name(NAME, "name", &args.name)?;
    if args.name.contains('/') || args.name.starts_with('.') || args.name.len() > 200 {
        return Err(bad_input(
            NAME,
            "name",
            "must be a plain name of at most 200 bytes without `/`",
        ));
    }
    plain_name(NAME, "common_name", &args.common_name)?;
    if args.common_name.chars().count() > 64 {
        return Err(bad_input(NAME, "common_name", "is longer than 64 characters"));
    }
    if !(1..=LONGEST_DAYS).contains(&args.days) {
        return Err(bad_input(NAME, "days", "must be 1 to 825"));
    }
    if args.alternative_names.len() > MOST_NAMES {
        return Err(bad_input(NAME, "alternative_names", "are more than 100"));
    }
    for (index, name) in args.alternative_names.iter().enumerate() {
        if !is_host(name) {
            let field = format!("alternative_names[{index}]");
            return Err(bad_input(NAME, &field, "is neither a DNS name nor an IP address"));
        }
    }
    Ok(args)
}

/// Whether a text is an address, or a DNS name in its ASCII form, perhaps with `*` for its first label.
fn is_host(name: &str) -> bool {
    if name.parse::<IpAddr>().is_ok() {
        return true;
    }
    let rest = name.strip_prefix("*.").unwrap_or(name);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    name.len() <= 253 && rest.split('.').all(label)
}

/// The two places, where nothing may be yet.
fn places(sec: &Sec, call: &Call<'_>, args: &CertGenerateArgs) -> Result<(Place, Place)> {
    let ending = match args.what {
        CertKind::SelfSigned => "crt",
        CertKind::Request => "csr",
    };
    let free = |ending: &str| {
        let path = join(&args.directory, &format!("{}.{ending}", args.name));
        let place = sec.resolver.resolve(call.caps, ACTION, &path, Follow::No)?;
        if place.entry.is_some() {
            return Err(ToolError::Exists { path: place.path });
        }
        Ok(place)
    };
    Ok((free("key")?, free(ending)?))
}

pub(in crate::sec) fn prepare(sec: &Sec, call: &Call<'_>) -> Result<Prepared> {
    let args: CertGenerateArgs = typed(NAME, call.args)?;
    let (key, cert) = places(sec, call, &args)?;
    let access_mode = Access::WRITE_OK | Access::EXEC_OK;
    if accessat(key.dir.as_fd(), ".", access_mode, AtFlags::EACCESS).is_err() {
        return Err(bad_input(
            NAME,
            "directory",
            "is not open to this worker's user; a person opens it with `setfacl -m u:aios-sec:rwx DIRECTORY`",
        ));
    }
    Ok(Prepared {
        identities: sorted(&key, &cert),
        required: vec![access(ACTION, &key.path)?, access(ACTION, &cert.path)?],
        risk: Risk::Medium,
        mutating: true,
        reversible: true,
        files: 2,
        bytes: 0,
        summary: format!(
            "Make a new key {} and {} for {}",
            key.path, cert.path, args.common_name
        ),
    })
}

fn sorted(key: &Place, cert: &Place) -> Vec<Identity> {
    let mut identities = vec![key.identity(), cert.identity()];
    identities.sort_by(|a, b| a.path.cmp(&b.path));
    identities
}

pub(in crate::sec) fn plan(sec: &Sec, call: &Call<'_>, identities: &[Identity]) -> Result<crate::sec::Plan> {
    let args: CertGenerateArgs = typed(NAME, call.args)?;
    let (key, cert) = places(sec, call, &args)?;
    same_identities(identities, &sorted(&key, &cert))?;
    let made = make(&args, sec.clock.now_ms())?;
    let result = value_of(&CertGenerateResult {
        key_path: key.path.clone(),
        cert_path: cert.path.clone(),
        public_key_sha256: made.public_sha256.clone(),
        not_after_ms: made.not_after_ms,
    })?;
    let plan = Making::new(
        call.key.to_string().replace('/', "-"),
        (key.anchor, cert.anchor),
        made.public_sha256.clone(),
        made.cert_pem,
        result,
    );
    sec.keys.held().insert(made.public_sha256, made.key_pem);
    Ok(crate::sec::Plan::Making(Box::new(plan)))
}

struct Made {
    key_pem: Zeroizing<String>,
    public_sha256: String,
    cert_pem: String,
    not_after_ms: Option<i64>,
}

fn make(args: &CertGenerateArgs, now_ms: i64) -> Result<Made> {
    let failed = |error: rcgen::Error| ToolError::Defect(format!("no certificate could be made: {error}"));
    let kind = match args.key {
        KeyKind::EcdsaP256 => &PKCS_ECDSA_P256_SHA256,
        KeyKind::Ed25519 => &PKCS_ED25519,
    };
    let key = Zeroizing::new(KeyPair::generate_for(kind).map_err(failed)?);
    let mut params = CertificateParams::new(args.alternative_names.clone()).map_err(failed)?;
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, args.common_name.as_str());
    params.distinguished_name = subject;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let (cert_pem, not_after_ms) = match args.what {
        CertKind::Request => (
            params
                .serialize_request(&*key)
                .map_err(failed)?
                .pem()
                .map_err(failed)?,
            None,
        ),
        CertKind::SelfSigned => {
            let from = OffsetDateTime::from_unix_timestamp(now_ms.div_euclid(1000))
                .map_err(|error| ToolError::Defect(error.to_string()))?;
            let until = from + Duration::days(i64::from(args.days));
            params.is_ca = IsCa::ExplicitNoCa;
            (params.not_before, params.not_after) = (from, until);
            let cert = params.self_signed(&*key).map_err(failed)?;
            (cert.pem(), Some(until.unix_timestamp() * 1000))
        }
    };
    Ok(Made {
        key_pem: Zeroizing::new(key.serialize_pem()),
        public_sha256: public_digest(&key),
        cert_pem,
        not_after_ms,
    })
}

/// SHA-256 (hex) of a key's public half.
fn public_digest(key: &KeyPair) -> String {
    Store::digest_of(&key.subject_public_key_info())
}

/// The same of a key file's content; `None` when it is no key.
pub(super) fn public_digest_of_pem(text: &str) -> Option<String> {
    let key = Zeroizing::new(KeyPair::from_pem(text).ok()?);
    Some(public_digest(&key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_and_addresses_of_hosts_are_taken() {
        for name in [
            "example.org",
            "*.example.org",
            "192.0.2.1",
            "::1",
            "a",
            "xn--bcher-kva.example",
        ] {
            assert!(is_host(name), "{name}");
        }
        for name in [
            "",
            "-a.org",
            "a..b",
            "a b",
            "bücher.example",
            "*.*.org",
            "a/b",
            "evil\n.org",
        ] {
            assert!(!is_host(name), "{name:?}");
        }
    }
}
