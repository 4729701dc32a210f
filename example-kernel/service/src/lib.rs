//! What the reference unikernel serves over HTTP/1.1, without the kernel: it is told of the [`Machine`] and a disk, so that
//! everything here runs in a test on the host.
//!
//! | path | what it is | file |
//! |---|---|---|
//! | `/` | the status page, which refreshes itself | `page.rs` |
//! | `/metrics` | the same figures for Prometheus | `metrics.rs` |
//! | `/healthz` | whether all is well | here |
//! | `/hello` | an answer of 13 bytes, for measurements | here |
//! | `/api/kv/KEY` | JSON values: `GET`, `PUT`, `DELETE` | `kv.rs` |
//! | `/api/kv/?prefix=P&after=KEY&limit=N` | keys in order | `kv.rs` |
//! | `/api/kv/?watch&prefix=P` | changes as they happen, as server-sent events | `watch.rs` |
//!
//! `example-http` takes requests from a connection to [`Service::answer`], and the answer back. To serve something of your
//! own, add a line there.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use core::future::Future;
use core::time::Duration;

use example_http::{Code, Method, Request, Response, Server, Shared};
use freestone_store::{Disk, State, Store};

mod kv;
mod machine;
mod metrics;
mod page;
mod watch;

pub use machine::{Heap, Machine, Metric, Span, Task};
pub use watch::Changes;

/// What a request gets here.
type Answer<D> = example_http::Answer<Changes<D>>;

/// All that is served, and by what.
pub struct Service<M, D: Disk> {
    /// What the page tells of.
    pub machine: M,
    /// The store, or why there is none.
    pub store: Result<Store<D>, String>,
    /// Of the connections.
    pub shared: Shared,
}

impl<M: Machine, D: Disk> Server for Service<M, D> {
    type Events = Changes<D>;

    /// Finds what a path stands for.
    async fn answer(&self, request: &Request<'_>) -> Answer<D> {
        if let Some(key) = request.path.strip_prefix("/api/kv/") {
            return self.key_value(key, request).await;
        }
        let answer = match request.path {
            "/" => {
                |service: &Self| now("text/html; charset=utf-8", service.page()).with(page::FIELDS)
            }
            "/hello" => |_: &Self| fixed("text/plain", "Hello, world\n"),
            "/healthz" => Self::health,
            "/metrics" => |service: &Self| now(metrics::KIND, service.metrics()),
            "/heap.svg" => |service: &Self| now("image/svg+xml", service.machine.heap_map()),
            "/style.css" => |_: &Self| fixed("text/css", include_str!("page.css")),
            "/page.js" => |_: &Self| fixed("text/javascript", include_str!("page.js")),
            _ => return Response::error(Code::NotFound, "there is nothing at this path").into(),
        };
        match request.method {
            Method::Get => answer(self).into(),
            _ => not_allowed("Allow: GET, HEAD\r\n").into(),
        }
    }

    fn shared(&self) -> &Shared {
        &self.shared
    }

    fn sleep(&self, time: Duration) -> impl Future<Output = ()> {
        self.machine.sleep(time)
    }

    fn time_of_day(&self) -> Option<Duration> {
        self.machine.time_of_day()
    }
}

impl<M: Machine, D: Disk> Service<M, D> {
    /// A machine that is no good any more is one whose store has failed. Not every machine has one.
    fn health(&self) -> Response {
        match self.store.as_ref().map(Store::state) {
            Ok(State::ReadWrite) | Err(_) => fixed("text/plain", "ok\n"),
            Ok(state) => Response::error(Code::Unavailable, &format!("the store is {state}")),
        }
    }
}

/// Text that is another one the next time.
fn now(kind: &'static str, text: String) -> Response {
    Response::ok(kind, text.into_bytes()).with("Cache-Control: no-store\r\n")
}

fn fixed(kind: &'static str, text: &'static str) -> Response {
    Response::ok(kind, text.as_bytes())
}

fn not_allowed(allow: &'static str) -> Response {
    Response::error(Code::MethodNotAllowed, "this path does not take this method").with(allow)
}
