//! fs.chmod: sets mode bits, given in octal or as changes.

use super::args::{ChmodArgs, Kind, MetaResult};
use super::bits::{Bits, Found, Order, find};
use super::plan::Plan;
use super::resolve::normalize;
use super::tree::Leaf;
use super::{Fs, bad_input, risk_on, typed};
use crate::error::Result;
use crate::registry::{About, ToolSpec};
use crate::worker::{Call, Prepared};
use aios_auth::level::Risk;
use aios_proto::common::v1::Identity;

const NAME: &str = "fs.chmod";
/// Longest mode text, bytes.
const LONGEST: usize = 100;
const SET_ID: u32 = 0o6000;
const STICKY: u32 = 0o1000;
const OTHERS_WRITE: u32 = 0o002;

pub(super) fn spec() -> ToolSpec {
    ToolSpec::of::<ChmodArgs, MetaResult>(About {
        name: NAME,
        summary: "Sets mode bits of a file or directory, with `recursive` of everything in it.",
        risk: Risk::High,
        idempotent: false,
        reversible: true,
        capability: "fs:chmod:PATH",
        timeout_ms: 120_000,
    })
}

pub(super) fn canonical(mut args: ChmodArgs) -> Result<ChmodArgs> {
    args.path = normalize(&args.path)?;
    mode(&args.mode)?;
    Ok(args)
}

/// A mode as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mode {
    Octal(u32),
    Changes(Vec<Clause>),
}

/// One `u+rw`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Clause {
    /// Bits of those who are meant.
    who: u32,
    sign: Sign,
    /// Bits, for everybody.
    bits: u32,
    /// `X`: execution for directories and what somebody may execute already.
    search: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Add,
    Take,
    Set,
}

fn mode(text: &str) -> Result<Mode> {
    let wrong = || {
        bad_input(
            NAME,
            "mode",
            "must be octal bits such as `0640`, or changes such as `u+rw,g=rX,o-w`",
        )
    };
    if text.is_empty() || text.len() > LONGEST {
        return Err(wrong());
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let bits = u32::from_str_radix(text, 8).map_err(|_| wrong())?;
        let fits = bits <= 0o7777 && (3..=4).contains(&text.len());
        return if fits { Ok(Mode::Octal(bits)) } else { Err(wrong()) };
    }
    let clauses: Option<Vec<Clause>> = text.split(',').map(clause).collect();
    clauses.map(Mode::Changes).ok_or_else(wrong)
}

fn clause(text: &str) -> Option<Clause> {
    let at = text.find(['+', '-', '='])?;
    let (who, rest) = text.split_at_checked(at)?;
    let mut signed = rest.chars();
    let sign = match signed.next()? {
        '+' => Sign::Add,
        '-' => Sign::Take,
        _ => Sign::Set,
    };
    let mut meant = 0;
    for letter in who.chars() {
        meant |= match letter {
            'u' => 0o4700,
            'g' => 0o2070,
            'o' => 0o1007,
            'a' => 0o7777,
            _ => return None,
        };
    }
    if who.is_empty() {
        meant = 0o7777;
    }
    let mut made = Clause {
        who: meant,
        sign,
        bits: 0,
        search: false,
    };
    for letter in signed {
        match letter {
            'r' => made.bits |= 0o444,
            'w' => made.bits |= 0o222,
            'x' => made.bits |= 0o111,
            's' => made.bits |= SET_ID,
            't' => made.bits |= STICKY,
            'X' => made.search = true,
            _ => return None,
        }
    }
    Some(made)
}

impl Mode {
    /// The bits that a thing gets.
    fn of(&self, now: u32, dir: bool) -> u32 {
        let clauses = match self {
            Self::Octal(bits) => return *bits,
            Self::Changes(clauses) => clauses,
        };
        clauses.iter().fold(now, |now, clause| {
            let search = clause.search && (dir || now & 0o111 != 0);
            let bits = (clause.bits | if search { 0o111 } else { 0 }) & clause.who;
            match clause.sign {
                Sign::Add => now | bits,
                Sign::Take => now & !bits,
                // As `chmod` does it, a directory keeps set-id bits that are not named.
                Sign::Set => {
                    let kept = if dir { SET_ID } else { 0 };
                    (now & !(clause.who & !kept)) | bits
                }
            }
        })
    }
}

fn found(fs: &Fs, call: &Call<'_>) -> Result<(ChmodArgs, Found)> {
    let args: ChmodArgs = typed(NAME, call.args)?;
    let mode = mode(&args.mode)?;
    let wish = |leaf: &Leaf| {
        let now = leaf.stat.st_mode & 0o7777;
        let wanted = mode.of(now, leaf.kind() == Kind::Dir);
        (wanted != now).then_some(Bits {
            mode: Some(wanted),
            ..Bits::default()
        })
    };
    let found = find(fs, call, &order(&args), &wish)?;
    Ok((args, found))
}

fn order(args: &ChmodArgs) -> Order<'_> {
    Order {
        action: "chmod",
        path: &args.path,
        recursive: args.recursive,
        links: false,
    }
}

pub(super) fn prepare(fs: &Fs, call: &Call<'_>) -> Result<Prepared> {
    let (args, found) = found(fs, call)?;
    // Letting others act as the owner, or write, opens more than the one file.
    let opens = found.changing.iter().any(|(leaf, bits)| {
        let added = bits.mode.unwrap_or_default() & !leaf.stat.st_mode;
        (leaf.kind() == Kind::File && added & SET_ID != 0) || added & OTHERS_WRITE != 0
    });
    let risk = if opens { Risk::High } else { Risk::Medium };
    let paths = found.changing.iter().map(|(leaf, _)| leaf.path.as_str());
    let what = format!("Set the mode to {}", args.mode);
    found.prepared(&order(&args), &what, risk_on(paths, risk))
}

pub(super) fn plan(fs: &Fs, call: &Call<'_>, identities: &[Identity]) -> Result<Plan> {
    found(fs, call)?.1.plan(call, identities)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_and_symbolic_modes_give_the_bits_that_chmod_gives() {
        for (text, now, dir, wanted) in [
            ("0640", 0o777, false, 0o640),
            ("2755", 0o700, true, 0o2755),
            ("u+x", 0o644, false, 0o744),
            ("+x", 0o644, false, 0o755),
            ("go-rwx", 0o777, false, 0o700),
            ("u=rw,g=r,o=", 0o777, false, 0o640),
            ("a+X", 0o644, false, 0o644),
            ("a+X", 0o744, false, 0o755),
            ("a+X", 0o600, true, 0o711),
            ("g+s", 0o755, true, 0o2755),
            ("u-s", 0o4755, false, 0o755),
            ("+t", 0o777, true, 0o1777),
            ("g=rx", 0o2700, true, 0o2750),
            ("g=rx", 0o2700, false, 0o750),
        ] {
            assert_eq!(mode(text).unwrap().of(now, dir), wanted, "{text} on {now:o}");
        }
    }

    #[test]
    fn what_is_no_mode_is_refused() {
        for text in [
            "", "99", "08", "77777", "u", "u~x", "z+x", "u+q", "u+x,", "0644 ", "-0644",
        ] {
            assert!(mode(text).is_err(), "{text:?}");
        }
    }
}
