//! A namespace that only looks: [`ReadOnly`] gives it everything of a [`Namespace`] that is about
//! changes, as "there is nothing to change".

use super::{Call, Namespace, Prepared, Target};
use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::registry::ToolSpec;
use aios_auth::capability::Access;
use aios_auth::level::Risk;
use aios_proto::common::v1::Identity;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a call looks at: the resource of its capability, `host`, `pid 1`; and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Resource, the last part of the capability that the call needs.
    pub resource: String,
    /// One sentence for a person.
    pub summary: String,
}

/// The tools of a namespace that changes nothing.
pub trait Looks: Send + Sync + 'static {
    /// `hw`.
    fn name(&self) -> &'static str;

    /// The tools.
    fn specs(&self) -> Vec<ToolSpec>;

    /// What a call would look at. Looks at nothing yet.
    ///
    /// # Errors
    /// The arguments make no sense.
    fn look(&self, tool: &str, args: &Value) -> Result<Look>;

    /// Looks.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    fn read(&self, tool: &str, args: &Value, budget: &Budget) -> Result<Value>;
}

/// A [`Namespace`] made of something that only looks.
#[derive(Debug)]
pub struct ReadOnly<L> {
    looks: L,
    specs: Vec<ToolSpec>,
}

/// There is no plan: a namespace that only looks never makes one.
#[derive(Debug, Serialize, Deserialize)]
pub enum NoPlan {}

impl<L: Looks> ReadOnly<L> {
    /// A namespace of these tools.
    pub fn new(looks: L) -> Self {
        let specs = looks.specs();
        Self { looks, specs }
    }

    fn unknown<T>(&self, tool: &str) -> Result<T> {
        Err(ToolError::UnknownTool {
            name: tool.to_owned(),
        })
    }
}

impl<L: Looks> Namespace for ReadOnly<L> {
    type Plan = NoPlan;

    fn name(&self) -> &'static str {
        self.looks.name()
    }

    fn specs(&self) -> Vec<ToolSpec> {
        self.specs.clone()
    }

    fn canonical(&self, tool: &str, args_json: &str) -> Result<Value> {
        let Some(spec) = self.specs.iter().find(|spec| spec.name == tool) else {
            return self.unknown(tool);
        };
        spec.check_input(args_json)
    }

    fn prepare(&self, call: &Call<'_>) -> Result<Prepared> {
        let look = self.looks.look(call.tool, call.args)?;
        let action = call.tool.split_once('.').map_or("", |(_, action)| action);
        let access = Access::new(self.looks.name(), action, &look.resource).map_err(ToolError::auth)?;
        if !call.caps.allows_access(&access) {
            return Err(ToolError::NotGranted {
                namespace: self.looks.name().to_owned(),
                action: action.to_owned(),
                path: look.resource,
            });
        }
        Ok(Prepared {
            identities: vec![Identity {
                path: look.resource,
                kind: self.looks.name().to_owned(),
                ..Identity::default()
            }],
            required: vec![access],
            risk: Risk::Read,
            mutating: false,
            reversible: true,
            files: 0,
            bytes: 0,
            summary: look.summary,
        })
    }

    fn read(&self, call: &Call<'_>, identities: &[Identity]) -> Result<Value> {
        if self.prepare(call)?.identities != identities {
            return Err(ToolError::Changed {
                path: identities
                    .first()
                    .map_or_else(String::new, |identity| identity.path.clone()),
                difference: "the call looks at something else than what was authorized".to_owned(),
            });
        }
        call.budget.check()?;
        self.looks.read(call.tool, call.args, call.budget)
    }

    fn prepare_undo(&self, call: &Call<'_>, _target: &Target<NoPlan>) -> Result<Prepared> {
        self.unknown(call.tool)
    }

    fn plan(&self, call: &Call<'_>, _identities: &[Identity]) -> Result<NoPlan> {
        self.unknown(call.tool)
    }

    fn plan_undo(
        &self,
        call: &Call<'_>,
        _target: &Target<NoPlan>,
        _identities: &[Identity],
    ) -> Result<NoPlan> {
        self.unknown(call.tool)
    }

    fn apply(&self, plan: &mut NoPlan, _budget: &Budget) -> Result<()> {
        match *plan {}
    }

    fn roll_back(&self, plan: &NoPlan) -> Result<()> {
        match *plan {}
    }

    fn finish(&self, plan: &mut NoPlan) -> Result<bool> {
        match *plan {}
    }

    fn result(&self, plan: &NoPlan) -> Value {
        match *plan {}
    }
}
