//! Whether a user can get to a path: the walk that the kernel does, over what fs.stat told.

use super::{AnalyzeError, Analyzer, Cause, Evidence, Finding, Found, Sample, Severity, Wanted};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;

const REPAIR: &[(&str, Sample)] = &[
    ("path", Sample::Path),
    ("paths", Sample::Paths),
    ("owner", Sample::Name),
    ("mode", Sample::Name),
    ("says", Sample::Text),
];

/// The analyzers of this file.
pub(super) const ANALYZERS: &[Analyzer] = &[Analyzer {
    name: "path_access",
    summary: "why a service cannot use a path: it is not there, or its owner or mode is wrong",
    evidence: &[
        Wanted {
            name: "status",
            needed: true,
            says: "service.status",
        },
        Wanted {
            name: "stats",
            needed: true,
            says: "fs.stat of the path and of all directories above it, the highest first",
        },
        Wanted {
            name: "passwd",
            needed: true,
            says: "fs.read of /etc/passwd",
        },
        Wanted {
            name: "group",
            needed: false,
            says: "fs.read of /etc/group",
        },
    ],
    settings: &[("reason", Sample::Name), ("path", Sample::Path)],
    causes: &[
        Cause {
            id: "wrong_owner",
            says: "what the service uses belongs to another user",
            values: REPAIR,
        },
        Cause {
            id: "wrong_mode",
            says: "the mode of what the service uses keeps it out",
            values: REPAIR,
        },
        Cause {
            id: "missing_directory",
            says: "a directory that the service uses is not there",
            values: REPAIR,
        },
        Cause {
            id: "wrong_workdir",
            says: "the working directory of the service is not there",
            values: REPAIR,
        },
        Cause {
            id: "missing_binary",
            says: "the program of the service is not there",
            values: REPAIR,
        },
        Cause {
            id: "missing_file",
            says: "a file that the service uses is not there",
            values: REPAIR,
        },
    ],
    tell: path_access,
}];

/// What of service.status is read.
#[derive(Debug, Deserialize)]
struct Status {
    user: String,
    #[serde(default)]
    group: String,
    #[serde(default)]
    groups: Vec<String>,
}

/// What of fs.read is read.
#[derive(Debug, Deserialize)]
struct Text {
    content: String,
}

/// What of fs.stat is read.
#[derive(Debug, Clone, Deserialize)]
struct Stat {
    path: String,
    exists: bool,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    mode: String,
    #[serde(default)]
    uid: u64,
    #[serde(default)]
    gid: u64,
}

impl Stat {
    fn bits(&self) -> u32 {
        u32::from_str_radix(&self.mode, 8).unwrap_or(0)
    }

    fn is_dir(&self) -> bool {
        self.kind == "dir"
    }
}

/// A user as the kernel sees it.
struct Who {
    name: String,
    uid: u64,
    gids: BTreeSet<u64>,
}

/// Which of the three sets of bits holds for a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Owner,
    Group,
    Other,
}

impl Who {
    /// The user of a service, by the system's own lists.
    fn of(status: &Status, passwd: &str, group: &str) -> Option<Self> {
        let mut fields = passwd
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>())
            .find(|fields| {
                fields.first() == Some(&status.user.as_str()) || fields.get(2) == Some(&status.user.as_str())
            })?;
        fields.truncate(4);
        let name = (*fields.first()?).to_owned();
        let uid = fields.get(2)?.parse().ok()?;
        let mut gids = BTreeSet::new();
        if status.group.is_empty() {
            gids.insert(fields.get(3)?.parse().ok()?);
        }
        for line in group.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            let [group, _, gid, members] = fields.as_slice() else {
                continue;
            };
            let member = members.split(',').any(|member| member == name);
            let named = *group == status.group || status.groups.iter().any(|it| it == group);
            if (member || named)
                && let Ok(gid) = gid.parse()
            {
                gids.insert(gid);
            }
        }
        Some(Self { name, uid, gids })
    }

    fn class(&self, stat: &Stat) -> Class {
        if stat.uid == self.uid {
            Class::Owner
        } else if self.gids.contains(&stat.gid) {
            Class::Group
        } else {
            Class::Other
        }
    }

    /// Whether the bits of `wanted` (`r` 4, `w` 2, `x` 1) are all there for this user.
    fn may(&self, stat: &Stat, wanted: u32) -> bool {
        let shift = match self.class(stat) {
            Class::Owner => 6,
            Class::Group => 3,
            Class::Other => 0,
        };
        (stat.bits() >> shift) & wanted == wanted
    }
}

