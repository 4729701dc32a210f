//! Connections that have ended, remembered for a minute (TIME-WAIT, RFC 9293 3.6.1).
//!
//! The side that closes first must answer a FIN that the peer repeats, since its last acknowledgement may have been lost. Two
//! sequence numbers are enough for that: no buffers are kept, and no timer. The ring has a fixed number of records, and the
//! oldest gives way: 100,000 connections in a row never run out, and a peer whose FIN comes too late gets a reset for a
//! connection that both sides have finished anyway.

use alloc::collections::VecDeque;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::time::{Duration, Instant};
use smoltcp::wire::{EthernetAddress, IpProtocol, IpRepr, TcpControl, TcpPacket, TcpRepr};

use crate::pool::OutOfMemory;
use crate::segment::{FIN, Segment, Sent, Tuple};
use crate::table::{Found, Table};

/// Twice the longest life of a segment, which is 30 s here (RFC 9293 3.4.2 leaves the choice, Linux has the same).
const LASTS: Duration = Duration::from_secs(60);

/// How many records: 64 bytes each, 64 KiB for all.
pub(crate) const RECORDS: usize = 1024;

/// One ended connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    pub(crate) tuple: Tuple,
    pub(crate) sent: Sent,
    pub(crate) peer: EthernetAddress,
    until: Instant,
    /// Its tuple has a new connection.
    replaced: bool,
}

/// The ring. A record's number is how many were added before it.
pub(crate) struct TimeWait {
    ring: VecDeque<Record>,
    /// The number of the oldest.
    first: u64,
}

impl TimeWait {
    pub(crate) const fn new() -> TimeWait {
        TimeWait { ring: VecDeque::new(), first: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.ring.len()
    }

    /// Remembers a connection, whose tuple then leads here.
    pub(crate) fn add(
        &mut self,
        (tuple, sent, peer): (Tuple, Sent, EthernetAddress),
        now: Instant,
        table: &mut Table,
    ) -> Result<(), OutOfMemory> {
        if self.ring.len() == self.ring.capacity() && self.ring.len() < RECORDS {
            let more = self.ring.len().max(16).min(RECORDS - self.ring.len());
            self.ring.try_reserve_exact(more).map_err(|_| OutOfMemory)?;
        }
        while self.ring.len() >= RECORDS
            || self.ring.front().is_some_and(|record| record.until <= now)
        {
            self.forget_oldest(table);
        }
        table.set(tuple, Found::TimeWait(self.first + self.ring.len() as u64));
        self.ring.push_back(Record { tuple, sent, peer, until: now + LASTS, replaced: false });
        Ok(())
    }

    /// The record of this number, if its time has not passed.
    pub(crate) fn get(&self, number: u64, now: Instant) -> Option<&Record> {
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.ring.get(place).filter(|record| record.until > now && !record.replaced)
    }

    /// The record's tuple leads elsewhere from now on.
    pub(crate) fn replace(&mut self, number: u64) {
        let place = number.checked_sub(self.first).and_then(|place| usize::try_from(place).ok());
        if let Some(record) = place.and_then(|place| self.ring.get_mut(place)) {
            record.replaced = true;
        }
    }

    fn forget_oldest(&mut self, table: &mut Table) {
        if let Some(record) = self.ring.pop_front() {
            if !record.replaced {
                table.remove(&record.tuple, Found::TimeWait(self.first));
            }
            self.first += 1;
        }
    }
}

impl Record {
    /// Whether `segment` may open a new connection: it begins after all that the old one sent (RFC 9293 3.10.7.4, MAY-2).
    pub(crate) fn allows(&self, segment: &Segment) -> bool {
        segment.opens() && segment.seq > self.sent.ack
    }

    /// Whether `segment` must be answered: it takes sequence numbers. A bare ACK does not, so that two ends never answer
    /// each other for ever; a reset is ignored (RFC 1337).
    pub(crate) fn answers(&self, segment: &Segment) -> bool {
        segment.flags & crate::segment::RST == 0
            && (segment.payload_len > 0 || segment.flags & (FIN | crate::segment::SYN) != 0)
    }

    /// How long the answer is.
    pub(crate) fn answer_len(&self) -> usize {
        let (ip, tcp) = self.answer();
        ip.header_len() + tcp.buffer_len()
    }

    /// Writes the answer, an IP packet, to a buffer of [`Record::answer_len`] bytes.
    pub(crate) fn write_answer(&self, buffer: &mut [u8], checksums: &ChecksumCapabilities) {
        let (ip, tcp) = self.answer();
        ip.emit(&mut *buffer, checksums);
        let mut packet = TcpPacket::new_unchecked(&mut buffer[ip.header_len()..]);
        tcp.emit(&mut packet, &self.tuple.local.addr, &self.tuple.remote.addr, checksums);
    }

    fn answer(&self) -> (IpRepr, TcpRepr<'static>) {
        let tcp = TcpRepr {
            src_port: self.tuple.local.port,
            dst_port: self.tuple.remote.port,
            control: TcpControl::None,
            seq_number: self.sent.next_seq,
            ack_number: Some(self.sent.ack),
            window_len: self.sent.window,
            window_scale: None,
            max_seg_size: None,
            sack_permitted: false,
            sack_ranges: [None; 3],
            timestamp: None,
            payload: &[],
        };
        const HOP_LIMIT: u8 = 64;
        let ip = IpRepr::new(
            self.tuple.local.addr,
            self.tuple.remote.addr,
            IpProtocol::Tcp,
            tcp.buffer_len(),
            HOP_LIMIT,
        );
        (ip, tcp)
    }
}
