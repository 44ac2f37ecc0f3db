//! sec.cert_info: what the certificates in a file say, and whether chain and key fit.

use super::{chain, key};
use crate::error::{Result, ToolError};
use crate::fs::resolve::{Follow, Place, normalize};
use crate::fs::same_identities;
use crate::registry::{About, ToolSpec};
use crate::sec::types::{CertInfo, CertInfoArgs, CertInfoResult};
use crate::sec::{Sec, looking};
use crate::typed::typed;
use crate::worker::store::Store;
use crate::worker::{Call, Prepared};
use aios_auth::level::Risk;
use aios_proto::common::v1::Identity;
use rustix::fs::OFlags;
use std::io::Read;
use std::net::IpAddr;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::objects::{oid_registry, oid2sn};
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;
use zeroize::Zeroizing;

pub(in crate::sec) const NAME: &str = "sec.cert_info";
const ACTION: &str = "cert_info";
/// Largest file, bytes: a bundle of all public authorities is a quarter of it.
const LARGEST: u64 = 1 << 20;
const DAY_MS: i64 = 86_400_000;
/// A certificate that expires within this time is a concern, days.
const SOON: i64 = 30;

pub(in crate::sec) fn spec() -> ToolSpec {
    ToolSpec::of::<CertInfoArgs, CertInfoResult>(About {
        name: NAME,
        summary: "Reads certificates from a file: names, dates, key; checks their chain and whether a private key fits.",
        risk: Risk::Read,
        idempotent: true,
        reversible: true,
        capability: "sec:cert_info:PATH",
        timeout_ms: 10_000,
    })
}

pub(in crate::sec) fn canonical(mut args: CertInfoArgs) -> Result<CertInfoArgs> {
    args.path = normalize(&args.path)?;
    for path in [&mut args.trust_path, &mut args.key_path].into_iter().flatten() {
        *path = normalize(path)?;
    }
    Ok(args)
}

/// The files of a call: the certificates, those that are trusted, the key.
struct Files {
    certificates: Place,
    trusted: Option<Place>,
    key: Option<Place>,
}

impl Files {
    fn resolve(sec: &Sec, call: &Call<'_>) -> Result<Self> {
        let args: CertInfoArgs = typed(NAME, call.args)?;
        let one = |path: &str| {
            let place = sec.resolver.resolve(call.caps, ACTION, path, Follow::Yes)?;
            place.existing()?;
            Ok::<_, ToolError>(place)
        };
        Ok(Self {
            certificates: one(&args.path)?,
            trusted: args.trust_path.as_deref().map(one).transpose()?,
            key: args.key_path.as_deref().map(one).transpose()?,
        })
    }

    fn all(&self) -> Vec<&Place> {
        let others = [&self.trusted, &self.key].into_iter().flatten();
        std::iter::once(&self.certificates).chain(others).collect()
    }
}

pub(in crate::sec) fn prepare(sec: &Sec, call: &Call<'_>) -> Result<Prepared> {
    let files = Files::resolve(sec, call)?;
    looking(
        ACTION,
        &files.all(),
        format!("Read the certificates in {}", files.certificates.path),
    )
}

pub(in crate::sec) fn run(sec: &Sec, call: &Call<'_>, identities: &[Identity]) -> Result<CertInfoResult> {
    let files = Files::resolve(sec, call)?;
    same_identities(
        identities,
        &looking(ACTION, &files.all(), String::new())?.identities,
    )?;
    let now_ms = sec.clock.now_ms();
    let now = ASN1Time::from_timestamp(now_ms.div_euclid(1000))
        .map_err(|error| ToolError::Defect(error.to_string()))?;
    let ders = blocks(&files.certificates)?;
    let certificates = parse(&ders, &files.certificates.path)?;
    let Some((leaf, between)) = certificates.split_first() else {
        return Err(no_certificate(&files.certificates.path));
    };
    call.budget.check()?;
    let chain = match &files.trusted {
        None => None,
        Some(place) => {
            let ders = blocks(place)?;
            Some(chain::verify(leaf, between, &parse(&ders, &place.path)?, now))
        }
    };
    let key = match &files.key {
        None => None,
        Some(place) => Some(key::belongs(
            &content(place)?,
            &leaf.public_key().subject_public_key.data,
        )),
    };
    Ok(CertInfoResult {
        path: files.certificates.path.clone(),
        certificates: certificates.iter().map(|it| describe(it, now_ms)).collect(),
        chain_verified: chain.as_ref().map(std::result::Result::is_ok),
        chain_problem: chain.and_then(std::result::Result::err),
        key_matches: key.as_ref().and_then(|it| it.as_ref().ok().copied()),
        key_problem: key.and_then(std::result::Result::err),
    })
}

fn content(place: &Place) -> Result<Zeroizing<Vec<u8>>> {
    let file = place.open_file(OFlags::RDONLY)?;
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| ToolError::io("read", &place.path, error))?;
    if bytes.len() as u64 > LARGEST {
        return Err(ToolError::TooLarge {
            what: "the file of certificates",
            actual: bytes.len() as u64,
            limit: LARGEST,
        });
    }
    Ok(bytes)
}

