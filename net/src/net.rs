//! The handle of a network, and how one is made.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::cell::{Cell, RefCell};
use core::fmt;
use core::future::poll_fn;
use core::task::Poll;
use core::task::Waker;

use embassy_net::{ConfigV4, ConfigV6, IpListenEndpoint, Stack, StackResources};
use embassy_net_driver::{Driver, HardwareAddress, LinkState};
use embassy_time::{Duration, Instant};
use smoltcp::wire::EthernetAddress;

use crate::config::Config;
use crate::device;
use crate::engine::Engine;
use crate::error::{ListenError, NotUp};
use crate::listener::Listener;
use crate::options::{Limits, Options};
use crate::runner::Runner;
use crate::shared::{Flag, Shared};
use crate::stash::{Shim, Stash};
use crate::statistics::Statistics;

/// A network: one interface, its addresses, all that listens or connects there.
///
/// It is a handle and can be copied. The network itself exists for ever.
#[derive(Clone, Copy)]
pub struct Net(pub(crate) &'static Shared);

/// Makes a network of a driver, with room for 64 sockets of embassy-net. Nothing happens until the runner runs.
///
/// `seed` must be unpredictable and different at each boot: sequence numbers and the order of tables come from it.
///
/// # Panics
///
/// If the driver is none for Ethernet, if its own address is not that of one station, or if its frames are shorter than IPv6
/// demands (1,294 bytes with the Ethernet header; RFC 8200 5).
pub fn new<D: Driver>(driver: D, config: Config, seed: u64) -> (Net, Runner<D>) {
    with_sockets::<D, 64>(driver, config, seed)
}

/// The same with room for `SOCKETS` sockets of embassy-net, two of which DHCP and DNS take. Each costs memory, and time
/// for each frame that goes to embassy-net. Connections of listeners are not counted here.
///
/// # Panics
///
/// As [`new`].
pub fn with_sockets<D: Driver, const SOCKETS: usize>(
    driver: D,
    config: Config,
    seed: u64,
) -> (Net, Runner<D>) {
    let HardwareAddress::Ethernet(address) = driver.hardware_address() else {
        panic!("the driver must be one for Ethernet")
    };
    let own = EthernetAddress(address);
    let capabilities = driver.capabilities();
    assert!(own.is_unicast(), "the driver's own address must be that of one station, it is {own}");
    let mtu = capabilities.max_transmission_unit;
    assert!(mtu >= 1294, "the driver's frames must have room for 1,294 bytes, they have {mtu}");

    let wants_ipv4 = wants(&config.ipv4);
    let now = smoltcp::time::Instant::from_micros(Instant::now().as_micros() as i64); // 290,000 years
    let engine = Engine::new(device::capabilities(&capabilities), own, seed, now);
    let stash: &'static RefCell<Stash> = Box::leak(Box::new(RefCell::new(Stash::new())));
    let resources = Box::leak(Box::new(StackResources::<SOCKETS>::new()));
    let shim = Shim { stash, capabilities, address };
    let (stack, mut stack_runner) =
        embassy_net::new(shim, config.into(), resources, engine.stack_seed());
    let flag = Arc::new(Flag::new());
    let stack_waker = Waker::from(flag.clone());
    let shared: &'static Shared = Box::leak(Box::new(Shared {
        engine: RefCell::new(engine),
        stash,
        stack,
        flag,
        stack_waker,
        wants_ipv4: Cell::new(wants_ipv4),
        waiting: RefCell::default(),
    }));
    let runner =
        Runner::new(driver, shared, own, Box::pin(async move { stack_runner.run().await }));
    (Net(shared), runner)
}

impl Net {
    /// embassy-net's handle: what `embassy_net::tcp::TcpSocket`, `udp::UdpSocket` and `dns::DnsSocket` are made with.
    pub fn stack(&self) -> Stack<'static> {
        self.0.stack
    }

    /// Whether the link is up and there is an address: the IPv4 one, if there is to be one, else an IPv6 address beyond the
    /// link-local one.
    pub fn is_up(&self) -> bool {
        let stack = self.0.stack;
        let has_address = match self.0.wants_ipv4.get() {
            true => stack.config_v4().is_some(),
            false => stack.config_v6().is_some(),
        };
        self.0.stash.borrow().link == LinkState::Up && has_address
    }

    /// Waits until it [is up](Self::is_up): for ever where there is no DHCP server, or no cable.
    /// [`wait_up_within`](Self::wait_up_within) has a limit.
    pub async fn wait_up(&self) {
        poll_fn(|context| {
            if self.is_up() {
                return Poll::Ready(());
            }
            let mut waiting = self.0.waiting.borrow_mut();
            if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    /// Waits until it [is up](Self::is_up), so long at most. DHCP takes a few round trips where its server listens, and goes on
    /// asking, every ten seconds, also after this.
    ///
    /// # Errors
    ///
    /// What is missing when the time is over.
    pub async fn wait_up_within(&self, limit: Duration) -> Result<(), NotUp> {
        let is_up = embassy_time::with_timeout(limit, self.wait_up()).await;
        is_up.map_err(|_| match self.0.stash.borrow().link {
            LinkState::Down => NotUp::NoLink,
            LinkState::Up => NotUp::NoAddress,
        })
    }

    /// Gets its IPv4 address in another way from now on. Connections of listeners at an address that goes end with
    /// [`Error::AddressLost`](crate::Error). The stack's own `set_config_v4` does the same, but only when something else
    /// happens.
    pub fn set_ipv4(&self, config: ConfigV4) {
        self.0.wants_ipv4.set(wants(&config));
        self.0.stack.set_config_v4(config);
        self.0.stack_waker.wake_by_ref();
    }

    /// The same for IPv6.
    pub fn set_ipv6(&self, config: ConfigV6) {
        self.0.stack.set_config_v6(config);
        self.0.stack_waker.wake_by_ref();
    }

    /// Takes connections to `endpoint` from now on: a port, at all addresses of this machine, or at one.
    ///
    /// # Errors
    ///
    /// See [`ListenError`].
    pub fn listen(
        &self,
        endpoint: impl Into<IpListenEndpoint>,
        options: &Options,
    ) -> Result<Listener, ListenError> {
        let endpoint = endpoint.into();
        let key = self.0.engine.borrow_mut().listen(endpoint, Limits::new(options)?)?;
        Ok(Listener::new(self.0, key, endpoint))
    }

    /// What has been counted.
    pub fn statistics(&self) -> Statistics {
        self.0.engine.borrow().statistics()
    }
}

fn wants(config: &ConfigV4) -> bool {
    !matches!(config, ConfigV4::None)
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net").field("statistics", &self.statistics()).finish_non_exhaustive()
    }
}
