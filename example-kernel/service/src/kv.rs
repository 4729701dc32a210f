//! `/api/kv/`: the store over HTTP. Values are JSON, any; keys are text in the path, percent-encoded where it must be.
//!
//! A `PUT` or `DELETE` is answered when the change is durable, and not before.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use example_http::{Code, Method, Request, Response, json};
use freestone_store::{Disk, Error, Store};

use crate::{Answer, Changes, Machine, Service, not_allowed};

const JSON: &str = "application/json";

/// How many keys a list has at most.
const MOST_KEYS: usize = 1000;
/// How long a list is at most, in bytes. It ends when half of that is full, and the next keys, in JSON, fit into the other.
const MOST_LIST: usize = 64 * 1024;
/// So many keys are taken out of the store at once: in JSON a key has up to six times its 512 bytes.
const KEYS_AT_ONCE: usize = 8;

impl<M: Machine, D: Disk> Service<M, D> {
    /// Answers a request to `/api/kv/` with this behind it.
    pub(crate) async fn key_value(&self, key: &str, request: &Request<'_>) -> Answer<D> {
        let store = match &self.store {
            Ok(store) => store,
            Err(why) => {
                return Response::error(Code::Unavailable, &format!("no store: {why}")).into();
            }
        };
        let Some(key) = decode(key, false) else {
            return Response::error(Code::BadRequest, "a key is UTF-8, percent-encoded").into();
        };
        match (request.method, key.is_empty()) {
            (Method::Get, true) => self.list_or_watch(store, request.query),
            (_, true) => not_allowed("Allow: GET, HEAD\r\n").into(),
            (Method::Get, false) => get(store, &key).await.unwrap_or_else(refuse).into(),
            (Method::Put, false) => {
                put(store, &key, request.body).await.unwrap_or_else(refuse).into()
            }
            (Method::Delete, false) => delete(store, &key).await.unwrap_or_else(refuse).into(),
            (Method::Other, false) => not_allowed("Allow: GET, HEAD, PUT, DELETE\r\n").into(),
        }
    }

    fn list_or_watch(&self, store: &Store<D>, query: &str) -> Answer<D> {
        let (mut prefix, mut after, mut limit, mut watches) = (String::new(), None, 100, false);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decode(value, true);
            match (name, value) {
                ("prefix", Some(value)) => prefix = value,
                ("after", Some(value)) => after = Some(value),
                ("limit", Some(value))
                    if value.parse().is_ok_and(|n| (1..=MOST_KEYS).contains(&n)) =>
                {
                    limit = value.parse().unwrap_or(limit);
                }
                ("watch", Some(value)) if value.is_empty() || value == "1" => watches = true,
                _ => {
                    let what = "the query may be prefix=, after=, limit=1 to 1000, and watch";
                    return Response::error(Code::BadRequest, what).into();
                }
            }
        }
        if watches {
            return match Changes::of(store, &prefix) {
                Ok(changes) => Answer::Events(changes),
                Err(error) => refuse(error).into(),
            };
        }
        list(store, &prefix, after.as_deref(), limit).unwrap_or_else(refuse).into()
    }
}

async fn get<D: Disk>(store: &Store<D>, key: &str) -> Result<Response, Error> {
    Ok(match store.get(key.as_bytes()).await? {
        Some(value) => Response::ok(JSON, value),
        None => Response::error(Code::NotFound, "there is no such key"),
    })
}

async fn put<D: Disk>(store: &Store<D>, key: &str, value: &[u8]) -> Result<Response, Error> {
    let text = core::str::from_utf8(value).ok();
    if !text.is_some_and(json::is_json) {
        return Ok(Response::error(Code::BadRequest, "the value is not JSON"));
    }
    store.put(key.as_bytes(), value).await?;
    Ok(Response::empty(Code::NoContent))
}

async fn delete<D: Disk>(store: &Store<D>, key: &str) -> Result<Response, Error> {
    Ok(match store.delete(key.as_bytes()).await? {
        true => Response::empty(Code::NoContent),
        false => Response::error(Code::NotFound, "there is no such key"),
    })
}

/// As many keys as are wanted, or as [`MOST_LIST`] has room for: `next` says where to go on.
fn list<D: Disk>(
    store: &Store<D>,
    prefix: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<Response, Error> {
    let mut text = String::new();
    text.try_reserve_exact(MOST_LIST).map_err(|_| Error::NoMemory)?;
    text.push_str("{\"keys\":[");
    let (mut left, mut last, mut may_be_more) =
        (limit, after.map(|it| it.as_bytes().to_vec()), true);
    while may_be_more && left > 0 && text.len() <= MOST_LIST / 2 {
        let count = left.min(KEYS_AT_ONCE);
        let keys = store.list(prefix.as_bytes(), last.as_deref(), count)?;
        for key in &keys {
            if !text.ends_with('[') {
                text.push(',');
            }
            text.push_str(&json::string(&String::from_utf8_lossy(key)));
        }
        may_be_more = keys.len() == count;
        left -= keys.len();
        last = keys.into_iter().next_back().or(last);
    }
    let next = last.filter(|_| may_be_more);
    let next = next.map_or("null".into(), |key| json::string(&String::from_utf8_lossy(&key)));
    for part in ["],\"next\":", &next, "}\n"] {
        text.push_str(part);
    }
    text.shrink_to_fit();
    Ok(Response::ok(JSON, text.into_bytes()))
}

/// The answer that tells of an error of the store's.
pub(crate) fn refuse(error: Error) -> Response {
    let code = match error {
        Error::KeyLength => Code::BadRequest,
        Error::ValueLength { .. } => Code::ContentTooLarge,
        Error::Full => Code::InsufficientStorage,
        Error::Damaged(_) | Error::Disk(_) => Code::InternalError,
        _ => Code::Unavailable,
    };
    Response::error(code, &format!("{error}"))
}

/// Text without its percent-encoding (RFC 3986 2.1); in a query `+` is a space. None if it is not UTF-8 then, or badly encoded.
fn decode(text: &str, is_query: bool) -> Option<String> {
    if !(text.contains('%') || is_query && text.contains('+')) {
        return Some(text.into());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        bytes.push(match first {
            b'%' => {
                let (digits, after) = rest.split_at_checked(2)?;
                rest = after;
                let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
                digit(digits[0])? << 4 | digit(digits[1])?
            }
            b'+' if is_query => b' ',
            byte => *byte,
        });
    }
    String::from_utf8(bytes).ok()
}
