// SPDX-License-Identifier: GPL-2.0-only

//! Acting with other credentials for a while.
//!
//! A stacking filesystem checks its own objects with the caller's credentials and acts on the
//! objects below with those of whoever mounted it. [`Override`] is that second state as a value:
//! while it lives the task has the mounter's credentials, and every call of this crate that acts on
//! a foreign object asks for a reference to it.
//!
//! C header: [`include/linux/cred.h`](srctree/include/linux/cred.h)

use crate::bindings;
use core::marker::PhantomData;
use core::ptr::NonNull;
use kernel::cred::Credential;
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::types::NotThreadSafe;

/// A capability, as in [`include/uapi/linux/capability.h`](srctree/include/uapi/linux/capability.h).
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Capability {
    /// Read and search whatever the permission bits say; also: decode file handles.
    DacReadSearch = bindings::CAP_DAC_READ_SEARCH,
    /// Administration; also: `trusted.*` extended attributes.
    SysAdmin = bindings::CAP_SYS_ADMIN,
    /// Exceed quotas, use reserved space.
    SysResource = bindings::CAP_SYS_RESOURCE,
}

/// Whether the current task has `cap` in the initial user namespace (wraps `capable()`).
///
/// # Context
///
/// Any. A successful check is noted by the audit subsystem and the LSMs.
pub fn capable(cap: Capability) -> bool {
    // SAFETY: `capable` has no requirement but a valid capability number, which the enum gives.
    unsafe { bindings::capable(cap as i32) }
}

/// Like [`capable`], but leaves no trace in the audit log (wraps `ns_capable_noaudit()`).
pub fn capable_noaudit(cap: Capability) -> bool {
    // SAFETY: `init_user_ns` is a static of the kernel, the capability number is valid.
    unsafe { bindings::ns_capable_noaudit(&raw mut bindings::init_user_ns, cap as i32) }
}

/// Credentials of our own making, not yet shared with anybody.
///
/// # Invariants
///
/// The pointer is the only reference to a `struct cred` that `prepare_creds()` gave.
pub struct Prepared(NonNull<bindings::cred>);

impl Prepared {
    /// A copy of the current task's credentials (wraps `prepare_creds()`).
    ///
    /// # Errors
    ///
    /// `ENOMEM`: no memory, or an LSM could not prepare its part.
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn from_current() -> Result<Self> {
        // SAFETY: `prepare_creds` may be called by any task in process context.
        let cred = unsafe { bindings::prepare_creds() };
        // INVARIANT: The new credentials have one reference and it is ours.
        NonNull::new(cred).map(Self).ok_or(ENOMEM)
    }

    /// Takes `cap` out of the effective set.
    pub fn lower(&mut self, cap: Capability) {
        // SAFETY: By the type invariant nobody else sees these credentials, so they may be written.
        unsafe { (*self.0.as_ptr()).cap_effective.val &= !(1u64 << (cap as u32)) };
    }

    /// Makes them immutable and shareable.
    pub fn share(self) -> ARef<Credential> {
        let cred = self.0.cast();
        core::mem::forget(self);
        // SAFETY: By the type invariant we own one reference, and hand it over.
        unsafe { ARef::from_raw(cred) }
    }
}

// SAFETY: Unshared credentials are plain memory that no task is bound to.
unsafe impl Send for Prepared {}

// SAFETY: Nothing can be changed through a shared reference.
unsafe impl Sync for Prepared {}

impl Drop for Prepared {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours to give back.
        unsafe { bindings::put_cred(self.0.as_ptr()) };
    }
}

/// The current task acts with other credentials until this is dropped.
///
/// A swap of one pointer at either end: no reference is taken, because the guard borrows the
/// credentials. Guards nest: each gives back what it found.
///
/// # Invariants
///
/// `old` is what `current->cred` was when the guard was made, and the guard is dropped by the task
/// that made it (it is `!Send`) before the credentials it borrows.
pub struct Override<'a> {
    old: *const bindings::cred,
    _cred: PhantomData<&'a Credential>,
    _task: NotThreadSafe,
}

/// Overriding the current task's credentials.
pub trait OverrideExt {
    /// Makes `self` the credentials of the current task until the guard is dropped (does what
    /// `override_creds()` does).
    ///
    /// # Context
    ///
    /// Any; does not sleep.
    ///
    /// # Examples
    ///
    /// ```ignore
    /// let c = mounter.override_current();
    /// let found = parent.lookup(&c, mount, name)?;
    /// ```
    fn override_current(&self) -> Override<'_>;
}

impl OverrideExt for Credential {
    #[inline]
    fn override_current(&self) -> Override<'_> {
        let slot = current_cred_slot();
        // SAFETY: `current->cred` is only read and written by the task itself (others read
        // `real_cred`), and the guard keeps the borrow of `self` as long as the pointer is there.
        let old = unsafe {
            let old = slot.read();
            slot.write(self.as_ptr());
            old
        };
        // INVARIANT: `old` was read from `current->cred` above.
        Override {
            old,
            _cred: PhantomData,
            _task: NotThreadSafe,
        }
    }
}

