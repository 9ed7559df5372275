// SPDX-License-Identifier: GPL-2.0-only

//! Getting at the data of a regular file: finding it where it was not looked for before, and checking
//! that it is what it must be ("fs-verity support" in `Documentation/filesystems/overlayfs.rst`).

#![forbid(unsafe_code)]

use super::lazy;
use crate::marks;
use crate::state::instance::Instance;
use crate::state::object;
use crate::state::object::Now;
use crate::state::object::Object;
use crate::state::traits::Trait;
use crate::state::Dentry;
use crate::state::Inode;
use format::metacopy::Metacopy;
use format::metacopy::MAX_LEN;
use format::options::Verity;
use kernel::prelude::*;
use vfs::call::verity;
use vfs::Held;
use vfs::Override;
use vfs::Path;

/// Returns where the data is, after it was found and checked.
///
/// # Errors
///
/// `ENOENT`: it is in no data-only layer. `EIO`: it is not what the metacopy file says it is.
#[inline]
pub(crate) fn path<'a>(instance: &'a Instance, inode: &'a Inode) -> Result<Path<'a>> {
    let now = Now::of(inode.held());
    if now.is_metacopy() {
        return prepare(instance, inode, now);
    }
    now.data_path().ok_or(EIO)
}

/// Returns the data of what is a metacopy file `now`. (If another task copies the data to upper meanwhile, it is the
/// same data.)
#[cold]
fn prepare<'a>(
    instance: &'a Instance,
    inode: &'a Inode,
    now: Now<Held<'a, Object>>,
) -> Result<Path<'a>> {
    instance.as_mounter(|c| {
        if now.data_path().is_none() {
            // One task looks for the data while it holds the lock of the object; others wait for the lock, and find it
            // known.
            let _claim = now.object().get().lock(inode.super_block().stack_depth())?;
            if now.data_path().is_none() {
                lazy::find(instance, c, inode)?;
                revalidate_names(inode);
            }
        }
        let data = now.data_path().ok_or(EIO)?;
        if instance.config.features.verity != Verity::Off && !now.has(Trait::VERIFIED) {
            check(instance, c, now.fixed_real_path().ok_or(EIO)?, data)?;
            now.object().set_verified();
        }
        Ok(data)
    })
}

/// Has the names of a file revalidated, if data that was found lazily is where that is wanted.
pub(crate) fn revalidate_names(inode: &Inode) {
    let found = inode.held().and_then(|object| object.found_lazily());
    if found.is_some_and(|pin| pin.dentry().needs_revalidation()) {
        Dentry::set_names_need_revalidation(inode);
    }
}

/// Returns the mark of a copy of a file that has its metadata alone: with the digest of the data, where digests are
/// checked. It is `None` where the data has to be copied too, as metacopies are not made, or only of what has a digest.
///
/// # Errors
///
/// `EIO`: nobody has looked yet where the data is, or its digest can't be read.
pub(super) fn metacopy_mark<'b>(
    instance: &Instance,
    c: &Override<'_>,
    inode: &Inode,
    room: &'b mut [u8; MAX_LEN],
) -> Result<Option<&'b [u8]>> {
    let features = &instance.config.features;
    if !features.metacopy || !inode.is_regular() {
        return Ok(None);
    }
    let digest = if features.verity == Verity::Off {
        None
    } else {
        let data = object::lower_data_path(inode.held()).ok_or(EIO)?;
        verity::digest(c, data).map_err(|_| EIO)?
    };
    let mut mark = Metacopy::default();
    match &digest {
        Some(digest) => {
            mark.digest_algo = digest.algorithm;
            mark.digest = digest.bytes();
        }
        None if features.verity == Verity::Require => return Ok(None),
        None => {}
    }
    mark.encode(room).map(Some).map_err(|_| EIO)
}

/// Checks that `data` has the digest that the metacopy file `top` says.
fn check(instance: &Instance, c: &Override<'_>, top: Path<'_>, data: Path<'_>) -> Result {
    let required = instance.config.features.verity == Verity::Require;
    let value = marks::metacopy_value(&instance.config, c, top)?;
    let Some((algorithm, digest)) = value.get()?.expected_digest() else {
        if required {
            vfs::warn_limited!(
                "metacopy file '{}' has no digest specified\n",
                &**top.dentry()
            );
            return Err(EIO);
        }
        return Ok(());
    };
    let Some(actual) = verity::digest(c, data).map_err(|_| EIO)? else {
        vfs::warn_limited!(
            "lower file '{}' has no fs-verity digest\n",
            &**data.dentry()
        );
        return Err(EIO);
    };
    if actual.algorithm != algorithm || actual.bytes() != digest {
        vfs::warn_limited!(
            "lower file '{}' has the wrong fs-verity digest\n",
            &**data.dentry()
        );
        return Err(EIO);
    }
    Ok(())
}
