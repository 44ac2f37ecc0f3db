//! Trigger patterns: words, `(this|that)`, `[perhaps this]`, `{slot}`, and `<phrase>` of the catalogue.
//! Case does not matter.

use super::catalogue::PHRASES;
use super::slot::SlotKind;
use super::words::Word;
use super::{Miss, Slots};
use std::collections::BTreeMap;

/// A trigger that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// A bracket without its partner.
    #[error("`{0}` is not closed or not opened")]
    Bracket(char),
    /// A slot that is no input.
    #[error("{{{0}}} is no input of the runbook")]
    UnknownSlot(String),
    /// A phrase that the catalogue has not.
    #[error("<{0}> is no phrase of the catalogue")]
    UnknownPhrase(String),
    /// No word or slot.
    #[error("the trigger is empty")]
    Empty,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Word(String),
    Choice(Vec<Vec<Node>>),
    Slot(String, SlotKind),
}

/// A trigger, ready to be fitted to words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    nodes: Vec<Node>,
}

impl Pattern {
    /// Reads a trigger; `kinds` are the runbook's inputs.
    ///
    /// # Errors
    /// [`PatternError`] names the part.
    pub fn parse(text: &str, kinds: &BTreeMap<String, SlotKind>) -> Result<Self, PatternError> {
        let mut parser = Parser {
            rest: text.chars().collect::<Vec<_>>(),
            position: 0,
            kinds,
            phrases: PHRASES,
        };
        let nodes = parser.sequence()?;
        if let Some(extra) = parser.peek() {
            return Err(PatternError::Bracket(extra));
        }
        if nodes.is_empty() {
            return Err(PatternError::Empty);
        }
        Ok(Self { nodes })
    }

    /// Fits all of `words`.
    pub(super) fn fit(&self, words: &[Word]) -> Result<Slots, Miss> {
        let mut fit = Fit {
            words,
            literal: 0,
            miss: Miss::default(),
        };
        let mut slots = Slots::new();
        if fit.run(
            &Rest {
                nodes: &self.nodes,
                then: None,
            },
            0,
            &mut slots,
        ) {
            return Ok(slots);
        }
        let mut miss = fit.miss;
        let understood: Vec<&str> = words
            .iter()
            .take(miss.count)
            .map(|word| word.text.as_str())
            .collect();
        miss.understood = understood.join(" ");
        miss.at = words.get(miss.count).map(|word| word.text.clone());
        Err(miss)
    }

    /// Names of the slots in it.
    pub fn slots(&self) -> Vec<&str> {
        fn collect<'a>(nodes: &'a [Node], into: &mut Vec<&'a str>) {
            for node in nodes {
                match node {
                    Node::Word(_) => {}
                    Node::Choice(choices) => choices.iter().for_each(|choice| collect(choice, into)),
                    Node::Slot(name, _) => into.push(name),
                }
            }
        }
        let mut names = Vec::new();
        collect(&self.nodes, &mut names);
        names
    }
}

struct Parser<'a> {
    rest: Vec<char>,
    position: usize,
    kinds: &'a BTreeMap<String, SlotKind>,
    /// Phrases that may be used: all, or within a phrase those before it.
    phrases: &'a [(&'a str, &'a str)],
}

