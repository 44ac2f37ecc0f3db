//! Tokens: minted for one task of a running agent, within the ceiling of its kind.

use crate::ceilings::EXECUTOR;
use crate::error::GuardError;
use crate::guard::Guard;
use crate::store::TokenRow;
use aios_audit::{Durability, Record};
use aios_auth::capability::Capability;
use aios_auth::level::Autonomy;
use aios_auth::token::{self, Grant, Minted, Revocations};
use aios_core::id::{AgentId, GoalId, TaskId};
use aios_proto::guard::v1 as pb;

/// Parses capabilities of a request.
pub(crate) fn capabilities(texts: &[String]) -> Result<Vec<Capability>, GuardError> {
    texts.iter().map(|text| Ok(Capability::parse(text)?)).collect()
}

impl Guard {
    /// What a record says of a mint, granted or denied.
    pub(crate) fn mint_context(request: &pb::MintRequest) -> Record {
        let some =
            |text: &str| Some(text.chars().take(80).collect::<String>()).filter(|text| !text.is_empty());
        Record {
            goal_id: some(&request.goal_id),
            task_id: some(&request.task_id),
            agent_id: some(&request.agent_id),
            agent_kind: some(&request.agent_kind),
            capabilities: request
                .capabilities
                .iter()
                .take(token::MAX_CAPABILITIES)
                .cloned()
                .collect(),
            ..Record::new("token.minted")
        }
    }

    /// Mints a token.
    pub(crate) async fn mint(&self, request: &pb::MintRequest) -> Result<pb::MintResponse, GuardError> {
        let (agent, goal, task) = (
            AgentId::parse(&request.agent_id)?,
            GoalId::parse(&request.goal_id)?,
            TaskId::parse(&request.task_id)?,
        );
        let wanted = capabilities(&request.capabilities)?;
        let ttl_ms = if request.ttl_ms == 0 {
            self.config.token_ms
        } else {
            request.ttl_ms
        };
        if ttl_ms > self.config.token_ms {
            return Err(GuardError::Lifetime {
                wanted_ms: ttl_ms,
                most_ms: self.config.token_ms,
            });
        }
        let autonomy = self.autonomy(request.autonomy)?;
        self.ceilings.check(&request.agent_kind, &wanted)?;
        self.check_agent(agent, &request.agent_kind)?;
        let now_ms = self.now_ms();
        let expires_at_ms = now_ms.saturating_add(i64::try_from(ttl_ms).unwrap_or(i64::MAX));
        let grant = |epoch| Grant {
            agent,
            agent_kind: request.agent_kind.clone(),
            goal,
            task,
            capabilities: wanted,
            expires_at_ms,
            tainted: request.tainted,
            autonomy,
            epoch,
        };
        let minted = self.mint_and_keep(now_ms, grant)?;
        let record = Record {
            token_id: Some(minted.token_id.clone()),
            ..Self::mint_context(request)
        }
        .with("expires_at_ms", expires_at_ms)
        .with("tainted", request.tainted)
        .with("autonomy", autonomy.as_str());
        // It is nobody's before it is recorded.
        self.log.append(record, Durability::Within20ms).await?;
        Ok(pb::MintResponse {
            token: minted.token,
            token_id: minted.token_id,
            expires_at_ms,
        })
    }

    /// Mints and keeps a token in one go, so that a revocation finds it or comes before it.
    fn mint_and_keep(&self, now_ms: i64, grant: impl FnOnce(u64) -> Grant) -> Result<Minted, GuardError> {
        let mut state = self.state();
        if state.trust.emergency().stopped {
            return Err(GuardError::Emergency);
        }
        let grant = grant(state.trust.epoch());
        let minted = self.keys.minter.mint(&grant)?;
        let row = TokenRow {
            id: minted.token_id.clone(),
            task: grant.task.to_string(),
            goal: grant.goal.to_string(),
            agent: grant.agent.to_string(),
            epoch: grant.epoch,
            expires_ms: grant.expires_at_ms,
        };
        state.store.save_token(&row, now_ms)?;
        self.verifier.note_minted(&minted, now_ms, &state.trust);
        Ok(minted)
    }

    /// The level of a token. What a goal asked for is the orchestrator's word, so it has a limit here.
    fn autonomy(&self, stated: i32) -> Result<Autonomy, GuardError> {
        let most = self.config.max_autonomy;
        match Autonomy::from_wire(stated) {
            Some(wanted) if wanted > most => Err(GuardError::Autonomy { wanted, most }),
            Some(wanted) => Ok(wanted),
            None => Ok(self.config.autonomy.min(most)),
        }
    }

    /// An agent must be one that the sandbox runs, under the kind that it runs as.
    fn check_agent(&self, agent: AgentId, kind: &str) -> Result<(), GuardError> {
        if kind == EXECUTOR {
            return Ok(());
        }
        let known = self.state().store.agent_kind(&agent.to_string())?;
        if known.as_deref() == Some(kind) {
            Ok(())
        } else {
            Err(GuardError::UnknownAgent {
                agent: agent.to_string(),
                kind: kind.to_owned(),
            })
        }
    }

    /// Narrows a token for clients without Biscuit.
    pub(crate) fn attenuate(
        &self,
        request: &pb::AttenuateRequest,
    ) -> Result<pb::AttenuateResponse, GuardError> {
        let wanted = capabilities(&request.capabilities)?;
        let end = Some(request.expires_at_ms).filter(|end| *end != 0);
        Ok(pb::AttenuateResponse {
            token: token::attenuate(&request.token, &self.keys.public.mint, &wanted, end)?,
        })
    }
}
