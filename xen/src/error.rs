//! What can go wrong with a hypercall: Xen's error numbers, under Xen's names.
//!
//! Source: `public/errno.h`. Hypercalls return them negated. `EWOULDBLOCK` and `EDEADLOCK`, which
//! share a number with `EAGAIN` and `EDEADLK`, have no variant of their own.

use core::fmt;

/// Makes [`Error`] and its two tables from lines `NAME = number, "text";`.
macro_rules! errors {
    ($($name:ident = $number:literal, $text:literal;)*) => {
        /// Why Xen refused a hypercall. The names and numbers are Xen's.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Error {
            $(#[doc = concat!($number, ": ", $text, ".")] $name,)*
            /// A number that Xen 4.17 does not name.
            Unknown(i32),
        }

        impl Error {
            /// The error with this (positive) number.
            pub const fn from_code(code: i32) -> Self {
                match code {
                    $($number => Self::$name,)*
                    _ => Self::Unknown(code),
                }
            }

            /// Its number, positive.
            pub const fn code(self) -> i32 {
                match self {
                    $(Self::$name => $number,)*
                    Self::Unknown(code) => code,
                }
            }

            const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Unknown(_) => "unknown error",
                }
            }
        }
    };
}

errors! {
    EPERM = 1, "not permitted to this guest";
    ENOENT = 2, "no such thing";
    ESRCH = 3, "no such domain or vCPU";
    EIO = 5, "input or output failed";
    ENXIO = 6, "no such device or address";
    E2BIG = 7, "too much at once";
    ENOEXEC = 8, "not an executable format";
    EBADF = 9, "bad handle";
    ECHILD = 10, "no children";
    EAGAIN = 11, "try again";
    ENOMEM = 12, "out of memory in the hypervisor";
    EACCES = 13, "access denied";
    EFAULT = 14, "bad address";
    EBUSY = 16, "busy";
    EEXIST = 17, "exists already";
    EXDEV = 18, "belongs to another device";
    ENODEV = 19, "no such device";
    ENOTDIR = 20, "not a directory";
    EISDIR = 21, "is a directory";
    EINVAL = 22, "invalid argument";
    ENFILE = 23, "table of handles is full";
    EMFILE = 24, "too many handles";
    ENOSPC = 28, "no space left";
    EROFS = 30, "read-only";
    EMLINK = 31, "too many links";
    EDOM = 33, "argument outside the domain";
    ERANGE = 34, "result outside the range";
    EDEADLK = 35, "would deadlock";
    ENAMETOOLONG = 36, "name too long";
    ENOLCK = 37, "no locks left";
    ENOSYS = 38, "this Xen does not have the call";
    ENOTEMPTY = 39, "not empty";
    ENODATA = 61, "no data";
    ETIME = 62, "timer expired";
    EBADMSG = 74, "bad message";
    EOVERFLOW = 75, "value too large for its type";
    EILSEQ = 84, "illegal byte sequence";
    ENOTSOCK = 88, "not a socket";
    EMSGSIZE = 90, "message too large";
    EOPNOTSUPP = 95, "operation not supported";
    EADDRINUSE = 98, "address in use";
    EADDRNOTAVAIL = 99, "address not available";
    ENOBUFS = 105, "no buffer space";
    EISCONN = 106, "connected already";
    ENOTCONN = 107, "not connected";
    ETIMEDOUT = 110, "timed out";
    ECONNREFUSED = 111, "connection refused";
}

/// `not permitted to this guest (EPERM, Xen error 1)`.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(code) => write!(f, "{} (Xen error {code})", self.text()),
            known => write!(f, "{} ({known:?}, Xen error {})", self.text(), self.code()),
        }
    }
}

impl core::error::Error for Error {}
