// SPDX-License-Identifier: GPL-2.0-only

//! Everything that needs no object of the VFS: the C side, errors, the current task and its credentials, messages.

pub mod alloc;
pub mod anon_dev;
pub(crate) mod bindings;
pub mod clock;
pub mod cred;
pub mod debug;
pub mod errno;
pub mod hash;
pub mod log;
pub mod mode;
pub mod pause;
pub mod random;
pub mod rcu;
pub mod seq;
pub mod shrinker;
pub mod task;
