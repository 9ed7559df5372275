// SPDX-License-Identifier: GPL-2.0-only

//! The pins of an inode are in containers that own them, which the crate goes through itself: a type that
//! could show others than it has, or leave some out, is none.
// expect: error[E0277]: the trait bound `Mine: PinSet` is not satisfied

use vfs::object::inode_cache::InodeData;
use vfs::PinnedDentry;

/// An example.
#[derive(Default)]
pub struct Mine(Option<PinnedDentry<()>>);

/// Private data of an inode.
#[derive(Default)]
pub struct Data {
    #[cfg(misuse)]
    pins: Mine,
    #[cfg(not(misuse))]
    pins: Option<PinnedDentry<()>>,
}

impl InodeData for Data {
    #[cfg(misuse)]
    type Pins = Mine;
    #[cfg(not(misuse))]
    type Pins = Option<PinnedDentry<()>>;

    fn pins(&self) -> &Self::Pins {
        &self.pins
    }
}