fn path_access(evidence: &Evidence<'_>) -> Result<Found, AnalyzeError> {
    let status: Status = evidence.need("status")?;
    let passwd: Text = evidence.need("passwd")?;
    let group = evidence.maybe::<Text>("group")?.map(|text| text.content);
    let stats: Vec<Value> = evidence.need("stats")?;
    let stats: Vec<(usize, Stat)> = stats
        .into_iter()
        .enumerate()
        .filter_map(|(index, stat)| Some((index, serde_json::from_value(stat).ok()?)))
        .collect();
    let path = evidence.text("path").unwrap_or_default().to_owned();
    let reason = evidence.text("reason").unwrap_or_default();
    let Some(who) = Who::of(&status, &passwd.content, group.as_deref().unwrap_or_default()) else {
        return Ok(Found {
            seen: format!("no account is called {}", status.user),
            findings: Vec::new(),
        });
    };
    // Whoever may not make a name is denied too: then what holds the name keeps them out, not its absence.
    let there: Vec<(usize, Stat)> = stats.iter().filter(|(_, stat)| stat.exists).cloned().collect();
    let walk = Walk {
        evidence,
        who: &who,
        stats: &stats,
        path: &path,
        reason,
    };
    let of_those_there = Walk {
        stats: &there,
        ..walk
    };
    let finding = if reason == "denied" {
        of_those_there.closed().or_else(|| walk.missing())
    } else {
        walk.missing().or_else(|| walk.closed())
    };
    let seen = match &finding {
        Some(finding) => finding.title.clone(),
        None => format!("{} can get to {path}", who.name),
    };
    Ok(Found {
        seen,
        findings: finding.into_iter().collect(),
    })
}

#[derive(Clone, Copy)]
struct Walk<'a> {
    evidence: &'a Evidence<'a>,
    who: &'a Who,
    stats: &'a [(usize, Stat)],
    path: &'a str,
    reason: &'a str,
}

impl Walk<'_> {
    fn find(&self, cause: &str, path: &str, title: String) -> Finding {
        Finding::new(cause, Severity::Critical, path, title.clone())
            .value("path", path)
            .value("owner", self.who.name.as_str())
            .value("says", title)
    }

    /// What is not there.
    fn missing(&self) -> Option<Finding> {
        let (index, first) = self.stats.iter().find(|(_, stat)| !stat.exists)?;
        let missing: Vec<String> = self
            .stats
            .iter()
            .filter(|(_, stat)| !stat.exists)
            .map(|(_, stat)| stat.path.clone())
            .collect();
        let shown = self.evidence.shows(
            "stats",
            &format!("/{index}/exists"),
            format!("{} is not there", first.path),
        );
        let only_last = first.path == self.path;
        let (cause, title, directories) = match self.reason {
            "workdir" => (
                "wrong_workdir",
                format!("the working directory {} is not there", self.path),
                missing,
            ),
            "program" => (
                "missing_binary",
                format!("the program {} is not there", self.path),
                Vec::new(),
            ),
            _ if only_last => ("missing_file", format!("{} is not there", self.path), Vec::new()),
            // The file itself the service makes, once it has where.
            _ => (
                "missing_directory",
                format!("the directory {} is not there", first.path),
                missing.into_iter().filter(|path| path != self.path).collect(),
            ),
        };
        let finding = self.find(cause, &first.path, title).shown(shown);
        Some(if directories.is_empty() {
            finding
        } else {
            finding.value("paths", directories)
        })
    }

    /// What keeps the user out.
    fn closed(&self) -> Option<Finding> {
        let last = self.stats.len().checked_sub(1)?;
        for (position, (index, stat)) in self.stats.iter().enumerate() {
            let at_end = position == last;
            let wanted = match (at_end, self.reason, stat.is_dir()) {
                (false, ..) => 1,
                (true, "program", _) => 1,
                (true, "workdir", _) => 1,
                (true, _, true) => 7,
                (true, _, false) => 6,
            };
            if self.who.uid == 0 && !(self.reason == "program" && stat.bits() & 0o111 == 0) {
                continue;
            }
            if self.who.may(stat, wanted) {
                continue;
            }
            return Some(self.repair(*index, stat, wanted, at_end));
        }
        None
    }

    fn repair(&self, index: usize, stat: &Stat, wanted: u32, at_end: bool) -> Finding {
        let who = self.who;
        let shown = |shows: String| self.evidence.shows("stats", &format!("/{index}"), shows);
        let program = self.reason == "program" && at_end;
        let class = who.class(stat);
        let mode = match class {
            _ if program => Some(stat.bits() | 0o111),
            Class::Owner => Some(stat.bits() | (wanted << 6)),
            // The group is the service's: what is missing are its bits.
            Class::Group if stat.bits() & 0o070 == 0 || !at_end => Some(stat.bits() | (wanted << 3)),
            // A directory on the way that belongs to somebody else need only let pass.
            Class::Group | Class::Other if !at_end => Some(stat.bits() | 0o001),
            Class::Group | Class::Other => None,
        };
        let seen = format!(
            "{} has mode {} and belongs to uid {}",
            stat.path, stat.mode, stat.uid
        );
        match mode {
            Some(mode) => {
                let title = format!("the mode {} of {} keeps {} out", stat.mode, stat.path, who.name);
                self.find("wrong_mode", &stat.path, title)
                    .shown(shown(seen))
                    .value("mode", format!("{mode:04o}"))
            }
            None => {
                let title = format!(
                    "{} belongs to uid {} and not to {}",
                    stat.path, stat.uid, who.name
                );
                self.find("wrong_owner", &stat.path, title)
                    .shown(shown(seen))
                    .shown(self.evidence.shows(
                        "passwd",
                        "/content",
                        format!("{} is uid {}", who.name, who.uid),
                    ))
            }
        }
    }
}

#[cfg(test)]
mod tests;
