// SPDX-License-Identifier: GPL-2.0-only

//! Mappings of files into memory: the real file is mapped, and a filesystem of ours may be asked before somebody stores
//! to it.
//!
//! A mapping is the real filesystem's: its file (`vm_file`) and its own data (`vm_private_data`) stay what that has set.
//! Only the table of operations is replaced by a copy, in which one operation is ours (coda does the same): the copy says
//! where the original is. Whose file was mapped, the backing file knows.
//!
//! It is not for the filesystems that have data of their own to map, and not for DAX, where stores reach the file by other
//! operations too.
//!
//! C headers: [`include/linux/mm.h`](srctree/include/linux/mm.h) (`struct vm_operations_struct`),
//! [`include/linux/backing-file.h`](srctree/include/linux/backing-file.h)
//!
//! # Examples
//!
//! ```ignore
//! map.forward::<MyFs, MyFaults>(file, real, &mounter)
//! ```

use crate::call::backing::context;
use crate::call::backing::has_flag;
use crate::call::backing::Backing;
use crate::cell::set_once::LateBox;
use crate::object::file::File;
use crate::object::inode::Inode;
use crate::object::Foreign;
use crate::object::Ours;
use crate::sys::bindings;
use crate::sys::errno::to_result;
use crate::sys::task::is_being_killed;
use core::marker::PhantomData;
use core::ops::Range;
use core::sync::atomic::fence;
use core::sync::atomic::Ordering;
use kernel::cred::Credential;
use kernel::prelude::*;

/// The copies of the tables of operations of the filesystems below, for mappings by way of one super block of ours: as
/// many as there are different tables, which are few.
#[derive(Default)]
pub struct Tables(LateBox<Table>);

/// A copy of a table.
///
/// # Invariants
///
/// `original` is a table of a filesystem, which stays as long as that has files open; `copy` is what it has, but for
/// `page_mkwrite`.
struct Table {
    original: *const bindings::vm_operations_struct,
    copy: bindings::vm_operations_struct,
    next: Tables,
}

// SAFETY: The tables are constant.
unsafe impl Send for Table {}

// SAFETY: As above.
unsafe impl Sync for Table {}

impl Tables {
    /// The copy of `original`.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    ///
    /// # Safety
    ///
    /// `original` must be the table of a mapping that exists.
    unsafe fn copy_of<F: Ours, W: WriteFaults<F>>(
        &self,
        original: *const bindings::vm_operations_struct,
    ) -> Result<&bindings::vm_operations_struct> {
        let mut at = self;
        loop {
            let table = at.0.get_or_make(|| {
                // INVARIANT: By the requirement; tables are static in the code of their filesystem.
                Ok(Table {
                    original,
                    copy: bindings::vm_operations_struct {
                        page_mkwrite: Some(page_mkwrite::<F, W>),
                        // SAFETY: By the requirement.
                        ..unsafe { *original }
                    },
                    next: Tables::default(),
                })
            })?;
            if core::ptr::eq(table.original, original) {
                return Ok(&table.copy);
            }
            at = &table.next;
        }
    }
}

/// What a filesystem says when somebody is about to store to one of its files through a mapping.
pub trait WriteFaults<F: Ours> {
    /// Where the tables are kept: in the private data of the super block.
    fn tables(data: &F::SuperData) -> &Tables;

    /// Whether `bytes` of the file may be stored to. If not, the access is tried again, which asks again. It is asked
    /// before the real filesystem makes the page writable, and once more when it has: a filesystem that closes the file
    /// to stores, and then has written back what is dirty, so meets every store either here or there.
    ///
    /// # Context
    ///
    /// The address space of the task is locked (`mmap_lock`), and the task may hold locks of files: what is waited for
    /// where `step` says that it may wait, must be bounded in time.
    fn may_store(inode: &Inode<F>, bytes: Range<u64>, step: Step) -> bool;

    /// The file was mapped so that [`may_store`](Self::may_store) is not asked: by the user of a filesystem that stands on
    /// this one.
    ///
    /// # Context
    ///
    /// As `may_store`; it does not wait.
    fn not_asked(inode: &Inode<F>);
}

/// When [`WriteFaults::may_store`] is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Before the real filesystem: it may sleep, for a moment.
    Before,
    /// The page is locked and about to be writable: it may not wait.
    After,
}

/// The bytes that a store may go to once the page of a fault is writable.
///
/// # Safety
///
/// `vmf` must be a fault that has a page.
unsafe fn range_of(vmf: *mut bindings::vm_fault) -> Range<u64> {
    let (mut start, mut len) = (0, 0);
    // SAFETY: By the requirement.
    unsafe { bindings::vfs_helper_fault_range(vmf, &mut start, &mut len) };
    start..start.saturating_add(len)
}

