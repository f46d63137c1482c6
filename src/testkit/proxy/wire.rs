//! PostgreSQL's message framing, version 3: as much of it as tells where a request and a reply end and what SQL is run.

use std::collections::HashMap;
use std::fmt;

use super::resp;

/// Requests for encryption come before everything else and have no type byte: 8 bytes, the last four of them this.
const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
/// The length of a message counts its own bytes but not the type byte.
const LENGTH_BYTES: usize = 4;
const HEADER_BYTES: usize = 1 + LENGTH_BYTES;
const READY_FOR_QUERY: u8 = b'Z';

/// What a client opens a connection with.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// May we encrypt? The answer is one byte.
    Encryption { length: usize },
    /// The start of a session, or the request to cancel another one.
    Session { length: usize },
}

/// The first packet in `bytes`, which has no type byte, or `None` while it is not all there.
pub(super) fn opening(bytes: &[u8]) -> Option<Opening> {
    let length = length(bytes)?;
    let packet = bytes.get(..length)?;
    let code = packet.get(LENGTH_BYTES..).and_then(number);
    let encryption = length == 2 * LENGTH_BYTES && matches!(code, Some(SSL_REQUEST | GSS_REQUEST));
    Some(if encryption {
        Opening::Encryption { length }
    } else {
        Opening::Session { length }
    })
}

/// What a client's message means for the one who counts round trips.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// More of the request follows: Parse, Bind, Describe, Execute, Close.
    Part,
    /// The request ends here, and one ReadyForQuery will end its reply: Sync, Query, FunctionCall.
    End,
    /// Sent on at once, though no request ends: passwords, Flush, COPY data, Terminate.
    Through,
}

/// Reads the client's side of one session.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// The SQL of each prepared statement by its name, for a Bind has only the name.
    prepared: HashMap<Vec<u8>, String>,
    request: Sql,
}

impl Requests {
    /// As [`next`](Self::next), for the Redis protocol: the name of the command stands for its SQL.
    pub(super) fn command(&mut self, bytes: &[u8]) -> Option<(usize, Step)> {
        let (length, name) = resp::command(bytes)?;
        self.request.executed.push(lossy(name));
        Some((length, Step::End))
    }

    /// The length and the meaning of the first message in `bytes`, or `None` while it is not all there.
    pub(super) fn next(&mut self, bytes: &[u8]) -> Option<(usize, Step)> {
        let length = 1 + length(bytes.get(1..)?)?;
        let body = bytes.get(HEADER_BYTES..length)?;
        let step = match bytes.first()? {
            b'Q' => {
                self.request
                    .executed
                    .extend(text(body).map(|(sql, _)| lossy(sql)));
                Step::End
            }
            b'S' | b'F' => Step::End,
            b'P' => {
                self.parse(body);
                Step::Part
            }
            b'B' => {
                self.bind(body);
                Step::Part
            }
            b'C' | b'D' | b'E' => Step::Part,
            _ => Step::Through,
        };
        Some((length, step))
    }

    /// The SQL of the request that has just ended.
    pub(super) fn finish(&mut self) -> Sql {
        std::mem::take(&mut self.request)
    }

    fn parse(&mut self, body: &[u8]) {
        if let Some((name, rest)) = text(body)
            && let Some((sql, _)) = text(rest)
        {
            self.request.prepared = Some(lossy(sql));
            self.prepared.insert(name.to_vec(), lossy(sql));
        }
    }

    fn bind(&mut self, body: &[u8]) {
        if let Some((_portal, rest)) = text(body)
            && let Some((name, _)) = text(rest)
        {
            self.request.executed.extend(self.prepared.get(name).cloned());
        }
    }
}

/// The SQL of one request: what it runs, and what it prepares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sql {
    executed: Vec<String>,
    prepared: Option<String>,
}

impl Sql {
    /// Whether a statement that the request runs, not merely prepares, contains `part`.
    pub(super) fn runs(&self, part: &str) -> bool {
        self.executed.iter().any(|sql| sql.contains(part))
    }
}

impl fmt::Display for Sql {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.prepared {
            Some(prepared) if self.executed.is_empty() => write!(formatter, "prepare: {prepared}"),
            _ => formatter.write_str(&self.executed.join("; ")),
        }
    }
}

/// Reads the server's side of one session without keeping it: replies can be large.
#[derive(Debug, Default)]
pub(super) struct Replies {
    header: Vec<u8>,
    /// Bytes of the current message that are still to come.
    left: usize,
}

