// SPDX-License-Identifier: GPL-2.0-only

//! Who may write marks that name paths, where those are `user.overlay.*`: whoever may write to a file.
//!
//! A metacopy file or a redirect gives whoever may look at it what is elsewhere in the layers, with the mounter's rights.
//! `trusted.*` attributes are root's to write. `user.*` ones are safe only where nobody else has a way to the files of the
//! layer, but through the stack, which gives such names another meaning (they are escaped).

#![forbid(unsafe_code)]

use super::plan::Plan;
use crate::engine::fit::is_private;
use kernel::prelude::*;
use vfs::ops::fs_context::FsContext;
use vfs::Override;

/// Refuses layers to which others than the mounter may have a way, if paths in their marks are to be followed.
/// Data-only layers have no marks.
///
/// # Errors
///
/// `EINVAL`, after a message.
pub(super) fn check(fc: &FsContext<'_>, c: &Override<'_>, plan: &Plan) -> Result {
    if !plan.features.trusts_user_marks() {
        return Ok(());
    }
    // The mode of upper's root is the stack's, and can be changed through it.
    let upper = plan
        .upper
        .iter()
        .map(|upper| (upper.path.as_path(), &*upper.name, false));
    let merged = plan.lowers.iter().filter(|lower| !lower.data);
    let lowers = merged.map(|lower| (lower.path.as_path(), &*lower.name, true));
    for (path, name, root_counts) in Iterator::chain(upper, lowers) {
        if !is_private(c, path, root_counts) {
            return Err(fc.invalid(fmt!(
                "userxattr with metacopy=on: others may have a way to '{}', and write marks there that are followed; keep \
                 the layer in a directory of your own with mode 0700, on the same filesystem",
                name
            )));
        }
    }
    Ok(())
}