impl Parser<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.get(self.position).copied()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek();
        self.position += 1;
        next
    }

    fn sequence(&mut self) -> Result<Vec<Node>, PatternError> {
        let mut nodes = Vec::new();
        while let Some(next) = self.peek() {
            match next {
                '(' => nodes.push(Node::Choice(self.group(')')?)),
                '[' => {
                    let mut choices = self.group(']')?;
                    choices.push(Vec::new());
                    nodes.push(Node::Choice(choices));
                }
                '{' => nodes.push(self.slot()?),
                '<' => nodes.push(self.phrase()?),
                '>' => return Err(PatternError::Bracket('>')),
                ')' | ']' | '|' => break,
                '}' => return Err(PatternError::Bracket('}')),
                space if space.is_whitespace() => self.position += 1,
                _ => nodes.push(Node::Word(self.word())),
            }
        }
        Ok(nodes)
    }

    fn group(&mut self, close: char) -> Result<Vec<Vec<Node>>, PatternError> {
        let open = self.next().unwrap_or(close);
        let mut choices = vec![self.sequence()?];
        loop {
            match self.next() {
                Some('|') => choices.push(self.sequence()?),
                Some(end) if end == close => return Ok(choices),
                _ => return Err(PatternError::Bracket(open)),
            }
        }
    }

    /// What stands up to `close`.
    fn name(&mut self, open: char, close: char) -> Result<String, PatternError> {
        self.position += 1;
        let mut name = String::new();
        loop {
            match self.next() {
                Some(end) if end == close => return Ok(name),
                Some(next) => name.push(next),
                None => return Err(PatternError::Bracket(open)),
            }
        }
    }

    fn phrase(&mut self) -> Result<Node, PatternError> {
        let name = self.name('<', '>')?;
        let place = self.phrases.iter().position(|(known, _)| *known == name);
        let found = place.and_then(|place| Some((self.phrases.get(place)?.1, self.phrases.get(..place)?)));
        let Some((text, before)) = found else {
            return Err(PatternError::UnknownPhrase(name));
        };
        let mut parser = Parser {
            rest: text.chars().collect::<Vec<_>>(),
            position: 0,
            kinds: self.kinds,
            phrases: before,
        };
        let nodes = parser.sequence()?;
        match parser.peek() {
            Some(extra) => Err(PatternError::Bracket(extra)),
            None => Ok(Node::Choice(vec![nodes])),
        }
    }

    fn slot(&mut self) -> Result<Node, PatternError> {
        let name = self.name('{', '}')?;
        match self.kinds.get(&name) {
            Some(kind) => Ok(Node::Slot(name, *kind)),
            None => Err(PatternError::UnknownSlot(name)),
        }
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(next) = self.peek() {
            if next.is_whitespace() || "()[]{}<>|".contains(next) {
                break;
            }
            word.extend(next.to_lowercase());
            self.position += 1;
        }
        word
    }
}

/// What remains to be fitted: some nodes, then what follows the group they stand in.
struct Rest<'a> {
    nodes: &'a [Node],
    then: Option<&'a Rest<'a>>,
}

struct Fit<'a> {
    words: &'a [Word],
    /// Words of the trigger that stand before the place, as they were said.
    literal: usize,
    miss: Miss,
}

