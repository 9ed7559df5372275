// SPDX-License-Identifier: GPL-2.0-only

//! What the explored sources use of `core`, `kernel` and `vfs`.

pub use std::iter;
pub use std::mem;

pub mod prelude {
    pub const GFP_KERNEL: () = ();
    pub const EIO: Error = Error("EIO");
    pub const EOVERFLOW: Error = Error("EOVERFLOW");

    pub type Result<T = (), E = Error> = std::result::Result<T, E>;

    #[derive(Debug)]
    pub struct Error(pub &'static str);

    /// A vector that says of each growth how memory is to be had.
    #[derive(Debug)]
    pub struct Vector<T>(Vec<T>);

    impl<T> Default for Vector<T> {
        fn default() -> Self {
            Self::new()
        }
    }

    pub type KVec<T> = Vector<T>;
    pub type KVVec<T> = Vector<T>;

    impl<T> Vector<T> {
        pub fn new() -> Self {
            Self(Vec::new())
        }

        pub fn with_capacity(room: usize, _flags: ()) -> Result<Self> {
            Ok(Self(Vec::with_capacity(room)))
        }

        pub fn reserve(&mut self, more: usize, _flags: ()) -> Result {
            self.0.reserve(more);
            Ok(())
        }

        pub fn push(&mut self, value: T, _flags: ()) -> Result {
            self.0.push(value);
            Ok(())
        }
    }

    impl<T> std::ops::Deref for Vector<T> {
        type Target = [T];

        fn deref(&self) -> &[T] {
            &self.0
        }
    }

    impl<'a, T> IntoIterator for &'a Vector<T> {
        type Item = &'a T;
        type IntoIter = std::slice::Iter<'a, T>;

        fn into_iter(self) -> Self::IntoIter {
            self.0.iter()
        }
    }
}

pub mod sync {
    pub use std::sync::Arc;

    pub mod atomic {
        use crate::explore;

        pub use std::sync::atomic::Ordering;

        #[allow(dead_code)]
        pub fn fence(order: Ordering) {
            assert_eq!(order, Ordering::SeqCst, "others are not explored");
            explore::fence();
        }

        macro_rules! atomic {
            ($name:ident, $value:ty, $to:expr, $from:expr) => {
                #[derive(Debug)]
                pub struct $name(explore::Word);

                #[allow(dead_code)]
                impl $name {
                    pub fn new(value: $value) -> Self {
                        Self(explore::Word::new($to(value)))
                    }

                    pub fn load(&self, order: Ordering) -> $value {
                        $from(self.0.load(order))
                    }

                    pub fn store(&self, value: $value, order: Ordering) {
                        self.0.store($to(value), order);
                    }

                    pub fn compare_exchange(
                        &self,
                        old: $value,
                        new: $value,
                        order: Ordering,
                        on_failure: Ordering,
                    ) -> Result<$value, $value> {
                        self.0
                            .update(order, on_failure, |now| {
                                (now == $to(old)).then_some($to(new))
                            })
                            .map($from)
                            .map_err($from)
                    }

                    fn fetch(&self, order: Ordering, f: impl Fn($value) -> $value) -> $value {
                        let old = self.0.update(order, order, |now| Some($to(f($from(now)))));
                        $from(old.unwrap_or_else(|same| same))
                    }
                }
            };
        }

        macro_rules! counted {
            ($name:ident, $value:ty) => {
                atomic!($name, $value, |value: $value| value as u64, |word: u64| {
                    word as $value
                });

                #[allow(dead_code)]
                impl $name {
                    pub fn fetch_add(&self, by: $value, order: Ordering) -> $value {
                        self.fetch(order, |old| old.wrapping_add(by))
                    }

                    pub fn fetch_sub(&self, by: $value, order: Ordering) -> $value {
                        self.fetch(order, |old| old.wrapping_sub(by))
                    }
                }
            };
        }

        counted!(AtomicUsize, usize);
        counted!(AtomicU64, u64);
        atomic!(
            AtomicBool,
            bool,
            |value: bool| u64::from(value),
            |word| word != 0
        );
    }

    pub mod lock {
        use crate::explore;
        use std::marker::PhantomData;
        use std::sync::MutexGuard;

        pub mod mutex {
            #[derive(Debug)]
            pub struct MutexBackend;
        }

        /// The lock is held.
        pub struct Guard<'a, T, B> {
            /// Gone before the lock is.
            pub(crate) value: Option<MutexGuard<'a, T>>,
            pub(crate) lock: &'a explore::Lock,
            pub(crate) _backend: PhantomData<B>,
        }

