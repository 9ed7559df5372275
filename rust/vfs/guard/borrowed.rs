// SPDX-License-Identifier: GPL-2.0-only

//! Credentials for one operation: those of an [`Override`], with what the operation takes from who asks for it.
//!
//! It is not for acting as whoever mounted it, which is [`Override`] alone.
//!
//! C headers: [`include/linux/cred.h`](srctree/include/linux/cred.h),
//! [`include/linux/security.h`](srctree/include/linux/security.h)
//!
//! # Examples
//!
//! ```ignore
//! c.to_create(&name, &owner, |c| creating.create(c, &what))
//! ```

use crate::guard::write::WantWrite;
use crate::object::dentry::Positive;
use crate::object::idmap::Ids;
use crate::object::idmap::Viewed;
use crate::object::inode::Inode;
use crate::object::named::Named;
use crate::object::super_block::SuperBlock;
use crate::object::Foreign;
use crate::object::Ours;
use crate::object::Owner;
use crate::sys::bindings;
use crate::sys::cred::capable_noaudit;
use crate::sys::cred::current_fs_ids;
use crate::sys::cred::Capability;
use crate::sys::cred::Override;
use crate::sys::cred::OverrideExt;
use crate::sys::cred::PreparedCred;
use crate::sys::errno::to_result;
use crate::sys::mode::FileType;
use crate::sys::mode::Mode;
use core::ptr::NonNull;
use kernel::prelude::*;

/// Credentials that were made for one operation.
struct Borrowed(PreparedCred);

impl Borrowed {
    /// Those in force, but with the ids of `owner`, and what the LSMs want for what is created under `name`.
    fn to_create<F: Ours>(c: &Override<'_>, name: &Named<'_, F>, owner: &NewOwner) -> Result<Self> {
        let mut new = PreparedCred::from_current()?;
        let raw = new.as_mut();
        raw.fsuid = owner.uid;
        raw.fsgid = owner.gid;
        let dentry = name.dentry().as_ptr();
        // SAFETY: The name of a `Named` does not change. The credentials of the caller are valid as long as the
        // override. The rest is valid for the call.
        to_result(unsafe {
            bindings::security_dentry_create_files_as(
                dentry,
                i32::from(owner.mode.as_raw()),
                &raw const (*dentry).__bindgen_anon_1.d_name,
                c.of_caller(),
                raw,
            )
        })?;
        Ok(Self(new))
    }

    /// Those that the LSMs want for copying up `dentry`, if they want any.
    fn to_copy_up<F: Ours>(dentry: &Positive<F>) -> Result<Option<Self>> {
        let mut new = core::ptr::null_mut();
        // SAFETY: The dentry is valid and positive, the pointer is ours to fill.
        let outcome =
            to_result(unsafe { bindings::security_inode_copy_up(dentry.as_ptr(), &mut new) });
        // One LSM may have made credentials before another refused.
        // SAFETY: They have one reference, made by `prepare_creds()`, and it is ours.
        let new = NonNull::new(new).map(|new| Self(unsafe { PreparedCred::from_raw(new) }));
        outcome.map(|()| new)
    }

    /// Those in force without `CAP_FOWNER`, but as the owner of `inode`, as the mount that is written to maps him: what
    /// the capability is needed for is his to do. `None` if they lack it anyway, if the caller has it as well, or if
    /// the filesystem has no quotas, and is no stack on one that may.
    #[inline]
    fn within_quotas(
        c: &Override<'_>,
        writing: &WantWrite<'_>,
        inode: &Inode<Foreign>,
    ) -> Result<Option<Self>> {
        let sb = inode.super_block();
        // SAFETY: The super block is valid, and only whether there are operations is looked at.
        let has_quotas = unsafe { !(*sb.as_ptr()).s_qcop.is_null() };
        if !has_quotas && sb.stack_depth() == 0
            || !capable_noaudit(Capability::Fowner)
            || c.as_caller(|| capable_noaudit(Capability::Fowner))
        {
            return Ok(None);
        }
        let mut new = PreparedCred::from_current()?;
        new.lower(Capability::Fowner);
        new.as_mut().fsuid = writing.idmap().owner_of(inode).0;
        Ok(Some(Self(new)))
    }

