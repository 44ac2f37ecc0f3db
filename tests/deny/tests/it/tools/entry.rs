//! What the table says of one tool.

use aios_confine::caps::CapSet;

/// One row: how the tool is called, what it needs, and how the call ends.
///
/// In texts `{name}` stands for what the scene calls so (`{tree}`, `{pid}`), and `{task}` and `{step}` for the last of
/// the calls made first.
pub(super) struct Entry {
    /// `fs.delete`.
    pub(super) tool: &'static str,
    /// Good arguments, JSON.
    pub(super) args: &'static str,
    /// The capabilities that are enough; each one is necessary.
    pub(super) needs: &'static [&'static str],
    /// Calls that are made before, tool and arguments.
    pub(super) first: &'static [(&'static str, &'static str)],
    /// How the call ends.
    pub(super) ends: Ends,
    /// A capability of the kernel that a machine may lack, and how the call ends there.
    lacking: Option<(&'static str, Ends)>,
}

/// How a call ends that may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// It answers and changes nothing.
    Looks,
    /// It cannot succeed on this machine, and says so with this code when it is carried out.
    Fails(&'static str),
    /// It is done, and its undo brings back everything.
    Undone,
    /// It is done, and cannot be undone: a person is asked at every level of autonomy.
    Final,
}

const fn entry(tool: &'static str, args: &'static str, needs: &'static [&'static str], ends: Ends) -> Entry {
    Entry {
        tool,
        args,
        needs,
        first: &[],
        ends,
        lacking: None,
    }
}

/// A tool that looks.
pub(super) const fn looks(tool: &'static str, args: &'static str, needs: &'static [&'static str]) -> Entry {
    entry(tool, args, needs, Ends::Looks)
}

/// A tool that changes something, and is undone.
pub(super) const fn changes(tool: &'static str, args: &'static str, needs: &'static [&'static str]) -> Entry {
    entry(tool, args, needs, Ends::Undone)
}

impl Entry {
    /// Calls that must have been made before.
    pub(super) const fn after(self, first: &'static [(&'static str, &'static str)]) -> Self {
        Self { first, ..self }
    }

    /// The call ends otherwise.
    pub(super) const fn ends(self, ends: Ends) -> Self {
        Self { ends, ..self }
    }

    /// The call ends otherwise where nobody can have a capability of the kernel.
    pub(super) const fn without(self, capability: &'static str, ends: Ends) -> Self {
        Self {
            lacking: Some((capability, ends)),
            ..self
        }
    }

    /// How the call ends on this machine.
    pub(super) fn ends_here(&self) -> Ends {
        let Some((capability, ends)) = self.lacking else {
            return self.ends;
        };
        let held = CapSet::bounding().names().contains(&capability);
        if held { self.ends } else { ends }
    }

    /// `fs` of `fs.delete`.
    pub(super) fn namespace(&self) -> &'static str {
        self.tool
            .split_once('.')
            .map_or(self.tool, |(namespace, _)| namespace)
    }
}
