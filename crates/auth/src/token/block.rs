//! Reading the facts of one block.

use biscuit_auth::Biscuit;
use biscuit_auth::builder::{BlockBuilder, Fact, Term};

use super::{MAX_CAPABILITIES, TokenError};
use crate::capability::Capability;

/// What one block says. Every field but the capabilities appears at most once.
#[derive(Debug, Default)]
pub(super) struct Block {
    pub(super) strings: Vec<(String, String)>,
    pub(super) numbers: Vec<(String, i64)>,
    pub(super) tainted: Option<bool>,
    pub(super) capabilities: Vec<Capability>,
}

impl Block {
    pub(super) fn string(&self, name: &str) -> Option<&str> {
        self.strings
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.numbers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| *value)
    }
}

/// Reads block `index`; only plain facts are understood.
pub(super) fn read(token: &Biscuit, index: usize) -> Result<Block, TokenError> {
    let foreign = |problem: &str| TokenError::Foreign {
        block: index,
        problem: problem.to_owned(),
    };
    let external = token
        .block_external_key(index)
        .map_err(|error| foreign(&error.to_string()))?;
    if external.is_some() {
        return Err(foreign("is signed by a third party"));
    }
    let source = token
        .print_block_source(index)
        .map_err(|error| foreign(&error.to_string()))?;
    let parsed = BlockBuilder::new()
        .code(&source)
        .map_err(|_| foreign("holds no plain facts"))?;
    if !(parsed.rules.is_empty() && parsed.checks.is_empty() && parsed.scopes.is_empty()) {
        return Err(foreign(
            "holds rules or checks, which this verifier does not evaluate",
        ));
    }
    let mut block = Block::default();
    for fact in &parsed.facts {
        add(&mut block, fact, index)?;
    }
    Ok(block)
}

fn add(block: &mut Block, fact: &Fact, index: usize) -> Result<(), TokenError> {
    let foreign = |problem: String| TokenError::Foreign {
        block: index,
        problem,
    };
    let name = fact.predicate.name.as_str();
    let seen =
        block.strings.iter().any(|(key, _)| key == name) || block.numbers.iter().any(|(key, _)| key == name);
    if seen {
        return Err(foreign(format!("says `{name}` twice")));
    }
    match (name, fact.predicate.terms.as_slice()) {
        ("cap", [Term::Str(text)]) if block.capabilities.len() < MAX_CAPABILITIES => {
            block.capabilities.push(Capability::parse(text)?);
        }
        ("agent" | "agent_kind" | "goal" | "task" | "autonomy", [Term::Str(text)]) => {
            block.strings.push((name.to_owned(), text.clone()));
        }
        ("expires" | "epoch", [Term::Integer(number)]) => block.numbers.push((name.to_owned(), *number)),
        ("tainted", [Term::Bool(tainted)]) if block.tainted.is_none() => block.tainted = Some(*tainted),
        _ => return Err(foreign(format!("holds the unknown or repeated fact `{name}`"))),
    }
    Ok(())
}
