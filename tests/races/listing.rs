// SPDX-License-Identifier: GPL-2.0-only

//! A listing is shared by those who have the directory open, is true, and goes with the last of them.

use crate::call::dir_iter::Entry;
use crate::call::dir_iter::Type;
use crate::explore::explore;
use crate::explore::Limits;
use crate::prelude::KVVec;
use crate::state::listing::Arena;
use crate::state::listing::Ask;
use crate::state::listing::Fate;
use crate::state::listing::Listing;
use crate::state::listing::SharedListing;
use crate::sync::atomic::AtomicUsize;
use crate::sync::atomic::Ordering;
use crate::sync::Arc;
use std::sync::Mutex;
use std::sync::Weak;

/// A listing of one name with that number.
fn listing(ino: u64, ask: Ask) -> Listing {
    let mut arena = Arena::with_room(0).expect("memory");
    let (kind, name) = (Type::from_byte(8), &b"name"[..]);
    let record = arena.push(Entry { ino, kind, name }, Fate::Lowest);
    let mut order = KVVec::new();
    order.push(record.expect("memory"), ()).expect("memory");
    Listing::new(arena, order, ask, 0).expect("memory")
}

struct Directory {
    shared: SharedListing,
    /// What is in it: who lists it sees that in any order.
    content: AtomicUsize,
    made: Mutex<Vec<Weak<Listing>>>,
}

impl Directory {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            shared: SharedListing::new(1).expect("memory"),
            content: AtomicUsize::new(1),
            made: Mutex::default(),
        })
    }

    fn join(&self) -> (Arc<Listing>, usize) {
        let joined = self.shared.join(|_room| {
            let content = self.content.load(Ordering::Relaxed);
            let made = Arc::new(listing(content as u64, Ask::Nothing));
            self.made.lock().expect("whole").push(Arc::downgrade(&made));
            Ok(made)
        });
        joined.expect("not killed")
    }

    fn change(&self) {
        self.content.fetch_add(1, Ordering::Relaxed);
        self.shared.outdate();
    }

    /// Nobody takes part any more.
    fn assert_gone(&self) {
        let made = self.made.lock().expect("whole");
        assert!(!made.is_empty());
        assert!(
            made.iter().all(|listing| listing.upgrade().is_none()),
            "a listing is kept that nobody takes part in"
        );
    }
}

fn shown(listing: &Listing) -> u64 {
    listing.iter_from(0).map(|(entry, _)| entry.ino).sum()
}

/// So many tasks take part once, and leave.
fn all_come_and_go(limits: Limits, count: usize) {
    explore(limits, |tasks| {
        let directory = Directory::new();
        for _ in 0..count {
            let directory = directory.clone();
            tasks.add(move || {
                drop(directory.join());
                directory.shared.leave();
            });
        }
        Box::new(move || directory.assert_gone())
    });
}

#[test]
fn it_goes_with_the_last() {
    all_come_and_go(Limits::default(), 2);
}

#[test]
fn it_goes_with_the_last_of_three() {
    let limits = Limits {
        preemptions: 2,
        ..Limits::default()
    };
    all_come_and_go(limits, 3);
}

#[test]
fn it_stays_with_who_takes_part() {
    explore(Limits::default(), |tasks| {
        let directory = Directory::new();
        let other = directory.clone();
        let all = directory.clone();
        tasks.add(move || {
            drop(other.join());
            other.shared.leave();
        });
        tasks.add(move || {
            let (first, _) = directory.join();
            let (again, _) = directory.join();
            assert!(
                Arc::ptr_eq(&first, &again),
                "a listing was dropped that somebody takes part in"
            );
            drop((first, again));
            directory.shared.leave();
            directory.shared.leave();
        });
        Box::new(move || all.assert_gone())
    });
}

#[test]
fn it_is_true() {
    explore(Limits::default(), |tasks| {
        let directory = Directory::new();
        let (changed, all) = (directory.clone(), directory.clone());
        tasks.add(move || changed.change());
        tasks.add(move || {
            for _ in 0..2 {
                let (listing, version) = directory.join();
                assert!(
                    shown(&listing) > version as u64,
                    "a listing lacks a change that its version has"
                );
            }
            directory.shared.leave();
            directory.shared.leave();
        });
        Box::new(move || all.assert_gone())
    });
}

#[test]
fn numbers_are_kept_only_if_all_are() {
    explore(Limits::default(), |tasks| {
        let upper = Arc::new(listing(7, Ask::Upper(u32::MAX)));
        for number in [Some(8), None] {
            let upper = upper.clone();
            tasks.add(move || {
                let (entry, at) = upper.iter_from(0).next().expect("one");
                upper.set_ino(at, &entry, number);
            });
        }
        tasks.add(move || assert!(!upper.keeps_inos(), "a number was changed"));
        Box::new(|| {})
    });
}
