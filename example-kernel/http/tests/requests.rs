//! What clients send, in all its forms, and what they get.

mod world;

use std::task::{Context, Waker};

use example_http::{MOST_BODY, serve};
use proptest::prelude::*;
use world::{Client, Echo, answer, codes, run};

#[test]
fn a_connection_is_kept() {
    let text = answer(b"GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\nHEAD /d HTTP/1.1\r\nhost: h\r\n\r\n");
    assert_eq!(
        text,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 11\r\n\r\nGet /a b=c \
         HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 8\r\n\r\n"
    );
}

#[test]
fn answers_to_requests_that_come_together_leave_together() {
    let all = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(20);
    let mut client = Client::new(&all);
    assert!(run(&Echo::new(4), &mut client));
    assert_eq!((client.text().matches("200 OK").count(), client.got.len()), (20, 1));
}

#[test]
fn whatever_the_parts_the_answers_are_the_same() {
    let all = b"\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\nPUT /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n\
                3;x=y\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nTrailer: t\r\n\r\nPUT /c HTTP/1.1\r\nHost: h\r\n\
                Content-Length: 4\r\n\r\nbodyGET /d HTTP/1.0\r\n\r\n";
    let whole = answer(all);
    assert_eq!(whole.matches("200 OK").count(), 4);
    assert!(whole.contains("Put /b  abc0123456789abcdef") && whole.contains("Put /c  body"));
    for first in 0..all.len() {
        for second in first..all.len() {
            let mut client = Client::new(&[]);
            client.parts = vec![&all[..first], &all[first..second], &all[second..]];
            assert!(run(&Echo::new(4), &mut client));
            assert_eq!(client.text(), whole, "{first} {second}");
        }
    }
}

