//! Verified tokens, kept until they end or the trust epoch changes. Keyed by the whole token, so that
//! a look-up needs no cryptographic hash and two tokens can never be mistaken for each other.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::VerifiedToken;

/// Most tokens held; a task has one, so this is far above what runs at once.
const MOST: usize = 1024;

#[derive(Debug, Default)]
struct Table {
    epoch: u64,
    tokens: HashMap<Box<[u8]>, Arc<VerifiedToken>>,
}

#[derive(Debug, Default)]
pub(super) struct Cache {
    table: RwLock<Table>,
}

impl Cache {
    pub(super) fn get(&self, token: &[u8], epoch: u64) -> Option<Arc<VerifiedToken>> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        if table.epoch == epoch {
            table.tokens.get(token).cloned()
        } else {
            None
        }
    }

    pub(super) fn put(&self, token: &[u8], epoch: u64, now_ms: i64, verified: &Arc<VerifiedToken>) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        if table.epoch > epoch {
            return;
        }
        if table.epoch < epoch {
            table.tokens.clear();
            table.epoch = epoch;
        }
        if table.tokens.len() >= MOST {
            table.tokens.retain(|_, held| held.expires_at_ms > now_ms);
        }
        // Still full of living tokens: start anew rather than grow; each costs one verification again.
        if table.tokens.len() >= MOST {
            table.tokens.clear();
        }
        table.tokens.insert(token.into(), Arc::clone(verified));
    }
}
