//! The head of a request, and what it says of the body (RFC 9112 3 to 6).
//!
//! `httparse` takes a head apart. What makes two programs see different requests in the same bytes is decided here, and
//! never leniently: line ends, lengths, codings, hosts. A server that guesses lets requests be smuggled past a proxy.

use core::mem::MaybeUninit;

use httparse::{Error, Header, Request as Parsed, Status};

use crate::response::Code;

/// The longest head, in bytes.
pub const MOST_HEAD: usize = 8 * 1024;
/// The longest request target, in bytes.
const MOST_TARGET: usize = 2 * 1024;
/// The most header fields.
const MOST_FIELDS: usize = 64;

/// What a request wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `GET`, and `HEAD`, whose answer goes without its body.
    Get,
    /// `PUT`.
    Put,
    /// `DELETE`.
    Delete,
    /// One that nothing here takes.
    Other,
}

/// How the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// After so many bytes.
    Length(u64),
    /// In chunks, the last of which has no bytes.
    Chunked,
}

/// What becomes of a connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It goes on.
    Next,
    /// It goes on, and the client, of HTTP/1.0, has to be told.
    NextTold,
    /// It is closed.
    Close,
}

impl After {
    /// The field that says it.
    pub fn field(self) -> &'static str {
        match self {
            After::Next => "",
            After::NextTold => "Connection: keep-alive\r\n",
            After::Close => "Connection: close\r\n",
        }
    }
}

/// A head, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head<'a> {
    /// What is wanted.
    pub method: Method,
    /// Whether the answer goes without its body.
    pub is_head: bool,
    /// The target's path, with its slash, as it came.
    pub path: &'a str,
    /// The target's query, without its question mark.
    pub query: &'a str,
    /// How the body ends.
    pub body: Body,
    /// Whether the client waits for a word before it sends the body.
    pub expects_continue: bool,
    /// What becomes of the connection after the answer.
    pub after: After,
}

/// Looks for the end of a head in what has come, a part at a time: each byte is looked at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ends {
    seen: usize,
    line: usize,
}

impl Ends {
    /// The length of the head with its empty line, as soon as that is there.
    ///
    /// # Errors
    ///
    /// [`Code::BadRequest`] for a line that ends without a carriage return, [`Code::HeadTooLarge`] for more than [`MOST_HEAD`].
    pub fn find(&mut self, bytes: &[u8]) -> Result<Option<usize>, Code> {
        while let Some(at) = bytes[self.seen..].iter().position(|byte| *byte == b'\n') {
            let end = self.seen + at;
            if end == 0 || bytes[end - 1] != b'\r' {
                return Err(Code::BadRequest);
            }
            let is_empty = end - 1 == self.line;
            (self.seen, self.line) = (end + 1, end + 1);
            if end >= MOST_HEAD {
                return Err(Code::HeadTooLarge);
            }
            if is_empty {
                return Ok(Some(end + 1));
            }
        }
        self.seen = bytes.len();
        if self.seen > MOST_HEAD { Err(Code::HeadTooLarge) } else { Ok(None) }
    }
}

