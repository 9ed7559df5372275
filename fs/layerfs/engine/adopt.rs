// SPDX-License-Identifier: GPL-2.0-only

//! Copies of what belongs to somebody whom the user namespace of the mount does not know.
//!
//! A copy can't be given to such an owner: the mounter may not do that, and the overflow id that is shown is an id of
//! nobody. So it is given to the mounter, as if he had copied the object himself, where nobody gains by that what he
//! could not have had before:
//!
//! * It is done only in a mount of a user namespace, by a mounter of that namespace. There is nothing that root of the
//!   initial namespace does not know, but what an id-mapped mount says to be nobody's, and that stays nobody's.
//! * Who becomes the owner is who asked: another user could else make root trust in what a third one wrote, as the
//!   kernel does with links and files in sticky directories that are root's own. (Where one id is mapped, all are the
//!   mounter.) A file that keeps its owner, and only has another group, is for anybody who may write to it.
//! * Where the group is another, the group and all others get what both had. Who was in the old group is one of the
//!   others now, who is in the new one was one of them, and neither gets more.
//! * A set-id file is not copied up so, since it would act as the mounter with what somebody else wrote; nor is one
//!   with capabilities or ACLs, which say more of owners than the mode does. What the layer's owner adds of these while
//!   the file is copied is left behind. Directories lose the set-group-ID bit with their group.
//! * A file that the mounter can't read is not copied up so: he would own what he must not know. Of a directory that he
//!   can't read the names stay hidden, as each layer is read with his rights.
//!
//! What is left is that the mounter's user owns the copy, and may change it and its mode. In upper, which is his, he
//! could always have put one in its place.

#![forbid(unsafe_code)]

use super::attributes;
use crate::state::places::Places;
use crate::state::Positive;
use kernel::prelude::*;
use vfs::call::acl;
use vfs::call::acl::Acl;
use vfs::call::stat::Stat;
use vfs::call::xattr;
use vfs::guard::borrowed::UnknownIds;
use vfs::object::inode::Rights;
use vfs::sys::errno::ENODATA;
use vfs::sys::errno::EOPNOTSUPP;
use vfs::sys::mode::FileType;
use vfs::sys::mode::Mode;
use vfs::Override;
use vfs::Path;

/// The bits of the mode for the group, those for all others, and how far the former are above the latter.
const GROUP: u16 = 0o070;
const OTHERS: u16 = 0o007;
const GROUP_SHIFT: u16 = 3;

/// Why the mounter can't be the owner of a copy.
#[derive(Clone, Copy)]
enum Refusal {
    Namespace,
    Nobody,
    OtherUser,
    Kind,
    SetId,
    Capability,
    AccessList,
    Unreadable,
}

impl Refusal {
    fn reason(self) -> &'static str {
        match self {
            Self::Namespace => "the mount is not one of a user namespace that knows its mounter",
            Self::Nobody => "the id-mapped mount of the layer says that it is nobody's",
            Self::OtherUser => "who changes it is another user than who mounted the stack",
            Self::Kind => "it is a device, fifo or socket",
            Self::SetId => "it is a set-user-ID or set-group-ID file",
            Self::Capability => "it has capabilities",
            Self::AccessList => "it has an access control list",
            Self::Unreadable => "who mounted the stack can't read it",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::OtherUser => "map the id there, or let who mounted it change it first",
            Self::Nobody => "map the id in that mount",
            _ => "map the id there, or give it another owner in the layer",
        }
    }
}

/// Makes `stat` what a copy by the mounter has, if an id of it means nothing to him; returns whether one does.
///
/// # Errors
///
/// `EOVERFLOW`: there can't be such a copy.
pub(super) fn adopt(
    c: &Override<'_>,
    dentry: &Positive,
    lower: Path<'_>,
    stat: &mut Stat,
) -> Result<bool> {
    let unknown = UnknownIds::of(c, stat.owner());
    if unknown == UnknownIds::NONE {
        return Ok(false);
    }
    if let Some(why) = refusal(c, dentry, lower, stat, unknown) {
        return Err(refuse(dentry, why));
    }
    stat.set_owner(unknown.replace_in(c, stat.owner()));
    if unknown.gid {
        stat.set_mode(mode_without_group(stat.mode()));
    }
    Ok(true)
}

/// Returns the mode of what has another group.
fn mode_without_group(mode: Mode) -> Mode {
    let bits = mode.permissions();
    let both = bits & OTHERS & (bits & GROUP) >> GROUP_SHIFT;
    let lost = GROUP | OTHERS | Mode::SET_IDS.permissions();
    mode.with_permissions(bits & !lost | both << GROUP_SHIFT | both)
}

fn refusal(
    c: &Override<'_>,
    dentry: &Positive,
    lower: Path<'_>,
    stat: &Stat,
    unknown: UnknownIds,
) -> Option<Refusal> {
    let real = lower.dentry();
    let format = stat.mode().file_type();
    if !stat.has_owner() {
        Some(Refusal::Nobody)
    } else if !c.is_known_below_init(dentry.super_block()) {
        Some(Refusal::Namespace)
    } else if unknown.uid && !c.is_called_by_same_user() {
        Some(Refusal::OtherUser)
    } else if !matches!(
        format,
        FileType::REGULAR | FileType::DIRECTORY | FileType::SYMLINK
    ) {
        Some(Refusal::Kind)
    } else if has_acl(c, lower) {
        Some(Refusal::AccessList)
    } else if format != FileType::REGULAR {
        None
    } else if stat.mode().has_any(Mode::SET_IDS) {
        Some(Refusal::SetId)
    } else if is_there(xattr::get(c, lower, attributes::CAPABILITY, &mut [])) {
        Some(Refusal::Capability)
    } else if (real.inode())
        .permits(c, lower.mount().idmap(), Rights::READ)
        .is_err()
    {
        Some(Refusal::Unreadable)
    } else {
        None
    }
}

fn has_acl(c: &Override<'_>, lower: Path<'_>) -> bool {
    [acl::Kind::Access, acl::Kind::Default]
        .into_iter()
        .any(|kind| match Acl::get(c, lower, kind) {
            Ok(acl) => acl.is_some(),
            result => is_there(result),
        })
}

/// Returns whether something is there, or may be.
fn is_there<T>(result: Result<T>) -> bool {
    !result.is_err_and(|e| e == ENODATA || e == EOPNOTSUPP)
}

#[cold]
fn refuse(dentry: &Positive, why: Refusal) -> Error {
    let places = Places::of(dentry.inode().held());
    let lower = places.lower();
    let layer = match &lower {
        Some(pin) => &*pin.owner().name,
        None => c"?",
    };
    vfs::warn_limited!(
        "'{}' of layer '{}' can't be copied up: its owner or group has no id in the user namespace of the mount, and \
         {}; {}\n",
        &**dentry,
        layer,
        why.reason(),
        why.remedy()
    );
    EOVERFLOW
}
