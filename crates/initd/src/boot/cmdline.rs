//! Words of the kernel command line that are aiOS's: `aios.NAME=VALUE`.

use std::fs;
use std::path::Path;

/// The value of the last word `name=…`, without quotes; none where there is no such word.
pub(super) fn value(root: &Path, name: &str) -> Option<String> {
    // Without /proc there is nothing to be told, and much else has failed before.
    let text = fs::read_to_string(root.join("proc/cmdline")).unwrap_or_default();
    let find = |word: String| {
        let (key, value) = word.split_once('=')?;
        (key == name && !value.is_empty()).then(|| value.to_owned())
    };
    words(&text).into_iter().filter_map(find).next_back()
}

/// Words are separated by blanks outside of quotes, as the kernel reads them; there is no escape.
fn words(text: &str) -> Vec<String> {
    let mut list = vec![String::new()];
    let mut quoted = false;
    for letter in text.chars() {
        if letter == '"' {
            quoted = !quoted;
        } else if letter.is_whitespace() && !quoted {
            list.push(String::new());
        } else if let Some(word) = list.last_mut() {
            word.push(letter);
        }
    }
    list.retain(|word| !word.is_empty());
    list
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_of_a_name_counts_and_quotes_keep_blanks() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("proc")).unwrap();
        let line =
            "quiet aios.hostname=a aios.key=\"ssh-ed25519 AAAA me\" \"aios.other=b c\" aios.hostname=d\n";
        fs::write(root.path().join("proc/cmdline"), line).unwrap();
        for (name, wanted) in [
            ("aios.hostname", Some("d")),
            ("aios.key", Some("ssh-ed25519 AAAA me")),
            ("aios.other", Some("b c")),
            ("quiet", None),
            ("hostname", None),
        ] {
            assert_eq!(value(root.path(), name).as_deref(), wanted, "{name}");
        }
    }
}