impl<'a> Head<'a> {
    /// Takes apart `bytes`, a whole head with the empty line at its end.
    ///
    /// # Errors
    ///
    /// The code of the answer that refuses it.
    pub fn parse(bytes: &'a [u8]) -> Result<Head<'a>, Code> {
        let mut fields = [const { MaybeUninit::<Header>::uninit() }; MOST_FIELDS];
        let mut parsed = Parsed::new(&mut []);
        match parsed.parse_with_uninit_headers(bytes, &mut fields) {
            Ok(Status::Complete(length)) if length == bytes.len() => {}
            Err(Error::TooManyHeaders) => return Err(Code::HeadTooLarge),
            Err(Error::Version) => return Err(Code::VersionNotSupported),
            _ => return Err(Code::BadRequest),
        }
        let is_old = parsed.version == Some(0);
        let target = parsed.path.ok_or(Code::BadRequest)?;
        if target.len() > MOST_TARGET {
            return Err(Code::TargetTooLong);
        }
        let (path, query) = resource(target).ok_or(Code::BadRequest)?;
        let method = parsed.method.unwrap_or_default();
        let fields = Fields::read(parsed.headers)?;
        let body = fields.body(is_old)?;
        if !is_old && !fields.has_host {
            return Err(Code::BadRequest);
        }
        let method_known = match method {
            "GET" | "HEAD" => Method::Get,
            "PUT" => Method::Put,
            "DELETE" => Method::Delete,
            _ => Method::Other,
        };
        Ok(Head {
            method: method_known,
            is_head: method == "HEAD",
            path,
            query,
            body,
            expects_continue: fields.expects_continue && !is_old,
            after: match (fields.close, is_old, fields.keep_alive) {
                (true, ..) | (false, true, false) => After::Close,
                (false, true, true) => After::NextTold,
                (false, false, _) => After::Next,
            },
        })
    }
}

/// The path and the query of a target in origin form or absolute form (RFC 9112 3.2). Of the others only `*` is
/// let through, as a path that nothing serves.
fn resource(target: &str) -> Option<(&str, &str)> {
    let is_absolute = |scheme: &str| {
        let head = target.get(..scheme.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(scheme)).then(|| &target[scheme.len()..])
    };
    let local = match is_absolute("http://") {
        Some(rest) => match rest.find(['/', '?']) {
            Some(0) => return None,
            Some(at) => &rest[at..],
            None if rest.is_empty() => return None,
            None => "/",
        },
        None => target,
    };
    let (path, query) = local.split_once('?').unwrap_or((local, ""));
    let path = if path.is_empty() { "/" } else { path };
    let is_plain = (path.starts_with('/') || path == "*") && !local.contains('#');
    is_plain.then_some((path, query))
}

/// What the fields say that matter to the connection.
#[derive(Default)]
struct Fields {
    has_host: bool,
    length: Option<u64>,
    is_chunked: bool,
    expects_continue: bool,
    close: bool,
    keep_alive: bool,
}

impl Fields {
    fn read(headers: &[Header]) -> Result<Fields, Code> {
        let mut fields = Fields::default();
        for Header { name, value } in headers {
            // Few names matter, and their lengths tell most others apart.
            match name.len() {
                4 if name.eq_ignore_ascii_case("host") => {
                    if fields.has_host || !is_host(value) {
                        return Err(Code::BadRequest);
                    }
                    fields.has_host = true;
                }
                6 if name.eq_ignore_ascii_case("expect") => {
                    if !value.eq_ignore_ascii_case(b"100-continue") {
                        return Err(Code::ExpectationFailed);
                    }
                    fields.expects_continue = true;
                }
                10 if name.eq_ignore_ascii_case("connection") => {
                    for word in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                        fields.close |= word.eq_ignore_ascii_case(b"close");
                        fields.keep_alive |= word.eq_ignore_ascii_case(b"keep-alive");
                    }
                }
                14 if name.eq_ignore_ascii_case("content-length") => {
                    let length = decimal(value).filter(|_| fields.length.is_none());
                    fields.length = Some(length.ok_or(Code::BadRequest)?);
                }
                17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                    if fields.is_chunked {
                        return Err(Code::BadRequest);
                    }
                    if !value.eq_ignore_ascii_case(b"chunked") {
                        return Err(Code::NotImplemented);
                    }
                    fields.is_chunked = true;
                }
                _ => {}
            }
        }
        Ok(fields)
    }

    /// How the body ends (RFC 9112 6.3). Both a length and a coding, or a coding in HTTP/1.0, is what smuggled requests look
    /// like.
    fn body(&self, is_old: bool) -> Result<Body, Code> {
        match (self.is_chunked, self.length) {
            (true, Some(_)) => Err(Code::BadRequest),
            (true, None) if is_old => Err(Code::BadRequest),
            (true, None) => Ok(Body::Chunked),
            (false, length) => Ok(Body::Length(length.unwrap_or(0))),
        }
    }
}

/// Whether this may be a host and a port (RFC 3986 3.2.2): none of what ends one or separates several. It may be empty.
fn is_host(value: &[u8]) -> bool {
    value.iter().all(|byte| byte.is_ascii_graphic() && !b"/?#@,\\\"<>{}|^`".contains(byte))
}

/// A number of digits alone.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    digits.iter().try_fold(0, |number: u64, byte| {
        byte.is_ascii_digit().then(|| number * 10 + u64::from(byte - b'0'))
    })
}
