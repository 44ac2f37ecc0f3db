//! Power cuts: what a disk holds when the power goes, rebuilt from a log of everything that a machine wrote.
//!
//! Killing QEMU is no power cut: the host keeps what the guest had not flushed. So QEMU logs each write and each flush of the
//! disk (its `blklogwrites` driver, in the format of the kernel's dm-log-writes), and a disk is rebuilt from the one that the
//! machine began with: all writes up to the last flush before the cut, and of those after it a random part, as a drive's volatile
//! cache may have got to the medium in any order. A write with forced unit access counts as flushed.

use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::host::copy;

/// `sjfwshr`, little endian: what a log begins with.
const MAGIC: u64 = 0x006a_7366_7773_6872;
const FLUSH: u64 = 1;
const FORCED: u64 = 2;
const DISCARD: u64 = 4;
/// Bytes of an entry before its data: sector, sectors, flags, length of data.
const HEADER: usize = 32;

/// One thing that the machine asked of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    /// First byte on the disk.
    at: u64,
    /// Bytes.
    length: u64,
    flags: u64,
    /// Where its data lies in the log.
    data: u64,
}

/// A log of writes.
#[derive(Debug)]
pub(super) struct Log {
    file: File,
    entries: Vec<Entry>,
}

impl Log {
    /// Reads a log as far as it was written: the machine that wrote it may still run, or have been killed.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| path.display().to_string())?;
        let size = file.metadata()?.len();
        let number = |at: u64| -> Result<u64> {
            let mut bytes = [0; 8];
            file.read_exact_at(&mut bytes, at)?;
            Ok(u64::from_le_bytes(bytes))
        };
        ensure!(number(0)? == MAGIC, "{} is no log of writes", path.display());
        let sector = number(24)? & u64::from(u32::MAX);
        ensure!(
            sector.is_power_of_two() && sector >= 512,
            "{} has sectors of {sector} bytes",
            path.display()
        );
        let mut entries = Vec::new();
        let mut at = sector;
        while at + HEADER as u64 <= size {
            let (first, count, flags) = (number(at)?, number(at + 8)?, number(at + 16)?);
            let data = at + sector;
            let length = count * sector;
            let written = if flags & DISCARD == 0 { length } else { 0 };
            if (count == 0 && flags == 0) || data + written > size {
                break;
            }
            entries.push(Entry {
                at: first * sector,
                length,
                flags,
                data,
            });
            at = data + written;
        }
        Ok(Self { file, entries })
    }

    /// Entries that lie before this offset of the log.
    pub(super) fn before(&self, offset: u64) -> usize {
        self.entries.partition_point(|entry| entry.data < offset)
    }

    /// Rebuilds the disk as it is when the power goes after `count` entries, from the disk that the machine began with.
    pub(super) fn cut(&self, begun: &Path, to: &Path, count: usize, chance: &mut Chance) -> Result<Survived> {
        copy(begun, to)?;
        let disk = File::options().write(true).open(to)?;
        let done = self
            .entries
            .get(..count)
            .context("a cut behind the end of the log")?;
        let flushed = done
            .iter()
            .rposition(|entry| entry.flags & FLUSH != 0)
            .map_or(0, |last| last + 1);
        let mut survived = Survived {
            flushed,
            ..Survived::default()
        };
        for (number, entry) in done.iter().enumerate() {
            // A trimmed range may hold anything; leaving the old content is as good as any.
            if entry.flags & DISCARD != 0 || entry.length == 0 {
                continue;
            }
            let durable = number < flushed || entry.flags & FORCED != 0;
            if durable || chance.flip() {
                self.write(&disk, entry)?;
                survived.lucky += usize::from(!durable);
            } else {
                survived.lost += 1;
            }
        }
        Ok(survived)
    }

    fn write(&self, disk: &File, entry: &Entry) -> Result<()> {
        let mut bytes = vec![0; usize::try_from(entry.length)?];
        self.file.read_exact_at(&mut bytes, entry.data)?;
        disk.write_all_at(&bytes, entry.at)?;
        Ok(())
    }
}

/// What became of the writes before a cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Survived {
    /// Entries up to the last flush.
    pub(super) flushed: usize,
    /// Writes after it that reached the medium all the same.
    pub(super) lucky: usize,
    /// Writes after it that did not.
    pub(super) lost: usize,
}