#[test]
fn a_connection_is_closed_where_the_client_wants_it() {
    let text = answer(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(text.matches("200 OK\r\nConnection: close").count(), 1);
    assert_eq!(codes(b"GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n"), [200]);
    let kept = answer(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n");
    assert_eq!(kept.matches("200 OK").count(), 2);
    assert_eq!(kept.matches("Connection: keep-alive").count(), 1);
}

/// Each is refused with its code, and nothing after it is answered.
#[test]
fn what_could_be_two_requests_is_none() {
    let next = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
    let put =
        |fields: &str, body: &str| format!("PUT / HTTP/1.1\r\nHost: h\r\n{fields}\r\n{body}{next}");
    let chunked = |body: &str| put("Transfer-Encoding: chunked\r\n", body);
    let table = [
        (400, put("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
        (400, put("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n")),
        (400, put("Content-Length: 1\r\nContent-Length: 1\r\n", "a")),
        (400, put("Content-Length: 1\r\nContent-Length: 2\r\n", "ab")),
        (400, put("Content-Length: 1, 1\r\n", "a")),
        (400, put("Content-Length: +1\r\n", "a")),
        (400, put("Content-Length: -1\r\n", "a")),
        (400, put("Content-Length: 0x1\r\n", "a")),
        (400, put("Content-Length:\r\n", "a")),
        (400, put("Content-Length: 1 1\r\n", "a")),
        (400, put("Content-Length: 18446744073709551617\r\n", "a")),
        (400, put("Content-Length : 1\r\n", "a")),
        (400, put(" Content-Length: 1\r\n", "a")),
        (400, put("X: y\r\n Content-Length: 1\r\n", "a")),
        (400, put("X: y\nContent-Length: 1\r\n", "a")),
        (400, put("X: y\r\r\nContent-Length: 1\r\n", "a")),
        (400, put("X: a\0b\r\n", "")),
        (400, put("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")),
        (501, put("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")),
        (501, put("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n")),
        (501, put("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n")),
        (400, put("Transfer-Encoding: \x0bchunked\r\n", "0\r\n\r\n")),
        (400, "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned() + next),
        (400, chunked("1\r\naX0\r\n\r\n")),
        (400, chunked("1\naa\r\n0\r\n\r\n")),
        (400, chunked("1\r\na\n0\r\n\r\n")),
        (400, chunked("0x1\r\na\r\n0\r\n\r\n")),
        (400, chunked("+1\r\na\r\n0\r\n\r\n")),
        (400, chunked("-1\r\na\r\n0\r\n\r\n")),
        (400, chunked(" 1\r\na\r\n0\r\n\r\n")),
        (400, chunked("\r\na\r\n0\r\n\r\n")),
        (400, chunked("1\r\r\na\r\n0\r\n\r\n")),
        (400, chunked("1\x0c\r\na\r\n0\r\n\r\n")),
        (400, chunked("0\r\nTrailer: x\ry\r\n\r\n")),
        (400, chunked("1;a\rb\r\na\r\n0\r\n\r\n")),
        (400, chunked("100000000\r\na\r\n0\r\n\r\n")),
        (400, chunked("0\r\nTrailer: x\n\r\n")),
        (400, "GET / HTTP/1.1\r\n\r\n".to_owned() + next),
        (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned() + next),
        (400, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n".to_owned() + next),
        (400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".to_owned() + next),
        (400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned() + next),
        (400, "GET  / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned() + next),
        (400, "GET / HTTP/1.1 \r\nHost: h\r\n\r\n".to_owned() + next),
        (505, "GET /a b HTTP/1.1\r\nHost: h\r\n\r\n".to_owned() + next),
        (400, "GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n".to_owned() + next),
        (400, "GET a HTTP/1.1\r\nHost: h\r\n\r\n".to_owned() + next),
        (400, "CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n".to_owned() + next),
        (400, "GET http:/// HTTP/1.1\r\nHost: h\r\n\r\n".to_owned() + next),
        (400, "GET /\r\nHost: h\r\n\r\n".to_owned() + next),
        (400, "\0GET / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned() + next),
        (400, "\n\nGET / HTTP/1.1\r\nHost: h\r\n\r\n".to_owned() + next),
        (505, "GET / HTTP/2.0\r\nHost: h\r\n\r\n".to_owned() + next),
        (505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned() + next),
        (417, put("Expect: 200-ok\r\nContent-Length: 1\r\n", "a")),
    ];
    for (code, bytes) in table {
        assert_eq!(codes(bytes.as_bytes()), [code], "{bytes:?}");
    }
}

#[test]
fn forms_that_are_right_are_taken() {
    for (bytes, end) in [
        ("GET http://h/a?b HTTP/1.1\r\nHost: h\r\n\r\n", "Get /a b "),
        ("GET HTTP://h:8080?b HTTP/1.1\r\nHost: h\r\n\r\n", "Get / b "),
        ("OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n", "Other *  "),
        ("GET / HTTP/1.1\r\nHost: [fe80::1]:80\r\n\r\n", "Get /  "),
        (
            "PUT / HTTP/1.1\r\nHost: h\r\ntransfer-encoding: Chunked\r\n\r\n1 \r\na\r\n00\r\n\r\n",
            "Put /  a",
        ),
        ("PUT / HTTP/1.1\r\nHost: h\r\ncontent-length:1\r\n\r\na", "Put /  a"),
    ] {
        assert!(answer(bytes.as_bytes()).ends_with(end), "{bytes:?}: {}", answer(bytes.as_bytes()));
    }
    assert!(!answer(b"GET /none HTTP/1.1\r\nHost: h\r\n\r\n").contains("Content-Length"));
    let large = answer(b"GET /large HTTP/1.1\r\nHost: h\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(large.ends_with("Get /a  ") && large.matches('x').count() >= 20_000);
}

#[test]
fn everything_has_a_limit() {
    let get = |target: usize, field: usize| {
        let (target, field) = ("a".repeat(target), "b".repeat(field));
        codes(format!("GET /{target} HTTP/1.1\r\nHost: h\r\nX: {field}\r\n\r\n").as_bytes())
    };
    assert_eq!(get(2047, 10), [200]);
    assert_eq!(get(2048, 10), [414]);
    assert_eq!(get(9000, 0), [431]);
    let rest = "GET / HTTP/1.1\r\nHost: h\r\nX: \r\n\r\n".len();
    assert_eq!(get(0, 8192 - rest), [200]);
    assert_eq!(get(0, 8192 - rest + 1), [431]);
    let fields = |count| {
        codes(format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: y\r\n".repeat(count)).as_bytes())
    };
    assert_eq!((fields(63), fields(64)), (vec![200], vec![431]));

    let put = |length: usize, sent: usize| {
        let mut all =
            format!("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n").into_bytes();
        all.resize(all.len() + sent, b'z');
        codes(&all)
    };
    assert_eq!((put(MOST_BODY, MOST_BODY), put(MOST_BODY + 1, 0)), (vec![200], vec![413]));
    let chunks = |count: usize, size: usize| {
        let mut all =
            String::from("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..count {
            all += &format!("{size:x}\r\n{}\r\n", "z".repeat(size));
        }
        codes((all + "0\r\n\r\n").as_bytes())
    };
    assert_eq!((chunks(16, MOST_BODY / 16), chunks(17, MOST_BODY / 16)), (vec![200], vec![413]));
    let trailers =
        "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n".to_owned();
    assert_eq!(codes((trailers + &"T: u\r\n".repeat(3000)).as_bytes()), [431]);
    let line = format!(
        "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;{}",
        "x".repeat(300)
    );
    assert_eq!(codes(line.as_bytes()), [400]);
}

#[test]
fn a_client_that_waits_for_a_word_gets_it() {
    let head = b"PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    let mut client = Client::new(head);
    client.parts.push(b"ab");
    assert!(run(&Echo::new(4), &mut client));
    assert!(
        client.text().starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"),
        "{}",
        client.text()
    );
    // Not where the body has come already, nor where it is refused.
    assert_eq!(codes(&[&head[..], b"ab"].concat()), [200]);
    let large =
        b"PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n";
    assert_eq!(codes(large), [413]);
}

#[test]
fn nobody_waits_for_ever() {
    let late = |bytes| {
        let (server, mut client) = (Echo::new(4), Client::new(bytes));
        client.ends = false;
        server.is_late.set(true);
        assert!(run(&server, &mut client), "{bytes:?}");
        client.text()
    };
    assert_eq!(late(b""), "");
    for part in ["GET / HT", "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab"] {
        assert!(late(part.as_bytes()).starts_with("HTTP/1.1 408 "), "{part}");
    }
}

#[test]
fn who_takes_no_answer_is_not_waited_for() {
    for path in ["/", "/large"] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n");
        let (server, mut client) = (Echo::new(1), Client::new(request.as_bytes()));
        client.takes = false;
        let mut other = Client { ends: false, ..Client::new(b"") };
        let mut context = Context::from_waker(Waker::noop());
        {
            let mut first = Box::pin(serve(&server, &mut client));
            assert!(first.as_mut().poll(&mut context).is_pending());
            // Another wants the place.
            let mut second = Box::pin(serve(&server, &mut other));
            assert!(second.as_mut().poll(&mut context).is_pending());
            assert!(first.as_mut().poll(&mut context).is_ready(), "{path}");
        }
        // Time has passed.
        server.is_late.set(true);
        client = Client { takes: false, ..Client::new(request.as_bytes()) };
        assert!(run(&server, &mut client), "{path}");
    }
}

#[test]
fn an_answer_on_its_way_is_waited_for_at_the_end_of_the_server() {
    let (server, mut client) =
        (Echo::new(1), Client::new(b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n"));
    client.takes = false;
    let mut context = Context::from_waker(Waker::noop());
    let mut serving = Box::pin(serve(&server, &mut client));
    assert!(serving.as_mut().poll(&mut context).is_pending());
    server.shared.close();
    assert!(serving.as_mut().poll(&mut context).is_pending());
}

#[test]
fn who_has_waited_longest_gives_up_its_place() {
    let server = Echo::new(3);
    let part = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let mut clients: Vec<Client> =
        (0..4).map(|_| Client { ends: false, ..Client::new(part) }).collect();
    let mut context = Context::from_waker(Waker::noop());
    let mut all: Vec<_> =
        clients.iter_mut().map(|client| Box::pin(serve(&server, client))).collect();
    // The second, the third and the first wait in this order.
    let mut waits: Vec<bool> =
        [1, 2, 0].map(|at| all[at].as_mut().poll(&mut context).is_pending()).into();
    assert_eq!((waits.clone(), server.shared.open()), (vec![true; 3], 3));
    waits = [3, 1, 2, 0, 3].map(|at| all[at].as_mut().poll(&mut context).is_pending()).into();
    assert_eq!((waits, server.shared.open()), (vec![true, false, true, true, true], 3));
    // At the end all leave.
    server.shared.close();
    waits = [2, 0, 3].map(|at| all[at].as_mut().poll(&mut context).is_pending()).into();
    assert_eq!((waits, server.shared.open()), (vec![false; 3], 0));
}

/// A request, and what the answer to it ends in.
fn request() -> impl Strategy<Value = (Vec<u8>, String)> {
    let body =
        prop::collection::vec(prop::collection::vec(prop::char::range('a', 'z'), 1..40), 0..6);
    (prop::collection::vec(prop::char::range('a', 'z'), 0..20), body, any::<bool>(), 0..3_u8)
        .prop_map(|(path, parts, in_chunks, newlines)| {
            let path: String = path.into_iter().collect();
            let parts: Vec<String> =
                parts.into_iter().map(|part| part.into_iter().collect()).collect();
            let whole = parts.concat();
            let mut text = "\r\n".repeat(newlines.into());
            text += &format!("PUT /{path} HTTP/1.1\r\nHost: h\r\n");
            if in_chunks {
                text += "Transfer-Encoding: chunked\r\n\r\n";
                parts.iter().for_each(|part| text += &format!("{:X}\r\n{part}\r\n", part.len()));
                text += "0\r\n\r\n";
            } else {
                text += &format!("Content-Length: {}\r\n\r\n{whole}", whole.len());
            }
            (text.into_bytes(), format!("Put /{path}  {whole}"))
        })
}

proptest! {
    #[test]
    fn each_request_gets_its_answer(
        all in prop::collection::vec(request(), 1..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let bytes: Vec<u8> = all.iter().flat_map(|(request, _)| request.clone()).collect();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
        cuts.sort_unstable();
        let mut client = Client::new(&[]);
        let mut start = 0;
        for cut in cuts.into_iter().chain([bytes.len()]) {
            client.parts.push(&bytes[start..cut]);
            start = cut;
        }
        prop_assert!(run(&Echo::new(4), &mut client));
        let expected: String = all.iter().map(|(_, end)| {
            format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{end}", end.len())
        }).collect();
        prop_assert_eq!(client.text(), expected);
    }

    /// Bytes that nearly are requests: no panic, an end, and no answer after a refusal.
    #[test]
    fn hostile_bytes_are_refused_or_understood(
        words in prop::collection::vec(prop::sample::select(WORDS), 0..40),
        noise in prop::collection::vec(any::<u8>(), 0..20),
        at in any::<prop::sample::Index>(),
    ) {
        let mut bytes = words.concat().into_bytes();
        let at = at.index(bytes.len() + 1);
        bytes.splice(at..at, noise);
        let mut client = Client::new(&bytes);
        prop_assert!(run(&Echo::new(4), &mut client));
        let text = client.text();
        let codes: Vec<&str> = text.split("HTTP/1.1 ").skip(1).map(|rest| &rest[..3]).collect();
        let refusal = codes.iter().position(|code| code.starts_with(['4', '5']));
        prop_assert!(refusal.is_none_or(|at| at + 1 == codes.len()), "{text}");
    }
}

const WORDS: &[&str] = &[
    "GET ",
    "PUT ",
    "/",
    "/a",
    "*",
    "http://h/",
    " HTTP/1.1\r\n",
    " HTTP/1.0\r\n",
    "Host: h\r\n",
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    "Content-Length: 3\r\n",
    "Content-Length: ",
    "Transfer-Encoding: chunked\r\n",
    "Connection: close\r\n",
    "3\r\n",
    "abc\r\n",
    "0\r\n\r\n",
    ":",
    " ",
    "Expect: 100-continue\r\n",
    "ffffffff\r\n",
    "0",
    "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
];

/// Bodies that wait for their clients take the memory that is theirs, and no more.
#[test]
fn clients_that_never_finish_do_not_take_all_memory() {
    let server = Echo::new(100);
    let request = format!("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: {MOST_BODY}\r\n\r\na");
    let mut clients: Vec<_> = (0..18).map(|_| Client::new(request.as_bytes())).collect();
    clients.iter_mut().for_each(|client| client.ends = false);
    let mut serving: Vec<_> =
        clients.iter_mut().map(|client| Box::pin(serve(&server, client))).collect();
    let mut poll = |which: usize| {
        serving[which].as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
    };
    // There is room for 16. The next one waits, in vain; for it the first is told to go, and that is room for one more.
    assert!((0..16).all(&mut poll));
    server.is_late.set(true);
    assert!(!poll(16));
    server.is_late.set(false);
    assert!(!poll(0) && poll(17) && (1..16).all(&mut poll));
    drop(serving);
    let codes: Vec<_> =
        clients.iter().map(|client| client.text().get(9..12).map(str::to_owned)).collect();
    let of = |code: &str| codes.iter().filter(|it| it.as_deref() == Some(code)).count();
    assert_eq!((of("408"), of("503"), codes.iter().flatten().count()), (1, 1, 2), "{codes:?}");
}