/// Somebody is about to store to a page of a file, which so is to become writable.
unsafe extern "C" fn page_mkwrite<F: Ours, W: WriteFaults<F>>(
    vmf: *mut bindings::vm_fault,
) -> bindings::vm_fault_t {
    const AGAIN: bindings::vm_fault_t = bindings::vm_fault_reason_VM_FAULT_NOPAGE;
    const FAILED: bindings::vm_fault_t = bindings::vm_fault_reason_VM_FAULT_SIGBUS;
    const LOCKED: bindings::vm_fault_t = bindings::vm_fault_reason_VM_FAULT_LOCKED;
    const ENDED: bindings::vm_fault_t = bindings::VM_FAULT_ERROR | AGAIN;

    // SAFETY: The kernel passes a fault with a page, in a mapping that has this operation, so its table is the copy in a
    // `Table`. That is in the private data of a super block (see `forward`), which is there as long as its mounts; the
    // mapping has a backing file open, which keeps the path of the user's file, and so the mount and the inode.
    let (original, inode, bytes) = unsafe {
        let vma = (*vmf).__bindgen_anon_1.vma;
        let table: *const Table = kernel::container_of!((*vma).vm_ops, Table, copy);
        let user = bindings::backing_file_user_path((*vma).vm_file);
        let inode = Inode::<F>::from_raw((*(*user).dentry).d_inode);
        ((*table).original, inode, range_of(vmf))
    };
    if !W::may_store(inode, bytes.clone(), Step::Before) {
        // Trying again ends with the signal where the task is in its own code; in a system call it would not end.
        return if is_being_killed() { FAILED } else { AGAIN };
    }
    // SAFETY: By the invariant of the table: a copy is made of what has the operation.
    let result = match unsafe { (*original).page_mkwrite } {
        // SAFETY: It is what the kernel would have called with this fault.
        Some(page_mkwrite) => unsafe { page_mkwrite(vmf) },
        None => 0,
    };
    if result & ENDED != 0 {
        return result;
    }
    // SAFETY: The page is not locked yet, if the operation has not done it.
    if result & LOCKED == 0 && unsafe { !bindings::vfs_helper_fault_lock(vmf) } {
        return AGAIN;
    }
    // The page is dirty, and locked until it is writable. Who closes the file to stores does that before he looks for dirty
    // pages, which he locks: so he meets this page, or what is asked here meets him.
    fence(Ordering::SeqCst);
    if !W::may_store(inode, bytes, Step::After) {
        // SAFETY: It was locked above, or by the operation.
        unsafe { bindings::vfs_helper_fault_unlock(vmf) };
        return AGAIN;
    }
    result | LOCKED
}

/// A mapping into memory that a user asked for.
///
/// # Invariants
///
/// It is what the VFS passed to `->mmap()`, during that call.
pub struct MapRequest<'a>(*mut bindings::vm_area_struct, PhantomData<&'a ()>);

impl MapRequest<'_> {
    /// # Safety
    ///
    /// See the type invariant.
    pub(crate) unsafe fn from_raw(vma: *mut bindings::vm_area_struct) -> Self {
        Self(vma, PhantomData)
    }

    /// Maps the real file instead (wraps `backing_file_mmap()`): faults then come to its filesystem, and to `W` before
    /// those that make a page of it writable, if its filesystem can share data between files.
    ///
    /// # Errors
    ///
    /// `ENODEV`: the real file can't be mapped. `EACCES`: shared, and it is append-only. `ENOMEM`. What the filesystem
    /// gives.
    pub fn forward<F: Ours, W: WriteFaults<F>>(
        self,
        file: &File<F>,
        real: &Backing,
        cred: &Credential,
    ) -> Result {
        // SAFETY: By the type invariant; the flags of an area that is being mapped are ours to read.
        let flags = unsafe { (*self.0).__bindgen_anon_2.vm_flags };
        let is_shared = flags & bindings::VM_SHARED != 0;
        if is_shared && has_flag(real.inode(), bindings::S_APPEND) {
            return Err(EACCES);
        }
        let mut ctx = context(cred);
        // SAFETY: By the type invariants.
        to_result(unsafe { bindings::backing_file_mmap(real.as_ptr(), self.0, &mut ctx) })?;
        if !is_shared || !can_share(real) {
            return Ok(());
        }
        // SAFETY: The area was just mapped, and nobody else has it yet; its table, if it has one, is that of the real
        // filesystem. The copy is kept in the private data of our super block, as `tables()` takes it from there whatever
        // the lifetime; that is there as long as a mapping, as `page_mkwrite` says, since the path that the mapping keeps
        // is of that super block, as is checked.
        unsafe {
            let original = (*self.0).vm_ops;
            if original.is_null() || (*original).page_mkwrite.is_none() {
                return Ok(());
            }
            if is_of(real, file) {
                let tables = W::tables(file.inode().super_block().data());
                (*self.0).vm_ops = tables.copy_of::<F, W>(original)?;
            } else {
                W::not_asked(file.inode());
            }
        }
        Ok(())
    }
}

/// Whether the path that a real file keeps is one of the inode of `file`. It is not if the user's file is open in another
/// filesystem, for which `file` is the real one in turn.
fn is_of<F: Ours>(real: &Backing, file: &File<F>) -> bool {
    // SAFETY: Both are open, and the one is a backing file, so it has the path of a user's file.
    unsafe {
        let user = bindings::backing_file_user_path(real.as_ptr());
        core::ptr::eq((*(*user).dentry).d_inode, file.inode().as_ptr())
    }
}

/// Whether the data of a real file may come to be shared with others while it is mapped.
fn can_share(real: &File<Foreign>) -> bool {
    // SAFETY: The file is open, its operations are constant.
    unsafe {
        (*(*real.as_ptr()).f_op).remap_file_range.is_some()
            && !bindings::vfs_helper_is_dax(real.inode().as_ptr())
    }
}
