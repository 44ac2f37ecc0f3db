//! Numbers with units: lengths of time, sizes, shares. The words are the catalogue's.

use super::catalogue::{NUMBER_WORDS, ONE, PERCENT, SIZE_UNITS, TIME_UNITS};
use super::slot::SlotValue;
use super::words::Word;

/// Longest length of time, milliseconds: 100 years.
const MAX_MS: u64 = 100 * 366 * 86_400_000;

/// A number in digits or words.
pub(super) fn number(text: &str) -> Option<u64> {
    let lower = text.to_lowercase();
    if ONE.contains(&lower.as_str()) {
        return Some(1);
    }
    if let Some(position) = NUMBER_WORDS.iter().position(|word| *word == lower) {
        return u64::try_from(position).ok();
    }
    (!lower.is_empty() && lower.chars().all(|it| it.is_ascii_digit()))
        .then(|| lower.parse().ok())
        .flatten()
}

fn unit_of(units: &[(&[&str], u64)], text: &str) -> Option<u64> {
    let lower = text.to_lowercase();
    units
        .iter()
        .find(|(names, _)| names.contains(&lower.as_str()))
        .map(|(_, size)| *size)
}

/// An amount and its unit, from one word (`7d`) or two (`7 days`): amount, unit, words taken.
/// `Err(Some(amount))` when the unit is missing.
fn amount(words: &[Word]) -> Result<(u64, String, usize), Option<String>> {
    let Some(first) = words.first() else {
        return Err(None);
    };
    if let Some(amount) = number(&first.text) {
        return match words.get(1) {
            Some(unit) => Ok((amount, unit.text.clone(), 2)),
            None => Err(Some(first.text.clone())),
        };
    }
    let split = first
        .text
        .find(|it: char| !it.is_ascii_digit())
        .unwrap_or(first.text.len());
    let (digits, unit) = first.text.split_at(split);
    match digits.parse() {
        Ok(amount) => Ok((amount, unit.to_owned(), 1)),
        Err(_) => Err(None),
    }
}

fn time(words: &[Word], least: u64, units: &str, example: &str) -> Result<(SlotValue, usize), String> {
    let (amount, unit, used) = amount(words).map_err(|amount| match amount {
        Some(amount) => format!("expected a unit after `{amount}`: {units}"),
        None => format!("expected a length of time like `{example}`"),
    })?;
    let Some(unit) = unit_of(TIME_UNITS, &unit).filter(|size| *size >= least) else {
        return Err(format!("`{unit}` is no unit of time; {units} are"));
    };
    match amount.checked_mul(unit) {
        Some(0) => Err("a length of time must be more than nothing".to_owned()),
        Some(ms) if ms <= MAX_MS => Ok((SlotValue::AgeMs(ms), used)),
        _ => Err("a length of time may be 100 years at most".to_owned()),
    }
}

/// An age: minutes are its smallest unit.
pub(super) fn age(words: &[Word]) -> Result<(SlotValue, usize), String> {
    time(words, 60_000, "minutes, hours, days and weeks", "7 days")
}

/// A length of time: seconds are its smallest unit.
pub(super) fn duration(words: &[Word]) -> Result<(SlotValue, usize), String> {
    time(
        words,
        1_000,
        "seconds, minutes, hours, days and weeks",
        "30 seconds",
    )
}

/// A size.
pub(super) fn size(words: &[Word]) -> Result<(SlotValue, usize), String> {
    let (amount, unit, used) = amount(words).map_err(|_| "expected a size like `500 MB`".to_owned())?;
    let Some(unit) = unit_of(SIZE_UNITS, &unit) else {
        return Err(format!(
            "`{unit}` is no unit of size; KB, MB, GB, KiB, MiB and GiB are"
        ));
    };
    match amount.checked_mul(unit) {
        Some(bytes) => Ok((SlotValue::SizeBytes(bytes), used)),
        None => Err("a size may be 18 exabytes at most".to_owned()),
    }
}

/// A share, `90%` or `90 percent`.
pub(super) fn percent(words: &[Word]) -> Result<(SlotValue, usize), String> {
    let wrong = || "expected a share from 0% to 100%".to_owned();
    let (amount, unit, used) = amount(words).map_err(|_| wrong())?;
    if !PERCENT.contains(&unit.to_lowercase().as_str()) || amount > 100 {
        return Err(wrong());
    }
    Ok((SlotValue::Percent(amount), used))
}
