//! A connection's bytes: what has come and nobody has used yet, and what is to go. Heads and bodies are taken out in order,
//! never more than a limit. Answers leave together, before the connection waits for more.

use alloc::vec::Vec;

use embedded_io_async::{Read, Write};

use crate::head::{Body, Ends, MOST_HEAD};
use crate::response::Code;

/// How much is read at once.
const PART: usize = 1024;
/// How much may wait to be sent, and how large a body is that goes by itself.
const MOST_WAITING: usize = 8 * 1024;
/// The longest head of an answer.
const MOST_START: usize = 512;
/// The longest line before a chunk, with its extensions, which are not looked at; and all trailer fields together.
const MOST_LINE: usize = 256;
const MOST_TRAILERS: usize = MOST_HEAD;

/// Why there is no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The client has gone, or closed its direction.
    Gone,
    /// It shall be told so, and the connection closed: nobody knows where the next request would begin.
    Refused(Code),
}

impl From<Code> for Wrong {
    fn from(code: Code) -> Wrong {
        Wrong::Refused(code)
    }
}

/// A connection and its bytes.
#[derive(Debug)]
pub struct Wire<S> {
    stream: S,
    /// What has come lies in the middle: behind what was used, before room for more.
    bytes: Vec<u8>,
    used: usize,
    end: usize,
    out: Vec<u8>,
    /// Whether a part of an answer may have gone: nothing can follow it.
    is_torn: bool,
}

impl<S: Read + Write> Wire<S> {
    /// Nothing has come yet.
    pub fn new(stream: S) -> Wire<S> {
        Wire { stream, bytes: Vec::new(), used: 0, end: 0, out: Vec::new(), is_torn: false }
    }

    /// Whether nothing has come that nobody has used.
    pub fn is_empty(&self) -> bool {
        self.used == self.end
    }

    /// Sends `head` and `body`, the latest when the connection waits for the client.
    ///
    /// # Errors
    ///
    /// [`Wrong::Gone`], also if there is no memory for that.
    pub async fn send(
        &mut self,
        head: impl FnOnce(&mut Vec<u8>),
        body: &[u8],
    ) -> Result<(), Wrong> {
        let is_large = body.len() > MOST_WAITING;
        let needed = MOST_START + if is_large { 0 } else { body.len() };
        self.out.try_reserve(needed).map_err(|_| Wrong::Gone)?;
        head(&mut self.out);
        if !is_large {
            self.out.extend_from_slice(body);
        }
        if is_large || self.out.len() > MOST_WAITING {
            self.flush().await?;
        }
        if is_large {
            self.is_torn = true;
            self.stream.write_all(body).await.map_err(|_| Wrong::Gone)?;
            self.is_torn = false;
        }
        Ok(())
    }

    /// Sends what waits.
    ///
    /// # Errors
    ///
    /// [`Wrong::Gone`].
    pub async fn flush(&mut self) -> Result<(), Wrong> {
        if self.is_torn {
            return Err(Wrong::Gone);
        }
        self.is_torn = true;
        self.stream.write_all(&self.out).await.map_err(|_| Wrong::Gone)?;
        self.is_torn = false;
        self.out.clear();
        self.out.shrink_to(MOST_WAITING);
        Ok(())
    }

    /// Waits for more, when what waits has been sent.
    ///
    /// # Errors
    ///
    /// [`Wrong::Gone`], or [`Code::Unavailable`] if there is no memory for it.
    ///
    /// If it is dropped while something is sent, nothing can be sent any more.
    pub async fn more(&mut self) -> Result<(), Wrong> {
        if !self.out.is_empty() {
            self.flush().await?;
        }
        self.bytes.copy_within(self.used..self.end, 0);
        (self.used, self.end) = (0, self.end - self.used);
        let lacking = (self.end + PART).saturating_sub(self.bytes.len());
        self.bytes.try_reserve(lacking).map_err(|_| Code::Unavailable)?;
        self.bytes.resize(self.bytes.len() + lacking, 0);
        // If this is dropped, nothing has come.
        match self.stream.read(&mut self.bytes[self.end..]).await {
            Ok(count @ 1..) => self.end += count,
            _ => return Err(Wrong::Gone),
        }
        Ok(())
    }

    /// Waits for more, and forgets it.
    ///
    /// # Errors
    ///
    /// [`Wrong::Gone`].
    pub async fn ignore(&mut self) -> Result<(), Wrong> {
        self.used = self.end;
        self.more().await
    }

