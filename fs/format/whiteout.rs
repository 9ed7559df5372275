// SPDX-License-Identifier: GPL-2.0-only

//! Whiteouts: the marks which say that a name in a layer below is gone.
//!
//! Either a character device with number 0/0, or (for layers that are themselves stored on a stacked
//! filesystem, or written without privileges) a regular file of size zero with the xattr
//! `overlay.whiteout`. See "whiteouts and opaque directories" in
//! `Documentation/filesystems/overlayfs.rst`.
//!
//! A *lookup* honours the second form wherever it is found (`ovl_path_is_whiteout`). A *listing* asks
//! for the xattr only where directories are marked `x` ([`crate::opaque::DirMark::HasWhiteouts`]),
//! because it would otherwise have to ask every empty file.

#![forbid(unsafe_code)]

/// The device number (`i_rdev`) of a whiteout.
pub const DEVICE: u32 = 0;

/// An object in a layer, as far as its inode tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Object {
    /// A character device with this number.
    CharDevice(u32),
    /// A regular file of this size.
    Regular(u64),
    /// Anything else.
    Other,
}

/// Whether an object is a whiteout, as far as its inode tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Yes,
    /// It isn't.
    No,
    /// It is if it has the xattr [`crate::xattr::Mark::Whiteout`], whatever the value.
    IfMarked,
}

/// Tells whether an object found by lookup is a whiteout.
pub const fn verdict(object: Object) -> Verdict {
    match object {
        Object::CharDevice(DEVICE) => Verdict::Yes,
        Object::Regular(0) => Verdict::IfMarked,
        _ => Verdict::No,
    }
}

/// The whole answer, where the xattr is at hand.
pub fn is_whiteout(object: Object, has_mark: bool) -> bool {
    match verdict(object) {
        Verdict::Yes => true,
        Verdict::No => false,
        Verdict::IfMarked => has_mark,
    }
}

/// The type of a directory entry, which tells something before the object itself is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryType {
    /// `DT_CHR`.
    CharDevice,
    /// `DT_REG`.
    Regular,
    /// Any other known type.
    Other,
    /// `DT_UNKNOWN`: the filesystem doesn't tell.
    Unknown,
}

/// Whether a listing must look at the object of an entry to know that it is no whiteout.
///
/// `marked` says that zero-size files are to be asked: overlayfs does so in a layer's directory when
/// that layer has shown the mark `x` anywhere, and one of the merged directories has it. Overlayfs
/// takes an entry of unknown type for no whiteout; we look.
pub fn must_look(entry: EntryType, marked: bool) -> bool {
    match entry {
        EntryType::CharDevice | EntryType::Unknown => true,
        EntryType::Regular => marked,
        EntryType::Other => false,
    }
}

const _: () = {
    // A character device 0/0 is one by itself, an empty regular file if it is marked.
    assert!(DEVICE == 0);
    assert!(matches!(verdict(Object::CharDevice(0)), Verdict::Yes));
    assert!(matches!(verdict(Object::CharDevice(1)), Verdict::No));
    assert!(matches!(verdict(Object::Regular(0)), Verdict::IfMarked));
    assert!(matches!(verdict(Object::Regular(1)), Verdict::No));
    assert!(matches!(verdict(Object::Other), Verdict::No));
};
