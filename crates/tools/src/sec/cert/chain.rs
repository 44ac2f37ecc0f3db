//! Whether a certificate's chain leads to a trusted one: each is signed by the next, may sign, and is valid
//! now. Names, revocation and what a certificate is meant for are not checked.

use x509_parser::certificate::X509Certificate;
use x509_parser::time::ASN1Time;

/// Longest chain.
const DEEPEST: u32 = 8;
/// Most signatures checked for one chain: a hostile file could hold a maze.
const MOST_SIGNATURES: u32 = 200;

/// Looks for a chain from `leaf` over `between` to one of `trusted`. The error says what is wrong with the
/// best one.
pub(super) fn verify(
    leaf: &X509Certificate<'_>,
    between: &[X509Certificate<'_>],
    trusted: &[X509Certificate<'_>],
    now: ASN1Time,
) -> Result<(), String> {
    let mut search = Search {
        between,
        trusted,
        now,
        left: MOST_SIGNATURES,
        problem: None,
    };
    if search.from(leaf, 0) {
        return Ok(());
    }
    Err(search
        .problem
        .unwrap_or_else(|| format!("no certificate of the issuer `{}` was given", leaf.issuer())))
}

struct Search<'a> {
    between: &'a [X509Certificate<'a>],
    trusted: &'a [X509Certificate<'a>],
    now: ASN1Time,
    left: u32,
    problem: Option<String>,
}

impl Search<'_> {
    fn from(&mut self, certificate: &X509Certificate<'_>, depth: u32) -> bool {
        if !certificate.validity().is_valid_at(self.now) {
            return self.fails(format!("`{}` is not valid now", certificate.subject()));
        }
        if self.trusted.iter().any(|it| it.as_raw() == certificate.as_raw()) {
            return true;
        }
        if depth >= DEEPEST {
            return self.fails(format!("the chain is longer than {DEEPEST}"));
        }
        let (trusted, between) = (self.trusted, self.between);
        for issuer in trusted.iter().chain(between) {
            // A certificate that signed itself leads nowhere else.
            if issuer.subject().as_raw() != certificate.issuer().as_raw()
                || issuer.as_raw() == certificate.as_raw()
            {
                continue;
            }
            if self.signs(issuer, certificate, depth) && self.from(issuer, depth + 1) {
                return true;
            }
        }
        self.fails(format!(
            "no trusted certificate of the issuer `{}` was given",
            certificate.issuer()
        ))
    }

    /// Whether `issuer` may sign certificates and signed this one; `depth` certificates of authorities lie
    /// below it already.
    fn signs(&mut self, issuer: &X509Certificate<'_>, certificate: &X509Certificate<'_>, depth: u32) -> bool {
        let name = issuer.subject().to_string();
        let constraints = issuer.basic_constraints().ok().flatten();
        let Some(constraints) = constraints.filter(|it| it.value.ca) else {
            return self.fails(format!("`{name}` may not sign other certificates"));
        };
        if constraints
            .value
            .path_len_constraint
            .is_some_and(|most| most < depth)
        {
            return self.fails(format!("`{name}` may not stand so far up the chain"));
        }
        let usage = issuer.key_usage().ok().flatten();
        if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
            return self.fails(format!("the key of `{name}` is not for signing certificates"));
        }
        if self.left == 0 {
            return self.fails("the certificates lead in too many ways".to_owned());
        }
        self.left -= 1;
        match certificate.verify_signature(Some(issuer.public_key())) {
            Ok(()) => true,
            Err(error) => self.fails(format!(
                "the signature of `{}` by `{name}`: {error}",
                certificate.subject()
            )),
        }
    }

    /// Keeps the first problem: it lies nearest to the certificate in question.
    fn fails(&mut self, problem: String) -> bool {
        self.problem.get_or_insert(problem);
        false
    }
}
