//! Splitting a sentence into words. Quotation marks make one word of several and keep everything in
//! them as it is; sentence punctuation at the end of a bare word is dropped.

use super::IntentError;

/// A word of a goal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// As written, without quotation marks.
    pub(super) text: String,
    /// Whether it stood in quotation marks; then it fits only slots.
    pub(super) quoted: bool,
}

const END_PUNCTUATION: &[char] = &[',', ';', ':', '!', '?'];

pub(super) fn split(text: &str) -> Result<Vec<Word>, IntentError> {
    let mut words = Vec::new();
    let mut chars = text.chars().enumerate().peekable();
    while let Some((position, first)) = chars.next() {
        if first.is_whitespace() {
            continue;
        }
        if let Some(close) = closing(first) {
            let mut word = String::new();
            let mut closed = false;
            for (_, next) in chars.by_ref() {
                if next == close {
                    closed = true;
                    break;
                }
                word.push(next);
            }
            if !closed {
                return Err(IntentError::OpenQuote(position + 1));
            }
            words.push(Word {
                text: word,
                quoted: true,
            });
            continue;
        }
        let mut word = String::from(first);
        while let Some((_, next)) = chars.next_if(|(_, next)| !next.is_whitespace()) {
            word.push(next);
        }
        // A full stop belongs to the sentence only after a plain word, never to `*.` or `/srv/x.`.
        let plain = word
            .chars()
            .all(|it| it.is_alphanumeric() || it == '.' || END_PUNCTUATION.contains(&it));
        let bare = word.trim_end_matches(END_PUNCTUATION);
        let bare = if plain { bare.trim_end_matches('.') } else { bare };
        if !bare.is_empty() {
            words.push(Word {
                text: bare.to_owned(),
                quoted: false,
            });
        }
    }
    Ok(words)
}

fn closing(open: char) -> Option<char> {
    match open {
        '"' => Some('"'),
        '\'' => Some('\''),
        '`' => Some('`'),
        '“' => Some('”'),
        '‘' => Some('’'),
        '«' => Some('»'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        split(text).unwrap().into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn punctuation_ends_words_but_stays_inside_them() {
        assert_eq!(
            texts("under /var/log: delete *.log, please."),
            ["under", "/var/log", "delete", "*.log", "please"]
        );
    }

    #[test]
    fn quotation_marks_keep_blanks_and_punctuation() {
        assert_eq!(
            texts("under \"/srv/my logs:\" 'a b' “c d”"),
            ["under", "/srv/my logs:", "a b", "c d"]
        );
    }

    #[test]
    fn an_open_quotation_mark_is_located() {
        assert_eq!(split("tidy \"/srv"), Err(IntentError::OpenQuote(6)));
    }
}
