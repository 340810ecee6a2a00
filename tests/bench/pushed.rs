//! Open live pages: when the figures of a second arrive at a thousand of them, and what that costs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::client::{Browser, Plugin};
use crate::harness::eventually::eventually_blocking;
use crate::harness::server::Server;
use crate::net::srt_probe::{self, Call};
use crate::net::srt_publisher::Publisher;
use crate::process::CpuMeter;
use crate::scene;
use crate::table::Table;

const PAGES: usize = 1000;
const PATIENCE: Duration = Duration::from_secs(30);
/// From the first page to the first counted event: what every page is told at its beginning is over then.
const SETTLED: Duration = Duration::from_secs(5);
const MEASURED: Duration = Duration::from_secs(30);
/// 1,316 bytes each so often are 1 Mbit/s.
const PAUSE: Duration = Duration::from_micros(10_530);

/// Measures both, with one slot on air.
pub(crate) fn measure(table: &mut Table) {
    let server = scene::server();
    let owner = server.admin_create("owner@example.org", "owner");
    let mut browser = Browser::signed_in(&server, &owner);
    let plugin = Plugin::signed_in(&server, &mut browser);
    let _publisher = on_air(&server, &mut browser, &plugin);
    let cookies: Vec<_> = browser.cookies().collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs only a few descriptors");
    let (times, used) = runtime.block_on(watch(&server, &cookies.join("; ")));
    show(table, times, used);
}

fn on_air(server: &Server, browser: &mut Browser, plugin: &Plugin) -> Publisher {
    let session = plugin.session("conn_1774300000123_1");
    let call = Call::new(server.addresses().srt_publish, &session.publish_key);
    let publisher = Publisher::start(srt_probe::call(&call).accepted());
    publisher.send(u64::MAX / 2, PAUSE);
    eventually_blocking(PATIENCE, "the slot is on air", || {
        browser.get("/live").text().contains("data-state=\"live\"")
    });
    publisher
}

/// Opens the pages and reads them for a while: how long each event took, and the server's CPU time.
async fn watch(server: &Server, cookies: &str) -> (Vec<Duration>, Duration) {
    let is_counted = Arc::new(AtomicBool::new(false));
    let is_over = Arc::new(AtomicBool::new(false));
    let mut pages = tokio::task::JoinSet::new();
    for _ in 0..PAGES {
        let page = Page::open(server, cookies).await;
        pages.spawn(page.read(Arc::clone(&is_counted), Arc::clone(&is_over)));
    }
    tokio::time::sleep(SETTLED).await;
    is_counted.store(true, Ordering::Relaxed);
    let (meter, began) = (CpuMeter::of(server.process_id()), Instant::now());
    tokio::time::sleep(MEASURED).await;
    let used = meter.used().div_f64(began.elapsed().as_secs_f64());
    is_over.store(true, Ordering::Relaxed);
    let mut times = Vec::new();
    while let Some(page) = pages.join_next().await {
        times.extend(page.expect("a page does not panic"));
    }
    (times, used)
}

/// One open page.
struct Page {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Page {
    async fn open(server: &Server, cookies: &str) -> Self {
        let stream = TcpStream::connect(server.addresses().http).await;
        let mut stream = stream.expect("the server listens");
        let request = format!(
            "GET /live/events HTTP/1.1\r\nhost: 127.0.0.1\r\ncookie: {cookies}\r\n\
             accept: text/event-stream\r\n\r\n"
        );
        let sent = stream.write_all(request.as_bytes()).await;
        sent.expect("the server reads");
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// How old the figures were when they arrived, for each event that counts.
    #[expect(
        clippy::disallowed_methods,
        reason = "the id of an event is of the wall clock of this machine"
    )]
    async fn read(
        mut self,
        is_counted: Arc<AtomicBool>,
        is_over: Arc<AtomicBool>,
    ) -> Vec<Duration> {
        let mut times = Vec::new();
        let mut buffer = vec![0; 16_384];
        while !is_over.load(Ordering::Relaxed) {
            let read = self.stream.read(&mut buffer).await;
            let length = read.expect("the stream goes on");
            assert_ne!(length, 0, "the stream goes on");
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .expect("it is after 1970");
            self.unread.extend_from_slice(&buffer[..length]);
            while let Some(at) = self.next_event() {
                if is_counted.load(Ordering::Relaxed) {
                    times.push(now.saturating_sub(at));
                }
            }
        }
        times
    }

    /// When the figures of the next whole event were taken.
    fn next_event(&mut self) -> Option<Duration> {
        const MARK: &[u8] = b"\nid: ";
        let begin = self.unread.windows(MARK.len()).position(|it| it == MARK)?;
        let digits = &self.unread[begin + MARK.len()..];
        let length = digits.iter().position(|it| *it == b'\n')?;
        let text = std::str::from_utf8(&digits[..length]).expect("an id is ASCII");
        let at = text.parse().expect("an id is a number");
        self.unread.drain(..begin + MARK.len() + length);
        Some(Duration::from_millis(at))
    }
}

fn show(table: &mut Table, mut times: Vec<Duration>, used: Duration) {
    times.sort();
    let last = times.len().checked_sub(1).expect("events came");
    let ms = |place: usize| format!("{:.0} ms", times[place].as_secs_f64() * 1e3);
    let events = f64::from(u32::try_from(times.len()).expect("it is small"));
    let a_second = events / MEASURED.as_secs_f64();
    table.row(
        &format!("figures to {PAGES} open live pages: p99 from the poller to the page"),
        ms(last * 99 / 100),
        &format!("< 250 ms (p50 {}, {a_second:.0} events/s)", ms(last / 2)),
    );
    table.row(
        "the server's CPU meanwhile, its relay of 1 Mbit/s included",
        format!("{:.1} %", used.as_secs_f64() * 100.0),
        "< 30 % of a core",
    );
}
