//! UTC milliseconds of the wire as RFC 3339 text.

use jiff::Timestamp;

/// RFC 3339 with milliseconds; `None` for 0, which on the wire means "not yet".
pub fn rfc3339(ms: i64) -> Option<String> {
    if ms == 0 {
        return None;
    }
    Timestamp::from_millisecond(ms)
        .ok()
        .map(|time| format!("{time:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_no_time_and_milliseconds_are_kept() {
        assert_eq!(rfc3339(0), None);
        assert_eq!(
            rfc3339(1_700_000_000_120).as_deref(),
            Some("2023-11-14T22:13:20.120Z")
        );
        assert_eq!(rfc3339(i64::MAX), None);
    }
}
