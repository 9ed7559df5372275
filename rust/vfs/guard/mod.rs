// SPDX-License-Identifier: GPL-2.0-only

//! Guards of what is held for a while: locks, the right to write, a place in a directory, credentials for one
//! operation.

pub mod borrowed;
mod delegation;
pub mod dir_op;
pub mod in_use;
pub mod lock;
pub mod write;