/// A small generator of chances that a seed determines (xorshift64*), so that a cut that found something can be made again.
#[derive(Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn seeded(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn flip(&mut self) -> bool {
        self.next() >> 63 == 1
    }

    /// One of `low..high`; `low` when there is none.
    pub(super) fn within(&mut self, low: usize, high: usize) -> usize {
        let span = high.saturating_sub(low).max(1) as u64;
        low + usize::try_from((self.next() >> 11) % span).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const SECTOR: usize = 512;

    /// A log of these (sector, byte to fill with, flags); an entry without a byte has no data.
    fn log(dir: &Path, entries: &[(u64, Option<u8>, u64)]) -> Log {
        let path = dir.join("log");
        let mut file = File::create(&path).unwrap();
        let mut head = vec![0; SECTOR];
        head[..8].copy_from_slice(&MAGIC.to_le_bytes());
        head[24..28].copy_from_slice(&512_u32.to_le_bytes());
        file.write_all(&head).unwrap();
        for (sector, fill, flags) in entries {
            let mut header = vec![0; SECTOR];
            let count = u64::from(fill.is_some());
            for (index, number) in [*sector, count, *flags, count * 512].iter().enumerate() {
                header[index * 8..index * 8 + 8].copy_from_slice(&number.to_le_bytes());
            }
            file.write_all(&header).unwrap();
            if let Some(fill) = fill {
                file.write_all(&[*fill; SECTOR]).unwrap();
            }
        }
        Log::open(&path).unwrap()
    }

    fn sectors(disk: &Path) -> Vec<u8> {
        std::fs::read(disk)
            .unwrap()
            .chunks(SECTOR)
            .map(|sector| sector[0])
            .collect()
    }

    #[test]
    fn what_was_flushed_or_forced_stays_and_of_the_rest_a_part() {
        let dir = tempfile::tempdir().unwrap();
        let begun = dir.path().join("begun");
        std::fs::write(&begun, vec![0; SECTOR * 40]).unwrap();
        let mut entries = vec![
            (0, Some(1), 0),
            (1, Some(2), 0),
            (0, None, FLUSH),
            (2, Some(3), FORCED),
        ];
        entries.extend((3..40).map(|sector| (sector, Some(9), 0)));
        let log = log(dir.path(), &entries);
        assert_eq!(log.entries.len(), entries.len());
        let cut = dir.path().join("cut");
        let survived = log
            .cut(&begun, &cut, entries.len(), &mut Chance::seeded(7))
            .unwrap();
        let found = sectors(&cut);
        assert_eq!(found[..3], [1, 2, 3]);
        assert_eq!((survived.flushed, survived.lucky + survived.lost), (3, 37));
        assert_eq!(
            found[3..].iter().filter(|byte| **byte == 9).count(),
            survived.lucky
        );
        assert!(survived.lucky > 5 && survived.lost > 5, "{survived:?}");
        // Before the flush, nothing is certain; the same seed gives the same disk.
        let again = dir.path().join("again");
        log.cut(&begun, &again, entries.len(), &mut Chance::seeded(7))
            .unwrap();
        assert_eq!(sectors(&again), found);
        assert_eq!(
            log.cut(&begun, &cut, 2, &mut Chance::seeded(7)).unwrap().flushed,
            0
        );
    }

    #[test]
    fn half_an_entry_at_the_end_is_none_and_offsets_find_entries() {
        let dir = tempfile::tempdir().unwrap();
        let entries = [(0, Some(1), 0), (1, Some(2), 0), (2, Some(3), 0)];
        drop(log(dir.path(), &entries));
        let path = dir.path().join("log");
        let size = std::fs::metadata(&path).unwrap().len();
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(size - 1)
            .unwrap();
        let log = Log::open(&path).unwrap();
        assert_eq!(log.entries.len(), 2);
        assert_eq!(log.before(512), 0);
        assert_eq!(log.before(512 * 3), 1);
        assert_eq!(log.before(u64::MAX), 2);
        std::fs::write(&path, vec![0; 4096]).unwrap();
        assert!(Log::open(&path).unwrap_err().to_string().contains("no log"));
    }
}
