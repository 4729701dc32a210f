//! Answers: a code, a type, a body, and how they are written.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::time::Duration;

use freestone_platform::time::DateTime;

use crate::head::After;
use crate::json;

/// The codes that are used here, with the reasons that RFC 9110 15 gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the reasons below say it")]
pub enum Code {
    Ok = 200,
    Created = 201,
    NoContent = 204,
    BadRequest = 400,
    NotFound = 404,
    MethodNotAllowed = 405,
    RequestTimeout = 408,
    ContentTooLarge = 413,
    TargetTooLong = 414,
    ExpectationFailed = 417,
    HeadTooLarge = 431,
    InternalError = 500,
    NotImplemented = 501,
    Unavailable = 503,
    VersionNotSupported = 505,
    InsufficientStorage = 507,
}

impl Code {
    /// The code and its reason, as a status line has them.
    pub fn text(self) -> &'static str {
        match self {
            Code::Ok => "200 OK",
            Code::Created => "201 Created",
            Code::NoContent => "204 No Content",
            Code::BadRequest => "400 Bad Request",
            Code::NotFound => "404 Not Found",
            Code::MethodNotAllowed => "405 Method Not Allowed",
            Code::RequestTimeout => "408 Request Timeout",
            Code::ContentTooLarge => "413 Content Too Large",
            Code::TargetTooLong => "414 URI Too Long",
            Code::ExpectationFailed => "417 Expectation Failed",
            Code::HeadTooLarge => "431 Request Header Fields Too Large",
            Code::InternalError => "500 Internal Server Error",
            Code::NotImplemented => "501 Not Implemented",
            Code::Unavailable => "503 Service Unavailable",
            Code::VersionNotSupported => "505 HTTP Version Not Supported",
            Code::InsufficientStorage => "507 Insufficient Storage",
        }
    }
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    /// Its code.
    pub code: Code,
    /// What the body is.
    pub kind: &'static str,
    /// The body.
    pub body: Cow<'static, [u8]>,
    /// More header fields, each with its line end.
    pub fields: &'static str,
}

impl Response {
    /// An answer that is well, with this body.
    pub fn ok(kind: &'static str, body: impl Into<Cow<'static, [u8]>>) -> Response {
        Response { code: Code::Ok, kind, body: body.into(), fields: "" }
    }

    /// Says in JSON what is wrong.
    pub fn error(code: Code, what: &str) -> Response {
        let body = alloc::format!("{{\"error\":{}}}\n", json::string(what)).into_bytes();
        Response { code, kind: "application/json", body: body.into(), fields: "" }
    }

    /// The refusal of a request, which takes no memory.
    pub fn refusal(code: Code) -> Response {
        let body = Cow::Borrowed(code.text().as_bytes());
        Response { code, kind: "text/plain", body, fields: "" }
    }

    /// An answer without a body.
    pub fn empty(code: Code) -> Response {
        Response { code, kind: "", body: Cow::Borrowed(&[]), fields: "" }
    }

    /// The same with more header fields.
    pub fn with(self, fields: &'static str) -> Response {
        Response { fields, ..self }
    }

    /// Appends all that comes before the body to `out`. `date` is the field of that name, or empty.
    pub fn write_head(&self, out: &mut Vec<u8>, date: &str, after: After) {
        start(out, self.code, date, after);
        out.extend_from_slice(self.fields.as_bytes());
        if self.code != Code::NoContent {
            let mut room = [0; 20];
            let length = digits(self.body.len(), &mut room);
            for part in ["Content-Type: ", self.kind, "\r\nContent-Length: ", length, "\r\n"] {
                out.extend_from_slice(part.as_bytes());
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// The first lines of an answer.
pub fn start(out: &mut Vec<u8>, code: Code, date: &str, after: After) {
    for part in ["HTTP/1.1 ", code.text(), "\r\n", date, after.field()] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// The digits of a number, at the end of `room`.
fn digits(mut number: usize, room: &mut [u8; 20]) -> &str {
    let mut at = room.len();
    loop {
        at -= 1;
        room[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return core::str::from_utf8(&room[at..]).unwrap_or_default();
        }
    }
}

/// The field `Date` (RFC 9110 6.6.1), made anew when the second changes.
#[derive(Debug, Default)]
pub struct Date {
    second: Option<u64>,
    text: String,
}

impl Date {
    /// The field in this second since 1970; empty if that is not known.
    pub fn field(&mut self, second: Option<u64>) -> &mut str {
        if self.second != second {
            self.second = second;
            self.text.clear();
            if let Some(second) = second {
                write_date(&mut self.text, second);
            }
        }
        &mut self.text
    }
}

fn write_date(out: &mut String, second: u64) {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let DateTime { year, month, day, hour, minute, second: seconds } =
        DateTime::of(Duration::from_secs(second));
    let (weekday, month) = (DAYS[(second / 86_400 % 7) as usize], MONTHS[usize::from(month) - 1]);
    let _ = write!(
        out,
        "Date: {weekday}, {day:02} {month} {year} {hour:02}:{minute:02}:{seconds:02} GMT\r\n"
    );
}
