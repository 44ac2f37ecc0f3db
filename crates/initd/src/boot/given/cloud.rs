//! cloud-init's NoCloud files, as far as they give a key or a name. They are YAML, of which this reads what such
//! files are made of: keys with values, lists of strings, maps in lists. All else is named as ignored.

use super::Given;

/// Names of lists of keys.
const KEYS: [&str; 3] = ["ssh_authorized_keys", "ssh-authorized-keys", "public-keys"];
/// Names of the host, the first that is there.
const NAMES: [&str; 3] = ["local-hostname", "hostname", "fqdn"];
/// What needs no word: what a machine is called elsewhere, and parts of what is understood.
const SILENT: [&str; 5] = ["instance-id", "users", "name", "preserve_hostname", "default"];

/// A line: how far it is indented, whether it begins an item of a list, its key and its value.
struct Line<'a> {
    indent: usize,
    item: bool,
    key: Option<&'a str>,
    value: &'a str,
}

/// Reads `meta-data` or `user-data`; `file` is its name.
pub(super) fn read(file: &str, text: &str) -> Given {
    let mut given = Given::default();
    // A list that is being read: how far its key is indented.
    let mut list: Option<usize> = None;
    for line in text.lines().filter_map(parse) {
        if let Some(indent) = list {
            if line.item && line.indent >= indent {
                // A key of SSH may have a colon in its comment; the whole item is its text.
                given.keys.push(unquoted(line.value).to_owned());
                continue;
            }
            list = None;
        }
        let Some(key) = line.key else { continue };
        if KEYS.contains(&key) {
            match line.value {
                "" => list = Some(line.indent),
                inline => given.keys.extend(items(inline)),
            }
        } else if NAMES.contains(&key) && !line.value.is_empty() && line.indent == 0 {
            given
                .hostname
                .get_or_insert_with(|| unquoted(line.value).to_owned());
        } else if !SILENT.contains(&key) {
            let what = format!("{key} in {file}");
            if !given.ignored.contains(&what) && line.indent == 0 {
                given.ignored.push(what);
            }
        }
    }
    given
}

fn parse(text: &str) -> Option<Line<'_>> {
    let bare = text.trim_start();
    if bare.is_empty() || bare.starts_with('#') || bare.starts_with("---") {
        return None;
    }
    let indent = text.len() - bare.len();
    let (item, rest) = match bare.strip_prefix('-') {
        Some(rest) => (true, rest.trim_start()),
        None => (false, bare),
    };
    let word = |key: &str| {
        !key.is_empty()
            && key
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    let split = rest
        .split_once(':')
        .filter(|(key, value)| word(key.trim()) && (value.is_empty() || value.starts_with(' ')));
    Some(match split {
        // In a list of maps the first key of a map stands where its others stand: behind the dash.
        Some((key, value)) if item => Line {
            indent: indent + text.len() - indent - rest.len(),
            item: false,
            key: Some(key.trim()),
            value: value.trim(),
        },
        Some((key, value)) => Line {
            indent,
            item,
            key: Some(key.trim()),
            value: value.trim(),
        },
        None => Line {
            indent,
            item,
            key: None,
            value: rest.trim(),
        },
    })
}

/// A list on one line: `[a, "b"]`, or one string.
fn items(text: &str) -> Vec<String> {
    let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    match inner {
        Some(inner) => inner
            .split(',')
            .map(|item| unquoted(item.trim()).to_owned())
            .filter(|item| !item.is_empty())
            .collect(),
        None => vec![unquoted(text).to_owned()],
    }
}

fn unquoted(text: &str) -> &str {
    let strip = |quote: char| text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
    strip('"').or_else(|| strip('\'')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_a_name_are_found_wherever_cloud_init_allows_them() {
        let text = "#cloud-config\n\
            hostname: box\n\
            ssh_authorized_keys:\n  - ssh-ed25519 AAAA1 a\n  - 'ssh-rsa AAAA2 b'\n\
            users:\n  - default\n  - name: anna\n    sudo: ALL=(ALL) NOPASSWD:ALL\n    ssh_authorized_keys:\n      - \"ssh-ed25519 AAAA3 c: d\"\n    shell: /bin/sh\n  - ssh-authorized-keys: [ssh-rsa AAAA4, \"ssh-rsa AAAA5\"]\n\
            packages:\n- nginx\n- vim\n\
            runcmd:\n  - [ls, /]\n";
        let given = read("user-data", text);
        assert_eq!(
            given.keys,
            [
                "ssh-ed25519 AAAA1 a",
                "ssh-rsa AAAA2 b",
                "ssh-ed25519 AAAA3 c: d",
                "ssh-rsa AAAA4",
                "ssh-rsa AAAA5"
            ]
        );
        assert_eq!(given.hostname.as_deref(), Some("box"));
        assert_eq!(given.ignored, ["packages in user-data", "runcmd in user-data"]);
    }

    #[test]
    fn items_may_stand_as_far_left_as_their_key() {
        let given = read(
            "user-data",
            "ssh_authorized_keys:\n- ssh-rsa AAAA1\nhostname: \"b\"\n",
        );
        assert_eq!((given.keys.len(), given.hostname.as_deref()), (1, Some("b")));
    }

    #[test]
    fn the_machines_own_data_name_it() {
        let given = read(
            "meta-data",
            "instance-id: i-1\nlocal-hostname: box.example.org\npublic-keys: ssh-rsa AAAA9\n",
        );
        assert_eq!(given.hostname.as_deref(), Some("box.example.org"));
        assert_eq!(given.keys, ["ssh-rsa AAAA9"]);
        assert_eq!(given.ignored, Vec::<String>::new());
    }
}
