//! What tools there are. One [`ToolSpec`] describes a tool to programs, people and models alike: the
//! JSON Schemas come from the Rust types that the tool itself uses, so they cannot differ from it.
//!
//! It knows nothing of tokens, policy or workers' state.

use crate::error::{Result, ToolError};
use aios_auth::level::Risk;
use aios_proto::tools::v1::Tool;
use schemars::{JsonSchema, schema_for};
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use serde_json::Value;

type Check = fn(&str, &str) -> std::result::Result<Value, (String, String)>;

/// A tool.
#[derive(Debug, Clone, Serialize)]
pub struct ToolSpec {
    /// `fs.delete`.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// JSON Schema (2020-12) of the arguments.
    pub input_schema: Value,
    /// JSON Schema of the result.
    pub output_schema: Value,
    /// Highest risk that a call can have.
    #[serde(serialize_with = "risk_name")]
    pub risk: Risk,
    /// Whether it changes anything.
    pub mutating: bool,
    /// Whether running it twice equals running it once.
    pub idempotent: bool,
    /// Whether undo restores exactly.
    pub reversible: bool,
    /// Capability pattern, `fs:delete:PATH`.
    pub capability: &'static str,
    /// Default time allowed, milliseconds.
    pub timeout_ms: u64,
    #[serde(skip)]
    check_input: Check,
    #[serde(skip)]
    check_output: Check,
}

/// What is said of a tool besides its types.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// `fs.delete`.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Highest risk.
    pub risk: Risk,
    /// Whether running it twice equals running it once.
    pub idempotent: bool,
    /// Whether undo restores exactly.
    pub reversible: bool,
    /// Capability pattern.
    pub capability: &'static str,
    /// Default time allowed, milliseconds.
    pub timeout_ms: u64,
}

impl ToolSpec {
    /// A tool with arguments `I` and result `O`.
    pub fn of<I, O>(about: About) -> Self
    where
        I: JsonSchema + DeserializeOwned + Serialize,
        O: JsonSchema + DeserializeOwned + Serialize,
    {
        Self {
            name: about.name,
            summary: about.summary,
            input_schema: schema_for!(I).into(),
            output_schema: schema_for!(O).into(),
            risk: about.risk,
            mutating: about.risk != Risk::Read,
            idempotent: about.idempotent,
            reversible: about.reversible,
            capability: about.capability,
            timeout_ms: about.timeout_ms,
            check_input: check::<I>,
            check_output: check::<O>,
        }
    }

    /// Checks arguments against the tool's type and fills in defaults.
    ///
    /// # Errors
    /// [`ToolError::BadInput`] names the field.
    pub fn check_input(&self, json: &str) -> Result<Value> {
        (self.check_input)(self.name, json).map_err(|(field, problem)| ToolError::BadInput {
            tool: self.name.to_owned(),
            field,
            problem,
        })
    }

    /// Checks a result against the tool's type.
    ///
    /// # Errors
    /// [`ToolError::BadOutput`] names the field.
    pub fn check_output(&self, json: &str) -> Result<Value> {
        (self.check_output)(self.name, json).map_err(|(field, problem)| ToolError::BadOutput {
            tool: self.name.to_owned(),
            field,
            problem,
        })
    }
}

fn check<T: DeserializeOwned + Serialize>(
    _tool: &str,
    json: &str,
) -> std::result::Result<Value, (String, String)> {
    // A struct can also be read from an array; arguments are named, so only an object will do.
    if !json.trim_start().starts_with('{') {
        return Err((".".to_owned(), "must be a JSON object".to_owned()));
    }
    let mut reader = serde_json::Deserializer::from_str(json);
    let typed: T = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| (error.path().to_string(), error.inner().to_string()))?;
    reader
        .end()
        .map_err(|error| (".".to_owned(), error.to_string()))?;
    serde_json::to_value(typed).map_err(|error| (".".to_owned(), error.to_string()))
}

fn risk_name<S: Serializer>(risk: &Risk, out: S) -> std::result::Result<S::Ok, S::Error> {
    out.serialize_str(risk.as_str())
}

impl From<&ToolSpec> for Tool {
    fn from(spec: &ToolSpec) -> Self {
        Self {
            name: spec.name.to_owned(),
            summary: spec.summary.to_owned(),
            input_schema_json: spec.input_schema.to_string(),
            output_schema_json: spec.output_schema.to_string(),
            risk: spec.risk.to_wire(),
            mutating: spec.mutating,
            idempotent: spec.idempotent,
            reversible: spec.reversible,
            capability: spec.capability.to_owned(),
            timeout_ms: spec.timeout_ms,
        }
    }
}

/// Every tool, sorted by name.
#[derive(Debug, Clone)]
pub struct Registry {
    specs: Vec<ToolSpec>,
}

impl Registry {
    /// A registry of these tools.
    pub fn new(mut specs: Vec<ToolSpec>) -> Self {
        specs.sort_by_key(|spec| spec.name);
        Self { specs }
    }

    /// The tools that come with aiOS.
    pub fn builtin() -> Self {
        Self::new(
            [
                crate::firewall::specs(),
                crate::fs::specs(),
                crate::host::specs(),
                crate::net::specs(),
                crate::os::specs(),
                crate::pkg::specs(),
                crate::process::specs(),
                crate::sec::specs(),
                crate::service::specs(),
            ]
            .concat(),
        )
    }

    /// Every tool, sorted by name.
    pub fn all(&self) -> &[ToolSpec] {
        &self.specs
    }

    /// Every namespace once, sorted.
    pub fn namespaces(&self) -> impl Iterator<Item = &'static str> {
        let mut names: Vec<&str> = self.specs.iter().map(|spec| namespace_of(spec.name)).collect();
        names.dedup();
        names.into_iter()
    }

    /// One tool.
    ///
    /// # Errors
    /// [`ToolError::UnknownTool`].
    pub fn get(&self, name: &str) -> Result<&ToolSpec> {
        self.specs
            .binary_search_by(|spec| spec.name.cmp(name))
            .ok()
            .and_then(|index| self.specs.get(index))
            .ok_or_else(|| ToolError::UnknownTool {
                name: name.chars().take(80).collect(),
            })
    }
}

/// The namespace of a tool, `fs` of `fs.delete`.
pub fn namespace_of(tool: &str) -> &str {
    tool.split_once('.').map_or(tool, |(namespace, _)| namespace)
}
