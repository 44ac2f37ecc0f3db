//! The English of goals: every word that the grammar knows by itself. Another language is another
//! catalogue; nothing outside this file spells a word that a person might say.
//!
//! A trigger uses a phrase as `<name>`; a phrase may use phrases that stand before it.

/// Phrases by name: synonyms, written once.
pub(super) const PHRASES: &[(&str, &str)] = &[
    ("please", "[(please|kindly)]"),
    ("the", "[(the|this|my|our)]"),
    (
        "why",
        "(why (is|are|does|do|has)|(find out|see|check|tell me|explain|say|show me) why|what (makes|lets|is making))",
    ),
    (
        "find",
        "(find|find out|show|show me|list|tell me|say|see|look for|search for|what (is|are)|which (is|are))",
    ),
    (
        "check",
        "(check|look at|look into|inspect|examine|diagnose|test|verify|watch)",
    ),
    ("fix", "(fix|repair|mend|cure|resolve|solve|heal|correct)"),
    ("it", "[(it|that|this|them|the cause|the problem)]"),
    (
        "and_fix",
        "[([and] [then] <fix> <it>|[and] (find out|see|tell me|say) [why] [and <fix> <it>])]",
    ),
    (
        "crashes",
        "((keeps|is|are|keep) (crashing|failing|dying|restarting|stopping|ending)|crash-loops|(crashes|crash|fails|fail|dies|die) [(again|all the time|again and again)]|(does|do|will|can) not (start|come up|run|work)|(doesn't|won't|cannot|can't) (start|come up|run|work)|is (down|broken|not running)|(crash|crash-loop|fail|die))",
    ),
    ("service", "[(service|daemon|server|unit)]"),
    ("in", "(in|on|under|below|at|of|for)"),
    ("directory", "[(directory|folder|path|tree)]"),
    ("delete", "(delete|deleting|remove|removing|clean up|cleaning up)"),
    (
        "older",
        "(older than|not (changed|touched|used) for|that are older than)",
    ),
    (
        "disk",
        "[the] (disk|file system|filesystem|volume|partition|mount)",
    ),
    (
        "full",
        "(full|filling|filling up|almost full|nearly full|out of space|short of space|running out of space)",
    ),
    (
        "out_of_inodes",
        "(out of|short of|running out of|low on|without) [free] inodes",
    ),
    ("process", "[the] [(process|program|command)]"),
    (
        "most",
        "(most|the most|the biggest|biggest|largest|the largest|heaviest|the heaviest)",
    ),
];

/// Numbers that are said as words, from zero on.
pub(super) const NUMBER_WORDS: [&str; 13] = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
];

/// Words that mean one.
pub(super) const ONE: [&str; 2] = ["a", "an"];

/// Units of time with their milliseconds.
pub(super) const TIME_UNITS: &[(&[&str], u64)] = &[
    (&["s", "sec", "secs", "second", "seconds"], 1_000),
    (&["m", "min", "mins", "minute", "minutes"], 60_000),
    (&["h", "hr", "hrs", "hour", "hours"], 3_600_000),
    (&["d", "day", "days"], 86_400_000),
    (&["w", "week", "weeks"], 604_800_000),
];

/// Units of size with their bytes.
pub(super) const SIZE_UNITS: &[(&[&str], u64)] = &[
    (&["b", "byte", "bytes"], 1),
    (&["k", "kb", "kilobyte", "kilobytes"], 1_000),
    (&["m", "mb", "megabyte", "megabytes"], 1_000_000),
    (&["g", "gb", "gigabyte", "gigabytes"], 1_000_000_000),
    (&["t", "tb", "terabyte", "terabytes"], 1_000_000_000_000),
    (&["kib"], 1 << 10),
    (&["mib"], 1 << 20),
    (&["gib"], 1 << 30),
    (&["tib"], 1 << 40),
];

/// Words that mean percent.
pub(super) const PERCENT: [&str; 3] = ["%", "percent", "per cent"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intent::Pattern;
    use std::collections::BTreeMap;

    #[test]
    fn every_phrase_can_be_read() {
        for (name, text) in PHRASES {
            assert!(Pattern::parse(text, &BTreeMap::new()).is_ok(), "{name}");
        }
    }

    #[test]
    fn usual_wordings_of_a_crash_fit_one_phrase() {
        let pattern = Pattern::parse("the shop <service> <crashes> <and_fix>", &BTreeMap::new()).unwrap();
        for text in [
            "the shop service keeps crashing: find out why and fix it",
            "the shop daemon crash-loops, repair it",
            "the shop does not start",
            "the shop won't start, mend it",
            "the shop service is down",
        ] {
            let fits = crate::intent::understand_with(&pattern, text);
            assert!(fits.is_ok(), "{text}: {fits:?}");
        }
    }
}
