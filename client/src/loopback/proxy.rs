//! A TCP proxy that makes loopback as far away as a network: it adds a round-trip time, and breaks connections on demand.
//!
//! Shape: one thread accepts; each connection has two threads, one per direction. A direction is a queue of (due, bytes): what was read is
//! due half a round trip later and is written in the order it came, so nothing but time is added. The bandwidth stays what it is.
//!
//! Opening a connection costs a round trip on a real network before the first byte may leave, but none on loopback; so the first bytes of
//! whoever dialled are due one round trip later than any others.
//!
//! Waits end up to 50 us late, the kernel's timer slack; both sides of a comparison go through the same proxy.
//!
//! The proxy dials from the address that dialled it, as far as it is one of this machine: on loopback the server sees who it would see without.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_socket_linger;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Most bytes on their way in one direction; at 50 ms round trip this still carries over 2 GB/s.
const IN_FLIGHT_MAX: usize = 64 << 20;

/// Most bytes taken from a socket at once.
const CHUNK: usize = 256 << 10;

/// How often a direction that waits looks whether it shall end or go on.
const IDLE: Duration = Duration::from_millis(20);

/// A proxy between a loopback address and a server; dropped, its connections end and its address is free.
#[derive(Debug)]
pub struct DelayProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    round_trip_nanos: AtomicU64,
    stalled: AtomicBool,
    stop: AtomicBool,
    accepted: AtomicUsize,
    open: Mutex<Vec<Arc<Pair>>>,
}

/// Both sockets of one connection.
#[derive(Debug)]
struct Pair {
    near: TcpStream,
    far: TcpStream,
    ended: AtomicBool,
}

impl DelayProxy {
    /// Begins to pass connections to `listen` on to `upstream`, `round_trip` longer than they would take.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub fn start(listen: SocketAddr, upstream: SocketAddr, round_trip: Duration) -> io::Result<Self> {
        let listener = TcpListener::bind(listen)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream,
            round_trip_nanos: AtomicU64::new(nanos(round_trip)),
            stalled: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            accepted: AtomicUsize::new(0),
            open: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        let accepting = std::thread::Builder::new().spawn(move || accepting.accept(&listener))?;
        Ok(Self { address, shared, accepting: Some(accepting) })
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the added round-trip time for everything that is read from now on, open connections included.
    pub fn set_round_trip(&self, round_trip: Duration) {
        self.shared.round_trip_nanos.store(nanos(round_trip), Ordering::Relaxed);
    }

    /// Holds everything back, as a network does that loses all packets, or lets it go on.
    ///
    /// Nothing is lost: what was held back arrives, late and in order.
    pub fn set_stalled(&self, stalled: bool) {
        self.shared.stalled.store(stalled, Ordering::Relaxed);
    }

    /// Resets all open connections at both ends; what was on its way is lost. New ones are passed on.
    pub fn reset(&self) {
        for pair in self.shared.open().drain(..) {
            pair.reset();
        }
    }

    /// Returns how many connections came so far.
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for DelayProxy {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
        self.reset();
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        for near in listener.incoming().flatten() {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            self.accepted.fetch_add(1, Ordering::Relaxed);
            // A server that is away: the connection ends without a word, as a forwarder ends it.
            let _ = self.pass(near);
        }
    }

    fn pass(self: &Arc<Self>, near: TcpStream) -> io::Result<()> {
        let begin = Instant::now();
        let far = dial(self.upstream, near.peer_addr()?.ip())?;
        for socket in [&near, &far] {
            socket.set_nodelay(true)?;
            // Whoever waits for a reader that has stopped must see a reset.
            socket.set_write_timeout(Some(IDLE))?;
        }
        let pair = Arc::new(Pair { near, far, ended: AtomicBool::new(false) });
        let mut open = self.open();
        // Those whose directions have both ended are held by nobody else.
        open.retain(|pair| Arc::strong_count(pair) > 1);
        open.push(Arc::clone(&pair));
        drop(open);
        let (there, back) = (Arc::clone(self), Arc::clone(self));
        let answers = Arc::clone(&pair);
        let dialled = begin + there.round_trip();
        std::thread::Builder::new().spawn(move || there.carry(&pair, &pair.near, &pair.far, dialled))?;
        std::thread::Builder::new()
            .spawn(move || back.carry(&answers, &answers.far, &answers.near, begin))?;
        Ok(())
    }