impl Fit<'_> {
    fn run(&mut self, rest: &Rest<'_>, at: usize, slots: &mut Slots) -> bool {
        let Some((node, nodes)) = rest.nodes.split_first() else {
            return match rest.then {
                Some(then) => self.run(then, at, slots),
                None if at == self.words.len() => true,
                None => {
                    self.missed(at, "the end", None);
                    false
                }
            };
        };
        let rest = Rest {
            nodes,
            then: rest.then,
        };
        match node {
            Node::Word(wanted) => {
                let fits = self
                    .words
                    .get(at)
                    .is_some_and(|word| !word.quoted && word.text.to_lowercase() == *wanted);
                if fits {
                    self.literal += 1;
                    let whole = self.run(&rest, at + 1, slots);
                    self.literal -= 1;
                    return whole;
                }
                self.missed(at, &format!("`{wanted}`"), None);
                false
            }
            Node::Choice(choices) => choices.iter().any(|choice| {
                self.run(
                    &Rest {
                        nodes: choice,
                        then: Some(&rest),
                    },
                    at,
                    slots,
                )
            }),
            Node::Slot(name, kind) => match kind.read(self.words.get(at..).unwrap_or_default()) {
                Ok((value, used)) => {
                    let before = slots.insert(name.clone(), value);
                    if self.run(&rest, at + used, slots) {
                        return true;
                    }
                    match before {
                        Some(before) => slots.insert(name.clone(), before),
                        None => slots.remove(name),
                    };
                    false
                }
                Err(problem) => {
                    self.missed(at, kind.expected(), (at < self.words.len()).then_some(problem));
                    false
                }
            },
        }
    }

    /// Keeps what was expected at the furthest place.
    fn missed(&mut self, at: usize, expected: &str, problem: Option<String>) {
        if at < self.miss.count {
            return;
        }
        if at > self.miss.count {
            self.miss = Miss {
                count: at,
                ..Miss::default()
            };
        }
        self.miss.literal |= self.literal > 0;
        if !self.miss.expected.iter().any(|it| it == expected) {
            self.miss.expected.push(expected.to_owned());
        }
        if self.miss.problem.is_none() {
            self.miss.problem = problem;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{IntentError, SlotValue, understand_with};
    use super::*;
    use proptest::prelude::*;

    fn kinds() -> BTreeMap<String, SlotKind> {
        [
            ("dir".to_owned(), SlotKind::Dir),
            ("keep".to_owned(), SlotKind::Count),
        ]
        .into()
    }

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text, &kinds()).unwrap()
    }

    #[test]
    fn alternatives_and_optional_words_fit_in_any_mix() {
        let pattern = pattern("(tidy|clean [up]) [the] {dir} [(keep|keeping) {keep}]");
        for text in [
            "tidy /x",
            "Clean up the /x",
            "clean /x keep 3",
            "TIDY the /x, keeping three",
        ] {
            assert!(understand_with(&pattern, text).is_ok(), "{text}");
        }
        let slots = understand_with(&pattern, "clean /x keep 3").unwrap();
        assert_eq!(slots.get("keep"), Some(&SlotValue::Count(3)));
    }

    #[test]
    fn a_miss_says_what_was_understood_and_what_was_expected() {
        let pattern = pattern("tidy {dir} keep {keep}");
        let error = understand_with(&pattern, "tidy /x kep 3").unwrap_err();
        assert_eq!(
            error.to_string(),
            "understood `tidy /x`, but at `kep`: expected `keep`"
        );
        let error = understand_with(&pattern, "tidy x keep 3").unwrap_err();
        assert_eq!(
            error.to_string(),
            "understood `tidy`, but at `x`: a directory must be absolute: begin it with `/`"
        );
        let error = understand_with(&pattern, "tidy /x keep").unwrap_err();
        assert_eq!(
            error.to_string(),
            "understood `tidy /x keep`, but at the end: expected a number"
        );
        assert_eq!(
            understand_with(&pattern, "make coffee").unwrap_err(),
            IntentError::Unknown
        );
    }

    #[test]
    fn wrong_triggers_are_named() {
        for (text, error) in [
            ("(a|b", PatternError::Bracket('(')),
            ("a)", PatternError::Bracket(')')),
            ("[a", PatternError::Bracket('[')),
            ("{dir", PatternError::Bracket('{')),
            ("{what}", PatternError::UnknownSlot("what".to_owned())),
            ("<nobody>", PatternError::UnknownPhrase("nobody".to_owned())),
            ("<why", PatternError::Bracket('<')),
            ("  ", PatternError::Empty),
        ] {
            assert_eq!(Pattern::parse(text, &kinds()), Err(error), "{text}");
        }
    }

    #[test]
    fn words_that_only_a_slot_took_were_not_understood() {
        let pattern = pattern("{dir} is full");
        assert_eq!(
            understand_with(&pattern, "/srv sings").unwrap_err(),
            IntentError::Unknown
        );
        assert!(matches!(
            understand_with(&pattern, "/srv is red").unwrap_err(),
            IntentError::Near(_)
        ));
    }

    proptest! {
        #[test]
        fn no_words_and_no_trigger_make_it_panic(trigger in ".{0,40}", text in ".{0,80}") {
            if let Ok(pattern) = Pattern::parse(&trigger, &kinds()) {
                let _ = understand_with(&pattern, &text);
            }
        }
    }
}