    /// The next head, with its empty line. Empty lines before it are passed over (RFC 9112 2.2).
    ///
    /// # Errors
    ///
    /// As [`Ends::find`] and [`Wire::more`].
    pub async fn head(&mut self, ends: &mut Ends) -> Result<&[u8], Wrong> {
        loop {
            while self.bytes[self.used..self.end].starts_with(b"\r\n") {
                self.used += 2;
                *ends = Ends::default();
            }
            if let Some(length) = ends.find(&self.bytes[self.used..self.end])? {
                return Ok(self.take(length));
            }
            self.more().await?;
        }
    }

    /// Appends the body to `out`, if it is not longer than `most`.
    ///
    /// # Errors
    ///
    /// [`Code::ContentTooLarge`], [`Code::BadRequest`] for chunks that are wrong, and as [`Wire::more`].
    pub async fn body(&mut self, body: Body, out: &mut Vec<u8>, most: usize) -> Result<(), Wrong> {
        match body {
            Body::Length(length) => {
                let length = usize::try_from(length).ok().filter(|length| *length <= most);
                self.exactly(length.ok_or(Code::ContentTooLarge)?, out).await
            }
            Body::Chunked => self.chunks(out, most).await,
        }
    }

    async fn chunks(&mut self, out: &mut Vec<u8>, most: usize) -> Result<(), Wrong> {
        loop {
            let size = chunk_size(self.line(MOST_LINE, Code::BadRequest).await?)
                .ok_or(Code::BadRequest)?;
            if size == 0 {
                break;
            }
            if size > most - out.len() {
                return Err(Code::ContentTooLarge.into());
            }
            self.exactly(size, out).await?;
            if !self.line(2, Code::BadRequest).await?.is_empty() {
                return Err(Code::BadRequest.into());
            }
        }
        let mut trailers = 0;
        while trailers < MOST_TRAILERS {
            match self.line(MOST_TRAILERS - trailers, Code::HeadTooLarge).await?.len() {
                0 => return Ok(()),
                length => trailers += length + 2,
            }
        }
        Err(Code::HeadTooLarge.into())
    }

    async fn exactly(&mut self, length: usize, out: &mut Vec<u8>) -> Result<(), Wrong> {
        out.try_reserve(length).map_err(|_| Code::Unavailable)?;
        let mut left = length;
        loop {
            let part = left.min(self.end - self.used);
            out.extend_from_slice(self.take(part));
            left -= part;
            if left == 0 {
                return Ok(());
            }
            self.more().await?;
        }
    }

    /// The next line, without its end; `too_long` is the answer to one that has more than `most` bytes with it.
    async fn line(&mut self, most: usize, too_long: Code) -> Result<&[u8], Wrong> {
        loop {
            let bytes = &self.bytes[self.used..self.end];
            let end = bytes.iter().position(|byte| *byte == b'\n');
            match end {
                Some(end) if end >= most => return Err(too_long.into()),
                Some(end) if end == 0 || bytes[end - 1] != b'\r' => {
                    return Err(Code::BadRequest.into());
                }
                // What takes a carriage return alone for a line end sees other lines here.
                Some(end) if bytes[..end - 1].contains(&b'\r') => {
                    return Err(Code::BadRequest.into());
                }
                Some(end) => return Ok(&self.take(end + 1)[..end - 1]),
                None if bytes.len() >= most => return Err(too_long.into()),
                None => self.more().await?,
            }
        }
    }

    fn take(&mut self, length: usize) -> &[u8] {
        let start = self.used;
        self.used += length;
        &self.bytes[start..self.used]
    }
}

/// The size of a chunk, in hexadecimal digits (RFC 9112 7.1). An extension may follow it.
fn chunk_size(line: &[u8]) -> Option<usize> {
    let end = line.iter().position(|byte| *byte == b';').unwrap_or(line.len());
    // White space is allowed there, by a rule for bad senders: blanks and tabs.
    let blanks = line[..end].iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let digits = &line[..end - blanks];
    let is_size = (1..=8).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
    let digits = core::str::from_utf8(digits).ok().filter(|_| is_size)?;
    let has_controls = line[end..].iter().any(|byte| byte.is_ascii_control() && *byte != b'\t');
    usize::from_str_radix(digits, 16).ok().filter(|_| !has_controls)
}
