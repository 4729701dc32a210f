//! The service, brought up: ports, the store, the clock, and the end.

use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use core::time::Duration;

use example_http::Shared;
use example_service::Service;
use freestone::net::embedded_io_async::{Read, Write};
use freestone::net::{ListenError, Net, Options, TcpStream};
use freestone::store::{self, Store};
use freestone::task::select::{Either, select};
use freestone::time::{self, DateTime};
use freestone::{BootInfo, Exit, block, println, task, wants};

use crate::machine::Kernel;
use crate::{FREESTONE_HEAP, clock};

/// The memory that a connection may take: its buffers, its task, a request of middling size.
const CONNECTION_BYTES: usize = 32 * 1024;
/// How long the end waits for answers that are on their way.
const LAST_ANSWERS: Duration = Duration::from_secs(3);

/// Serves until somebody at the console ends it.
pub async fn run(boot: &'static BootInfo, net: Net) -> Exit {
    wants::tcp_port::<80>();
    wants::tcp_port::<13>();
    wants::tcp_port::<7>();
    wants::console_end();
    let machine = Kernel::new(boot, net);
    machine.done("network device");
    let store = open_store().await;
    match &store {
        Ok(store) => log::info!("store: {} keys, {}", store.stats().keys, store.state()),
        Err(why) => log::warn!("no store: {why}"),
    }
    machine.done("store");
    let free = FREESTONE_HEAP.stats().free_bytes;
    let places = (free / 2 / CONNECTION_BYTES).clamp(16, 4096);
    let service = Rc::new(Service { machine, store, shared: Shared::new(places, free / 16) });

    let options = limits(places);
    let web = service.clone();
    let listening = listen(net, ("web", 80), &options, move |stream| {
        let service = web.clone();
        async move { example_http::serve(&*service, stream).await }
    });
    // Nobody else has these ports.
    let listening = listening.and_then(|()| listen(net, ("daytime", 13), &options, daytime));
    if let Err(error) = listening.and_then(|()| listen(net, ("echo", 7), &options, echo)) {
        println!("cannot listen: {error}");
        return Exit::Failure;
    }
    let of = service.clone();
    spawn("seconds", async move { of.machine.each_second().await });
    let of = service.clone();
    spawn("clock", async move { tell_address(&of.machine, net, boot).await });
    until_stopped().await;

    println!("ending");
    service.shared.close();
    let begin = time::now();
    while service.shared.open() > 0 && time::now() - begin < LAST_ANSWERS {
        task::sleep(Duration::from_millis(5)).await;
    }
    // For the last answers to leave.
    task::sleep(Duration::from_millis(20)).await;
    match &service.store {
        Ok(store) => close(store).await,
        Err(_) => Exit::Success,
    }
}

async fn close(store: &Store) -> Exit {
    match store.close().await {
        // Nothing was to be written.
        Ok(()) | Err(store::Error::ReadOnly(store::Reason::DiskIsReadOnly)) => Exit::Success,
        Err(error) => {
            println!("the store was not closed: {error}");
            Exit::Failure
        }
    }
}

/// The store on the machine's first disk.
async fn open_store() -> Result<Store, String> {
    let Some(found) = block::disks().next() else {
        return Err("the machine has no disk (cargo freestone run --disk FILE gives it one)".into());
    };
    let disk = block::open(&found).map_err(|error| error.to_string())?;
    // The rest is for connections, and for what is under way.
    let index_bytes = Some(FREESTONE_HEAP.stats().capacity_bytes / 4);
    let options = store::Options { index_bytes, ..store::Options::default() };
    let opened = store::open(&disk, options).await;
    opened.map_err(|error| error.to_string())
}

/// What each connection may take: enough for a request and an answer of middling size.
fn limits(places: usize) -> Options {
    let mut options = Options::default();
    (options.max_connections, options.backlog) = (2 * places, places.min(128));
    options.stall_limit = Some(embassy_time::Duration::from_secs(30));
    // A client that does not close its side has no claim on the memory of a connection that is over.
    options.close_limit = embassy_time::Duration::from_secs(3);
    options
}

/// Has `handler` serve each connection to a port, from now on.
fn listen<F: Future<Output = ()> + 'static>(
    net: Net,
    (name, port): (&'static str, u16),
    options: &Options,
    handler: impl Fn(TcpStream) -> F + 'static,
) -> Result<(), ListenError> {
    let listener = net.listen(port, options)?;
    spawn(name, async move {
        loop {
            let stream = listener.accept().await;
            spawn(name, handler(stream));
        }
    });
    Ok(())
}

/// Starts a task. Without memory for it, what it was given is dropped: a connection is reset by that.
fn spawn(name: &'static str, future: impl Future<Output = ()> + 'static) {
    if task::try_spawn_named(name, future).is_err() {
        log::warn!("no memory for a task: {name}");
    }
}

/// Sends the time of day, and closes (RFC 867).
async fn daytime(mut stream: TcpStream) {
    let text = match clock::time_of_day() {
        Some(time) => format!("{} UTC\r\n", DateTime::of(time)),
        None => "the time of day is not known\r\n".into(),
    };
    let _ = stream.write_all(text.as_bytes()).await;
}

/// Sends back what comes (RFC 862), until nothing has come for a minute.
async fn echo(mut stream: TcpStream) {
    let mut bytes = [0; 1024];
    loop {
        let read = select(stream.read(&mut bytes), task::sleep(Duration::from_secs(60))).await;
        let Either::First(Ok(count @ 1..)) = read else { return };
        if stream.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}

/// Tells where it listens, as soon as there is an address, and finds out what time it is.
async fn tell_address(machine: &Kernel, net: Net, boot: &'static BootInfo) {
    let late = task::sleep(Duration::from_secs(10));
    if let Either::Second(()) = select(net.wait_up(), late).await {
        log::warn!("no address yet: is there a DHCP server? ip=ADDRESS::ROUTER:MASK gives one");
        net.wait_up().await;
    }
    machine.done("address");
    let (v4, v6) = (net.stack().config_v4(), net.stack().config_v6());
    match (v4, v6) {
        (Some(v4), _) => println!("listening on http://{}/", v4.address.address()),
        (None, Some(v6)) => println!("listening on http://[{}]/", v6.address.address()),
        (None, None) => {}
    }
    clock::set(net, boot.argument("ntp").unwrap_or("pool.ntp.org")).await;
}

/// Until somebody types Ctrl-C at the console.
async fn until_stopped() {
    match task::console_input() {
        Ok(typed) => while typed.recv().await.is_some_and(|byte| byte != wants::CTRL_C) {},
        Err(why) => {
            log::warn!("the console takes no Ctrl-C: {why}");
            core::future::pending().await
        }
    }
}
