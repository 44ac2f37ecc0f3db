//! Types of the certificate tools.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Arguments of sec.cert_info.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertInfoArgs {
    /// Absolute path of a file with one or more certificates, PEM or DER, the server's own first.
    pub path: String,
    /// File with the certificates that are trusted; the chain is then checked up to one of them.
    #[serde(default)]
    pub trust_path: Option<String>,
    /// File with a private key; it is then checked whether it belongs to the first certificate.
    #[serde(default)]
    pub key_path: Option<String>,
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertInfo {
    /// Distinguished name of the subject.
    pub subject: String,
    /// Distinguished name of the issuer.
    pub issuer: String,
    /// Serial number, hex.
    pub serial: String,
    /// Names and addresses it is valid for, `dns:example.org`, `ip:192.0.2.1`.
    pub alternative_names: Vec<String>,
    /// Valid from, milliseconds since 1970, UTC.
    pub not_before_ms: i64,
    /// Valid until, milliseconds since 1970, UTC.
    pub not_after_ms: i64,
    /// Whole days until it expires; negative when it has.
    pub days_left: i64,
    /// Whether it is valid now by its dates.
    pub valid_now: bool,
    /// Kind of the public key: `rsa`, `ec p-256`, `ed25519` …
    pub key_type: String,
    /// Size of the public key, bits.
    pub key_bits: u64,
    /// How it is signed, `ecdsa-with-SHA256`.
    pub signature: String,
    /// Whether it signed itself, which was checked.
    pub self_signed: bool,
    /// Whether it may sign other certificates.
    pub authority: bool,
    /// SHA-256 of the certificate, hex.
    pub sha256: String,
    /// What is weak about it, one sentence each.
    pub concerns: Vec<String>,
}

/// Result of sec.cert_info.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertInfoResult {
    /// The file, every symbolic link resolved.
    pub path: String,
    /// Its certificates, in the order of the file.
    pub certificates: Vec<CertInfo>,
    /// Whether the first one's chain leads to a trusted certificate by signatures, dates and authority;
    /// absent without `trust_path`. Names and revocation are not checked.
    pub chain_verified: Option<bool>,
    /// Why the chain does not.
    pub chain_problem: Option<String>,
    /// Whether the private key belongs to the first certificate; absent without `key_path`.
    pub key_matches: Option<bool>,
    /// Why that could not be told.
    pub key_problem: Option<String>,
}

/// What sec.cert_generate makes beside the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CertKind {
    /// A certificate that signs itself, NAME.crt.
    SelfSigned,
    /// A request for an authority to sign, NAME.csr.
    Request,
}

/// Kind of a new key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// ECDSA on the curve P-256.
    #[default]
    EcdsaP256,
    /// Ed25519.
    Ed25519,
}

fn default_days() -> u32 {
    90
}

/// Arguments of sec.cert_generate.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertGenerateArgs {
    /// Directory for the files. The worker's own user must be allowed to write there.
    pub directory: String,
    /// Name of the files without ending: NAME.key, and NAME.crt or NAME.csr.
    pub name: String,
    /// What to make.
    pub what: CertKind,
    /// Common name of the subject.
    pub common_name: String,
    /// DNS names and IP addresses that it is for.
    #[serde(default)]
    pub alternative_names: Vec<String>,
    /// Kind of the key.
    #[serde(default)]
    pub key: KeyKind,
    /// Days that a self-signed certificate is valid, 1 to 825.
    #[serde(default = "default_days")]
    #[schemars(range(min = 1, max = 825))]
    pub days: u32,
}

/// Result of sec.cert_generate. The key itself is nowhere but in its file.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertGenerateResult {
    /// File of the private key, mode 0600.
    pub key_path: String,
    /// File of the certificate or request, mode 0644.
    pub cert_path: String,
    /// SHA-256 of the public key (SubjectPublicKeyInfo), hex.
    pub public_key_sha256: String,
    /// When a self-signed certificate expires, milliseconds since 1970, UTC.
    pub not_after_ms: Option<i64>,
}
