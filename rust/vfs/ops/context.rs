// SPDX-License-Identifier: GPL-2.0-only

//! The C side of [`ContextOps`](super::ContextOps).
//!
//! `fc->fs_private` holds the boxed implementation, and between `->get_tree()` and the callback that fills the
//! super block what that is made of; `fc->s_fs_info` stays null, so that the VFS passes nothing of it on to
//! the super block.

use crate::object::super_block::NewSuper;
use crate::object::super_block::SuperBlock;
use crate::object::waited_for::WaitedFor;
use crate::ops::fs_context::FsContext;
use crate::ops::fs_context::Value;
use crate::ops::ContextOps;
use crate::ops::FileSystem;
use crate::sys::bindings;
use kernel::error::from_result;
use kernel::ffi;
use kernel::prelude::*;

/// The allocation that `fs_private` points to.
struct Private<F: FileSystem> {
    context: F::Context,
    tree: Option<<F::Context as ContextOps<F>>::Tree>,
}

struct Table<F>(core::marker::PhantomData<F>);

impl<F: FileSystem> Table<F> {
    const OPS: bindings::fs_context_operations = bindings::fs_context_operations {
        free: Some(free::<F>),
        dup: None,
        parse_param: Some(parse_param::<F>),
        parse_monolithic: Some(parse_monolithic::<F>),
        get_tree: Some(get_tree::<F>),
        reconfigure: Some(reconfigure::<F>),
    };
}

/// `->init_fs_context()`
pub(crate) unsafe extern "C" fn init<F: FileSystem>(fc: *mut kernel::bindings::fs_context) -> i32 {
    let fc: *mut bindings::fs_context = fc.cast();
    from_result(|| {
        // SAFETY: The VFS passes a new context.
        let context = F::Context::new(&unsafe { FsContext::from_raw(fc) })?;
        let private = Private::<F> {
            context,
            tree: None,
        };
        let private = KBox::new(private, GFP_KERNEL)?;
        // SAFETY: As above; `free` takes the box back.
        unsafe {
            (*fc).fs_private = KBox::into_raw(private).cast();
            (*fc).ops = &Table::<F>::OPS;
        }
        Ok(0)
    })
}

/// # Safety
///
/// `fc` must be a context that `init::<F>` set up, in a call of the VFS (which serialises them).
unsafe fn private<'a, F: FileSystem>(fc: *mut bindings::fs_context) -> &'a mut Private<F> {
    // SAFETY: By the requirement.
    unsafe { &mut *(*fc).fs_private.cast() }
}

/// # Safety
///
/// The same holds as for [`private`].
unsafe fn context<'a, F: FileSystem>(fc: *mut bindings::fs_context) -> &'a mut F::Context {
    // SAFETY: By the requirement.
    unsafe { &mut private::<F>(fc).context }
}

unsafe extern "C" fn free<F: FileSystem>(fc: *mut bindings::fs_context) {
    // SAFETY: The VFS calls it once, at the end of the context.
    unsafe {
        let private = (*fc).fs_private.cast::<Private<F>>();
        if !private.is_null() {
            drop(KBox::from_raw(private));
        }
    }
}

unsafe extern "C" fn parse_param<F: FileSystem>(
    fc: *mut bindings::fs_context,
    param: *mut bindings::fs_parameter,
) -> i32 {
    from_result(|| {
        // SAFETY: The VFS passes a context of ours and a parameter.
        let (context, (key, value)) = unsafe { (context::<F>(fc), Value::of(param)) };
        // SAFETY: As above.
        let fc_ref = unsafe { FsContext::from_raw(fc) };
        if fc_ref.is_reconfigure() {
            // SAFETY: Such a context holds the root of a super block of this type, and keeps it active.
            let sb = unsafe { SuperBlock::from_raw((*(*fc).root).d_sb) };
            context.repeat(&fc_ref, sb, key, value)?;
        } else {
            context.parse(&fc_ref, key, value)?;
        }
        Ok(0)
    })
}

/// Cuts the first option off `*rest`, as `vfs_parse_monolithic_sep()` wants it.
unsafe extern "C" fn next_option<F: FileSystem>(rest: *mut *mut ffi::c_char) -> *mut ffi::c_char {
    // SAFETY: The caller passes the address of a pointer to a C string it owns, or null at the end.
    unsafe {
        let start = *rest;
        if start.is_null() {
            return start;
        }
        let options = CStr::from_char_ptr(start).to_bytes();
        *rest = match F::Context::option_end(options) {
            Some(end) if end < options.len() => {
                *start.add(end) = 0;
                start.add(end + 1)
            }
            _ => core::ptr::null_mut(),
        };
        start
    }
}

unsafe extern "C" fn parse_monolithic<F: FileSystem>(
    fc: *mut bindings::fs_context,
    data: *mut ffi::c_void,
) -> i32 {
    // SAFETY: What the VFS passes is passed on.
    unsafe { bindings::vfs_parse_monolithic_sep(fc, data, Some(next_option::<F>)) }
}

unsafe extern "C" fn get_tree<F: FileSystem>(fc: *mut bindings::fs_context) -> i32 {
    from_result(|| {
        {
            // SAFETY: The VFS passes a context of ours. The exclusive reference ends before the call below.
            let private = unsafe { private::<F>(fc) };
            // SAFETY: As above.
            private.tree = Some(
                private
                    .context
                    .prepare(&unsafe { FsContext::from_raw(fc) })?,
            );
        }
        // From here on the super block is in the kernel's list, and waited for.
        // SAFETY: As above.
        let result = unsafe { bindings::get_tree_nodev(fc, Some(fill_super::<F>)) };
        // SAFETY: As above. It is left where no super block could be had.
        drop(unsafe { private::<F>(fc) }.tree.take());
        Ok(result)
    })
}

unsafe extern "C" fn fill_super<F: FileSystem>(
    sb: *mut bindings::super_block,
    fc: *mut bindings::fs_context,
) -> i32 {
    from_result(|| {
        // SAFETY: The VFS passes a new super block and the context it is made for, which is ours.
        let (private, sb_new) = unsafe { (private::<F>(fc), NewSuper::from_raw(sb)) };
        let tree = private.tree.take().ok_or(EINVAL)?;
        let _waited_for = WaitedFor::new();
        let root = F::Context::fill_super(tree, sb_new)?;
        // SAFETY: Both are valid. The super block gets the reference to the root if it is its own, and it
        // has its data: from here on others see it.
        unsafe {
            if root.super_block().as_ptr() != sb || (*sb).s_fs_info.is_null() {
                return Err(EIO);
            }
            (*sb).s_root = root.into_raw();
        }
        Ok(0)
    })
}

unsafe extern "C" fn reconfigure<F: FileSystem>(fc: *mut bindings::fs_context) -> i32 {
    from_result(|| {
        // SAFETY: The VFS passes a context of ours, with the root of the super block in question.
        unsafe {
            let sb = SuperBlock::from_raw((*(*fc).root).d_sb);
            context::<F>(fc).reconfigure(&FsContext::from_raw(fc), sb)?;
        }
        Ok(0)
    })
}
