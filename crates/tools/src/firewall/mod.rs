//! The `firewall` namespace: which packets come in, by rules in a table of its own (`inet aios`). It reads every
//! table and changes no other. A change takes itself back unless it is confirmed in time ([`crate::provisional`]).
//!
//! Rules are the kernel's: after a restart of the machine there are none.

pub mod args;
mod nft;
mod rule;
mod table;
pub mod types;

use crate::budget::Budget;
use crate::error::{Result, ToolError};
use crate::fs::same_identities;
use crate::net::pending::Pending;
use crate::provisional::{
    Confirmed, KeyArgs, PendingList, PlanOf, Provisional, Undone, canonical_key, check_window, granted,
};
use crate::registry::{About, Registry, ToolSpec};
use crate::typed::{bad_input, typed, unknown, value_of};
use crate::worker::{Call, Expired, Namespace, Prepared, Target};
use aios_auth::capability::Access;
use aios_auth::level::Risk;
use aios_proto::common::v1::Identity;
use args::{AllowArgs, DenyArgs, NothingArgs, RemoveArgs};
use rule::NewRule;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::sync::{Arc, LazyLock};
pub use table::Rules;
use table::{Change, Goal, Table};
use types::{FirewallChanged, FirewallRules};

/// Resource of a capability for the machine as a whole.
const MACHINE: &str = "host";
/// Bytes of the whole rule set that are shown.
const SHOWN: usize = 65_536;

/// The namespace.
pub struct Firewall {
    provisional: Provisional<Rules>,
}

