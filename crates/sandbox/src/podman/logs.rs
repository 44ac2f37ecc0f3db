//! A container's output as Podman frames it: one byte stream number, three zero bytes, a big-endian
//! length, then the text.

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use aios_proto::sandbox::v1::LogChunk;

/// A frame that claims more is cut into several chunks.
const LONGEST_CHUNK: usize = 64 << 10;
const HEADER: usize = 8;

/// Chunks of a container's output, in order.
#[derive(Debug)]
pub struct LogStream {
    body: Incoming,
    frames: Frames,
    lines: Lines,
    /// Chunks that are still left out.
    skip: usize,
}

impl LogStream {
    /// Without the first `skip` chunks; a chunk is a line, unless the line is very long.
    pub(super) fn new(body: Incoming, skip: usize) -> Self {
        Self {
            body,
            frames: Frames::default(),
            lines: Lines::default(),
            skip,
        }
    }

    /// How many chunks come until the end.
    pub(super) async fn count(mut self) -> Result<usize, String> {
        let mut chunks = 0;
        while self.next().await?.is_some() {
            chunks += 1;
        }
        Ok(chunks)
    }

    /// The next chunk; `None` at the end.
    ///
    /// # Errors
    /// The connection broke; the text says how.
    pub async fn next(&mut self) -> Result<Option<LogChunk>, String> {
        while let Some(chunk) = self.next_line().await? {
            if self.skip == 0 {
                return Ok(Some(chunk));
            }
            self.skip -= 1;
        }
        Ok(None)
    }

    async fn next_line(&mut self) -> Result<Option<LogChunk>, String> {
        loop {
            while let Some(chunk) = self.frames.next() {
                if let Some(line) = self.lines.join(chunk) {
                    return Ok(Some(line));
                }
            }
            match self.body.frame().await {
                None => return Ok(self.lines.rest()),
                Some(Err(error)) => return Err(error.to_string()),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.frames.push(&data);
                    }
                }
            }
        }
    }
}

/// Joins what was written in pieces: each piece comes as a chunk of its own, without a line end.
#[derive(Debug, Default)]
struct Lines {
    /// Beginnings of lines, at most one a stream.
    begun: Vec<LogChunk>,
}

impl Lines {
    /// The whole line that this chunk ends. One that is very long is handed on unfinished.
    fn join(&mut self, chunk: LogChunk) -> Option<LogChunk> {
        let at = self.begun.iter().position(|it| it.stream == chunk.stream);
        let mut line = match at {
            Some(at) => self.begun.swap_remove(at),
            None => LogChunk {
                stream: chunk.stream,
                text: String::new(),
            },
        };
        line.text.push_str(&chunk.text);
        if line.text.ends_with('\n') || line.text.len() >= LONGEST_CHUNK {
            return Some(line);
        }
        self.begun.push(line);
        None
    }

    /// A line that was never ended.
    fn rest(&mut self) -> Option<LogChunk> {
        self.begun.retain(|it| !it.text.is_empty());
        self.begun.pop()
    }
}

/// Cuts the byte stream into chunks.
#[derive(Debug, Default)]
struct Frames {
    pending: BytesMut,
    /// Stream and bytes left of the frame that is being read.
    current: Option<(u8, usize)>,
}

impl Frames {
    fn push(&mut self, data: &Bytes) {
        self.pending.extend_from_slice(data);
    }

    fn next(&mut self) -> Option<LogChunk> {
        if self.current.is_none() {
            if self.pending.len() < HEADER {
                return None;
            }
            let stream = self.pending.get_u8();
            self.pending.advance(3);
            self.current = Some((
                stream,
                usize::try_from(self.pending.get_u32()).unwrap_or(usize::MAX),
            ));
        }
        let (stream, left) = self.current?;
        let take = left.min(self.pending.len()).min(LONGEST_CHUNK);
        // Text is handed on in whole frames where it can be, so that characters are not cut.
        if take < left.min(LONGEST_CHUNK) {
            return None;
        }
        let text = self.pending.split_to(take);
        self.current = (left > take).then_some((stream, left - take));
        Some(LogChunk {
            stream: if stream == 2 { "stderr" } else { "stdout" }.to_owned(),
            text: String::from_utf8_lossy(&text).into_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stream: u8, text: &str) -> Vec<u8> {
        let mut bytes = vec![stream, 0, 0, 0];
        bytes.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
        bytes.extend(text.bytes());
        bytes
    }

    #[test]
    fn frames_survive_any_cut() {
        let bytes = [frame(1, "out\n"), frame(2, "err ü\n"), frame(1, "")].concat();
        for cut in 0..bytes.len() {
            let mut frames = Frames::default();
            let mut seen = Vec::new();
            for part in [&bytes[..cut], &bytes[cut..]] {
                frames.push(&Bytes::copy_from_slice(part));
                while let Some(chunk) = frames.next() {
                    seen.push((chunk.stream, chunk.text));
                }
            }
            let wanted = [("stdout", "out\n"), ("stderr", "err ü\n"), ("stdout", "")];
            assert_eq!(
                seen,
                wanted.map(|(a, b)| (a.to_owned(), b.to_owned())),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn pieces_of_a_line_are_joined_by_stream() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for (stream, text) in [
            ("stdout", "a"),
            ("stderr", "x\n"),
            ("stdout", "b\n"),
            ("stderr", "y"),
        ] {
            seen.extend(lines.join(LogChunk {
                stream: stream.to_owned(),
                text: text.to_owned(),
            }));
        }
        seen.extend(std::iter::from_fn(|| lines.rest()));
        let seen: Vec<(&str, &str)> = seen
            .iter()
            .map(|it| (it.stream.as_str(), it.text.as_str()))
            .collect();
        assert_eq!(seen, [("stderr", "x\n"), ("stdout", "ab\n"), ("stderr", "y")]);
    }

    #[test]
    fn a_long_frame_comes_in_several_chunks() {
        let text = "x".repeat(LONGEST_CHUNK + 5);
        let mut frames = Frames::default();
        frames.push(&Bytes::from(frame(1, &text)));
        let lengths: Vec<usize> = std::iter::from_fn(|| frames.next())
            .map(|chunk| chunk.text.len())
            .collect();
        assert_eq!(lengths, [LONGEST_CHUNK, 5]);
    }
}
