//! What apt would do: its simulation, read back. Nothing is changed and no lock is taken.

use super::plan::Item;
use super::root::Root;
use super::status::Known;
use crate::budget::Budget;
use crate::error::{Result, ToolError};

/// A package that apt would install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Coming {
    pub(crate) name: String,
    pub(crate) installed: Option<String>,
    pub(crate) version: String,
    /// Where it comes from, `Debian:12.5/stable`.
    pub(crate) origin: String,
    pub(crate) architecture: String,
}

/// What apt would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Simulation {
    pub(crate) coming: Vec<Coming>,
    /// Names, and whether configuration files go too.
    pub(crate) going: Vec<(String, bool)>,
    pub(crate) kept_back: Vec<String>,
}

/// Asks apt what a command would do. Essential packages may go here, so that the refusal names them.
pub(crate) fn simulate(root: &Root, command: &[&str], budget: &Budget) -> Result<Simulation> {
    let output = root
        .apt_get(&["-s", "-o", "Debug::NoLocking=1", "--allow-remove-essential"])
        .args(command)
        .run(budget)?;
    read(&output.out)
}

/// `Inst NAME [OLD] (NEW ORIGIN, ORIGIN [ARCH]) [..]`, `Remv NAME [OLD]`, `Purg NAME [OLD]`.
fn read(text: &str) -> Result<Simulation> {
    let mut simulation = Simulation::default();
    let mut keeping = false;
    for line in text.lines() {
        if keeping && line.starts_with("  ") {
            let names = line.split_whitespace().map(str::to_owned);
            simulation.kept_back.extend(names);
            continue;
        }
        keeping = line == "The following packages have been kept back:";
        let Some((verb, rest)) = line.split_once(' ') else {
            continue;
        };
        match verb {
            "Inst" => simulation
                .coming
                .push(coming(rest).ok_or_else(|| not_understood(line))?),
            "Remv" | "Purg" => {
                let name = rest.split(' ').next().unwrap_or(rest);
                simulation.going.push((name.to_owned(), verb == "Purg"));
            }
            _ => {}
        }
    }
    // A package that goes and comes again is one that is replaced.
    let Simulation { coming, going, .. } = &mut simulation;
    going.retain(|(name, _)| !coming.iter().any(|it| it.name == *name));
    Ok(simulation)
}

fn not_understood(line: &str) -> ToolError {
    ToolError::Corrupt {
        what: format!("apt's simulation, `{line}`"),
    }
}

fn coming(rest: &str) -> Option<Coming> {
    let (name, rest) = rest.split_once(' ')?;
    let (before, inside) = rest.split_once('(')?;
    let (inside, _) = inside.split_once(')')?;
    let installed = before
        .trim()
        .strip_prefix('[')
        .and_then(|it| it.strip_suffix(']'));
    let (version, rest) = inside.split_once(' ').unwrap_or((inside, ""));
    let (origin, architecture) = match rest.rsplit_once('[') {
        Some((origin, architecture)) => (origin.trim(), architecture.trim_end_matches(']')),
        None => (rest.trim(), ""),
    };
    Some(Coming {
        name: name.to_owned(),
        installed: installed.map(str::to_owned),
        version: version.to_owned(),
        origin: origin.to_owned(),
        architecture: architecture.to_owned(),
    })
}

impl Simulation {
    /// The same as items, by name.
    pub(crate) fn items(&self, known: &Known) -> Vec<Item> {
        let was = |name: &str| known.get(name).filter(|package| package.state.is_there());
        let coming = self.coming.iter().map(|it| Item {
            name: it.name.clone(),
            architecture: it.architecture.clone(),
            from: was(&it.name).map(|package| package.version.clone()),
            to: Some(it.version.clone()),
            purge: false,
        });
        let going = self.going.iter().map(|(name, purge)| Item {
            name: name.clone(),
            architecture: known
                .get(name)
                .map_or_else(String::new, |it| it.architecture.clone()),
            from: known.get(name).map(|package| package.version.clone()),
            to: None,
            purge: *purge,
        });
        let mut items: Vec<Item> = coming.chain(going).collect();
        items.sort_by(|a, b| a.name.cmp(&b.name));
        items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_of_a_simulation_is_understood() {
        let text = "Reading package lists...\nThe following packages have been kept back:\n  held-one held-two\n\
            The following packages will be upgraded:\n  a\nInst libx:i386 (1:2.0-1 Debian:12.5/stable, Debian-Security:12/stable-security [i386])\n\
            Inst a [1.0] (2.0 localhost [all]) [b:amd64 ]\nRemv a [1.0]\nRemv old [3]\nPurg older [4]\nConf a (2.0 localhost [all])\n";
        let simulation = read(text).unwrap();
        assert_eq!(simulation.kept_back, ["held-one", "held-two"]);
        assert_eq!(
            simulation.going,
            [("old".to_owned(), false), ("older".to_owned(), true)]
        );
        let shown: Vec<_> = simulation
            .coming
            .iter()
            .map(|it| {
                (
                    it.name.as_str(),
                    it.installed.as_deref(),
                    it.version.as_str(),
                    it.architecture.as_str(),
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("libx:i386", None, "1:2.0-1", "i386"),
                ("a", Some("1.0"), "2.0", "all")
            ]
        );
        assert_eq!(
            simulation.coming[0].origin,
            "Debian:12.5/stable, Debian-Security:12/stable-security"
        );
        assert!(read("Inst nonsense\n").is_err());
    }
}
