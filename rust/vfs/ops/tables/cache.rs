// SPDX-License-Identifier: GPL-2.0-only

//! What the VFS asks of dentries and super blocks.

use crate::call::stat::StatFs;
use crate::object::dentry::word_of;
use crate::object::dentry::Positive;
use crate::object::inode::Inode;
use crate::object::inode::RcuInode;
use crate::object::super_block::SuperBlock;
use crate::ops::export::Decoded;
use crate::ops::export::Decoding;
use crate::ops::revalidation::RcuRevalidation;
use crate::ops::revalidation::Revalidation;
use crate::ops::DentryOps;
use crate::ops::FileSystem;
use crate::ops::RealType;
use crate::ops::SuperOps;
use crate::ops::HANDLE_MAX;
use crate::sys::bindings;
use crate::sys::errno::to_errno;
use crate::sys::seq;
use core::marker::PhantomData;
use core::sync::atomic::Ordering;
use kernel::error::from_result;
use kernel::prelude::*;
use kernel::sync::aref::ARef;

pub(super) unsafe extern "C" fn d_revalidate<F: FileSystem>(
    _dir: *mut bindings::inode,
    _name: *const bindings::qstr,
    dentry: *mut bindings::dentry,
    flags: u32,
) -> i32 {
    // SAFETY: The VFS passes a dentry of ours.
    unsafe { revalidate::<F>(dentry, question(flags, false)) }
}

pub(super) unsafe extern "C" fn d_weak_revalidate<F: FileSystem>(
    dentry: *mut bindings::dentry,
    flags: u32,
) -> i32 {
    // SAFETY: The VFS passes a dentry of ours.
    unsafe { revalidate::<F>(dentry, question(flags, true)) }
}

fn question<'a>(flags: u32, weak: bool) -> Revalidation<'a> {
    let _walk = PhantomData;
    let word = 0;
    Revalidation {
        flags,
        word,
        weak,
        _walk,
    }
}

/// # Safety
///
/// `dentry` must be one of ours, counted, or under RCU if the question says so.
unsafe fn revalidate<F: FileSystem>(
    dentry: *mut bindings::dentry,
    mut question: Revalidation<'_>,
) -> i32 {
    // SAFETY: By the requirement; under RCU the inode may just be gone.
    let inode = unsafe { (&raw const (*dentry).d_inode).read_volatile() };
    let rcu = question.flags & bindings::LOOKUP_RCU != 0;
    if inode.is_null() {
        // A walk with references comes to a negative dentry only where the name is not there. That it wants to be
        // asked about says that it may be there now.
        return if rcu { to_errno(ECHILD) } else { 0 };
    }
    let valid = if rcu {
        // What the filesystem had noted before the word said so is seen by who sees the word. (Where loads change places,
        // as on arm64, that takes the order.)
        // SAFETY: By the requirement; the word is there as long as the dentry.
        question.word = unsafe { word_of(dentry) }.load(Ordering::Acquire);
        // INVARIANT: The flag is there, so the path walk that waits for the answer has the lock.
        let question = RcuRevalidation(question);
        // SAFETY: Under RCU the inode's memory stays.
        F::Dentry::revalidate_rcu(unsafe { RcuInode::from_raw(inode) }, question).ok_or(ECHILD)
    } else {
        // SAFETY: A counted dentry that has an inode keeps it.
        F::Dentry::revalidate(unsafe { Positive::from_raw(dentry) }, question)
    };
    match valid {
        Ok(valid) => i32::from(valid),
        Err(e) => to_errno(e),
    }
}

pub(super) unsafe extern "C" fn d_real<F: FileSystem>(
    dentry: *mut bindings::dentry,
    which: bindings::d_real_type,
) -> *mut bindings::dentry {
    let of = if which == bindings::d_real_type_D_REAL_METADATA {
        RealType::Metadata
    } else {
        RealType::Data
    };
    // SAFETY: The VFS passes a positive dentry of ours.
    match F::Dentry::real(unsafe { Positive::<F>::from_raw(dentry) }, of) {
        None => dentry,
        Some(real) => {
            // SAFETY: The dentry is valid while ours is; one that stands on another in turn has
            // the operation.
            unsafe {
                match (*real.as_ptr()).d_op.as_ref().and_then(|ops| ops.d_real) {
                    Some(further) if real.is_stacked() => further(real.as_ptr(), which),
                    _ => real.as_ptr(),
                }
            }
        }
    }
}

