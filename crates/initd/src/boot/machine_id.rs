//! `/etc/machine-id`: ships empty, is made at the first boot and stays.

use super::{Outcome, Setup};
use crate::error::{InitError, Result};
use crate::supervise::World;
use std::fs;
use std::io::Read;
use std::path::Path;

/// Makes it if it is not there.
pub(super) fn make(_: &mut World, _: &mut Setup) -> Result<Outcome> {
    let path = Path::new("/etc/machine-id");
    if fs::read_to_string(path).is_ok_and(|text| is_id(&text)) {
        return Ok(Outcome::Done("kept".into()));
    }
    fs::write(path, fresh()?).map_err(InitError::path("cannot write", path))?;
    Ok(Outcome::Done("made".into()))
}

fn is_id(text: &str) -> bool {
    let text = text.trim();
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A version 4 UUID without dashes, as machine-id(5) says.
fn fresh() -> Result<String> {
    let mut bytes = [0_u8; 16];
    let source = "/dev/urandom";
    fs::File::open(source)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(InitError::path("cannot read", source))?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_id_is_one_and_differs_from_the_next() {
        let id = fresh().unwrap();
        assert!(is_id(&id));
        assert_eq!(id.chars().nth(12), Some('4'));
        assert_ne!(id, fresh().unwrap());
    }

    #[test]
    fn what_an_image_ships_is_not_an_id() {
        for text in ["", "uninitialized\n", "0123456789abcdef"] {
            assert!(!is_id(text));
        }
    }
}
