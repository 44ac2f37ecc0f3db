//! Debian's grammar of package names and versions (Debian Policy 5.6.1, 5.6.12): what goes into an
//! argument of apt or dpkg is one of these and nothing else.

use crate::error::Result;
use crate::typed::{bad_input, plain_name};

/// Most packages in one call.
const MOST: usize = 200;

/// Whether it is a package's name, with or without an architecture: `libc6`, `libc6:i386`.
pub(crate) fn is_name(text: &str) -> bool {
    let (name, arch) = match text.split_once(':') {
        Some((name, arch)) => (name, Some(arch)),
        None => (text, None),
    };
    let first = name.bytes().next().is_some_and(is_low);
    // A minus at the end would tell apt to remove the package.
    let rest = name.bytes().all(|byte| is_low(byte) || b"+-.".contains(&byte)) && !name.ends_with('-');
    let arch = arch.is_none_or(|arch| {
        arch.bytes().next().is_some_and(is_low) && arch.bytes().all(|byte| is_low(byte) || byte == b'-')
    });
    name.len() >= 2 && first && rest && arch
}

fn is_low(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

/// Whether it is a version: `1:2.30-5+deb12u1~bpo1`.
pub(crate) fn is_version(text: &str) -> bool {
    text.bytes()
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".+~:-".contains(&byte))
}

/// Refuses what is no package name.
pub(crate) fn check_name(tool: &str, field: &str, name: &str) -> Result<()> {
    plain_name(tool, field, name)?;
    if is_name(name) {
        Ok(())
    } else {
        Err(bad_input(
            tool,
            field,
            "is no package name: lower-case letters, digits, `+`, `-`, `.`, at least two, and `:ARCHITECTURE` if need be",
        ))
    }
}

/// Refuses what is no version.
pub(crate) fn check_version(tool: &str, field: &str, version: &str) -> Result<()> {
    plain_name(tool, field, version)?;
    if is_version(version) {
        Ok(())
    } else {
        Err(bad_input(
            tool,
            field,
            "is no version: letters, digits and `.+~:-`",
        ))
    }
}

/// Names sorted, once each, all of them package names.
pub(crate) fn check_names(tool: &str, names: &mut Vec<String>) -> Result<()> {
    if names.is_empty() || names.len() > MOST {
        return Err(bad_input(tool, "names", "must be 1 to 200 packages"));
    }
    for (index, name) in names.iter().enumerate() {
        check_name(tool, &format!("names[{index}]"), name)?;
    }
    names.sort_unstable();
    names.dedup();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_debian_policy_calls_a_name_is_one() {
        for name in ["nginx", "g++", "libc6:i386", "0ad", "python3.11", "libstdc++6"] {
            assert!(check_name("pkg.info", "name", name).is_ok(), "{name}");
        }
        for name in [
            "",
            "a",
            "-rf",
            "+x",
            "Nginx",
            "a b",
            "a/b",
            "nginx=1",
            "nginx:",
            "nginx-",
            "nginx:-x",
            "nginx*",
            "a\nb",
            "nginx/sid",
            "nginx^",
            "naïve",
        ] {
            assert!(check_name("pkg.info", "name", name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn only_what_debian_policy_calls_a_version_is_one() {
        for version in ["1.0", "1:2.30-5+deb12u1~bpo1", "2024a"] {
            assert!(
                check_version("pkg.install", "versions", version).is_ok(),
                "{version}"
            );
        }
        for version in ["", "-1", "1 0", "1.0;x", "~1", "1/2"] {
            assert!(
                check_version("pkg.install", "versions", version).is_err(),
                "{version:?}"
            );
        }
    }
}