    /// Moves bytes of one direction until it ends. `from_when` is when its first byte could have left.
    fn carry(&self, pair: &Pair, from: &TcpStream, to: &TcpStream, from_when: Instant) {
        if self.carry_until_end(pair, from, to, from_when).is_err() {
            pair.reset();
        }
    }

    fn carry_until_end(
        &self,
        pair: &Pair,
        mut from: &TcpStream,
        to: &TcpStream,
        from_when: Instant,
    ) -> io::Result<()> {
        let mut way = Queue { due: VecDeque::new(), bytes: 0 };
        let mut buffer = vec![0; CHUNK];
        loop {
            let stalled = self.stalled.load(Ordering::Relaxed);
            while !stalled && let Some(chunk) = way.arrived(Instant::now()) {
                if chunk.is_empty() {
                    return to.shutdown(Shutdown::Write);
                }
                pair.write(to, &chunk)?;
            }
            let wait = if stalled { IDLE } else { way.next(Instant::now()) };
            let readable = readable(from, way.takes(), wait)?;
            pair.check()?;
            if !readable {
                continue;
            }
            let length = match from.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read?,
            };
            let left = Instant::now().max(from_when);
            way.push(left + self.round_trip() / 2, buffer[..length].into());
        }
    }

    fn round_trip(&self) -> Duration {
        Duration::from_nanos(self.round_trip_nanos.load(Ordering::Relaxed))
    }

    fn open(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Pair>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pair {
    /// Ends both sockets so that their other ends see a reset: no shutdown, which would say goodbye, and no time to linger, so that the
    /// close is a reset. Both directions see the flag within [`IDLE`], and the last owner closes.
    fn reset(&self) {
        for socket in [&self.near, &self.far] {
            let _ = set_socket_linger(socket, Some(Duration::ZERO));
        }
        self.ended.store(true, Ordering::Release);
    }

    fn check(&self) -> io::Result<()> {
        if self.ended.load(Ordering::Acquire) { Err(ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }

    fn write(&self, mut to: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match to.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.check()?,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// What is on its way in one direction. An empty chunk is the end.
struct Queue {
    due: VecDeque<(Instant, Box<[u8]>)>,
    bytes: usize,
}

impl Queue {
    fn push(&mut self, due: Instant, chunk: Box<[u8]>) {
        // A round trip that became shorter lets nothing overtake.
        let due = self.due.back().map_or(due, |(last, _)| due.max(*last));
        self.bytes += chunk.len();
        self.due.push_back((due, chunk));
    }

    fn arrived(&mut self, now: Instant) -> Option<Box<[u8]>> {
        let (_, chunk) = self.due.pop_front_if(|(due, _)| *due <= now)?;
        self.bytes -= chunk.len();
        Some(chunk)
    }

    /// Returns how long until the next chunk arrives.
    fn next(&self, now: Instant) -> Duration {
        self.due.front().map_or(IDLE, |(due, _)| due.saturating_duration_since(now)).min(IDLE)
    }

    /// Tells whether more may be read: there is room, and the end has not come.
    fn takes(&self) -> bool {
        self.bytes < IN_FLIGHT_MAX && self.due.back().is_none_or(|(_, chunk)| !chunk.is_empty())
    }
}

/// Waits until the socket can be read, at most as long as given; without `wanted` only waits.
fn readable(socket: &TcpStream, wanted: bool, wait: Duration) -> io::Result<bool> {
    let flags = if wanted { PollFlags::IN } else { PollFlags::empty() };
    let timeout = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
    let mut sockets = [PollFd::new(socket, flags)];
    match poll(&mut sockets, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let seen = sockets[0].revents();
    if seen.contains(PollFlags::ERR) {
        return Err(ErrorKind::ConnectionReset.into());
    }
    Ok(wanted && seen.intersects(PollFlags::IN | PollFlags::HUP))
}

/// Dials from the address of whoever dialled us, where both are of one family and this machine has it.
fn dial(upstream: SocketAddr, source: IpAddr) -> io::Result<TcpStream> {
    let from_source = || -> rustix::io::Result<TcpStream> {
        let family = if source.is_ipv4() {
            rustix::net::AddressFamily::INET
        } else {
            rustix::net::AddressFamily::INET6
        };
        let flags = rustix::net::SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, rustix::net::SocketType::STREAM, flags, None)?;
        rustix::net::bind(&socket, &SocketAddr::new(source, 0))?;
        rustix::net::connect(&socket, &upstream)?;
        Ok(TcpStream::from(socket))
    };
    if source.is_loopback() && source.is_ipv4() == upstream.is_ipv4() {
        return Ok(from_source()?);
    }
    TcpStream::connect(upstream)
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
