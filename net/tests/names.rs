//! Servers of names that lie: a question ends with an answer or an error by its limit, and the next is answered.

#[path = "world/datagram.rs"]
mod datagram;
mod world;

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;

use freestone_net::embassy_net::dns::{DnsQueryType, Error};
use freestone_net::embassy_net::{ConfigV4, IpAddress};
use freestone_net::{Config, Net};
use world::{Ether, Port, World, ip, now, station};

const NAME: &str = "server.example";
const SERVER: Ipv4Addr = ip(2);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
const A: u16 = 1;
const CNAME: u16 = 5;
const HOUR: u32 = 3600;

/// As long as one server is asked: smoltcp repeats a question after 1, 3 and 7 s, and gives the server up when it next looks,
/// at 15 s.
const EACH: u64 = 15_000_000;

/// A network with these servers of names, and who is all of them.
fn scene(servers: &[Ipv4Addr]) -> (World, Net, Port) {
    let mut world = World::new();
    let ether = Ether::new(1);
    let mut config: Config = world::static_config(1);
    if let ConfigV4::Static(config) = &mut config.ipv4 {
        config.dns_servers.extend(servers.iter().copied());
    }
    let (net, runner) = freestone_net::with_sockets::<_, 4>(ether.port(1), config, 0x5eed);
    world.spawn(async move { runner.run().await });
    let port = ether.port(2);
    world.run(async move { net.wait_up().await });
    (world, net, port)
}

/// A question, as its server gets it.
#[derive(Clone)]
struct Question {
    from: SocketAddrV4,
    to: SocketAddrV4,
    /// The whole message.
    message: Vec<u8>,
}

impl Question {
    fn number(&self) -> u16 {
        u16::from_be_bytes([self.message[0], self.message[1]])
    }

    /// The name as labels, with type and class.
    fn asked(&self) -> &[u8] {
        &self.message[12..]
    }

    fn name(&self) -> &[u8] {
        &self.asked()[..self.asked().len() - 4]
    }

    /// From this end, to who has asked.
    fn reply_from(&self, from: SocketAddrV4, message: &[u8]) -> Vec<Vec<u8>> {
        datagram::frames((station(2), station(1)), (from, self.from), message)
    }

    fn reply(&self, message: &[u8]) -> Vec<Vec<u8>> {
        self.reply_from(self.to, message)
    }

    /// What an honest server says.
    fn honest(&self) -> Vec<u8> {
        let record = record(&[0xc0, 12], A, HOUR, &ADDRESS.octets());
        message(self.number(), RESPONSE, (1, 1), &[self.asked(), &record].concat())
    }
}

/// A response to a question that wanted recursion, and got it (RFC 1035 4.1.1).
const RESPONSE: u16 = 0x8180;

fn message(number: u16, flags: u16, (questions, answers): (u16, u16), rest: &[u8]) -> Vec<u8> {
    let words = [number, flags, questions, answers, 0, 0];
    [&words.map(u16::to_be_bytes).concat()[..], rest].concat()
}

fn record(name: &[u8], kind: u16, seconds: u32, data: &[u8]) -> Vec<u8> {
    let fixed = [kind.to_be_bytes(), 1_u16.to_be_bytes()].concat();
    let len = (data.len() as u16).to_be_bytes();
    [name, &fixed, &seconds.to_be_bytes(), &len, data].concat()
}

/// A name of one label in front of another name.
fn label(text: &str, rest: &[u8]) -> Vec<u8> {
    [&[text.len() as u8], text.as_bytes(), rest].concat()
}

type Answer = Result<Vec<IpAddress>, Error>;

/// Asks, and has `server` say what it likes to each question, until there is an answer or an error. How long that took, and
/// the questions that came.
fn ask(
    (world, net, port): &mut (World, Net, Port),
    mut server: impl FnMut(&Question) -> Vec<Vec<u8>>,
) -> (Answer, u64, Vec<Question>) {
    let (net, result) = (*net, Rc::new(RefCell::new(None)));
    let place = result.clone();
    world.spawn(async move {
        let answer = net.stack().dns_query(NAME, DnsQueryType::A).await;
        *place.borrow_mut() = Some(answer.map(|found| found.to_vec()));
    });
    let (began, mut questions) = (now(), Vec::new());
    // Three servers and some.
    while now() - began <= 3 * EACH + 1_000_000 {
        world.settle();
        if let Some(answer) = result.borrow_mut().take() {
            return (answer, now() - began, questions);
        }
        match port.take() {
            None => world.pass(1000),
            Some(frame) => {
                datagram::arp(&frame).into_iter().for_each(|frame| port.send(frame));
                if let Some(((from, to), message)) =
                    datagram::read(&frame).filter(|((_, to), _)| to.port() == 53)
                {
                    let question = Question { from, to, message };
                    server(&question).into_iter().for_each(|frame| port.send(frame));
                    questions.push(question);
                }
            }
        }
    }
    panic!("no end of a question");
}

