//! hw: what the machine is made of.

mod devices;
mod machine;
pub mod types;

use super::{HOST, Host, spec, typed, unknown, value_of};
use crate::budget::Budget;
use crate::error::Result;
use crate::registry::ToolSpec;
use crate::worker::read_only::{Look, Looks};
use serde_json::Value;
use types::Nothing;

/// The namespace.
#[derive(Debug, Clone)]
pub struct Hw(pub Host);

/// Default time allowed, milliseconds.
const TIMEOUT_MS: u64 = 5000;

/// Every hw tool.
pub fn specs() -> Vec<ToolSpec> {
    vec![
        spec::<Nothing, types::Info>(
            "hw.info",
            "hw:info:host",
            "Says what this machine is: model, kernel, processors, memory, uptime.",
            TIMEOUT_MS,
        ),
        spec::<Nothing, types::Cpu>(
            "hw.cpu",
            "hw:cpu:host",
            "Describes the processors, and how the kernel guards their known weaknesses.",
            TIMEOUT_MS,
        ),
        spec::<Nothing, types::Memory>(
            "hw.memory",
            "hw:memory:host",
            "Says how much memory and swap space there is and how it is used.",
            TIMEOUT_MS,
        ),
        spec::<Nothing, types::Storage>(
            "hw.storage",
            "hw:storage:host",
            "Lists disks and their partitions with size and kind.",
            TIMEOUT_MS,
        ),
        spec::<Nothing, types::Network>(
            "hw.network",
            "hw:network:host",
            "Lists network interfaces with address, state, speed and driver.",
            TIMEOUT_MS,
        ),
        spec::<Nothing, types::Sensors>(
            "hw.sensors",
            "hw:sensors:host",
            "Reads temperatures, fans, voltages and batteries.",
            TIMEOUT_MS,
        ),
        spec::<Nothing, types::Pci>(
            "hw.pci",
            "hw:pci:host",
            "Lists the devices on the PCI bus with their drivers.",
            TIMEOUT_MS,
        ),
    ]
}

impl Looks for Hw {
    fn name(&self) -> &'static str {
        "hw"
    }

    fn specs(&self) -> Vec<ToolSpec> {
        specs()
    }

    fn look(&self, tool: &str, args: &Value) -> Result<Look> {
        let Nothing {} = typed(tool, args)?;
        let part = tool.split_once('.').map_or(tool, |(_, part)| part);
        Ok(Look {
            resource: HOST.to_owned(),
            summary: format!("Look at this machine's {part}"),
        })
    }

    fn read(&self, tool: &str, _args: &Value, budget: &Budget) -> Result<Value> {
        let host = &self.0;
        match tool {
            "hw.info" => value_of(&machine::info(host)?),
            "hw.cpu" => value_of(&machine::cpu(host)?),
            "hw.memory" => value_of(&machine::memory(host)?),
            "hw.storage" => value_of(&devices::storage(host, budget)?),
            "hw.network" => value_of(&devices::network(host, budget)?),
            "hw.sensors" => value_of(&devices::sensors(host, budget)?),
            "hw.pci" => value_of(&devices::pci(host, budget)?),
            _ => unknown(tool),
        }
    }
}
