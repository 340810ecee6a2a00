//! A stand-in for the programs in the relay's containers: `sls`, `srtla`, or `receiver` for both, as the first
//! argument says.
//!
//! It answers the management API and the ports as the real programs were seen to, carries media, and is built
//! alone, with nothing but `std`, into an image FROM scratch.
//!
//! Faults: the variable `FAULT`, or the first that there is of `/tmp/fault` and `/var/lib/sls/fault`, which
//! `standin fault <name>` in the container sets and clears: `crash` ends it at its start, `mute` lets it run
//! without a word on UDP, `hang`, `garbage`, `huge`, `limited` and `failing` are those of its API.

mod faults;
mod http;
mod media;
mod names;
mod sha256;
mod sls;
#[expect(dead_code, reason = "it belongs to the tests, which use all of it")]
#[path = "../it/net/srt_wire.rs"]
mod srt_wire;
mod srtla;

use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::Duration;

/// What the volume of SLS is.
const DATA: &str = "/var/lib/sls";

fn main() {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("sls") => sls::run(),
        Some("srtla") => srtla::run(&arguments.collect::<Vec<_>>()),
        Some("receiver") => receiver(),
        Some("fault") => faults::set(&arguments.next().unwrap_or_default()),
        other => fail(2, &format!("no such program: {other:?}")),
    }
}

fn fail(code: i32, why: &str) -> ! {
    eprintln!("{why}");
    std::process::exit(code)
}

/// As the combined image: begins both as users of their own, and again whenever one ends.
fn receiver() -> ! {
    let programs: [(u32, &[&str]); 2] = [
        (3001, &["sls"]),
        (
            3002,
            &[
                "srtla",
                "--srtla_port=5000",
                "--srt_hostname=localhost",
                "--srt_port=4002",
                "--stats_port=5080",
            ],
        ),
    ];
    let mut children: [Option<Child>; 2] = [None, None];
    loop {
        for (child, (user, arguments)) in children.iter_mut().zip(programs) {
            let has_ended = child
                .as_mut()
                .is_none_or(|child| child.try_wait().is_ok_and(|status| status.is_some()));
            if has_ended {
                let begun = Command::new("/standin")
                    .args(arguments)
                    .uid(user)
                    .gid(user)
                    .spawn();
                *child = Some(begun.unwrap_or_else(|error| fail(1, &error.to_string())));
            }
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}
