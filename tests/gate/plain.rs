// SPDX-License-Identifier: GPL-2.0-only

//! The gate with the locks of the standard library: what is chosen, and what is counted.

use crate::clone_gate::Cloner;
use crate::clone_gate::Monitor;
use crate::clone_gate::Progress;
use crate::clone_gate::MIN_UNIT;
use crate::prelude::Error;
use crate::prelude::Result;
use std::cell::Cell;
use std::ops::Range;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;

/// A value, those who wait, and a clock that goes on by a moment whenever somebody waits for one.
struct Watched<T>(Mutex<T>, Condvar, Cell<u64>);

impl<T> Monitor<T> for Watched<T> {
    type Guard<'a>
        = MutexGuard<'a, T>
    where
        T: 'a;

    fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap()
    }

    // Nobody else is there to wait for: this is a task that is being killed.
    fn wait<'a>(&'a self, _guard: MutexGuard<'a, T>) -> Result<MutexGuard<'a, T>> {
        Err(Error("EINTR"))
    }

    fn wait_a_moment<'a>(&'a self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        self.2.set(self.2.get() + 20);
        guard
    }

    fn milliseconds(&self) -> u64 {
        self.2.get()
    }

    fn wake_all(&self) {
        self.1.notify_all();
    }
}

fn cloner(bytes: Range<u64>) -> Cloner<Watched<Progress>> {
    let progress = Progress::new(bytes).unwrap();
    Cloner::new(Watched(Mutex::new(progress), Condvar::new(), Cell::new(1))).unwrap()
}

fn unit(n: u64) -> Range<u64> {
    n * MIN_UNIT..(n + 1) * MIN_UNIT
}

#[test]
fn wishes_come_first_and_in_their_order() {
    let mut cloner = cloner(unit(0).start..unit(9).end);
    let gate = cloner.gate().clone();
    // A task that is being killed waits no longer, but its wish is kept.
    for wish in [7, 3, 7, 5] {
        assert_eq!(gate.pass(&unit(wish)), Err(Error("EINTR")));
    }
    let mut order = Vec::new();
    while let Some(piece) = cloner.next(1).unwrap() {
        order.push(piece.bytes.start / MIN_UNIT);
        cloner.done(&piece);
    }
    assert_eq!(order, [7, 3, 5, 0, 1, 2, 4, 6, 8, 9]);
}

#[test]
fn pieces_are_runs_of_what_is_left() {
    let mut cloner = cloner(100..100 + 10 * MIN_UNIT + 5);
    let gate = cloner.gate().clone();
    let tail = cloner.tail();
    assert_eq!(tail.bytes, 100 + 10 * MIN_UNIT..105 + 10 * MIN_UNIT);
    cloner.done(&tail);
    let inside = 100 + 4 * MIN_UNIT..100 + 4 * MIN_UNIT + 1;
    assert!(!gate.lets_pass(&inside));
    gate.pass_soon(&inside);
    let piece = cloner.next(3).unwrap().unwrap();
    assert_eq!(piece.bytes, 100 + 4 * MIN_UNIT..100 + 5 * MIN_UNIT);
    cloner.done(&piece);
    assert!(gate.lets_pass(&inside) && gate.lets_pass(&(0..100)));
    assert!(gate.lets_pass(&tail.bytes) && gate.lets_pass(&(1 << 40..u64::MAX)));
    assert!(!gate.lets_pass(&(0..101)) && !gate.lets_pass(&(0..u64::MAX)));
    assert_eq!(cloner.done_in_order(), 0);
    let mut order = Vec::new();
    while let Some(piece) = cloner.next(3).unwrap() {
        order
            .push((piece.bytes.start - 100) / MIN_UNIT..(piece.bytes.end - 100).div_ceil(MIN_UNIT));
        cloner.done(&piece);
    }
    assert_eq!(order, [0..3, 3..4, 5..8, 8..10]);
    assert_eq!(cloner.done_in_order(), 10 * MIN_UNIT + 5);
    assert!(gate.lets_pass(&(0..u64::MAX)));
}

