//! Understanding a goal's words without a model: each runbook brings triggers, small patterns with
//! slots, and the words either fit one exactly or the error says where they stop fitting.
//!
//! Not for guessing: what does not fit is asked for, never assumed.
//!
//! ```
//! use aios_orchestrator::intent::{Pattern, SlotKind, understand_with};
//! let kinds = [("dir".to_owned(), SlotKind::Dir)].into();
//! let pattern = Pattern::parse("tidy [up] {dir}", &kinds).unwrap();
//! let slots = understand_with(&pattern, "Tidy up /srv/logs").unwrap();
//! assert_eq!(slots["dir"].to_string(), "/srv/logs");
//! ```

mod catalogue;
mod measure;
mod pattern;
mod slot;
mod words;

pub use pattern::{Pattern, PatternError};
pub(crate) use slot::PATTERN_CHARACTERS;
pub use slot::{SlotKind, SlotValue};

use std::collections::BTreeMap;

/// Values of a trigger's slots, by name.
pub type Slots = BTreeMap<String, SlotValue>;

/// Most words that a goal may have.
const MAX_WORDS: usize = 200;

/// Words that fit no trigger.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntentError {
    /// A quotation mark without its partner.
    #[error("the quotation mark at character {0} is not closed")]
    OpenQuote(usize),
    /// More words than any trigger has.
    #[error("the goal has more than {MAX_WORDS} words")]
    TooLong,
    /// They began to fit, then stopped.
    #[error("{}", miss_sentence(.0))]
    Near(Miss),
    /// They fit nothing.
    #[error("no runbook fits these words")]
    Unknown,
}

impl IntentError {
    /// What the person can do.
    pub fn next_step(&self) -> String {
        match self {
            Self::OpenQuote(_) => "close the quotation mark".to_owned(),
            Self::TooLong => "say it shorter".to_owned(),
            Self::Near(_) => "say it again with that part corrected".to_owned(),
            Self::Unknown => "say it like one of the examples".to_owned(),
        }
    }
}

/// How far the words fitted a trigger.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Miss {
    /// Words that fitted.
    pub understood: String,
    /// How many they are.
    pub count: usize,
    /// Whether any of them is a word of the trigger itself; a slot takes words that mean something else.
    pub literal: bool,
    /// The word where it stopped; `None` at the end of the text.
    pub at: Option<String>,
    /// What could have stood there.
    pub expected: Vec<String>,
    /// What is wrong with the word, when it stood in a slot.
    pub problem: Option<String>,
}

fn miss_sentence(miss: &Miss) -> String {
    let place = match &miss.at {
        Some(word) => format!("at `{word}`"),
        None => "at the end".to_owned(),
    };
    match &miss.problem {
        Some(problem) => format!("understood `{}`, but {place}: {problem}", miss.understood),
        None => {
            format!(
                "understood `{}`, but {place}: expected {}",
                miss.understood,
                miss.expected.join(" or ")
            )
        }
    }
}

/// Fits `text` to one pattern.
///
/// # Errors
/// [`IntentError`] says where the words stop fitting.
pub fn understand_with(pattern: &Pattern, text: &str) -> Result<Slots, IntentError> {
    understand([((), pattern)], text).map(|((), slots)| slots)
}

/// Fits `text` to the first of `patterns` that takes it, and says which.
///
/// # Errors
/// [`IntentError`] of the pattern that went furthest.
pub fn understand<'a, T>(
    patterns: impl IntoIterator<Item = (T, &'a Pattern)>,
    text: &str,
) -> Result<(T, Slots), IntentError> {
    let words = words::split(text)?;
    if words.len() > MAX_WORDS {
        return Err(IntentError::TooLong);
    }
    let mut best: Option<Miss> = None;
    for (which, pattern) in patterns {
        match pattern.fit(&words) {
            Ok(slots) => return Ok((which, slots)),
            Err(miss) => {
                let better = best.as_ref().is_none_or(|best| miss.count > best.count);
                if miss.literal && better {
                    best = Some(miss);
                }
            }
        }
    }
    match best {
        Some(miss) if miss.count > 0 => Err(IntentError::Near(miss)),
        _ => Err(IntentError::Unknown),
    }
}
