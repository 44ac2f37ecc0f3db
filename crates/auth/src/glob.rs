//! Globs for capabilities and policy: a linear two-pointer matcher over segments and characters.
//!
//! Not a general glob library: there is no `?`, no class, no alternation, because inclusion of two
//! patterns must be decidable by the same walk that matches a name.

use crate::capability::{MAX_WILDCARDS, is_plain_path};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Tok {
    Star,
    Lit(char),
}

/// Characters with `*` for any run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Glob {
    toks: Vec<Tok>,
}

impl Glob {
    fn tokens(text: &str) -> Vec<Tok> {
        text.chars()
            .map(|c| if c == '*' { Tok::Star } else { Tok::Lit(c) })
            .collect()
    }

    /// A pattern of a name that is no path. The error is a problem and its byte offset.
    pub(crate) fn parse_name(text: &str) -> Result<Self, (&'static str, usize)> {
        if let Some((at, _)) = text.char_indices().find(|(_, c)| c.is_control()) {
            return Err(("has a control character", at));
        }
        if text.split('/').any(|seg| seg == "..") {
            return Err(("has `..`", text.find("..").unwrap_or_default()));
        }
        if let Some(at) = text.find("**") {
            return Err(("has `**` beside other characters", at));
        }
        too_many_wildcards(text)?;
        Ok(Self {
            toks: Self::tokens(text),
        })
    }

    fn matches_segment(&self, text: &str) -> bool {
        let chars: Vec<char> = text.chars().collect();
        walk(
            &self.toks,
            &chars,
            |tok| *tok == Tok::Star,
            |_| true,
            |tok, c| *tok == Tok::Lit(*c),
        )
    }

    pub(crate) fn matches_name(&self, text: &str) -> bool {
        let chars: Vec<char> = text.chars().collect();
        let absorbs = |c: &char| !matches!(c, '/' | ':');
        walk(
            &self.toks,
            &chars,
            |tok| *tok == Tok::Star,
            absorbs,
            |tok, c| *tok == Tok::Lit(*c),
        )
    }

    fn covers_segment(&self, other: &Self) -> bool {
        walk(
            &self.toks,
            &other.toks,
            |tok| *tok == Tok::Star,
            |_| true,
            same_literal,
        )
    }

    pub(crate) fn covers_name(&self, other: &Self) -> bool {
        let absorbs = |tok: &Tok| !matches!(tok, Tok::Lit('/' | ':'));
        walk(
            &self.toks,
            &other.toks,
            |tok| *tok == Tok::Star,
            absorbs,
            same_literal,
        )
    }
}

fn same_literal(own: &Tok, theirs: &Tok) -> bool {
    matches!((own, theirs), (Tok::Lit(a), Tok::Lit(b)) if a == b)
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Segment {
    Deep,
    One(Glob),
}

/// A pattern of absolute paths.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PathGlob {
    segments: Vec<Segment>,
}

impl PathGlob {
    /// The error is a problem and its byte offset.
    pub(crate) fn parse(text: &str) -> Result<Self, (&'static str, usize)> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(("is not an absolute path", 0));
        };
        if let Some(at) = text.find('\0') {
            return Err(("has a NUL character", at));
        }
        too_many_wildcards(text)?;
        let mut segments = Vec::new();
        let mut at = 1;
        for segment in rest.split('/').filter(|_| !rest.is_empty()) {
            segments.push(match segment {
                "" => return Err(("has an empty segment", at)),
                "." | ".." => return Err(("has a `.` or `..` segment", at)),
                "**" => Segment::Deep,
                _ if segment.contains("**") => return Err(("has `**` beside other characters", at)),
                _ => Segment::One(Glob {
                    toks: Glob::tokens(segment),
                }),
            });
            at += segment.len() + 1;
        }
        Ok(Self { segments })
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        if !is_plain_path(path) {
            return false;
        }
        let rest = path.trim_start_matches('/');
        let segments: Vec<&str> = rest.split('/').filter(|_| !rest.is_empty()).collect();
        let matches = |own: &Segment, name: &&str| match own {
            Segment::Deep => false,
            Segment::One(glob) => glob.matches_segment(name),
        };
        walk(
            &self.segments,
            &segments,
            |seg| *seg == Segment::Deep,
            |_| true,
            matches,
        )
    }

    pub(crate) fn covers(&self, other: &Self) -> bool {
        let covers = |own: &Segment, theirs: &Segment| match (own, theirs) {
            (Segment::One(a), Segment::One(b)) => a.covers_segment(b),
            _ => false,
        };
        walk(
            &self.segments,
            &other.segments,
            |seg| *seg == Segment::Deep,
            |_| true,
            covers,
        )
    }
}

fn too_many_wildcards(text: &str) -> Result<(), (&'static str, usize)> {
    match text.match_indices('*').nth(MAX_WILDCARDS * 2) {
        Some((at, _)) => Err(("has too many wildcards", at)),
        None => Ok(()),
    }
}

/// Matches `pattern` against `items`: a star takes any run of items that `absorbs` accepts, everything
/// else must `equal`. Remembering only the last star is enough, because a later star can take whatever
/// an earlier one would have had to give up; an item that a star may not absorb ends that freedom.
fn walk<P, I>(
    pattern: &[P],
    items: &[I],
    is_star: impl Fn(&P) -> bool,
    absorbs: impl Fn(&I) -> bool,
    equal: impl Fn(&P, &I) -> bool,
) -> bool {
    let (mut p, mut i) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while let Some(item) = items.get(i) {
        match pattern.get(p) {
            Some(own) if is_star(own) => {
                retry = Some((p, i));
                p += 1;
            }
            Some(own) if equal(own, item) => {
                p += 1;
                i += 1;
            }
            _ => {
                let Some((star, taken)) = retry else { return false };
                if !items.get(taken).is_some_and(&absorbs) {
                    return false;
                }
                retry = Some((star, taken + 1));
                p = star + 1;
                i = taken + 1;
            }
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(is_star)
}