#[test]
fn there_are_never_too_many_units() {
    for (bytes, most) in [
        (0..u64::MAX / 2, 1 << 24),
        (1..(1 << 40) + 1, 1 << 24),
        (5..6, 1),
    ] {
        let mut cloner = cloner(bytes.clone());
        let (mut pieces, mut covered) = (0, 0);
        while let Some(piece) = cloner.next(1 << 20).unwrap() {
            covered += piece.bytes.end - piece.bytes.start;
            pieces += 1;
            cloner.done(&piece);
        }
        assert_eq!(covered, bytes.end - bytes.start);
        assert!(pieces <= most >> 19 | 1, "{pieces}");
    }
    assert!(Progress::new(7..7).is_err());
    assert!(Progress::new(std::hint::black_box(7)..6).is_err());
}

#[test]
fn whoever_finds_no_room_for_a_wish_is_served_in_the_end() {
    let mut cloner = cloner(0..40 * MIN_UNIT);
    let gate = cloner.gate().clone();
    for wish in (0..40).rev() {
        assert!(!gate.pass_soon(&unit(wish)));
    }
    let mut order = Vec::new();
    while let Some(piece) = cloner.next(1).unwrap() {
        order.push(piece.bytes.start / MIN_UNIT);
        cloner.done(&piece);
    }
    let kept: Vec<u64> = (24..40).rev().chain(0..24).collect();
    assert_eq!(order, kept);
}

#[test]
fn a_cloner_that_does_not_get_on_is_given_up() {
    let mut cloner = cloner(0..4 * MIN_UNIT);
    let gate = cloner.gate().clone();
    for _ in 0..5000 {
        assert!(!gate.pass_soon(&unit(2)));
    }
    let piece = cloner.next(1).unwrap().unwrap();
    cloner.done(&piece);
    // What was done has begun the count anew.
    let mut moments = 0;
    while !gate.pass_soon(&unit(1)) {
        moments += 1;
    }
    assert_eq!(moments, 120_000 / 20);
    assert_eq!(cloner.next(1).map(|_| ()), Err(Error("EDEADLK")));
}

/// Against a plain list of which units are done.
#[test]
fn random_wishes_and_pieces() {
    let mut dice = 1u64;
    let mut below = move |n: u64| {
        dice = dice
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (dice >> 33) % n
    };
    for _ in 0..300 {
        let (units, start) = (1 + below(200), below(5) * 1000);
        let mut cloner = cloner(start..start + units * MIN_UNIT);
        let gate = cloner.gate().clone();
        let mut done = vec![false; units as usize];
        loop {
            for _ in 0..below(4) {
                let first = below(units);
                let end = first + 1 + below(units - first);
                let bytes = start + first * MIN_UNIT + below(MIN_UNIT)..start + end * MIN_UNIT;
                let all_done = done[first as usize..end as usize].iter().all(|done| *done);
                assert_eq!(gate.pass_soon(&bytes), all_done);
                assert_eq!(gate.lets_pass(&bytes), all_done);
            }
            let most = 1 + below(9);
            let Some(piece) = cloner.next(most).unwrap() else {
                break;
            };
            let at = |byte: u64| (byte - start) / MIN_UNIT;
            let piece_units = at(piece.bytes.start)..at(piece.bytes.end);
            assert!(!piece_units.is_empty() && piece_units.end - piece_units.start <= most);
            for unit in piece_units {
                assert!(
                    !std::mem::replace(&mut done[unit as usize], true),
                    "{unit} twice"
                );
            }
            cloner.done(&piece);
            let in_order = done.iter().take_while(|done| **done).count() as u64;
            assert_eq!(cloner.done_in_order(), in_order * MIN_UNIT);
        }
        assert!(done.iter().all(|done| *done));
    }
}

#[test]
fn who_waits_is_told() {
    let mut cloner = cloner(0..4 * MIN_UNIT);
    cloner.gate().pass_soon(&unit(2));
    let mut told = Vec::new();
    while let Some(piece) = cloner.next(1).unwrap() {
        told.push((piece.bytes.start / MIN_UNIT, piece.is_wished));
        cloner.done(&piece);
    }
    assert_eq!(told, [(2, true), (0, false), (1, false), (3, false)]);
    assert!(!cloner.tail().is_wished);
}
