//! What can stand at a node's address instead of the node.

use rustix::net::listen;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a connection to a full backlog is waited for before it counts as dropped.
const DROPPED: Duration = Duration::from_millis(150);

/// Accepts connections in place of a node, and counts them; dropped, the address is free again.
#[derive(Debug)]
pub struct Impostor {
    address: SocketAddr,
    attempts: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Impostor {
    /// Accepts and never says a word.
    ///
    /// # Panics
    /// The address is in use.
    pub fn silent(address: SocketAddr) -> Self {
        Self::at(address, Vec::new())
    }

    /// Accepts, says `words` whatever it hears, and hangs up.
    ///
    /// # Panics
    /// The address is in use.
    pub fn saying(address: SocketAddr, words: &[u8]) -> Self {
        Self::at(address, words.to_vec())
    }

    fn at(address: SocketAddr, words: Vec<u8>) -> Self {
        let listener = TcpListener::bind(address).expect("the node at this address has ended");
        let (attempts, stop) = (Arc::<AtomicUsize>::default(), Arc::<AtomicBool>::default());
        let (counted, stopped) = (Arc::clone(&attempts), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming().flatten() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                counted.fetch_add(1, Ordering::SeqCst);
                if words.is_empty() {
                    held.push(stream);
                } else {
                    answer(stream, &words);
                }
            }
        });
        Self { address, attempts, stop, thread: Some(thread) }
    }

    /// Returns how many connections came so far.
    pub fn attempts(&self) -> usize {
        self.attempts.load(Ordering::SeqCst)
    }
}

impl Drop for Impostor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(mut stream: TcpStream, words: &[u8]) {
    let mut heard = [0; 1024];
    let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let _ = stream.read(&mut heard);
    let _ = stream.write_all(words);
}

/// An address whose packets vanish: a listener that accepts nothing and whose backlog is full.
#[derive(Debug)]
pub struct BlackHole {
    _listener: TcpListener,
    _filling: Vec<TcpStream>,
}

impl BlackHole {
    /// Opens one at an address that nobody uses.
    ///
    /// # Panics
    /// The address is in use, or its backlog cannot be filled.
    pub fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).expect("the node at this address has ended");
        listen(&listener, 0).expect("a listener may change its backlog");
        let mut filling = Vec::new();
        for _ in 0..64 {
            match TcpStream::connect_timeout(&address, DROPPED) {
                Ok(stream) => filling.push(stream),
                Err(error) if error.kind() == ErrorKind::TimedOut => {
                    return Self { _listener: listener, _filling: filling };
                }
                Err(error) => panic!("neither taken nor dropped: {error}"),
            }
        }
        panic!("the backlog does not fill up");
    }
}
