//! Reads the few fields of a line that the chain is made of, without building a JSON tree: the verifier
//! reads hundreds of thousands of lines a second with it.

use crate::hash::Hash;

/// The fields of a line that order and link it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Links<'a> {
    pub(crate) seq: u64,
    pub(crate) time_ms: i64,
    pub(crate) prev: Hash,
    pub(crate) kind: &'a [u8],
}

/// Reads a line without its line end. `None` when it is no canonical record.
pub(crate) fn links(line: &[u8]) -> Option<Links<'_>> {
    let mut rest = line.strip_prefix(b"{")?;
    let (mut seq, mut time_ms, mut prev, mut kind) = (None, None, None, None);
    let mut last_key: &[u8] = b"";
    loop {
        let (key, after) = string(rest)?;
        if key <= last_key {
            return None;
        }
        last_key = key;
        let after = after.strip_prefix(b":")?;
        let (raw, after) = value(after)?;
        match key {
            b"seq" => seq = Some(u64::try_from(integer(raw)?).ok()?),
            b"time_ms" => time_ms = Some(integer(raw)?),
            b"prev" => prev = Some(Hash::from_hex(unquoted(raw)?)?),
            b"kind" => kind = Some(unquoted(raw)?),
            _ => {}
        }
        match after.split_first()? {
            (b',', after) => rest = after,
            (b'}', []) => break,
            _ => return None,
        }
    }
    Some(Links {
        seq: seq?,
        time_ms: time_ms?,
        prev: prev?,
        kind: kind?,
    })
}

/// A string at the front: its raw content, and what follows.
fn string(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let body = text.strip_prefix(b"\"")?;
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', body.get(at..)?)?;
        if body.get(at) == Some(&b'"') {
            return Some((body.get(..at)?, body.get(at + 1..)?));
        }
        at += 2;
    }
}

/// Any value at the front, raw, and what follows.
fn value(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut depth = 0_usize;
    let mut rest = text;
    loop {
        match rest.first()? {
            b'"' => rest = string(rest)?.1,
            b'{' | b'[' => {
                depth += 1;
                rest = rest.get(1..)?;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                rest = rest.get(1..)?;
            }
            _ => rest = rest.get(1..)?,
        }
        if depth == 0 && matches!(rest.first()?, b',' | b'}') {
            let used = text.len().checked_sub(rest.len())?;
            return text.split_at_checked(used);
        }
    }
}

fn unquoted(raw: &[u8]) -> Option<&[u8]> {
    raw.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

/// A canonical integer: no sign but `-`, no leading zero.
fn integer(raw: &[u8]) -> Option<i64> {
    let digits = raw.strip_prefix(b"-").unwrap_or(raw);
    let leading_zero = digits.first() == Some(&b'0') && raw != b"0";
    if digits.is_empty() || leading_zero || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(raw).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Position, Record, line};
    use proptest::prelude::*;

    #[test]
    fn fields_hidden_in_nested_values_and_strings_are_not_taken() {
        let record = Record {
            tool: Some(r#","seq":9,"prev":"x""#.into()),
            ..Record::new("k\"}{")
        }
        .with("prev", "no")
        .with("nested", serde_json::json!({"seq": 3, "list": [{"seq": 4}]}));
        let position = Position {
            seq: 12,
            time_ms: -5,
            prev: Hash([3; 32]),
            input_digest: None,
            output_digest: None,
        };
        let line = line(&record, &position).unwrap();
        let links = links(&line).unwrap();
        assert_eq!((links.seq, links.time_ms, links.prev), (12, -5, Hash([3; 32])));
        assert_eq!(links.kind, br#"k\"}{"#);
    }

    #[test]
    fn what_is_not_canonical_is_refused() {
        let prev = "00".repeat(32);
        for text in [
            String::new(),
            "{}".into(),
            format!(r#"{{"kind":"k","prev":"{prev}","seq":01,"time_ms":1}}"#),
            format!(r#"{{"kind":"k","prev":"{prev}","seq":+1,"time_ms":1}}"#),
            format!(r#"{{"kind":"k","prev":"{prev}","seq":-1,"time_ms":1}}"#),
            format!(r#"{{"kind":"k","prev":"{prev}","seq":1,"time_ms":1}} "#),
            format!(r#"{{"prev":"{prev}","kind":"k","seq":1,"time_ms":1}}"#),
            format!(
                r#"{{"kind":"k","prev":"{}","seq":1,"time_ms":1}}"#,
                "AB".repeat(32)
            ),
        ] {
            assert_eq!(links(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_input_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ignored = links(&bytes);
        }
    }
}