#[track_caller]
fn is_answered(scene: &mut (World, Net, Port), after: &str) {
    let (answer, took, _) = ask(scene, |question| question.reply(&question.honest()));
    assert_eq!(answer, Ok(vec![ADDRESS.into()]), "{after}");
    assert!(took < 1_000_000, "{after}: {took} us");
}

/// What is said, and how the question ends if nothing else is said.
type Lie = (&'static str, fn(&Question) -> Vec<Vec<u8>>);

/// Of no concern to the one who has asked: the true answer behind it is taken.
const STRANGERS: [Lie; 12] = [
    ("nothing", |_| Vec::new()),
    ("another number", |question| {
        let mut message = question.honest();
        message[0] ^= 1;
        question.reply(&message)
    }),
    ("from another address", |question| {
        question.reply_from(SocketAddrV4::new(ip(66), 53), &wrong(question))
    }),
    ("from another address, by multicast DNS", |question| {
        question.reply_from(SocketAddrV4::new(ip(66), 5353), &wrong(question))
    }),
    ("from the server, by multicast DNS", |question| {
        question.reply_from(SocketAddrV4::new(SERVER, 5353), &wrong(question))
    }),
    ("from another port", |question| {
        question.reply_from(SocketAddrV4::new(SERVER, 54), &wrong(question))
    }),
    ("a question", |question| {
        let mut message = wrong(question);
        message[2] &= 0x7f;
        question.reply(&message)
    }),
    ("another name", |question| {
        let asked = label("other", &question.asked()[7..]);
        let record = record(&[0xc0, 12], A, HOUR, &[6; 4]);
        let rest = [asked, record].concat();
        question.reply(&message(question.number(), RESPONSE, (1, 1), &rest))
    }),
    ("another type", |question| {
        let mut message = wrong(question);
        message[12 + question.name().len() + 1] = 28;
        question.reply(&message)
    }),
    ("no question", |question| {
        let record = record(question.name(), A, HOUR, &[6; 4]);
        question.reply(&message(question.number(), RESPONSE, (0, 1), &record))
    }),
    ("64 KiB", |question| {
        let mut message = wrong(question);
        message.resize(65_500, 0);
        question.reply(&message)
    }),
    ("cut off", |question| {
        let message = wrong(question);
        (0..message.len()).flat_map(|len| question.reply(&message[..len])).collect()
    }),
];

/// An answer that would be good, with a wrong address.
fn wrong(question: &Question) -> Vec<u8> {
    let record = record(&[0xc0, 12], A, HOUR, &[6; 4]);
    message(question.number(), RESPONSE, (1, 1), &[question.asked(), &record].concat())
}

/// An answer with these records behind the question.
fn with(question: &Question, count: u16, records: &[u8]) -> Vec<Vec<u8>> {
    let rest = [question.asked(), records].concat();
    question.reply(&message(question.number(), RESPONSE, (1, count), &rest))
}

/// What the server itself says, and what ends a question with an error.
const NO_ANSWERS: [Lie; 14] = [
    ("no records", |question| with(question, 0, &[])),
    ("no such name", |question| {
        question.reply(&message(question.number(), RESPONSE | 3, (1, 0), question.asked()))
    }),
    ("a failure", |question| {
        question.reply(&message(question.number(), RESPONSE | 2, (1, 0), question.asked()))
    }),
    ("truncated, and nothing", |question| {
        question.reply(&message(question.number(), RESPONSE | 0x200, (1, 0), question.asked()))
    }),
    ("truncated in a record", |question| {
        let flags = RESPONSE | 0x200;
        let record = record(&[0xc0, 12], A, HOUR, &[6; 4]);
        let rest = [question.asked(), &record[..record.len() - 1]].concat();
        question.reply(&message(question.number(), flags, (1, 1), &rest))
    }),
    ("records that are not there", |question| {
        with(question, u16::MAX, &record(&[0xc0, 12], A, HOUR, &[6; 4]))
    }),
    ("a name that is itself", |question| {
        let at = (12 + question.asked().len()) as u16 | 0xc000;
        with(question, 1, &record(&at.to_be_bytes(), A, HOUR, &[6; 4]))
    }),
    ("two names that are each other", |question| {
        let at = (12 + question.asked().len()) as u16 | 0xc000;
        let first = record(&(at + 16).to_be_bytes(), A, HOUR, &[6; 4]);
        with(question, 2, &[first, record(&at.to_be_bytes(), A, HOUR, &[6; 4])].concat())
    }),
    ("a name that is longer each time", |question| {
        let at = (12 + question.asked().len()) as u16 | 0xc000;
        with(question, 1, &record(&label("a", &at.to_be_bytes()), A, HOUR, &[6; 4]))
    }),
    ("a name beyond the end", |question| {
        with(question, 1, &record(&[0xff, 0xff], A, HOUR, &[6; 4]))
    }),
    ("a name of no known form", |question| {
        with(question, 1, &record(&[0x80, 12], A, HOUR, &[6; 4]))
    }),
    ("an alias for itself", |question| {
        with(question, 100, &record(&[0xc0, 12], CNAME, HOUR, question.name()).repeat(100))
    }),
    ("an alias that is too long", |question| {
        let name = (0..5).fold(vec![0], |name, _| label(&"x".repeat(63), &name));
        with(question, 1, &record(&[0xc0, 12], CNAME, HOUR, &name))
    }),
    ("an address of five bytes", |question| {
        with(question, 1, &record(&[0xc0, 12], A, HOUR, &[6; 5]))
    }),
];

#[test]
fn what_a_stranger_says_is_no_answer() {
    for (name, lie) in STRANGERS {
        let mut scene = scene(&[SERVER]);
        let (answer, took, questions) = ask(&mut scene, lie);
        assert_eq!((answer, questions.len()), (Err(Error::Failed), 4), "{name}");
        assert!(took <= EACH + 100_000, "{name}: {took} us");
        // It comes first, each time.
        let (answer, ..) = ask(&mut scene, |question| {
            [lie(question), question.reply(&question.honest())].concat()
        });
        assert_eq!(answer, Ok(vec![ADDRESS.into()]), "{name}");
        is_answered(&mut scene, name);
    }
}

#[test]
fn what_a_server_says_wrongly_ends_with_an_error_by_the_limit() {
    for (name, lie) in NO_ANSWERS {
        let mut scene = scene(&[SERVER]);
        let (answer, took, questions) = ask(&mut scene, lie);
        assert_eq!(answer, Err(Error::Failed), "{name}, {} questions", questions.len());
        assert!(took <= EACH + 100_000, "{name}: {took} us");
        is_answered(&mut scene, name);
    }
}

#[test]
fn aliases_are_followed_and_numbers_do_not_matter() {
    let mut scene = scene(&[SERVER]);
    // A hundred aliases, each of the one before, and an address; it lasts for ever, or not at all.
    for seconds in [0, 1, HOUR, i32::MAX as u32, u32::MAX] {
        let (answer, ..) = ask(&mut scene, |question| {
            let name = |number: u32| label(&format!("a{number}"), &[0]);
            let link = |number| {
                let alias = if number == 0 { vec![0xc0, 12] } else { name(number) };
                record(&alias, CNAME, seconds, &name(number + 1))
            };
            let records = (0..100).map(link).collect::<Vec<_>>().concat();
            let last = record(&name(100), A, seconds, &ADDRESS.octets());
            with(question, 101, &[records, last].concat())
        });
        assert_eq!(answer, Ok(vec![ADDRESS.into()]), "{seconds} s");
    }
    // More addresses than are kept.
    let (answer, ..) = ask(&mut scene, |question| {
        with(question, 80, &record(&[0xc0, 12], A, HOUR, &ADDRESS.octets()).repeat(80))
    });
    assert_eq!(answer, Ok(vec![ADDRESS.into(); 8]));
    is_answered(&mut scene, "many");
}

#[test]
fn three_silent_servers_are_each_asked_and_the_limit_is_theirs() {
    let mut scene = scene(&[ip(2), ip(3), ip(4)]);
    let (answer, took, questions) = ask(&mut scene, |_| Vec::new());
    assert_eq!(answer, Err(Error::Failed));
    assert!(took <= 3 * EACH + 100_000, "{took} us");
    let asked: Vec<_> = questions.iter().map(|question| *question.to.ip()).collect();
    assert_eq!(asked, [ip(2), ip(3), ip(4)].map(|server| [server; 4]).concat());
    // An answer that comes when nobody waits for it any more.
    let (.., port) = &scene;
    let last = questions.last().expect("a question");
    last.reply(&wrong(last)).into_iter().for_each(|frame| port.send(frame));
    is_answered(&mut scene, "late");
    // The last one answers.
    let (answer, took, _) = ask(&mut scene, |question| {
        let is_last = *question.to.ip() == ip(4);
        if is_last { question.reply(&question.honest()) } else { Vec::new() }
    });
    assert_eq!(answer, Ok(vec![ADDRESS.into()]));
    assert!(took <= 2 * EACH + 100_000, "{took} us");
}

#[test]
fn without_a_server_or_with_one_that_is_none_there_is_an_error_at_once() {
    for servers in [&[][..], &[Ipv4Addr::UNSPECIFIED]] {
        let mut scene = scene(servers);
        let (answer, took, _) = ask(&mut scene, |_| Vec::new());
        assert_eq!((answer, took), (Err(Error::Failed), 0), "{servers:?}");
    }
    // Nobody answers for its station, and everybody does.
    for server in [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::BROADCAST, Ipv4Addr::new(224, 0, 0, 1)] {
        let mut scene = scene(&[server]);
        let (answer, took, _) = ask(&mut scene, |_| Vec::new());
        assert_eq!(answer, Err(Error::Failed), "{server}");
        assert!(took <= EACH + 100_000, "{server}: {took} us");
    }
}