fn spec<I, O>(name: &'static str, capability: &'static str, summary: &'static str, risk: Risk) -> ToolSpec
where
    I: JsonSchema + DeserializeOwned + Serialize,
    O: JsonSchema + DeserializeOwned + Serialize,
{
    ToolSpec::of::<I, O>(About {
        name,
        summary,
        risk,
        idempotent: risk == Risk::Read,
        reversible: true,
        capability,
        timeout_ms: 20_000,
    })
}

/// The firewall tools.
pub fn specs() -> Vec<ToolSpec> {
    vec![
        spec::<NothingArgs, FirewallRules>(
            "firewall.rules",
            "firewall:rules:host",
            "Lists the firewall's rules with their counters, and every other table of this machine.",
            Risk::Read,
        ),
        spec::<NothingArgs, PendingList>(
            "firewall.pending",
            "firewall:pending:host",
            "Lists changes that wait to be confirmed and those that took themselves back.",
            Risk::Read,
        ),
        spec::<AllowArgs, FirewallChanged>(
            "firewall.allow",
            "firewall:allow:PROTOCOL:PORT",
            "Makes a rule that lets packets in; takes itself back unless confirmed in time.",
            Risk::Medium,
        ),
        spec::<DenyArgs, FirewallChanged>(
            "firewall.deny",
            "firewall:deny:PROTOCOL:PORT",
            "Makes a rule that turns packets away; takes itself back unless confirmed in time.",
            Risk::Medium,
        ),
        spec::<RemoveArgs, FirewallChanged>(
            "firewall.remove",
            "firewall:remove:ID",
            "Removes a rule by its name; takes itself back unless confirmed in time.",
            Risk::Medium,
        ),
        spec::<KeyArgs, Confirmed>(
            "firewall.confirm",
            "firewall:confirm:TASK_ID",
            "Keeps a change of the firewall, which would take itself back otherwise.",
            Risk::Low,
        ),
        spec::<KeyArgs, Undone>(
            "firewall.undo",
            "firewall:ACTION:RULE",
            "Undoes a change of the firewall exactly; refused when somebody changed the rules since.",
            Risk::Medium,
        ),
    ]
}

/// Arguments of a firewall tool in their one canonical form.
///
/// # Errors
/// [`ToolError::BadInput`] or [`ToolError::UnknownTool`].
pub fn canonical(tool: &str, args_json: &str) -> Result<Value> {
    static SPECS: LazyLock<Registry> = LazyLock::new(|| Registry::new(specs()));
    let args = SPECS.get(tool)?.check_input(args_json)?;
    match tool {
        "firewall.allow" => value_of(&rule::canonical_allow(tool, typed(tool, &args)?)?),
        "firewall.deny" => value_of(&rule::canonical_deny(tool, typed(tool, &args)?)?),
        "firewall.remove" => {
            let args: RemoveArgs = typed(tool, &args)?;
            check_window(tool, args.confirm_within_ms)?;
            if !rule::is_id(&args.id) {
                return Err(bad_input(
                    tool,
                    "id",
                    "is no rule of aiOS; firewall.rules lists them",
                ));
            }
            value_of(&args)
        }
        "firewall.confirm" | "firewall.undo" => value_of(&canonical_key(tool, typed(tool, &args)?)?),
        _ => Ok(args),
    }
}

/// What a mutating call asks for.
struct Wish {
    goal: Goal,
    action: &'static str,
    resource: String,
    summary: String,
}

fn wish(call: &Call<'_>) -> Result<Wish> {
    let execution = call.key.to_string();
    let made = |action, rule: NewRule, confirm_within_ms| Wish {
        action,
        resource: rule.resource(),
        summary: rule.summary(),
        goal: Goal {
            change: Change::Make(rule),
            confirm_within_ms,
        },
    };
    match call.tool {
        "firewall.allow" => {
            let args: AllowArgs = typed(call.tool, call.args)?;
            let window_ms = args.confirm_within_ms;
            Ok(made("allow", NewRule::allow(&execution, args), window_ms))
        }
        "firewall.deny" => {
            let args: DenyArgs = typed(call.tool, call.args)?;
            let window_ms = args.confirm_within_ms;
            Ok(made("deny", NewRule::deny(&execution, args), window_ms))
        }
        "firewall.remove" => {
            let args: RemoveArgs = typed(call.tool, call.args)?;
            Ok(Wish {
                action: "remove",
                resource: args.id.clone(),
                summary: format!("Remove the firewall's rule {}", args.id),
                goal: Goal {
                    change: Change::Remove(args.id),
                    confirm_within_ms: args.confirm_within_ms,
                },
            })
        }
        other => unknown(other),
    }
}

/// The table now, in which what shall be removed is there.
fn before(goal: &Goal, budget: &Budget) -> Result<Table> {
    let table = Table::now(budget)?;
    match &goal.change {
        Change::Remove(id) if table.rule(id).is_none() => Err(ToolError::NotFound { path: id.clone() }),
        _ => Ok(table),
    }
}

impl Firewall {
    /// The namespace with this list of provisional changes.
    pub fn new(pending: Arc<Pending>) -> Self {
        Self {
            provisional: Provisional::new(Rules, pending),
        }
    }

    fn rules(budget: &Budget) -> Result<FirewallRules> {
        let table = Table::now(budget)?;
        let text = nft::ruleset(budget)?;
        let ruleset: String = text.chars().take(SHOWN).collect();
        Ok(FirewallRules {
            active: table.0.is_some(),
            rules: table.rules().map(rule::shown).collect(),
            truncated: ruleset.len() < text.len(),
            ruleset,
        })
    }

    fn reading(call: &Call<'_>) -> Result<Prepared> {
        let action = call.tool.split_once('.').map_or("", |(_, action)| action);
        let access = Access::new("firewall", action, MACHINE).map_err(ToolError::auth)?;
        granted(call, &access)?;
        Ok(Prepared {
            identities: vec![Identity {
                path: MACHINE.to_owned(),
                kind: "firewall".to_owned(),
                ..Identity::default()
            }],
            required: vec![access],
            risk: Risk::Read,
            mutating: false,
            reversible: true,
            files: 0,
            bytes: 0,
            summary: format!("Look at this machine's firewall: {action}"),
        })
    }
}

impl Namespace for Firewall {
    type Plan = PlanOf<Rules>;

    fn name(&self) -> &'static str {
        "firewall"
    }

    fn specs(&self) -> Vec<ToolSpec> {
        specs()
    }

    fn canonical(&self, tool: &str, args_json: &str) -> Result<Value> {
        canonical(tool, args_json)
    }

    fn prepare(&self, call: &Call<'_>) -> Result<Prepared> {
        match call.tool {
            "firewall.rules" | "firewall.pending" => Self::reading(call),
            "firewall.confirm" => self
                .provisional
                .prepare_confirm(call, &typed(call.tool, call.args)?),
            _ => {
                let wish = wish(call)?;
                let access = Access::new("firewall", wish.action, &wish.resource).map_err(ToolError::auth)?;
                granted(call, &access)?;
                self.provisional.free(call.key)?;
                before(&wish.goal, call.budget)?;
                Ok(Prepared {
                    identities: vec![table::identity()],
                    required: vec![access],
                    risk: Risk::Medium,
                    mutating: true,
                    reversible: true,
                    files: 0,
                    bytes: 0,
                    summary: wish.summary,
                })
            }
        }
    }

    fn prepare_undo(&self, _call: &Call<'_>, target: &Target<Self::Plan>) -> Result<Prepared> {
        self.provisional.prepare_undo(target)
    }

    fn read(&self, call: &Call<'_>, identities: &[Identity]) -> Result<Value> {
        same_identities(identities, &Self::reading(call)?.identities)?;
        match call.tool {
            "firewall.rules" => value_of(&Self::rules(call.budget)?),
            "firewall.pending" => value_of(&self.provisional.pending()?),
            other => unknown(other),
        }
    }

    fn plan(&self, call: &Call<'_>, identities: &[Identity]) -> Result<Self::Plan> {
        if call.tool == "firewall.confirm" {
            return self
                .provisional
                .confirm(call, &typed(call.tool, call.args)?, identities);
        }
        same_identities(identities, &[table::identity()])?;
        let wish = wish(call)?;
        let before = before(&wish.goal, call.budget)?;
        let window_ms = wish.goal.confirm_within_ms;
        Ok(self
            .provisional
            .change(call.key, wish.summary, before, wish.goal, window_ms))
    }

    fn plan_undo(
        &self,
        call: &Call<'_>,
        target: &Target<Self::Plan>,
        identities: &[Identity],
    ) -> Result<Self::Plan> {
        self.provisional.plan_undo(call, target, identities)
    }

    fn apply(&self, plan: &mut Self::Plan, budget: &Budget) -> Result<()> {
        self.provisional.apply(plan, budget)
    }

    fn roll_back(&self, plan: &Self::Plan) -> Result<()> {
        self.provisional.roll_back(plan)
    }

    fn finish(&self, plan: &mut Self::Plan) -> Result<bool> {
        self.provisional.finish(plan)
    }

    fn result(&self, plan: &Self::Plan) -> Value {
        self.provisional.result(plan)
    }

    fn expire(&self) -> Result<Expired> {
        self.provisional.expire()
    }
}