/// The certificates of a file, each as DER. A key that stands in the same file is passed over.
fn blocks(place: &Place) -> Result<Vec<Vec<u8>>> {
    let bytes = content(place)?;
    let mut ders = Vec::new();
    for block in Pem::iter_from_buffer(&bytes) {
        let block = block.map_err(|error| damaged(&place.path, error))?;
        if matches!(
            block.label.as_str(),
            "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE"
        ) {
            ders.push(block.contents);
        }
    }
    if ders.is_empty() && bytes.first() == Some(&0x30) {
        ders.push(bytes.to_vec());
    }
    if ders.is_empty() {
        return Err(no_certificate(&place.path));
    }
    Ok(ders)
}

fn parse<'a>(ders: &'a [Vec<u8>], path: &str) -> Result<Vec<X509Certificate<'a>>> {
    ders.iter()
        .map(|der| match X509Certificate::from_der(der) {
            Ok((_, certificate)) => Ok(certificate),
            Err(error) => Err(damaged(path, error)),
        })
        .collect()
}

fn no_certificate(path: &str) -> ToolError {
    damaged(path, "it holds no certificate")
}

fn damaged(path: &str, error: impl ToString) -> ToolError {
    ToolError::io(
        "understand the certificates in",
        path,
        std::io::Error::new(std::io::ErrorKind::InvalidData, error.to_string()),
    )
}

fn describe(certificate: &X509Certificate<'_>, now_ms: i64) -> CertInfo {
    let validity = certificate.validity();
    let (from, until) = (
        validity.not_before.timestamp().saturating_mul(1000),
        validity.not_after.timestamp().saturating_mul(1000),
    );
    let (key_type, key_bits) = key_of(certificate);
    let signature = signature_of(certificate);
    let signed_itself = certificate.subject().as_raw() == certificate.issuer().as_raw()
        && certificate.verify_signature(None).is_ok();
    let days_left = (until - now_ms).div_euclid(DAY_MS);
    let mut info = CertInfo {
        subject: certificate.subject().to_string(),
        issuer: certificate.issuer().to_string(),
        serial: hex::encode(certificate.raw_serial()),
        alternative_names: names_of(certificate),
        not_before_ms: from,
        not_after_ms: until,
        days_left,
        valid_now: (from..=until).contains(&now_ms),
        key_type,
        key_bits,
        signature,
        self_signed: signed_itself,
        authority: certificate.is_ca(),
        sha256: Store::digest_of(certificate.as_raw()),
        concerns: Vec::new(),
    };
    info.concerns = concerns(&info, now_ms);
    info
}

fn concerns(info: &CertInfo, now_ms: i64) -> Vec<String> {
    let mut all = Vec::new();
    if info.not_after_ms < now_ms {
        all.push(format!("it expired {} days ago", -info.days_left));
    } else if info.not_before_ms > now_ms {
        all.push("it is not valid yet: is the clock right?".to_owned());
    } else if info.days_left < SOON {
        all.push(format!("it expires in {} days", info.days_left));
    }
    if info.key_type == "rsa" && info.key_bits < 2048 {
        all.push(format!("its RSA key has only {} bits", info.key_bits));
    }
    let signature = info.signature.to_ascii_lowercase();
    if !info.self_signed && (signature.contains("sha1") || signature.contains("md5")) {
        all.push(format!(
            "it is signed with {}, which can be forged",
            info.signature
        ));
    }
    if !info.authority && info.alternative_names.is_empty() {
        all.push("it names no host, so clients refuse it".to_owned());
    }
    all
}

fn names_of(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => format!("dns:{name}"),
        GeneralName::RFC822Name(name) => format!("email:{name}"),
        GeneralName::URI(name) => format!("uri:{name}"),
        GeneralName::IPAddress(bytes) => address(bytes).map_or_else(
            || format!("ip:{}", hex::encode(bytes)),
            |address| format!("ip:{address}"),
        ),
        other => format!("other:{other}"),
    };
    extension.value.general_names.iter().map(name).collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four: std::result::Result<[u8; 4], _> = bytes.try_into();
    let sixteen: std::result::Result<[u8; 16], _> = bytes.try_into();
    four.map(IpAddr::from).or_else(|_| sixteen.map(IpAddr::from)).ok()
}

/// Kind and size of the public key, bits.
fn key_of(certificate: &X509Certificate<'_>) -> (String, u64) {
    let key = certificate.public_key();
    let algorithm = key.algorithm.algorithm.to_id_string();
    match key.parsed() {
        Ok(PublicKey::RSA(rsa)) => ("rsa".to_owned(), rsa.key_size() as u64),
        Ok(PublicKey::EC(_)) => {
            let curve = key.algorithm.parameters.as_ref().and_then(|it| it.as_oid().ok());
            match curve.map(|oid| oid.to_id_string()).as_deref() {
                Some("1.2.840.10045.3.1.7") => ("ec p-256".to_owned(), 256),
                Some("1.3.132.0.34") => ("ec p-384".to_owned(), 384),
                Some("1.3.132.0.35") => ("ec p-521".to_owned(), 521),
                other => (format!("ec {}", other.unwrap_or("of no named curve")), 0),
            }
        }
        _ => match algorithm.as_str() {
            "1.3.101.112" => ("ed25519".to_owned(), 256),
            "1.3.101.113" => ("ed448".to_owned(), 456),
            other => (other.to_owned(), 0),
        },
    }
}

fn signature_of(certificate: &X509Certificate<'_>) -> String {
    let oid = &certificate.signature_algorithm.algorithm;
    oid2sn(oid, oid_registry()).map_or_else(|_| oid.to_id_string(), str::to_owned)
}
