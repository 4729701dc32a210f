//! What is at each path, as a client gets it.

mod world;

use std::collections::BTreeSet;

use embassy_futures::select::{Either, select};
use embassy_futures::yield_now;
use example_http::serve;
use world::{Client, Ram, ask, whole, with};

const DISK: usize = 4 << 20;

#[test]
fn the_page_shows_the_machine_and_nothing_can_break_out() {
    with(Some(Ram::new(DISK)), async |service| {
        let (code, page) = ask(service, "GET /", "").await;
        assert_eq!(code, 200);
        for part in [
            "up 1:02:05 · 1994-11-06T08:49:37Z",
            "<dt>hypervisor</dt><dd>none &amp; &quot;nothing&quot;</dd>",
            "<dt>store</dt><dd>read-write</dd>",
            ">to main 1000 µs<",
            ">store 0 µs<",
            ">address 20000 µs<",
            "512 of 4096 KiB, at most 1024",
            "<td>&lt;a&gt;</td><td>12</td>",
            "<h2>network</h2>",
            "<td>resets</td><td>18446744073709551615</td>",
            "<td>live bytes</td>",
            "first line\n&lt;script&gt;alert(1)&lt;/script&gt;\u{fffd}\n",
        ] {
            assert!(page.contains(part), "{part} is not in {page}");
        }
        assert!(!page.contains("NaN") && !page.contains("://"), "{page}");
        balanced(&page);
    });
}

