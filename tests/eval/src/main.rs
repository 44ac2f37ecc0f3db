//! `make eval`: makes each fault for real, states a goal about it as a person would, approves what is asked, and looks
//! from outside what came of it; then the same without the fault, where nothing may be found or changed.
//!
//! Names, sizes and ports come from a seed, which is printed; `--seed N` makes the same faults again.
#![forbid(unsafe_code)]

mod fault;
mod faults;
mod random;
mod run;
mod table;

use anyhow::{Result, ensure};
use clap::Parser;
use fault::Fault;
use random::Random;
use table::Table;

/// Makes faults, has them found and mended, and prints what came of it.
#[derive(Debug, Parser)]
struct Args {
    /// Only faults whose name holds one of these.
    only: Vec<String>,
    /// Makes the same faults again; otherwise the time decides.
    #[arg(long)]
    seed: Option<u64>,
    /// How often each fault is made, each time differently.
    #[arg(long, default_value_t = 1)]
    times: u32,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let instance = aios_tests_e2e::at_state();
    let wanted = |fault: &&dyn Fault| {
        args.only.is_empty() || args.only.iter().any(|part| fault.name().contains(part.as_str()))
    };
    let all = faults::all();
    let chosen: Vec<&dyn Fault> = all.iter().map(AsRef::as_ref).filter(wanted).collect();
    ensure!(!chosen.is_empty(), "no fault has such a name");
    let seed = args.seed.map_or_else(Random::seed_of_time, Ok)?;
    let mut table = Table::new(seed);
    for time in 0..args.times {
        for fault in &chosen {
            let mut random = Random::new(seed, fault.name(), time);
            table.add(run::run(&instance, *fault, &mut random));
        }
    }
    table.print()
}
