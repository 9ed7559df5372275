// SPDX-License-Identifier: GPL-2.0-only

//! A lookup sees all of the copy-up of what it looks up, or nothing of it.

use crate::explore::explore;
use crate::explore::Limits;
use crate::state::publication::Publications;
use crate::state::Dentry;
use crate::sync::atomic::AtomicUsize;
use crate::sync::atomic::Ordering;
use crate::sync::Arc;

/// Where a name and its inode are found.
struct Stack {
    publications: Publications,
    /// Upper has the name: what makes a dentry positive is stored with release order.
    in_upper: AtomicUsize,
    /// The inode is hashed by the copy: so is what makes it be found.
    hashed: AtomicUsize,
}

impl Stack {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            publications: Publications::new(1),
            in_upper: AtomicUsize::new(0),
            hashed: AtomicUsize::new(0),
        })
    }

    fn copy_up(&self, name: &Dentry) {
        let _publication = self.publications.begin(name).expect("not killed");
        self.in_upper.store(1, Ordering::Release);
        self.hashed.store(1, Ordering::Release);
    }

    /// Publishes another name of the same slot.
    fn copy_up_other(&self) {
        drop(self.publications.begin(&Dentry { hash: 32 }));
    }

    fn lookup(&self, name: &Dentry) {
        loop {
            let watch = self.publications.watch(name).expect("not killed");
            let in_upper = self.in_upper.load(Ordering::Acquire);
            let hashed = self.hashed.load(Ordering::Acquire);
            if !watch.was_disturbed() {
                assert_eq!(in_upper, hashed, "a lookup has seen a part of a copy-up");
                return;
            }
        }
    }
}

#[test]
fn lookup_beside_copy_up() {
    explore(Limits::default(), |tasks| {
        let stack = Stack::new();
        let other = stack.clone();
        tasks.add(move || stack.copy_up(&Dentry { hash: 0 }));
        tasks.add(move || other.lookup(&Dentry { hash: 0 }));
        Box::new(|| {})
    });
}

#[test]
fn lookup_beside_copy_ups_of_one_slot() {
    // Each copy-up is a few steps: there are many orders of three tasks.
    let limits = Limits {
        preemptions: 1,
        ..Limits::default()
    };
    explore(limits, |tasks| {
        let stack = Stack::new();
        let (other, looking) = (stack.clone(), stack.clone());
        tasks.add(move || stack.copy_up(&Dentry { hash: 0 }));
        tasks.add(move || other.copy_up_other());
        tasks.add(move || looking.lookup(&Dentry { hash: 0 }));
        Box::new(|| {})
    });
}

#[test]
fn lookup_after_another_copy_up() {
    explore(Limits::default(), |tasks| {
        let stack = Stack::new();
        // The slots are made.
        stack.copy_up_other();
        let other = stack.clone();
        tasks.add(move || stack.copy_up(&Dentry { hash: 0 }));
        tasks.add(move || other.lookup(&Dentry { hash: 0 }));
        Box::new(|| {})
    });
}