    /// Does `f` with them.
    fn override_current<R>(self, f: impl FnOnce(&Override<'_>) -> R) -> R {
        self.0.share().override_current(f)
    }
}

impl Override<'_> {
    /// Does `f` with the credentials in force, but with the ids of `owner` as those that own what is
    /// created, and labelled as the LSMs want what the caller creates under `name` to be labelled
    /// (wraps `security_dentry_create_files_as()`). The caller is who the task was before this override.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; `EACCES` by an LSM; what `f` fails with.
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn to_create<F: Ours, R>(
        &self,
        name: &Named<'_, F>,
        owner: &NewOwner,
        f: impl FnOnce(&Override<'_>) -> Result<R>,
    ) -> Result<R> {
        Borrowed::to_create(self, name, owner)?.override_current(f)
    }

    /// Does `f` with the credentials that the LSMs want for copying up `dentry`, if they want any (wraps
    /// `security_inode_copy_up()`), else with those in force.
    ///
    /// # Errors
    ///
    /// `EACCES` by an LSM; `ENOMEM`; what `f` fails with.
    ///
    /// # Context
    ///
    /// May sleep.
    pub fn to_copy_up<F: Ours, R>(
        &self,
        dentry: &Positive<F>,
        f: impl FnOnce(&Override<'_>) -> Result<R>,
    ) -> Result<R> {
        match Borrowed::to_copy_up(dentry)? {
            Some(new) => new.override_current(f),
            None => f(self),
        }
    }

    /// Does `f`, which has `inode` accounted to another owner, group or project, so that the quotas of these bind it as
    /// they bind the caller: XFS lets who has `CAP_FOWNER` pass them over, and since 7.3 asks the credentials in
    /// force. The caller is who the task was before this override.
    ///
    /// # Errors
    ///
    /// `ENOMEM`; what `f` fails with.
    ///
    /// # Context
    ///
    /// May sleep.
    pub(crate) fn within_quotas_of_caller<R>(
        &self,
        writing: &WantWrite<'_>,
        inode: &Inode<Foreign>,
        f: impl FnOnce() -> Result<R>,
    ) -> Result<R> {
        match Borrowed::within_quotas(self, writing, inode)? {
            Some(new) => new.override_current(|_| f()),
            None => f(),
        }
    }
}

/// Ids of an object that mean nothing in a user name space.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct UnknownIds {
    /// The owner is unknown.
    pub uid: bool,
    /// The group is unknown.
    pub gid: bool,
}

impl UnknownIds {
    /// All are known.
    pub const NONE: Self = Self {
        uid: false,
        gid: false,
    };

    fn among((uid, gid): Ids) -> Self {
        // SAFETY: The name space of the task's own credentials is valid.
        unsafe {
            Self {
                uid: !bindings::vfs_helper_uid_is_mapped(uid),
                gid: !bindings::vfs_helper_gid_is_mapped(gid),
            }
        }
    }

    /// Which of the ids `owner` mean nothing in the user name space of the credentials in force (wraps
    /// `kuid_has_mapping()` and `kgid_has_mapping()`).
    pub fn of(_c: &Override<'_>, owner: Ids) -> Self {
        Self::among(owner)
    }

    /// The ids `owner`, with the ids that own what the credentials in force make in the place of those unknown.
    pub fn replace_in(self, c: &Override<'_>, owner: Ids) -> Ids {
        let (uid, gid) = c.fs_ids();
        (
            if self.uid { uid } else { owner.0 },
            if self.gid { gid } else { owner.1 },
        )
    }
}

impl Override<'_> {
    /// The ids that own what the credentials in force make.
    fn fs_ids(&self) -> Ids {
        // SAFETY: By the type invariant the credentials in force are valid; they are immutable.
        unsafe { ((*self.as_ptr()).fsuid, (*self.as_ptr()).fsgid) }
    }

    /// Whether the credentials in force are of the user name space that `sb` is of, and have ids there; never in
    /// the initial one.
    pub fn is_known_below_init<F: Owner>(&self, sb: &SuperBlock<F>) -> bool {
        // SAFETY: By the type invariant the credentials in force are valid, and so is the super block; both keep
        // their name space. That of the kernel is a static.
        let is_below = unsafe {
            let ns = (*self.as_ptr()).user_ns;
            core::ptr::eq(ns, (*sb.as_ptr()).s_user_ns)
                && !core::ptr::eq(ns, &raw const bindings::init_user_ns)
        };
        is_below && UnknownIds::among(self.fs_ids()) == UnknownIds::NONE
    }

    /// Whether the caller, who the task was before this override, is the same user as that of the credentials
    /// in force: what either makes is owned by the same id.
    pub fn is_called_by_same_user(&self) -> bool {
        // SAFETY: The credentials of the caller are valid as long as the override.
        let caller = unsafe { (*self.of_caller()).fsuid };
        caller.val == self.fs_ids().0.val
    }
}

/// The owner and the mode that a new object will have.
#[derive(Clone, Copy)]
pub struct NewOwner {
    uid: bindings::kuid_t,
    gid: bindings::kgid_t,
    /// Type and permission bits.
    pub mode: Mode,
}

impl<F: Ours> Inode<F> {
    /// Decides to whom an object will belong that the current task makes in this directory (does what
    /// `inode_init_owner()` does): the task's own, as the mount it came by maps its ids; in a directory with the
    /// set-group-ID bit it belongs to the group of the directory, and directories inherit the bit.
    pub fn owner_of_new(&self, viewed: Viewed<'_>, mode: Mode) -> NewOwner {
        let (uid, mut gid) = viewed.meant(self, current_fs_ids());
        let mut mode = mode;
        if self.mode().has_any(Mode::SET_GROUP_ID) {
            // SAFETY: A word that may be read at any time.
            gid = unsafe { (*self.as_ptr()).i_gid };
            if mode.file_type() == FileType::DIRECTORY {
                mode = mode.with(Mode::SET_GROUP_ID);
            }
        }
        NewOwner { uid, gid, mode }
    }
}
