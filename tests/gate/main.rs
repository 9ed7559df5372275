// SPDX-License-Identifier: GPL-2.0-only

//! The clone gate (`fs/layerfs/state/clone_gate.rs`), as it is in the module, in every order that a few tasks can come in
//! (loom), and in many random ones of more tasks (shuttle).
//!
//! The file is a few words, a unit of the gate each; the real filesystem copies the words of a piece at once, as it holds
//! its own lock. How a gate is closed is that of `engine/clone.rs`: under the lock of the inode, which a writer lets go
//! while he waits.

#![forbid(unsafe_code)]

// What the source knows as `kernel::…` and `vfs::…`.
extern crate self as kernel;
extern crate self as vfs;

#[path = "../../fs/layerfs/state/clone_gate.rs"]
mod clone_gate;
mod plain;
mod scenarios;

pub mod prelude {
    pub const GFP_KERNEL: () = ();
    pub const EINVAL: Error = Error("EINVAL");

    pub type Result<T = (), E = Error> = std::result::Result<T, E>;

    #[derive(Clone, Copy, Debug, PartialEq)]
    pub struct Error(pub &'static str);

    pub struct KVVec<T>(Vec<T>);

    impl<T: Clone> KVVec<T> {
        pub fn from_elem(value: T, count: usize, _flags: ()) -> Result<Self> {
            Ok(Self(vec![value; count]))
        }
    }

    impl<T> std::ops::Deref for KVVec<T> {
        type Target = [T];

        fn deref(&self) -> &[T] {
            &self.0
        }
    }

    impl<T> std::ops::DerefMut for KVVec<T> {
        fn deref_mut(&mut self) -> &mut [T] {
            &mut self.0
        }
    }
}

pub mod sync {
    use crate::prelude::Result;

    pub struct Arc<T>(std::sync::Arc<T>);

    impl<T> Arc<T> {
        pub fn new(value: T, _flags: ()) -> Result<Self> {
            Ok(Self(std::sync::Arc::new(value)))
        }
    }

    impl<T> Clone for Arc<T> {
        fn clone(&self) -> Self {
            Self(self.0.clone())
        }
    }

    impl<T> std::ops::Deref for Arc<T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.0
        }
    }
}

pub mod sys {
    pub mod errno {
        pub const EDEADLK: crate::prelude::Error = crate::prelude::Error("EDEADLK");
    }
}