/// Every element that is opened is closed, in order.
fn balanced(page: &str) {
    const VOID: [&str; 7] = ["!doctype", "meta", "link", "rect", "polyline", "img", "br"];
    let mut open = Vec::new();
    for tag in page.split('<').skip(1) {
        let name: String = tag.chars().take_while(|c| !c.is_whitespace() && *c != '>').collect();
        match name.strip_prefix('/') {
            Some(name) => assert_eq!(open.pop().as_deref(), Some(name), "{page}"),
            None if VOID.contains(&name.trim_end_matches('/')) => {}
            None => open.push(name),
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn what_the_page_needs_is_there_and_comes_from_here() {
    with(None, async |service| {
        let page = whole(service, "GET /", "").await;
        assert!(page.contains("Content-Security-Policy: default-src 'self'"));
        assert!(page.contains("none: no &lt;disk&gt;"));
        for (path, kind) in [
            ("/style.css", "text/css"),
            ("/page.js", "text/javascript"),
            ("/heap.svg", "image/svg+xml"),
            ("/hello", "text/plain"),
        ] {
            let answer = whole(service, &format!("GET {path}"), "").await;
            assert!(
                answer.starts_with("HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n")
            );
            assert!(answer.contains(&format!("Content-Type: {kind}\r\n")), "{answer}");
            assert!(!answer.contains("://"), "{answer}");
            let refused = whole(service, &format!("PUT {path}"), "x").await;
            assert!(
                refused.starts_with("HTTP/1.1 405 ") && refused.contains("Allow: GET, HEAD\r\n")
            );
            let head = whole(service, &format!("HEAD {path}"), "").await;
            assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"));
        }
        assert_eq!(ask(service, "GET /nothing", "").await.0, 404);
        assert_eq!(ask(service, "GET /api/kv", "").await.0, 404);
    });
}

#[test]
fn prometheus_can_read_the_figures() {
    with(Some(Ram::new(DISK)), async |service| {
        ask(service, "PUT /api/kv/a", "1").await;
        ask(service, "GET /nothing", "").await;
        let (_, text) = ask(service, "GET /metrics", "").await;
        let mut named = BTreeSet::new();
        let mut lines = text.lines().peekable();
        while let Some(line) = lines.next() {
            let (name, help) =
                line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')).expect(line);
            assert!(help.ends_with('.') && named.insert(name), "{line}");
            let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
            assert_eq!(lines.next(), Some(&*format!("# TYPE {name} {kind}")));
            let is_sample = |line: &&str| !line.starts_with('#');
            let mut samples = 0;
            while let Some(sample) = lines.next_if(is_sample) {
                let (series, value) = sample.split_once(' ').expect(sample);
                let plain = series.split('{').next().expect(sample);
                assert!(plain == name && value.parse::<u64>().is_ok(), "{sample}");
                samples += 1;
            }
            assert!(samples > 0, "{line}");
        }
        for line in
            ["store_keys 1", "store_changes_total 1", "http_responses_total{class=\"4xx\"} 1"]
        {
            assert!(text.lines().any(|other| other == line), "{line} is not in {text}");
        }
    });
}

#[test]
fn values_are_stored_found_listed_and_deleted() {
    with(Some(Ram::new(DISK)), async |service| {
        let all = ["a", "b%20c", "b/d", "%C3%A9", "z?x".split('?').next().expect("z")];
        for (value, key) in all.iter().enumerate() {
            assert_eq!(
                ask(service, &format!("PUT /api/kv/{key}"), &value.to_string()).await,
                (204, String::new())
            );
        }
        for (value, key) in all.iter().enumerate() {
            assert_eq!(
                ask(service, &format!("GET /api/kv/{key}"), "").await,
                (200, value.to_string())
            );
        }
        let list = async |query: &str| ask(service, &format!("GET /api/kv/{query}"), "").await.1;
        assert_eq!(
            list("").await,
            "{\"keys\":[\"a\",\"b c\",\"b/d\",\"z\",\"é\"],\"next\":null}\n"
        );
        assert_eq!(list("?prefix=b").await, "{\"keys\":[\"b c\",\"b/d\"],\"next\":null}\n");
        assert_eq!(list("?limit=2").await, "{\"keys\":[\"a\",\"b c\"],\"next\":\"b c\"}\n");
        assert_eq!(list("?limit=2&after=b+c").await, "{\"keys\":[\"b/d\",\"z\"],\"next\":\"z\"}\n");
        assert_eq!(ask(service, "PUT /api/kv/a", "{\"new\": [null, 1e3]}").await.0, 204);
        assert_eq!(ask(service, "GET /api/kv/a", "").await.1, "{\"new\": [null, 1e3]}");
        assert_eq!(ask(service, "DELETE /api/kv/a", "").await.0, 204);
        assert_eq!(ask(service, "DELETE /api/kv/a", "").await.0, 404);
        assert_eq!(ask(service, "GET /api/kv/a", "").await.0, 404);
    });
}

#[test]
fn what_cannot_be_stored_is_refused_with_the_reason() {
    with(Some(Ram::new(DISK)), async |service| {
        let (long, large) = ("k".repeat(600), format!("\"{}\"", "v".repeat(60_000)));
        for (line, body, code, says) in [
            ("PUT /api/kv/a", "", 400, "not JSON"),
            ("PUT /api/kv/a", "{", 400, "not JSON"),
            ("PUT /api/kv/a", "1 2", 400, "not JSON"),
            ("PUT /api/kv/%", "1", 400, "percent-encoded"),
            ("PUT /api/kv/%0", "1", 400, "percent-encoded"),
            ("PUT /api/kv/%g0", "1", 400, "percent-encoded"),
            ("PUT /api/kv/%ff", "1", 400, "UTF-8"),
            ("PUT /api/kv/", "1", 405, "method"),
            ("POST /api/kv/a", "1", 405, "method"),
            (&format!("PUT /api/kv/{long}"), "1", 400, "a key has 1 to"),
            ("PUT /api/kv/a", &large, 413, "a value has"),
            ("GET /api/kv/?limit=0", "", 400, "limit=1 to 1000"),
            ("GET /api/kv/?limit=1001", "", 400, "limit=1 to 1000"),
            ("GET /api/kv/?limt=1", "", 400, "the query may be"),
            ("GET /api/kv/?prefix=%", "", 400, "the query may be"),
        ] {
            let (got, answer) = ask(service, line, body).await;
            assert!(got == code && answer.contains(says), "{line}: {got} {answer}");
        }
        // Deep enough to exhaust a stack, if it were read by calls in calls.
        let deep = format!("{}{}", "[".repeat(30_000), "]".repeat(30_000));
        let (code, _) = ask(service, "PUT /api/kv/a", &deep).await;
        assert!(matches!(code, 204 | 400 | 413));
    });
    with(None, async |service| {
        let (code, answer) = ask(service, "GET /api/kv/a", "").await;
        assert_eq!((code, &*answer), (503, "{\"error\":\"no store: no <disk>\"}\n"));
        assert_eq!(ask(service, "GET /healthz", "").await, (200, "ok\n".into()));
    });
}

#[test]
fn a_disk_that_is_full_or_read_only_is_said() {
    let disk = Ram::new(DISK);
    with(Some(disk.clone()), async |service| {
        let value = format!("\"{}\"", "v".repeat(3000));
        let mut last = (204, String::new());
        let mut count = 0;
        while last.0 == 204 {
            last = ask(service, &format!("PUT /api/kv/{count}"), &value).await;
            count += 1;
        }
        assert!(last.0 == 507 && last.1.contains("full") && count > 100, "{last:?} after {count}");
        assert_eq!(ask(service, "DELETE /api/kv/0", "").await.0, 204);
        assert_eq!(ask(service, "GET /healthz", "").await.0, 200);
    });
    with(Some(Ram { is_read_only: true, ..disk }), async |service| {
        let (code, answer) = ask(service, "PUT /api/kv/1", "1").await;
        assert!(code == 503 && answer.contains("read-only"), "{code} {answer}");
        assert_eq!(ask(service, "GET /api/kv/1", "").await.0, 200);
        let (code, answer) = ask(service, "GET /healthz", "").await;
        assert!(code == 503 && answer.contains("cannot be written"), "{code} {answer}");
    });
}

/// Keys may be six times as long in JSON: a list of 1,000 would be 3 MB.
#[test]
fn a_list_is_not_longer_than_there_is_memory_for() {
    with(Some(Ram::new(DISK)), async |service| {
        for number in 0..100 {
            let line = format!("PUT /api/kv/{}{number:03}", "%01".repeat(500));
            assert_eq!(ask(service, &line, "1").await.0, 204);
        }
        let (mut count, mut line) = (0, "GET /api/kv/?limit=1000".to_owned());
        loop {
            let (code, list) = ask(service, &line, "").await;
            assert!(code == 200 && list.len() <= 64 * 1024, "{code} {}", list.len());
            count += list
                .split("\"next\"")
                .next()
                .map_or(0, |keys| keys.matches("\\u0001\\u0001").count())
                / 250;
            let Some((_, next)) = list.split_once("\"next\":\"") else { break };
            let key = next.split('"').next().expect("a key").replace("\\u0001", "%01");
            line = format!("GET /api/kv/?limit=1000&after={key}");
        }
        assert_eq!(count, 100);
    });
}

#[test]
fn changes_are_watched() {
    with(Some(Ram::new(DISK)), async |service| {
        let request = b"GET /api/kv/?watch&prefix=b HTTP/1.1\r\nHost: h\r\n\r\n";
        let client = Client { stays: true, ..Client::new(request) };
        let got = client.got.clone();
        let text = || String::from_utf8_lossy(&got.borrow()).into_owned();
        let changing = async {
            let seen = async |part: &str| {
                for _ in 0..1000 {
                    if text().contains(part) {
                        return;
                    }
                    yield_now().await;
                }
                panic!("{part} is not in {}", text());
            };
            seen("Content-Type: text/event-stream\r\n").await;
            ask(service, "PUT /api/kv/a", "1").await;
            ask(service, "PUT /api/kv/b1", "{\n\"x\":\r2}").await;
            seen("event: put\ndata: {\"key\":\"b1\",\"value\":{ \"x\": 2}}\n\n").await;
            ask(service, "DELETE /api/kv/b1", "").await;
            seen("event: delete\ndata: {\"key\":\"b1\"}\n\n").await;
            assert!(!text().contains("\"a\""), "{}", text());
            service.shared.close();
        };
        // At the end of the service the stream ends.
        match select(embassy_futures::join::join(serve(service, client), changing), never()).await {
            Either::First(_) => {}
            Either::Second(()) => panic!("it did not end"),
        }
    });
}

/// More turns than the test has.
async fn never() {
    for _ in 0..100_000 {
        yield_now().await;
    }
}
