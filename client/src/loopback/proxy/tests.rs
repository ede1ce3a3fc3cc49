//! What the proxy adds, and what it must leave alone.

use super::*;

/// Sends back what it hears, one byte after the other, on every connection.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                stream.set_nodelay(true).unwrap();
                let mut writer = stream.try_clone().unwrap();
                let _ = io::copy(&mut &stream, &mut writer);
                let _ = writer.shutdown(Shutdown::Write);
            });
        }
    });
    address
}

fn proxy(round_trip: Duration) -> DelayProxy {
    DelayProxy::start("127.0.0.1:0".parse().unwrap(), echo(), round_trip).unwrap()
}

fn connect(proxy: &DelayProxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

fn exchange(stream: &mut TcpStream) -> Duration {
    let begin = Instant::now();
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    begin.elapsed()
}

#[test]
fn each_exchange_takes_the_round_trip_longer_and_opening_one_more() {
    let round_trip = Duration::from_millis(30);
    let proxy = proxy(round_trip);
    let begin = Instant::now();
    let mut stream = connect(&proxy);
    exchange(&mut stream);
    // A lower bound holds under any load; what an upper bound would say, the comparison with no delay below says.
    assert!(begin.elapsed() >= round_trip * 2, "the first exchange is over too soon");
    for _ in 0..5 {
        assert!(exchange(&mut stream) >= round_trip, "an exchange is over too soon");
    }
    proxy.set_round_trip(Duration::ZERO);
    let fastest = (0..50).map(|_| exchange(&mut stream)).min().unwrap();
    assert!(fastest < round_trip, "{fastest:?} although nothing is added");
}

#[test]
fn order_and_bytes_are_kept_while_the_round_trip_changes_and_the_end_comes_last() {
    let proxy = proxy(Duration::from_millis(5));
    let stream = connect(&proxy);
    let sent: Vec<u8> = (0..3_000_000_u32).map(|i| (i ^ (i >> 8)) as u8).collect();
    let mut writer = stream.try_clone().unwrap();
    let copy = sent.clone();
    let reader = std::thread::spawn(move || {
        let mut heard = Vec::new();
        (&stream).read_to_end(&mut heard).map(|_| heard)
    });
    for (number, part) in copy.chunks(10_000).enumerate() {
        proxy.set_round_trip(Duration::from_millis([5, 0, 2][number % 3]));
        writer.write_all(part).unwrap();
    }
    writer.shutdown(Shutdown::Write).unwrap();
    assert!(reader.join().unwrap().unwrap() == sent, "other bytes, or in another order");
}

#[test]
fn many_bytes_in_flight_wait_once_not_each() {
    let round_trip = Duration::from_millis(40);
    let proxy = proxy(round_trip);
    let mut stream = connect(&proxy);
    exchange(&mut stream);
    let begin = Instant::now();
    let mut writer = stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || {
        for _ in 0..200 {
            writer.write_all(&[7; 1000]).unwrap();
        }
    });
    stream.read_exact(&mut [0; 200_000]).unwrap();
    sending.join().unwrap();
    assert!(begin.elapsed() < round_trip * 200, "each part waited for the one before");
}

#[test]
fn a_reset_reaches_both_ends_and_the_next_connection_is_served() {
    let proxy = proxy(Duration::ZERO);
    let mut stream = connect(&proxy);
    exchange(&mut stream);
    proxy.reset();
    let ended = stream.read(&mut [0]);
    assert!(ended.as_ref().is_err_and(|error| error.kind() == ErrorKind::ConnectionReset), "{ended:?}");
    exchange(&mut connect(&proxy));
    assert_eq!(proxy.accepted(), 2);
}

#[test]
fn a_stalled_way_delivers_nothing_and_everything_afterwards() {
    let proxy = proxy(Duration::ZERO);
    let mut stream = connect(&proxy);
    exchange(&mut stream);
    proxy.set_stalled(true);
    stream.set_read_timeout(Some(Duration::from_millis(60))).unwrap();
    // What a thread read before it saw the stall may still pass; what comes after it did, does not.
    std::iter::repeat_with(|| {
        stream.write_all(b"x").unwrap();
        stream.read(&mut [0])
    })
    .find(Result::is_err)
    .unwrap()
    .unwrap_err();
    proxy.set_stalled(false);
    stream.set_read_timeout(None).unwrap();
    stream.read_exact(&mut [0]).unwrap();
}

#[test]
fn the_server_sees_the_address_that_dialled() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = listener.local_addr().unwrap();
    let proxy = DelayProxy::start("127.0.0.1:0".parse().unwrap(), upstream, Duration::ZERO).unwrap();
    let _near = dial(proxy.address(), "127.0.0.77".parse().unwrap()).unwrap();
    let (_, seen) = listener.accept().unwrap();
    assert_eq!(seen.ip(), "127.0.0.77".parse::<IpAddr>().unwrap());
}
