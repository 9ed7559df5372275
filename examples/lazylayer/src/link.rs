// SPDX-License-Identifier: GPL-2.0-only

//! The link to where the image is: as slow as one is told to be.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// What is sent ahead of need is cut into pieces of so many bytes, so that what is needed gets in between.
const PIECE: u64 = 64 << 10;

pub struct Link {
    /// From a request to the first byte of its answer.
    latency: Duration,
    bytes_per_second: Option<f64>,
    /// Until when the line has something to carry.
    busy_until: Mutex<Instant>,
    requests: AtomicU64,
    bytes: AtomicU64,
}

impl Link {
    /// `mib_per_second`: 0 for as much as there is.
    pub fn new(latency: Duration, mib_per_second: f64) -> Link {
        Link {
            latency,
            bytes_per_second: (mib_per_second > 0.0).then_some(mib_per_second * 1048576.0),
            busy_until: Mutex::new(Instant::now()),
            requests: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// A request that somebody waits for: what it asks for is there when this returns.
    pub fn fetch(&self, bytes: u64) {
        self.request();
        self.transfer(bytes);
    }

    /// The beginning of something that comes without being asked for piece by piece.
    pub fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        sleep(self.latency);
    }

    /// The next part of that.
    pub fn stream(&self, mut bytes: u64) {
        while bytes > 0 {
            let piece = bytes.min(PIECE);
            self.transfer(piece);
            bytes -= piece;
        }
    }

    /// So many requests were made, and so many bytes came.
    pub fn used(&self) -> (u64, u64) {
        (
            self.requests.load(Ordering::Relaxed),
            self.bytes.load(Ordering::Relaxed),
        )
    }

    fn transfer(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let Some(rate) = self.bytes_per_second else {
            return;
        };
        let takes = Duration::from_secs_f64(bytes as f64 / rate);
        let end = {
            let mut busy_until = self
                .busy_until
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            *busy_until = (*busy_until).max(Instant::now()) + takes;
            *busy_until
        };
        sleep(end.saturating_duration_since(Instant::now()));
    }
}
