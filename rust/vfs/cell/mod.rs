// SPDX-License-Identifier: GPL-2.0-only

//! Cells in which something is kept: locked, set once, counted, or as bits of a word. They know nothing of the VFS.

pub mod byte_vec;
pub mod counters;
pub mod lock_word;
pub mod locked;
pub mod name_map;
pub mod name_map_cell;
pub mod rcu_arc;
pub mod set_once;
pub mod watched;
