//! What apt and dpkg said went wrong, and of which package.

use aios_deployment::derived::Added;

/// Most characters of it in an error.
const SAID: usize = 1200;

/// The lines that say what is wrong. Empty when none does.
pub(super) fn telling(log: &str) -> String {
    let telling = |line: &&str| {
        ["E: ", "dpkg: error", "Err:"]
            .iter()
            .any(|sign| line.starts_with(sign))
            || ["Depends: ", "Conflicts: ", "Breaks: "]
                .iter()
                .any(|sign| line.contains(sign))
    };
    // That dpkg failed says nothing of why.
    let empty = |line: &&str| line.contains("Sub-process /usr/bin/dpkg returned an error code");
    let mut lines: Vec<&str> = log
        .lines()
        .map(str::trim)
        .filter(|line| telling(line) && !empty(line))
        .collect();
    lines.dedup();
    let said: String = lines
        .join("; ")
        .chars()
        .filter(|c| !c.is_control())
        .take(SAID)
        .collect();
    said
}

/// The package that it is about, of those that were asked for where one of them is named, else whichever dpkg names.
pub(super) fn package_in(log: &str, wanted: &[Added]) -> Option<String> {
    let said = telling(log);
    let mut words = said.split([' ', '\'', '‘', '’', ';', ',', '"', '(', ')']);
    let asked = words.find(|word| {
        wanted
            .iter()
            .any(|it| word.trim_end_matches(['.', ':']) == it.name)
    });
    let asked = asked.map(|name| name.trim_end_matches(['.', ':']).to_owned());
    let named = || {
        let (_, rest) = said.split_once("error processing package ")?;
        rest.split([' ', ':']).next().map(str::to_owned)
    };
    asked.or_else(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(names: &[&str]) -> Vec<Added> {
        let added = |name: &&str| Added {
            name: (*name).to_owned(),
            version: None,
            recommends: false,
            call: "t/1".to_owned(),
            asked_ms: 1,
        };
        names.iter().map(added).collect()
    }

    #[test]
    fn apts_own_sentence_is_told_and_the_package_that_it_is_about() {
        for (log, package, said) in [
            (
                "Reading package lists...\nE: Unable to locate package nginz\n",
                Some("nginz"),
                "E: Unable to locate package nginz",
            ),
            (
                "Setting up foo (1.0) ...\ndpkg: error processing package libx (--configure):\n \
                 installed libx package post-installation script subprocess returned error exit status 7\n\
                 E: Sub-process /usr/bin/dpkg returned an error code (1)\n",
                Some("libx"),
                "dpkg: error processing package libx (--configure):",
            ),
            (
                "E: Version '9' for 'foo' was not found\n",
                Some("foo"),
                "E: Version '9' for 'foo' was not found",
            ),
            (
                " foo : Depends: gone but it is not installable\nE: Unable to correct problems, you have held broken packages.\n",
                Some("foo"),
                "foo : Depends: gone but it is not installable; E: Unable to correct problems, you have held broken packages.",
            ),
            (
                "E: The repository 'x' is not signed.\n",
                None,
                "E: The repository 'x' is not signed.",
            ),
            ("W: something\n", None, ""),
        ] {
            assert_eq!(telling(log), said);
            assert_eq!(
                package_in(log, &wanted(&["foo", "nginz"])).as_deref(),
                package,
                "{log}"
            );
        }
    }
}
