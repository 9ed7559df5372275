// SPDX-License-Identifier: GPL-2.0-only

//! The C tables of operations, made from the traits, and the functions in them.
//!
//! Each function turns what the VFS passes into the types of this crate and the result into what the
//! VFS wants. What the VFS promises of its arguments ([`Documentation/filesystems/vfs.rst`],
//! `locking.rst`) is what the SAFETY comments here lean on.

mod attr;
mod cache;
mod dir;
mod file;

use crate::call::stat::Stat;
use crate::object::inode_cache::Slot;
use crate::object::Tables;
use crate::ops::AttrOps;
use crate::ops::DirOps;
use crate::ops::FileOps;
use crate::ops::FileSystem;
use crate::ops::SuperOps;
use crate::sys::bindings;
use crate::sys::errno::to_errno;
use core::ptr::NonNull;
use kernel::ffi;
use kernel::prelude::*;

use attr::*;
use cache::*;
use dir::*;
use file::*;

/// Attribute operations are the same for every type of inode.
const fn attr_operations<F: FileSystem>() -> bindings::inode_operations {
    bindings::inode_operations {
        permission: Some(permission::<F>),
        getattr: Some(getattr::<F>),
        listxattr: if F::Attr::HAS_LIST_XATTRS {
            Some(listxattr::<F>)
        } else {
            None
        },
        get_inode_acl: if F::Attr::HAS_ACL_FOR_CHECK {
            Some(get_inode_acl::<F>)
        } else {
            None
        },
        get_acl: if F::Attr::HAS_ACL {
            Some(get_acl::<F>)
        } else {
            None
        },
        fileattr_get: if F::Attr::HAS_FILEATTR {
            Some(fileattr_get::<F>)
        } else {
            None
        },
        fileattr_set: if F::Attr::HAS_SET_FILEATTR {
            Some(fileattr_set::<F>)
        } else {
            None
        },
        setattr: Some(setattr::<F>),
        set_acl: if F::Attr::HAS_SET_ACL {
            Some(set_acl::<F>)
        } else {
            None
        },
        update_time: Some(update_time::<F>),
        ..pin_init::zeroed()
    }
}

impl<F: FileSystem> Tables for F {
    const HAS_ACL_FOR_CHECK: bool = F::Attr::HAS_ACL_FOR_CHECK;

