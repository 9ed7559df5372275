// SPDX-License-Identifier: GPL-2.0-only

//! What must be true of `fs/format` whatever bytes it is given, said so that anything can drive it.
//!
//! [`model`] does slowly and obviously, with vectors and strings, what the crate does in place and in
//! borrowed buffers. [`properties`] takes arbitrary bytes, and panics where crate and model differ or a
//! promise is broken: the property tests (`tests/format`) and the fuzz targets (`tests/fuzz`) call the
//! same functions.

#![forbid(unsafe_code)]
#![warn(missing_docs, rust_2018_idioms, unreachable_pub)]

pub mod model;
pub mod properties;
