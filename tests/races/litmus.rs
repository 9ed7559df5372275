// SPDX-License-Identifier: GPL-2.0-only

//! That [`explore`](crate::explore) finds what it is to find, and nothing else: the usual small examples.

use crate::cell::locked::Locked;
use crate::explore::explore;
use crate::explore::fence;
use crate::explore::After;
use crate::explore::Limits;
use crate::explore::Tasks;
use crate::sync::atomic::AtomicUsize;
use crate::sync::atomic::Ordering;
use crate::sync::Arc;

fn goes_wrong(scenario: impl Fn(&mut Tasks) -> After + std::panic::UnwindSafe) -> bool {
    std::panic::catch_unwind(|| explore(Limits::default(), scenario)).is_err()
}

fn word(value: usize) -> Arc<AtomicUsize> {
    Arc::new(AtomicUsize::new(value))
}

/// What one task writes before it says so is there for who sees that it is said.
fn message(said: Ordering, seen: Ordering) -> bool {
    goes_wrong(|tasks| {
        let (what, flag) = (word(0), word(0));
        let (to, from) = ((what.clone(), flag.clone()), (what, flag));
        tasks.add(move || {
            to.0.store(1, Ordering::Relaxed);
            to.1.store(1, said);
        });
        tasks.add(move || {
            if from.1.load(seen) == 1 {
                assert_eq!(from.0.load(Ordering::Relaxed), 1);
            }
        });
        Box::new(|| {})
    })
}

#[test]
fn messages_need_release_and_acquire() {
    assert!(!message(Ordering::Release, Ordering::Acquire));
    assert!(message(Ordering::Relaxed, Ordering::Acquire));
    assert!(message(Ordering::Release, Ordering::Relaxed));
}

/// Of two tasks that each write one word and look at the other's, one sees that.
fn crossing(order: Ordering, with_fence: bool) -> bool {
    goes_wrong(|tasks| {
        let (a, b, seen) = (word(0), word(0), word(0));
        for (mine, other) in [(a.clone(), b.clone()), (b, a)] {
            let seen = seen.clone();
            tasks.add(move || {
                mine.fetch_add(1, order);
                if with_fence {
                    fence();
                }
                seen.fetch_add(other.load(order.min_load()), Ordering::Relaxed);
            });
        }
        Box::new(move || assert_ne!(seen.load(Ordering::Relaxed), 0))
    })
}

trait MinLoad {
    fn min_load(self) -> Self;
}

impl MinLoad for Ordering {
    /// The order of a load beside an exchange of this order.
    fn min_load(self) -> Self {
        match self {
            Ordering::AcqRel => Ordering::Acquire,
            other => other,
        }
    }
}

#[test]
fn who_cross_need_sequential_consistency() {
    assert!(!crossing(Ordering::SeqCst, false));
    assert!(!crossing(Ordering::Relaxed, true));
    assert!(crossing(Ordering::AcqRel, false));
}

#[test]
fn who_waits_for_each_other_is_found() {
    assert!(goes_wrong(|tasks| {
        let locks = [(); 2].map(|()| Arc::new(Locked::new((), 1).expect("made")));
        for (first, second) in [(0, 1), (1, 0)] {
            let (first, second) = (locks[first].clone(), locks[second].clone());
            tasks.add(move || {
                let _first = first.lock();
                let _second = second.lock();
            });
        }
        Box::new(|| {})
    }));
}

#[test]
fn what_a_lock_guards_needs_no_order() {
    let executions = explore(Limits::default(), |tasks| {
        let count = Arc::new(Locked::new(0, 1).expect("made"));
        for _ in 0..3 {
            let count = count.clone();
            tasks.add(move || *count.lock().expect("not killed") += 1);
        }
        Box::new(move || assert_eq!(*count.lock().expect("not killed"), 3))
    });
    assert!(executions > 3);
}