        impl<T, B> std::ops::Deref for Guard<'_, T, B> {
            type Target = T;

            fn deref(&self) -> &T {
                self.value.as_ref().expect("there until it is dropped")
            }
        }

        impl<T, B> std::ops::DerefMut for Guard<'_, T, B> {
            fn deref_mut(&mut self) -> &mut T {
                self.value.as_mut().expect("there until it is dropped")
            }
        }

        impl<T, B> Drop for Guard<'_, T, B> {
            fn drop(&mut self) {
                self.value = None;
                self.lock.unlock();
            }
        }
    }
}

/// The wings of `vfs`.
pub mod sys {
    pub mod alloc {
        pub fn charged() {}
    }
}

pub mod cell {
    pub mod byte_vec {
        use crate::prelude::*;

        #[derive(Debug)]
        pub struct ByteVec(Vec<u8>);

        impl ByteVec {
            pub fn with_capacity(bytes: usize) -> Result<Self> {
                Ok(Self(Vec::with_capacity(bytes)))
            }

            pub fn clear(&mut self) {
                self.0.clear();
            }

            pub fn push<const N: usize>(&mut self, head: &[u8; N], tail: &[u8]) -> Result {
                self.0.extend_from_slice(head);
                self.0.extend_from_slice(tail);
                Ok(())
            }
        }

        impl std::ops::Deref for ByteVec {
            type Target = [u8];

            fn deref(&self) -> &[u8] {
                &self.0
            }
        }

        impl std::ops::DerefMut for ByteVec {
            fn deref_mut(&mut self) -> &mut [u8] {
                &mut self.0
            }
        }
    }

    pub mod locked {
        use crate::explore;
        use crate::prelude::*;
        use std::sync::Mutex;

        /// With `explore`'s lock; nobody is killed.
        #[derive(Debug)]
        pub struct Locked<T> {
            lock: explore::Lock,
            value: Mutex<T>,
        }

        type Guarded<'a, T> =
            crate::sync::lock::Guard<'a, T, crate::sync::lock::mutex::MutexBackend>;

        impl<T> Locked<T> {
            pub fn new(value: T, _depth: u32) -> Result<Self> {
                Ok(Self {
                    lock: explore::Lock::new(),
                    value: Mutex::new(value),
                })
            }

            pub fn new_inner(value: T, depth: u32) -> Result<Self> {
                Self::new(value, depth)
            }

            fn guard(&self) -> Guarded<'_, T> {
                crate::sync::lock::Guard {
                    value: self.value.try_lock().ok(),
                    lock: &self.lock,
                    _backend: std::marker::PhantomData,
                }
            }

            pub fn lock(&self) -> Result<Guarded<'_, T>> {
                self.lock.lock();
                Ok(self.guard())
            }

            pub fn try_lock(&self) -> Option<Guarded<'_, T>> {
                self.lock.try_lock().then(|| self.guard())
            }
        }
    }

    pub mod set_once {
        use crate::explore;
        use crate::prelude::*;
        use crate::sync::atomic;
        use std::sync::OnceLock;

        /// With the orders of the real one.
        #[derive(Debug)]
        pub struct LateBox<T> {
            is_there: explore::Word,
            value: OnceLock<T>,
        }

        impl<T> LateBox<T> {
            pub fn get(&self) -> Option<&T> {
                if self.is_there.load(atomic::Ordering::Acquire) == 0 {
                    return None;
                }
                self.value.get()
            }

            pub fn get_or_make(&self, make: impl FnOnce() -> Result<T>) -> Result<&T> {
                use atomic::Ordering;

                if let Some(value) = self.get() {
                    return Ok(value);
                }
                let new = make()?;
                let exchanged =
                    self.is_there
                        .update(Ordering::AcqRel, Ordering::Acquire, |is_there| {
                            (is_there == 0).then_some(1)
                        });
                if exchanged.is_ok() {
                    // Nobody else runs before the next operation.
                    assert!(self.value.set(new).is_ok());
                }
                self.value.get().ok_or(EIO)
            }
        }

        impl<T> Default for LateBox<T> {
            fn default() -> Self {
                Self {
                    is_there: explore::Word::new(0),
                    value: OnceLock::new(),
                }
            }
        }
    }
}

pub mod call {
    pub mod dir_iter {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Type(u8);

        impl Type {
            pub fn from_byte(byte: u8) -> Self {
                Self(byte)
            }

            pub fn as_byte(self) -> u8 {
                self.0
            }
        }

        #[derive(Clone, Copy, Debug)]
        pub struct Entry<'a> {
            pub ino: u64,
            pub kind: Type,
            pub name: &'a [u8],
        }
    }
}
