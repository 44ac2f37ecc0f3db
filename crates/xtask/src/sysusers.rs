//! Reads the part of the sysusers.d(5) format that `bootc/sysusers.d/aios.conf` uses.

use anyhow::{Context, Result, bail};

/// One line of the file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A group with a fixed number.
    Group { name: String, id: u32 },
    /// A user with a fixed number, and a group of the same name.
    User {
        name: String,
        id: u32,
        comment: String,
        home: String,
        shell: String,
    },
    /// A user's membership in a group.
    Member { user: String, group: String },
}

/// Parses the file's text; comments and blank lines are skipped.
pub(crate) fn parse(text: &str) -> Result<Vec<Entry>> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| entry(line).with_context(|| format!("line {number}: {line}")))
        .collect()
}

fn entry(line: &str) -> Result<Entry> {
    let words = words(line)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    Ok(match words.as_slice() {
        ["g", name, id, ..] => Entry::Group {
            name: (*name).to_owned(),
            id: number(id)?,
        },
        ["u", name, id, comment, home, shell] => Entry::User {
            name: (*name).to_owned(),
            id: number(id)?,
            comment: (*comment).to_owned(),
            home: (*home).to_owned(),
            shell: (*shell).to_owned(),
        },
        ["m", user, group] => Entry::Member {
            user: (*user).to_owned(),
            group: (*group).to_owned(),
        },
        _ => bail!("write `g NAME ID -`, `u NAME ID \"COMMENT\" HOME SHELL` or `m USER GROUP`"),
    })
}

fn number(word: &str) -> Result<u32> {
    word.parse().with_context(|| format!("`{word}` is not a number"))
}

/// Splits at blanks; double quotes keep blanks together.
fn words(line: &str) -> Result<Vec<String>> {
    let mut words = Vec::new();
    for (index, part) in line.split('"').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    if line.matches('"').count() % 2 == 1 {
        bail!("a quote is not closed");
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::{Entry, parse};

    #[test]
    fn the_shipped_file_parses_and_every_member_names_a_known_user_and_group() {
        let entries = parse(include_str!("../../../bootc/sysusers.d/aios.conf")).unwrap();
        let known = |wanted: &str| {
            entries.iter().any(|entry| match entry {
                Entry::Group { name, .. } | Entry::User { name, .. } => name == wanted,
                Entry::Member { .. } => false,
            })
        };
        for entry in &entries {
            if let Entry::Member { user, group } = entry {
                assert!(known(user) && known(group), "{user} in {group}");
            }
        }
        assert!(known("aios-sandbox"));
    }

    #[test]
    fn bad_lines_are_refused_with_their_number() {
        for (line, part) in [
            ("u a", "line 1: u a"),
            ("u a x \"c\" /h /s", "`x` is not a number"),
            ("u a 1 \"c /h /s", "not closed"),
            ("z a", "write `g"),
        ] {
            let error = format!("{:#}", parse(line).unwrap_err());
            assert!(error.contains(part), "{error}");
        }
    }
}