    const DIR_INODE: &'static bindings::inode_operations = &bindings::inode_operations {
        lookup: Some(lookup::<F>),
        create: CreateEntry::<F>::ENTRY,
        mkdir: Some(mkdir::<F>),
        mknod: Some(mknod::<F>),
        symlink: Some(symlink::<F>),
        link: Some(link::<F>),
        unlink: Some(unlink::<F>),
        rmdir: Some(rmdir::<F>),
        rename: Some(rename::<F>),
        tmpfile: Some(tmpfile::<F>),
        ..attr_operations::<F>()
    };

    const REGULAR_INODE: &'static bindings::inode_operations = &bindings::inode_operations {
        fiemap: if F::Regular::HAS_FIEMAP {
            Some(fiemap::<F>)
        } else {
            None
        },
        ..attr_operations::<F>()
    };

    // The VFS checks no permission on links themselves, and they have neither lists nor flags.
    const SYMLINK_INODE: &'static bindings::inode_operations = &bindings::inode_operations {
        get_link: Some(get_link::<F>),
        permission: None,
        get_inode_acl: None,
        get_acl: None,
        set_acl: None,
        fileattr_get: None,
        fileattr_set: None,
        ..attr_operations::<F>()
    };

    // A stack on this one must know it for what it is, so no other link has `->readlink`.
    const MAGIC_LINK_INODE: &'static bindings::inode_operations = &bindings::inode_operations {
        readlink: Some(readlink::<F>),
        ..*Self::SYMLINK_INODE
    };

    const SPECIAL_INODE: &'static bindings::inode_operations = &bindings::inode_operations {
        fileattr_get: None,
        fileattr_set: None,
        ..attr_operations::<F>()
    };

    const DIR_FILE: &'static bindings::file_operations = &bindings::file_operations {
        read: Some(bindings::generic_read_dir),
        open: Some(dir_open::<F>),
        iterate_shared: Some(dir_iterate::<F>),
        llseek: Some(dir_llseek::<F>),
        fsync: Some(dir_fsync::<F>),
        release: Some(dir_release::<F>),
        setlease: Some(bindings::generic_setlease),
        unlocked_ioctl: if F::Dir::HAS_IOCTL {
            Some(dir_ioctl::<F>)
        } else {
            None
        },
        compat_ioctl: if F::Dir::HAS_IOCTL {
            bindings::compat_ptr_ioctl
        } else {
            None
        },
        ..pin_init::zeroed()
    };

    const REGULAR_FILE: &'static bindings::file_operations = &bindings::file_operations {
        open: Some(file_open::<F>),
        release: Some(file_release::<F>),
        llseek: Some(file_llseek::<F>),
        read_iter: Some(file_read_iter::<F>),
        splice_read: if F::Regular::HAS_SPLICE_READ {
            Some(file_splice_read::<F>)
        } else {
            None
        },
        mmap: if F::Regular::HAS_MMAP {
            Some(file_mmap::<F>)
        } else {
            None
        },
        fsync: Some(file_fsync::<F>),
        write_iter: Some(file_write_iter::<F>),
        splice_write: if F::Regular::HAS_SPLICE_WRITE {
            Some(file_splice_write::<F>)
        } else {
            None
        },
        fallocate: if F::Regular::HAS_ALLOCATE {
            Some(file_fallocate::<F>)
        } else {
            None
        },
        copy_file_range: if F::Regular::HAS_TRANSFER {
            Some(file_copy_range::<F>)
        } else {
            None
        },
        remap_file_range: if F::Regular::HAS_TRANSFER {
            Some(file_remap_range::<F>)
        } else {
            None
        },
        fadvise: if F::Regular::HAS_ADVISE {
            Some(file_fadvise::<F>)
        } else {
            None
        },
        flush: if F::Regular::HAS_FLUSH {
            Some(file_flush::<F>)
        } else {
            None
        },
        setlease: Some(bindings::generic_setlease),
        unlocked_ioctl: if F::Regular::HAS_IOCTL {
            Some(file_ioctl::<F>)
        } else {
            None
        },
        compat_ioctl: if F::Regular::HAS_IOCTL {
            bindings::compat_ptr_ioctl
        } else {
            None
        },
        ..pin_init::zeroed()
    };

    const SUPER: &'static bindings::super_operations = &bindings::super_operations {
        alloc_inode: Some(Slot::<F>::alloc),
        destroy_inode: Some(Slot::<F>::destroy),
        free_inode: Some(Slot::<F>::free),
        // What is below is cached below: an inode nobody uses is worth nothing here.
        drop_inode: Some(bindings::inode_just_drop),
        sync_fs: Some(sync_fs::<F>),
        statfs: Some(statfs::<F>),
        show_options: Some(show_options::<F>),
        show_stats: if F::Super::HAS_SHOW_COUNTERS {
            Some(show_stats::<F>)
        } else {
            None
        },
        ..pin_init::zeroed()
    };

    // Handles that identify an object, and that nobody can open.
    const IDENTIFY: &'static bindings::export_operations = &bindings::export_operations {
        encode_fh: Some(encode_fh::<F>),
        // SAFETY: The table is made of optional functions and flags; all may be zero.
        ..unsafe { core::mem::zeroed() }
    };

    // Handles that are opened: what they are of needs no parent, and directories have their place.
    const EXPORT: &'static bindings::export_operations = &bindings::export_operations {
        encode_fh: Some(encode_fh::<F>),
        fh_to_dentry: if F::Super::HAS_OPEN_HANDLE {
            Some(fh_to_dentry::<F>)
        } else {
            None
        },
        // SAFETY: The table is made of optional functions and flags; all may be zero.
        ..unsafe { core::mem::zeroed() }
    };

    const DENTRY: &'static bindings::dentry_operations = &bindings::dentry_operations {
        d_revalidate: Some(d_revalidate::<F>),
        d_weak_revalidate: Some(d_weak_revalidate::<F>),
        d_real: Some(d_real::<F>),
        ..pin_init::zeroed()
    };

    // Without Unicode no super block has an encoding.
    const FOLDING_DENTRY: &'static bindings::dentry_operations = &bindings::dentry_operations {
        #[cfg(CONFIG_UNICODE)]
        d_hash: Some(bindings::generic_ci_d_hash),
        #[cfg(CONFIG_UNICODE)]
        d_compare: Some(bindings::generic_ci_d_compare),
        ..*Self::DENTRY
    };

    const XATTRS: &'static [*const bindings::xattr_handler; 2] = &[
        &bindings::xattr_handler {
            prefix: c"".as_ptr().cast(),
            get: Some(xattr_get::<F>),
            set: Some(xattr_set::<F>),
            ..pin_init::zeroed()
        },
        core::ptr::null(),
    ];

    // Direct I/O is done by the real file; that it is possible is told by this operation being there.
    const ADDRESS_SPACE: &'static bindings::address_space_operations =
        &bindings::address_space_operations {
            direct_IO: Some(bindings::noop_direct_IO),
            ..pin_init::zeroed()
        };
}

/// A length or an error, as the VFS wants it.
#[inline]
fn length(result: Result<usize>) -> isize {
    match result {
        Ok(len) => len as isize,
        Err(e) => to_errno(e) as isize,
    }
}

/// A position or an error, as the VFS wants it.
#[inline]
fn position(result: Result<i64>) -> i64 {
    match result {
        Ok(pos) => pos,
        Err(e) => i64::from(to_errno(e)),
    }
}

/// A buffer the VFS passed; null means that only a length is asked for.
///
/// # Safety
///
/// `ptr` must be null, or valid and ours for `len` bytes as long as `'a`.
#[inline]
unsafe fn buffer<'a>(ptr: *mut ffi::c_char, len: usize) -> &'a mut [u8] {
    match NonNull::new(ptr.cast::<u8>()) {
        // SAFETY: By the requirement.
        Some(ptr) => unsafe { core::slice::from_raw_parts_mut(ptr.as_ptr(), len) },
        None => &mut [],
    }
}

/// `getattr` casts one to the other.
const _: () = assert!(size_of::<Stat>() == size_of::<bindings::kstat>());
