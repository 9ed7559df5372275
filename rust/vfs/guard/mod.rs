// SPDX-License-Identifier: GPL-2.0-only

//! What is held for a while: credentials, locks, the right to write.

pub mod borrowed;
pub mod in_use;