impl Override<'_> {
    /// The credentials in force: those the guard put in place, or those of a guard nested in it.
    #[inline]
    pub(crate) fn as_ptr(&self) -> *const bindings::cred {
        // SAFETY: The task's own `cred` pointer may be read by the task.
        unsafe { current_cred_slot().read() }
    }
}

impl Drop for Override<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: By the type invariant this is the task whose `cred` pointer was replaced, and
        // `old` was valid there before.
        unsafe { current_cred_slot().write(self.old) };
    }
}

/// The ids that own what the current task creates.
pub(crate) fn current_fs_ids() -> (bindings::kuid_t, bindings::kgid_t) {
    // SAFETY: The task's own credentials are valid and immutable.
    unsafe {
        let cred = current_cred_slot().read();
        ((*cred).fsuid, (*cred).fsgid)
    }
}

/// Whether the ids of `stat` mean anything in the current task's user name space (does what
/// `kuid_has_mapping()` does, for both).
pub fn can_own(_c: &Override<'_>, stat: &crate::stat::Stat) -> bool {
    // SAFETY: The name space of the task's own credentials is valid.
    unsafe { bindings::vfs_helper_ids_are_mapped(stat.0.uid, stat.0.gid) }
}

/// Where the current task keeps its subjective credentials.
#[inline(always)]
fn current_cred_slot() -> *mut *const bindings::cred {
    // SAFETY: `current` is always a valid task, and only the address of a field is taken.
    unsafe { (&raw mut (*current()).cred).cast() }
}

/// `current`, as the compiler of C gets it: one load relative to the per-CPU base.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn current() -> *mut bindings::task_struct {
    let task: *mut bindings::task_struct;
    // SAFETY: `current_task` is a per-CPU variable, addressed from `gs`, that always holds the
    // running task. A task that is moved to another CPU finds itself there as well, so the value is
    // the same however often it is read: `pure` and `nomem` hold.
    unsafe {
        core::arch::asm!(
            "mov {task}, qword ptr gs:[rip + {variable}]",
            task = lateout(reg) task,
            variable = sym bindings::current_task,
            options(pure, nomem, nostack, preserves_flags),
        )
    };
    task
}

/// `current`, through the kernel crate's shim.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn current() -> *mut bindings::task_struct {
    // SAFETY: There always is a current task.
    unsafe { bindings::get_current() }
}

/// Credentials that somebody made for an operation, in force until this is dropped.
///
/// # Invariants
///
/// `new` are the current credentials of this task, with a reference that is ours; `old` were before.
pub struct Borrowed {
    old: *const bindings::cred,
    new: NonNull<bindings::cred>,
    _task: NotThreadSafe,
}

impl Borrowed {
    /// Makes `new`, of which we own a reference, the current credentials.
    fn enter(new: NonNull<bindings::cred>) -> Self {
        let slot = current_cred_slot();
        // SAFETY: The task's own pointer; the new credentials are counted for as long as it is there.
        let old = unsafe {
            let old = slot.read();
            slot.write(new.as_ptr());
            old
        };
        Self {
            old,
            new,
            _task: NotThreadSafe,
        }
    }

    /// The mounter's credentials, but with `uid` and `gid` as those that own what is created, and
    /// labelled as the LSMs want what `as_seen_by` creates under the name of `dentry` to be labelled
    /// (wraps `security_dentry_create_files_as()`).
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EACCES` by an LSM.
    pub fn to_create<F: crate::FileSystem>(
        mounter: &Override<'_>,
        dentry: &crate::Dentry<F>,
        owner: &crate::inode::NewOwner,
    ) -> Result<Self> {
        let mut new = Prepared::from_current()?;
        // SAFETY: The new credentials are ours alone; the rest is valid for the call. `mounter.old`
        // are the credentials of the task before the override, which it keeps.
        unsafe {
            let raw = new.0.as_mut();
            raw.fsuid = owner.uid;
            raw.fsgid = owner.gid;
            crate::errno::to_result(bindings::security_dentry_create_files_as(
                dentry.as_ptr(),
                i32::from(owner.mode),
                &raw const (*dentry.as_ptr()).__bindgen_anon_1.d_name,
                mounter.old,
                raw,
            ))?;
        }
        let raw = new.0;
        core::mem::forget(new);
        Ok(Self::enter(raw))
    }

    /// The credentials the LSMs want for copying up `dentry`, if they want any (wraps
    /// `security_inode_copy_up()`).
    ///
    /// # Errors
    ///
    /// `EACCES` by an LSM. `ENOMEM`.
    pub fn to_copy_up<F: crate::FileSystem>(
        _mounter: &Override<'_>,
        dentry: &crate::Dentry<F>,
    ) -> Result<Option<Self>> {
        let mut new = core::ptr::null_mut();
        // SAFETY: The dentry is valid, the pointer is ours to fill.
        crate::errno::to_result(unsafe {
            bindings::security_inode_copy_up(dentry.as_ptr(), &mut new)
        })?;
        Ok(NonNull::new(new).map(Self::enter))
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        // SAFETY: By the type invariant: this task's pointer, and our reference.
        unsafe {
            current_cred_slot().write(self.old);
            bindings::put_cred(self.new.as_ptr());
        }
    }
}
