// SPDX-License-Identifier: GPL-2.0-only

//! Acting with other credentials for a while.
//!
//! A stacking filesystem checks its own objects with the caller's credentials and acts on the
//! objects below with those of whoever mounted it. [`Override`] is that second state as a type: who has
//! a reference to one runs with the mounter's credentials, and every call of this crate that acts on
//! a foreign object asks for such a reference.
//!
//! It is not for changing the credentials of a task for good.
//!
//! C header: [`include/linux/cred.h`](srctree/include/linux/cred.h)
//!
//! # Examples
//!
//! ```ignore
//! mounter.override_current(|c| dentry.lookup(c, mount, name))?
//! ```

use crate::sys::bindings;
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
    /// Do what only the owner of an object may; also: give objects away beyond the quotas of XFS.
    Fowner = bindings::CAP_FOWNER,
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
pub struct PreparedCred(NonNull<bindings::cred>);

impl PreparedCred {
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
        self.as_mut().cap_effective.val &= !(1u64 << (cap as u32));
    }

    /// # Safety
    ///
    /// See the type invariant.
    pub(crate) unsafe fn from_raw(cred: NonNull<bindings::cred>) -> Self {
        // INVARIANT: By the requirement.
        Self(cred)
    }

    /// The credentials, to be written.
    pub(crate) fn as_mut(&mut self) -> &mut bindings::cred {
        // SAFETY: By the type invariant nobody else sees them.
        unsafe { self.0.as_mut() }
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
unsafe impl Send for PreparedCred {}

// SAFETY: Nothing can be changed through a shared reference.
unsafe impl Sync for PreparedCred {}

impl Drop for PreparedCred {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours to give back.
        unsafe { bindings::put_cred(self.0.as_ptr()) };
    }
}

/// The current task acts with other credentials than its own.
///
/// There is no value of this type to keep, only a reference to one for the time of a closure
/// ([`OverrideExt::override_current`]): so it is the control flow, and nobody's memory, that gives back
/// what was there before. A guard could be dropped before one that was made later, or be forgotten,
/// and `current->cred` would be left pointing to what nobody holds.
///
/// # Invariants
///
/// As long as there is a reference, the credentials of the task that it was given to are those that
/// it was made for, or those of an override within. `old` is what they were before, and lives as long.
pub struct Override<'a> {
    old: *const bindings::cred,
    _cred: PhantomData<&'a Credential>,
    _task: NotThreadSafe,
}

/// Overriding the current task's credentials.
pub trait OverrideExt {
    /// Does `f` with `self` as the credentials of the current task (does what `override_creds()` and
    /// `revert_creds()` do).
    ///
    /// That is a swap of one pointer at either end: no count is taken, because `self` is borrowed.
    /// Overrides nest.
    ///
    /// # Context
    ///
    /// Any; does not sleep.
    ///
    /// # Examples
    ///
    /// ```ignore
    /// let found = mounter.override_current(|c| parent.lookup(c, mount, name))?;
    /// ```
    fn override_current<R>(&self, f: impl FnOnce(&Override<'_>) -> R) -> R;
}

impl OverrideExt for Credential {
    #[inline(always)]
    fn override_current<R>(&self, f: impl FnOnce(&Override<'_>) -> R) -> R {
        // SAFETY: `self` is borrowed until `with_cred` is done.
        unsafe { with_cred(self.as_ptr(), f) }
    }
}

/// Does `f` with `new` as the credentials of the current task.
///
/// # Safety
///
/// `new` are valid until this returns.
#[inline(always)]
unsafe fn with_cred<R>(new: *const bindings::cred, f: impl FnOnce(&Override<'_>) -> R) -> R {
    let slot = current_cred_slot();
    // SAFETY: `current->cred` is only read and written by the task itself (others read `real_cred`), and
    // `new` is valid for as long as it is there.
    let old = unsafe {
        let old = slot.read();
        slot.write(new);
        old
    };
    // INVARIANT: `old` was read from `current->cred` above. Whoever put it there keeps it until it is
    // taken away again, which is after this returns. The reference does not outlive this function, and
    // whatever `f` puts there is taken away again before it returns.
    let result = f(&Override {
        old,
        _cred: PhantomData,
        _task: NotThreadSafe,
    });
    // The kernel does not unwind: if `f` does not return, the task never runs again.
    // SAFETY: The task is still the one whose pointer was replaced, and `old` was valid there before.
    unsafe { slot.write(old) };
    result
}

impl Override<'_> {
    /// The credentials in force: those this was made for, or those of an override within.
    #[inline]
    pub(crate) fn as_ptr(&self) -> *const bindings::cred {
        // SAFETY: The task's own `cred` pointer may be read by the task.
        unsafe { current_cred_slot().read() }
    }

    /// Does `f` as who the task was before this override: for what is asked of the caller, and not of those on
    /// whose behalf he acts.
    #[inline]
    pub(crate) fn as_caller<R>(&self, f: impl FnOnce() -> R) -> R {
        // SAFETY: By the type invariant `old` lives as long as this.
        unsafe { with_cred(self.old, |_| f()) }
    }

    /// The credentials that the task had before this override, valid as long as it.
    #[inline]
    pub(crate) fn of_caller(&self) -> *const bindings::cred {
        self.old
    }
}

/// The ids that own what the current task creates, as it sees it.
pub(crate) fn current_fs_ids() -> (bindings::vfsuid_t, bindings::vfsgid_t) {
    // SAFETY: The task's own credentials are valid and immutable.
    let (uid, gid) = unsafe {
        let cred = current_cred_slot().read();
        ((*cred).fsuid.val, (*cred).fsgid.val)
    };
    (
        bindings::vfsuid_t { val: uid },
        bindings::vfsgid_t { val: gid },
    )
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

/// `current`, as the compiler of C gets it: it is in a register of the processor.
#[cfg(target_arch = "aarch64")]
#[inline(always)]
fn current() -> *mut bindings::task_struct {
    let task: *mut bindings::task_struct;
    // SAFETY: While the kernel runs, `sp_el0` holds the running task. A task that is moved to another CPU
    // takes it along, so the value is the same however often it is read: `pure` and `nomem` hold.
    unsafe {
        core::arch::asm!(
            "mrs {task}, sp_el0",
            task = lateout(reg) task,
            options(pure, nomem, nostack, preserves_flags),
        )
    };
    task
}

/// `current`, through the kernel crate's shim.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
#[inline(always)]
fn current() -> *mut bindings::task_struct {
    // SAFETY: There always is a current task.
    unsafe { bindings::get_current() }
}
