// SPDX-License-Identifier: GPL-2.0-only

//! What is shared, what each task does, and what is true at the end.

use crate::clone_gate::Cloner;
use crate::clone_gate::Gate;
use crate::clone_gate::Monitor;
use crate::clone_gate::Progress;
use crate::clone_gate::MIN_UNIT;
use crate::prelude::Result;
use crate::sync::Arc as KernelArc;
use std::ops::Range;

/// The bytes of one unit.
fn unit(n: u64) -> Range<u64> {
    n * MIN_UNIT..(n + 1) * MIN_UNIT
}

/// The scenarios, over the locks and tasks of one explorer.
macro_rules! scenarios {
    ($name:ident, $explorer:ident, $explore:expr) => {
        mod $name {
            use super::*;
            use ::$explorer::sync::atomic::fence;
            use ::$explorer::sync::atomic::AtomicBool;
            use ::$explorer::sync::atomic::Ordering;
            use ::$explorer::sync::Arc;
            use ::$explorer::sync::Condvar;
            use ::$explorer::sync::Mutex;
            use ::$explorer::sync::MutexGuard;
            use ::$explorer::thread;

            struct Watched<T> {
                lock: Mutex<T>,
                changed: Condvar,
            }

            impl<T> Watched<T> {
                fn new(value: T) -> Self {
                    Self {
                        lock: Mutex::new(value),
                        changed: Condvar::new(),
                    }
                }
            }

            impl<T> Monitor<T> for Watched<T> {
                type Guard<'a>
                    = MutexGuard<'a, T>
                where
                    T: 'a;

                fn lock(&self) -> MutexGuard<'_, T> {
                    self.lock.lock().unwrap()
                }

                fn wait<'a>(&'a self, guard: MutexGuard<'a, T>) -> Result<MutexGuard<'a, T>> {
                    Ok(self.changed.wait(guard).unwrap())
                }

                fn wait_a_moment<'a>(&'a self, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
                    drop(guard);
                    thread::yield_now();
                    self.lock.lock().unwrap()
                }

                fn wake_all(&self) {
                    self.changed.notify_all();
                }

                fn milliseconds(&self) -> u64 {
                    1
                }
            }

            type TestGate = KernelArc<Gate<Watched<Progress>>>;

            /// A file: its lock, its words, and the gates that are closed.
            struct File {
                lock: Mutex<()>,
                words: Mutex<Vec<u32>>,
                gates: Mutex<Vec<TestGate>>,
            }

            impl File {
                fn new(words: usize) -> Arc<Self> {
                    Arc::new(Self {
                        lock: Mutex::new(()),
                        words: Mutex::new(vec![0; words]),
                        gates: Mutex::new(Vec::new()),
                    })
                }

                fn closed(&self, bytes: &Range<u64>) -> Option<TestGate> {
                    let gates = self.gates.lock().unwrap();
                    gates.iter().find(|gate| !gate.lets_pass(bytes)).cloned()
                }

                /// As `engine::clone::lock_for_change`.
                fn write(&self, word: u64, value: u32) {
                    let bytes = unit(word);
                    let mut lock = self.lock.lock().unwrap();
                    while let Some(gate) = self.closed(&bytes) {
                        drop(lock);
                        gate.pass(&bytes).unwrap();
                        lock = self.lock.lock().unwrap();
                    }
                    self.words.lock().unwrap()[word as usize] = value;
                    drop(lock);
                }

                /// As `engine::clone::in_pieces`: at most so many pieces behind the last one; whether all was cloned.
                fn clone_to(&self, image: &Mutex<Vec<u32>>, most: u64, mut pieces: usize) -> bool {
                    let lock = self.lock.lock().unwrap();
                    let count = self.words.lock().unwrap().len() as u64;
                    let progress = Progress::new(0..count * MIN_UNIT).unwrap();
                    let mut cloner = Cloner::new(Watched::new(progress)).unwrap();
                    self.gates.lock().unwrap().push(cloner.gate().clone());
                    let copy = |bytes: &Range<u64>| {
                        let words = self.words.lock().unwrap();
                        let mut image = image.lock().unwrap();
                        for word in bytes.start / MIN_UNIT..bytes.end / MIN_UNIT {
                            image[word as usize] = words[word as usize];
                        }
                    };
                    let tail = cloner.tail();
                    copy(&tail.bytes);
                    cloner.done(&tail);
                    drop(lock);
                    let all = loop {
                        let Some(piece) = cloner.next(most).unwrap() else {
                            break true;
                        };
                        if pieces == 0 {
                            break false;
                        }
                        pieces -= 1;
                        copy(&piece.bytes);
                        cloner.done(&piece);
                    };
                    assert_eq!(all, cloner.done_in_order() == count * MIN_UNIT);
                    // The gate that was closed is this one.
                    self.gates.lock().unwrap().remove(0);
                    all
                }
            }

            fn image(words: usize) -> Arc<Mutex<Vec<u32>>> {
                Arc::new(Mutex::new(vec![9; words]))
            }

            /// One writer, whose writes come one after the other: the image has some of them, from the first on.
            #[test]
            fn image_is_of_one_moment() {
                $explore(|| {
                    let (file, image) = (File::new(3), image(3));
                    let writer = {
                        let file = file.clone();
                        thread::spawn(move || {
                            file.write(2, 1);
                            file.write(0, 2);
                            file.write(1, 3);
                        })
                    };
                    assert!(file.clone_to(&image, 2, usize::MAX));
                    writer.join().unwrap();
                    let image = image.lock().unwrap();
                    let moments = [[0, 0, 0], [0, 0, 1], [2, 0, 1], [2, 3, 1]];
                    assert!(
                        moments.iter().any(|moment| image[..] == moment[..]),
                        "{image:?}"
                    );
                    assert_eq!(file.words.lock().unwrap()[..], [2, 3, 1]);
                });
            }

            /// Two writers who wait for the same piece and for others: each comes to its end.
            #[test]
            fn every_writer_gets_on() {
                $explore(|| {
                    let (file, image) = (File::new(3), image(3));
                    let writers = [[0, 1], [1, 0]].map(|words| {
                        let file = file.clone();
                        thread::spawn(move || words.iter().for_each(|word| file.write(*word, 5)))
                    });
                    assert!(file.clone_to(&image, 1, usize::MAX));
                    for writer in writers {
                        writer.join().unwrap();
                    }
                    assert_eq!(file.words.lock().unwrap()[..], [5, 5, 0]);
                    let image = image.lock().unwrap();
                    assert!(image[..2].iter().all(|word| *word == 0 || *word == 5));
                    assert_eq!(image[2], 0);
                });
            }

            /// A writer goes on once his piece is done, and not only when all is.
            #[test]
            fn writer_waits_for_his_piece_alone() {
                $explore(|| {
                    let file = File::new(2);
                    let progress = Progress::new(0..2 * MIN_UNIT).unwrap();
                    let mut cloner = Cloner::new(Watched::new(progress)).unwrap();
                    file.gates.lock().unwrap().push(cloner.gate().clone());
                    let writer = {
                        let file = file.clone();
                        thread::spawn(move || file.write(1, 1))
                    };
                    let mut writer = Some(writer);
                    while let Some(piece) = cloner.next(1).unwrap() {
                        cloner.done(&piece);
                        if piece.bytes == unit(1) {
                            writer.take().unwrap().join().unwrap();
                        }
                    }
                    assert!(writer.is_none());
                });
            }

            /// The clone fails midway: the writer passes.
            #[test]
            fn failure_opens_the_gate() {
                $explore(|| {
                    let (file, image) = (File::new(3), image(3));
                    let writer = {
                        let file = file.clone();
                        thread::spawn(move || {
                            file.write(1, 1);
                            file.write(0, 1);
                        })
                    };
                    file.clone_to(&image, 1, 1);
                    writer.join().unwrap();
                    assert_eq!(file.words.lock().unwrap()[..], [1, 1, 0]);
                    assert!(file.closed(&unit(0)).is_none());
                });
            }

            /// Two clones of one file at the same time, and a writer who passes both.
            #[test]
            fn two_clones_of_one_file() {
                $explore(|| {
                    let file = File::new(2);
                    let images = [image(2), image(2)];
                    let other = {
                        let (file, image) = (file.clone(), images[0].clone());
                        thread::spawn(move || {
                            // Which of the two gates is taken away in the end makes no difference: both are open then.
                            assert!(file.clone_to(&image, 1, usize::MAX));
                        })
                    };
                    let writer = {
                        let file = file.clone();
                        thread::spawn(move || file.write(0, 1))
                    };
                    assert!(file.clone_to(&images[1], 1, usize::MAX));
                    other.join().unwrap();
                    writer.join().unwrap();
                    for image in images {
                        let image = image.lock().unwrap();
                        assert!(image[..] == [0, 0] || image[..] == [1, 0], "{image:?}");
                    }
                });
            }

            /// Files are cloned into each other: both locks are held by one of the two, and neither waits with one.
            #[test]
            fn both_directions() {
                $explore(|| {
                    let locks = Arc::new([Mutex::new(()), Mutex::new(())]);
                    // As `Inode::lock_both_killable`.
                    let lock_both = |locks: &[Mutex<()>; 2], first: usize| loop {
                        let one = locks[first].lock().unwrap();
                        if let Ok(_other) = locks[1 - first].try_lock() {
                            return;
                        }
                        drop(one);
                        let other = locks[1 - first].lock().unwrap();
                        if let Ok(_one) = locks[first].try_lock() {
                            return;
                        }
                        drop(other);
                        thread::yield_now();
                    };
                    let task = {
                        let locks = locks.clone();
                        thread::spawn(move || lock_both(&locks, 1))
                    };
                    lock_both(&locks, 0);
                    task.join().unwrap();
                });
            }

            /// A store through a mapping, which takes no lock: who does not see the mark is met when dirty pages are
            /// written back. (As `page_mkwrite` of `rust/vfs/call/mapping.rs`, and `Clones::begin`.)
            #[test]
            fn stores_are_met() {
                $explore(|| {
                    struct Page {
                        is_closed: AtomicBool,
                        is_dirty: AtomicBool,
                        /// Held while the page is made writable, and while it is written back; whether it is writable.
                        lock: Mutex<bool>,
                    }
                    let page = Arc::new(Page {
                        is_closed: AtomicBool::new(false),
                        is_dirty: AtomicBool::new(false),
                        lock: Mutex::new(false),
                    });
                    let storer = {
                        let page = page.clone();
                        thread::spawn(move || {
                            if page.is_closed.load(Ordering::Acquire) {
                                return;
                            }
                            let mut is_writable = page.lock.lock().unwrap();
                            page.is_dirty.store(true, Ordering::Relaxed);
                            fence(Ordering::SeqCst);
                            if !page.is_closed.load(Ordering::Acquire) {
                                *is_writable = true;
                            }
                        })
                    };
                    page.is_closed.store(true, Ordering::Release);
                    fence(Ordering::SeqCst);
                    if page.is_dirty.load(Ordering::Relaxed) {
                        *page.lock.lock().unwrap() = false;
                    }
                    // From now on nobody may store without passing the gate.
                    let was_writable = *page.lock.lock().unwrap();
                    storer.join().unwrap();
                    let is_writable = *page.lock.lock().unwrap();
                    assert!(!was_writable && !is_writable);
                });
            }
        }
    };
}

fn every_order(f: impl Fn() + Sync + Send + 'static) {
    let mut explorer = ::loom::model::Builder::new();
    explorer.preemption_bound = Some(3);
    explorer.check(f);
}

/// So many random orders, with longer runs between two switches too.
fn random_orders(f: impl Fn() + Sync + Send + 'static) {
    ::shuttle::check_random(f, 5_000);
}

scenarios!(in_every_order, loom, every_order);
scenarios!(in_random_orders, shuttle, random_orders);
