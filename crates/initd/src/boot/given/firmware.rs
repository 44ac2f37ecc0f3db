//! SMBIOS OEM strings (type 11), which hypervisors set: `io.systemd.credential:NAME=VALUE`, and `NAME=VALUE` for our own
//! names. The table is read as the kernel exports it (SMBIOS reference specification 3, 6.1 and 7.12).

use super::Given;
use crate::error::{InitError, Result};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

const TABLE: &str = "sys/firmware/dmi/tables/DMI";
/// OEM strings.
const KIND: u8 = 11;
/// The end of the table.
const LAST: u8 = 127;
const CREDENTIAL: &str = "io.systemd.credential:";

/// What the strings give; nothing where the firmware has no table.
pub(super) fn given(root: &Path) -> Result<Given> {
    let path = root.join(TABLE);
    match fs::read(&path) {
        Ok(table) => Ok(understand(&strings(&table))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Given::default()),
        Err(error) => Err(InitError::path("cannot read", path)(error)),
    }
}

/// Others' strings are none of ours.
fn understand(strings: &[String]) -> Given {
    let mut given = Given::default();
    for text in strings {
        let Some((name, value)) = text.strip_prefix(CREDENTIAL).unwrap_or(text).split_once('=') else {
            continue;
        };
        match name {
            "aios.admin.ssh_key" | "ssh.authorized_keys.root" => {
                given.keys.extend(value.lines().map(str::to_owned));
            }
            "aios.hostname" | "system.hostname" => given.hostname = Some(value.to_owned()),
            _ if name.starts_with("aios.") => given.ignored.push(format!("the firmware's {name}")),
            _ => {}
        }
    }
    given
}

/// The strings of all structures of the kind. A structure is its fixed part, whose length its second byte says, then
/// strings that each end with a zero, then another zero. What is cut short ends the walk.
fn strings(table: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = table;
    while let [kind, length, ..] = *rest {
        let Some(mut text) = rest
            .get(usize::from(length)..)
            .filter(|_| length >= 4 && kind != LAST)
        else {
            break;
        };
        // A structure without strings still ends with two zeros.
        if text.first() == Some(&0) {
            text = text.get(1..).unwrap_or_default();
        }
        while text.first().is_some_and(|byte| *byte != 0) {
            let Some(end) = text.iter().position(|byte| *byte == 0) else {
                return found;
            };
            let (string, after) = text.split_at(end);
            if kind == KIND {
                found.push(String::from_utf8_lossy(string).into_owned());
            }
            text = after.get(1..).unwrap_or_default();
        }
        rest = text.get(1..).unwrap_or_default();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn structure(kind: u8, fixed: usize, strings: &[&str]) -> Vec<u8> {
        let mut bytes = vec![kind, u8::try_from(fixed).unwrap()];
        bytes.resize(fixed, 7);
        for string in strings {
            bytes.extend(string.bytes().chain([0]));
        }
        bytes.extend(if strings.is_empty() { vec![0, 0] } else { vec![0] });
        bytes
    }

    #[test]
    fn oem_strings_give_keys_and_a_name() {
        let table = [
            structure(0, 24, &["SeaBIOS", "1.16"]),
            structure(32, 11, &[]),
            structure(
                11,
                5,
                &[
                    "io.systemd.credential:aios.admin.ssh_key=ssh-ed25519 AAAAC3 a=b",
                    "aios.hostname=box",
                    "vendor=x",
                    "aios.unknown=1",
                ],
            ),
            structure(127, 4, &[]),
            structure(11, 5, &["aios.hostname=behind the end"]),
        ]
        .concat();
        let given = understand(&strings(&table));
        assert_eq!(given.keys, ["ssh-ed25519 AAAAC3 a=b"]);
        assert_eq!(given.hostname.as_deref(), Some("box"));
        assert_eq!(given.ignored, ["the firmware's aios.unknown"]);
    }

    #[test]
    fn a_table_that_is_cut_short_ends_there() {
        let table = structure(11, 5, &["aios.hostname=box", "second=2"]);
        for length in 0..table.len() {
            assert!(strings(&table[..length]).len() <= 2, "{length}");
        }
        assert_eq!(strings(&[11, 0, 0, 0]), Vec::<String>::new());
    }

    #[test]
    fn a_machine_without_the_table_gives_nothing() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(given(root.path()).unwrap(), Given::default());
    }
}