pub(super) unsafe extern "C" fn encode_fh<F: FileSystem>(
    inode: *mut bindings::inode,
    words: *mut u32,
    len: *mut i32,
    parent: *mut bindings::inode,
) -> i32 {
    const INVALID: i32 = bindings::fid_type_FILEID_INVALID as i32;

    if !parent.is_null() {
        // One by which it could be found in its directory.
        return INVALID;
    }
    let mut room = [0; HANDLE_MAX];
    // SAFETY: The VFS passes an inode of ours that is counted.
    let Some(bytes) = F::Super::encode_handle(unsafe { Inode::from_raw(inode) }, &mut room) else {
        return INVALID;
    };
    let bytes = bytes.min(HANDLE_MAX);
    // SAFETY: The VFS passes a buffer, and its length in words.
    unsafe {
        let fits = usize::try_from(*len).is_ok_and(|words| bytes <= words.saturating_mul(4));
        *len = (bytes / 4) as i32;
        if !fits {
            return INVALID;
        }
        core::ptr::copy_nonoverlapping(room.as_ptr(), words.cast::<u8>(), bytes);
    }
    i32::from(F::Super::HANDLE_KIND)
}

pub(super) unsafe extern "C" fn fh_to_dentry<F: FileSystem>(
    sb: *mut bindings::super_block,
    fid: *mut bindings::fid,
    len: i32,
    kind: i32,
) -> *mut bindings::dentry {
    // SAFETY: The VFS passes a super block of ours, and a handle with its length in words. It holds no lock.
    let (sb, question) = unsafe {
        let sb = SuperBlock::<F>::from_raw(sb);
        let len = usize::try_from(len).unwrap_or(0).saturating_mul(4);
        let bytes = core::slice::from_raw_parts(fid.cast::<u8>(), len);
        let kind = u8::try_from(kind).unwrap_or(bindings::fid_type_FILEID_INVALID as u8);
        (sb, Decoding::from_raw(sb, bytes, kind))
    };
    let found = F::Super::open_handle(question).and_then(|found| match found {
        Decoded::Object(inode) if core::ptr::eq(inode.super_block(), sb) => {
            Positive::alias_of(inode)
        }
        Decoded::Directory(dir) if core::ptr::eq(dir.super_block(), sb) => Ok(ARef::from(&**dir)),
        // It is of another super block than was asked for.
        _ => Err(EIO),
    });
    match found {
        // The reference goes to the caller.
        Ok(dentry) => ARef::into_raw(dentry).cast().as_ptr(),
        Err(e) => e.to_ptr(),
    }
}

pub(super) unsafe extern "C" fn statfs<F: FileSystem>(
    dentry: *mut bindings::dentry,
    buf: *mut kernel::bindings::kstatfs,
) -> i32 {
    // SAFETY: The VFS passes a dentry of ours, and a structure to fill.
    let (sb, stat) = unsafe {
        (
            SuperBlock::<F>::from_raw((*dentry).d_sb),
            &mut *buf.cast::<StatFs>(),
        )
    };
    from_result(|| F::Super::statfs(sb, stat).map(|()| 0))
}

pub(super) unsafe extern "C" fn sync_fs<F: FileSystem>(
    sb: *mut bindings::super_block,
    wait: i32,
) -> i32 {
    // SAFETY: The VFS passes a super block of ours.
    let sb = unsafe { SuperBlock::<F>::from_raw(sb) };
    from_result(|| F::Super::sync(sb, wait != 0).map(|()| 0))
}

pub(super) unsafe extern "C" fn show_options<F: FileSystem>(
    m: *mut bindings::seq_file,
    dentry: *mut bindings::dentry,
) -> i32 {
    // SAFETY: The VFS passes the root dentry of ours, and where to show.
    let (sb, options) = unsafe {
        (
            SuperBlock::<F>::from_raw((*dentry).d_sb),
            seq::Options::from_raw(m),
        )
    };
    F::Super::show_options(sb, &options);
    0
}

pub(super) unsafe extern "C" fn show_stats<F: FileSystem>(
    m: *mut bindings::seq_file,
    dentry: *mut bindings::dentry,
) -> i32 {
    // SAFETY: The VFS passes the root dentry of a mount of ours, and where to show.
    let (sb, mut counters) = unsafe {
        (
            SuperBlock::<F>::from_raw((*dentry).d_sb),
            seq::CounterLines::from_raw(m),
        )
    };
    F::Super::show_counters(sb, &mut counters);
    0
}
