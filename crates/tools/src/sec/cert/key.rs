//! Whether a private key belongs to a certificate. The key is read, compared and forgotten.

use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RsaKeyPair,
};
use x509_parser::pem::Pem;
use zeroize::Zeroizing;

/// Whether the key in `file` (PEM or DER) is the one of `public`, the certificate's bare public key.
pub(super) fn belongs(file: &[u8], public: &[u8]) -> Result<bool, String> {
    let blocks: Vec<Pem> = Pem::iter_from_buffer(file).filter_map(Result::ok).collect();
    if blocks.is_empty() {
        return of_pkcs8(file, public)
            .or_else(|| of_rsa(file, public))
            .ok_or_else(|| "the file holds no private key in a known form".to_owned());
    }
    for block in blocks {
        let der = Zeroizing::new(block.contents);
        let found = match block.label.as_str() {
            "PRIVATE KEY" => of_pkcs8(&der, public),
            "RSA PRIVATE KEY" => of_rsa(&der, public),
            "EC PRIVATE KEY" => of_ec(&der, public),
            "ENCRYPTED PRIVATE KEY" => return Err("the private key is encrypted".to_owned()),
            _ => continue,
        };
        return found.ok_or_else(|| format!("the `{}` is damaged or of an unknown kind", block.label));
    }
    Err("the file holds no private key".to_owned())
}

fn of_pkcs8(der: &[u8], public: &[u8]) -> Option<bool> {
    if let Ok(pair) = RsaKeyPair::from_pkcs8(der) {
        return Some(pair.public().as_ref() == public);
    }
    if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
        return Some(pair.public_key().as_ref() == public);
    }
    let random = SystemRandom::new();
    [&ECDSA_P256_SHA256_ASN1_SIGNING, &ECDSA_P384_SHA384_ASN1_SIGNING]
        .into_iter()
        .find_map(|kind| EcdsaKeyPair::from_pkcs8(kind, der, &random).ok())
        .map(|pair| pair.public_key().as_ref() == public)
}

fn of_rsa(der: &[u8], public: &[u8]) -> Option<bool> {
    let pair = RsaKeyPair::from_der(der).ok()?;
    Some(pair.public().as_ref() == public)
}

/// The older form of a key on a curve (RFC 5915). Its public half is optional, so the certificate's is tried
/// with the private one: they fit, or they are not of one pair.
fn of_ec(der: &[u8], public: &[u8]) -> Option<bool> {
    let private = ec_private(der)?;
    let kind = match private.len() {
        32 => &ECDSA_P256_SHA256_ASN1_SIGNING,
        48 => &ECDSA_P384_SHA384_ASN1_SIGNING,
        _ => return None,
    };
    let random = SystemRandom::new();
    Some(EcdsaKeyPair::from_private_key_and_public_key(kind, private, public, &random).is_ok())
}

/// `ECPrivateKey ::= SEQUENCE { version INTEGER 1, privateKey OCTET STRING, … }`
fn ec_private(der: &[u8]) -> Option<&[u8]> {
    let (0x30, inner, _) = element(der)? else {
        return None;
    };
    let (0x02, [1], rest) = element(inner)? else {
        return None;
    };
    let (0x04, private, _) = element(rest)? else {
        return None;
    };
    Some(private)
}

/// Tag and content of the first DER element, and what follows it. Lengths up to 65535.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let [tag, length, rest @ ..] = der else {
        return None;
    };
    let (length, rest) = match (length, rest) {
        (0..=0x7f, rest) => (usize::from(*length), rest),
        (0x81, [length, rest @ ..]) => (usize::from(*length), rest),
        (0x82, [high, low, rest @ ..]) => (usize::from(u16::from_be_bytes([*high, *low])), rest),
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}
