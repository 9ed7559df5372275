// SPDX-License-Identifier: GPL-2.0-only

//! Nothing but a place for the tests.

#![forbid(unsafe_code)]
