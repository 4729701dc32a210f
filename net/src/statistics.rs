//! What the stack counts.

/// Numbers since the start, and how many connections there are now.
///
/// All of them wrap around, and none of them is kept per connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Frames that the driver has given.
    pub frames_in: u64,
    /// Frames that the driver has taken.
    pub frames_out: u64,
    /// Segments that went to connections of listeners.
    pub to_listeners: u64,
    /// Frames that went to embassy-net.
    pub to_stack: u64,

    /// Frames dropped: too short, their lengths contradict each other, or fragments of more than 4 KiB.
    pub malformed: u64,
    /// Frames dropped: sent to another station.
    pub not_ours: u64,
    /// Frames dropped: addresses or ports that no honest peer sends, such as our own address as the source.
    pub forged: u64,
    /// Router Advertisements dropped: there are three routers already, or no address can be made of the prefix. And queries
    /// for a multicast group that is none.
    pub icmpv6_refused: u64,
    /// Messages of DHCP dropped: they came in fragments or grant an address that no host can have, or one question too many.
    pub dhcp_refused: u64,
    /// Answers to questions for names dropped: from the port of multicast DNS, which was not asked.
    pub dns_refused: u64,
    /// Frames dropped: embassy-net had too many waiting.
    pub stash_full: u64,

    /// Connections that completed the handshake.
    pub established: u64,
    /// SYNs dropped: as many connections as the backlog holds wait to be accepted.
    pub backlog_full: u64,
    /// SYNs dropped: the listener has as many connections as it may.
    pub too_many: u64,
    /// SYNs dropped: no memory for the connection.
    pub out_of_memory: u64,
    /// SYNs dropped: segments of the size that the peer asks for would cost more than they carry.
    pub tiny_segments: u64,
    /// Half-open connections that gave way to a newer one.
    pub half_open_evicted: u64,
    /// Half-open connections whose handshake took too long.
    pub half_open_expired: u64,

    /// Connections that ended by the peer's reset.
    pub resets_in: u64,
    /// Connections that this side ended by a reset.
    pub resets_out: u64,
    /// Connections whose peer acknowledged nothing for too long.
    pub timed_out: u64,
    /// Segments answered for a connection in TIME-WAIT.
    pub time_wait_answers: u64,

    /// Connections now that hold memory, half-open ones included.
    pub connections: usize,
    /// Half-open connections now.
    pub half_open: usize,
    /// Connections now in TIME-WAIT, a record of some 64 bytes each.
    pub time_wait: usize,
}