impl Replies {
    /// The offsets in `chunk` right after each ReadyForQuery that ends in it.
    pub(super) fn ready_ends(&mut self, chunk: &[u8]) -> Vec<usize> {
        let mut ends = Vec::new();
        let mut at = 0;
        while at < chunk.len() {
            at += self.take_header(chunk.get(at..).unwrap_or_default());
            let Some(length) = self.header.get(1..).and_then(length) else {
                break;
            };
            if self.header.len() == HEADER_BYTES {
                self.left = length - LENGTH_BYTES;
                // A sixth byte marks the header as read.
                self.header.push(0);
            }
            let taken = self.left.min(chunk.len() - at);
            self.left -= taken;
            at += taken;
            if self.left == 0 {
                ends.extend((self.header.first() == Some(&READY_FOR_QUERY)).then_some(at));
                self.header.clear();
            }
        }
        ends
    }

    /// Moves what the header lacks out of `bytes`; how many bytes that was.
    fn take_header(&mut self, bytes: &[u8]) -> usize {
        let lacking = HEADER_BYTES.saturating_sub(self.header.len()).min(bytes.len());
        self.header.extend(bytes.iter().take(lacking));
        lacking
    }
}

fn number(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(..LENGTH_BYTES)?.try_into().ok()?))
}

/// The length at the start of `bytes`; never below its own size, so that a reader always gets on.
fn length(bytes: &[u8]) -> Option<usize> {
    Some(usize::try_from(number(bytes)?).ok()?.max(LENGTH_BYTES))
}

/// The zero-terminated text at the start of `bytes`, and what follows it.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    Some((bytes.get(..end)?, bytes.get(end + 1..)?))
}

fn lossy(sql: &[u8]) -> String {
    String::from_utf8_lossy(sql).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + LENGTH_BYTES).expect("a short message");
        [&[kind], length.to_be_bytes().as_slice(), body].concat()
    }

    #[test]
    fn an_opening_is_known_when_it_is_all_there() {
        let ssl = [8_u32.to_be_bytes(), SSL_REQUEST.to_be_bytes()].concat();
        assert_eq!(opening(&ssl), Some(Opening::Encryption { length: 8 }));
        assert_eq!(opening(&ssl[..7]), None);
        let session = [
            &13_u32.to_be_bytes(),
            &196_608_u32.to_be_bytes(),
            b"user\0".as_slice(),
        ]
        .concat();
        assert_eq!(opening(&session), Some(Opening::Session { length: 13 }));
        assert_eq!(opening(&session[..12]), None);
    }

    #[test]
    fn a_request_ends_with_sync_or_query_and_carries_its_sql() {
        let mut requests = Requests::default();
        let stream = [
            message(b'P', b"s1\0INSERT INTO orders\0\0\0"),
            message(b'D', b"Ss1\0"),
            message(b'S', b""),
            message(b'B', b"\0s1\0\0\0\0\0\0\0"),
            message(b'E', b"\0\0\0\0\0"),
            message(b'S', b""),
            message(b'Q', b"COMMIT\0"),
            message(b'X', b""),
        ]
        .concat();
        let (mut at, mut seen) = (0, Vec::new());
        while let Some((length, step)) = requests.next(&stream[at..]) {
            at += length;
            if step == Step::End {
                seen.push(requests.finish());
            }
        }
        assert_eq!(at, stream.len());
        let shown: Vec<String> = seen.iter().map(Sql::to_string).collect();
        assert_eq!(
            shown,
            ["prepare: INSERT INTO orders", "INSERT INTO orders", "COMMIT"]
        );
        let run: Vec<bool> = seen.iter().map(|sql| sql.runs("orders")).collect();
        assert_eq!(run, [false, true, false]);
    }

    #[test]
    fn a_message_in_pieces_is_waited_for() {
        let query = message(b'Q', b"SELECT 1\0");
        for cut in 0..query.len() {
            assert_eq!(Requests::default().next(&query[..cut]), None, "{cut} bytes");
        }
        assert_eq!(Requests::default().next(&query), Some((query.len(), Step::End)));
    }

    #[test]
    fn every_ready_for_query_is_found_wherever_the_chunks_are_cut() {
        let stream = [
            message(b'T', b"row description"),
            message(READY_FOR_QUERY, b"I"),
            message(b'D', b"Z\0\0\0\x05I"),
            message(b'n', b""),
            message(READY_FOR_QUERY, b"T"),
        ]
        .concat();
        let whole = Replies::default().ready_ends(&stream);
        assert_eq!(whole.len(), 2);
        assert_eq!(whole[1], stream.len());
        for size in 1..stream.len() {
            let (mut replies, mut at, mut found) = (Replies::default(), 0, Vec::new());
            for chunk in stream.chunks(size) {
                found.extend(replies.ready_ends(chunk).into_iter().map(|end| at + end));
                at += chunk.len();
            }
            assert_eq!(found, whole, "in chunks of {size}");
        }
    }
}
