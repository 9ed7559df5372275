// SPDX-License-Identifier: GPL-2.0-only

//! The arguments of the commands, laid out as in `include/uapi/linux/layerfs.h`, and the call itself.
//!
//! # Invariants
//!
//! *Layout*: each argument is `repr(C)`, has no padding, is as long as the command says, and consists of integers, so that
//! whatever the kernel writes to it is a value of its type. The assertions at the end hold it to the module's own numbers.
//!
//! *Addresses*: an address within an argument is that of a slice that the caller of [`call`] has borrowed until the call
//! returns, and the length beside it is not above that of the slice. No command keeps an address beyond its call.

use core::ffi::c_void;
use core::mem::{offset_of, size_of};
use format::control;
use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::ioctl::{ioctl, Ioctl, IoctlOutput, Opcode};

/// An argument that a command takes.
///
/// # Safety
///
/// The type has the invariant *Layout* for all that [`Argument::COMMANDS`] names.
pub(crate) unsafe trait Argument {
    /// The numbers of the commands that take it.
    const COMMANDS: &'static [u32];
}

/// `struct layerfs_finalize`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Finalize {
    pub(crate) flags: u32,
    pub(crate) time_budget_ms: u32,
    pub(crate) directories: u64,
    pub(crate) copied: u64,
    pub(crate) reserved: u64,
}

/// `LAYERFS_FINALIZE_RECURSIVE`.
pub(crate) const FINALIZE_RECURSIVE: u32 = 1;

// SAFETY: *Layout*: it is asserted below.
unsafe impl Argument for Finalize {
    const COMMANDS: &'static [u32] = &[control::FINALIZE];
}

/// `struct layerfs_clone_range2`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CloneRange2 {
    pub(crate) src_fd: i64,
    pub(crate) src_offset: u64,
    pub(crate) src_length: u64,
    pub(crate) dest_offset: u64,
    pub(crate) flags: u64,
    pub(crate) time_budget_ms: u64,
    pub(crate) work_done: u64,
    pub(crate) reserved: u64,
}

/// `LAYERFS_CLONE_INTERRUPTIBLE`.
pub(crate) const CLONE_INTERRUPTIBLE: u64 = 1;

// SAFETY: *Layout*: it is asserted below.
unsafe impl Argument for CloneRange2 {
    const COMMANDS: &'static [u32] = &[control::CLONE_RANGE2];
}

/// `struct layerfs_layer`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Layer {
    pub(crate) place: u32,
    pub(crate) flags: u32,
    pub(crate) number: u32,
    pub(crate) name_len: u32,
    pub(crate) name: u64,
    pub(crate) users: u64,
    pub(crate) reserved: [u64; 2],
}

/// `LAYERFS_LAYER_DATA`.
pub(crate) const LAYER_DATA: u32 = 1;
/// `LAYERFS_LAYER_LEAVING`.
pub(crate) const LAYER_LEAVING: u32 = 1 << 1;

// SAFETY: *Layout*: it is asserted below.
unsafe impl Argument for Layer {
    const COMMANDS: &'static [u32] = &[control::LAYER];
}

/// `struct layerfs_layer_change`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LayerChange {
    pub(crate) flags: u32,
    pub(crate) timeout_ms: u32,
    pub(crate) place: i32,
    pub(crate) name_len: u32,
    pub(crate) name: u64,
    pub(crate) users: u64,
    pub(crate) path: u64,
    pub(crate) path_len: u32,
    pub(crate) reserved: u32,
}

/// `LAYERFS_PLACE_BY_NAME`.
pub(crate) const PLACE_BY_NAME: i32 = -1;
/// `LAYERFS_CHANGE_FORCE`.
pub(crate) const CHANGE_FORCE: u32 = 1;
/// `LAYERFS_CHANGE_BENEATH`.
pub(crate) const CHANGE_BENEATH: u32 = 1 << 1;
/// `LAYERFS_CHANGE_DATA`.
pub(crate) const CHANGE_DATA: u32 = 1 << 2;

// SAFETY: *Layout*: it is asserted below.
unsafe impl Argument for LayerChange {
    const COMMANDS: &'static [u32] = &[
        control::LAYER_SHUTDOWN,
        control::LAYER_REPLACE,
        control::LAYER_ADD,
        control::LAYER_FILLED,
    ];
}

/// `struct layerfs_layer_users`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LayerUsers {
    pub(crate) place: i32,
    pub(crate) name_len: u32,
    pub(crate) name: u64,
    pub(crate) buffer: u64,
    pub(crate) cursor: u64,
    pub(crate) size: u32,
    pub(crate) count: u32,
    pub(crate) users: u64,
    pub(crate) reserved: [u64; 2],
}

// SAFETY: *Layout*: it is asserted below.
unsafe impl Argument for LayerUsers {
    const COMMANDS: &'static [u32] = &[control::LAYER_USERS];
}

/// A command on its way.
struct Call<'a, A> {
    command: u32,
    argument: &'a mut A,
}

// SAFETY: *Layout*: the command takes such an argument (`call` asks for that), and writes no more than its length to it, which
// the number of the command has in it. It is borrowed for as long as this lives.
unsafe impl<A: Argument> Ioctl for Call<'_, A> {
    type Output = IoctlOutput;

    const IS_MUTATING: bool = true;

    fn opcode(&self) -> Opcode {
        self.command as Opcode
    }

    fn as_ptr(&mut self) -> *mut c_void {
        core::ptr::from_mut(&mut *self.argument).cast()
    }

    unsafe fn output_from_ptr(out: IoctlOutput, _: *mut c_void) -> Result<IoctlOutput, Errno> {
        Ok(out)
    }
}

/// Makes the call; returns whether something is left: the commands return 1 then, and 0 else.
///
/// # Errors
///
/// Those of the command. `ENOTTY`: it takes another argument. `EPROTO`: it returned what no command of layerfs returns.
///
/// # Safety
///
/// *Addresses* holds for `argument`.
pub(crate) unsafe fn call<A: Argument>(
    fd: impl AsFd,
    command: u32,
    argument: &mut A,
) -> Result<bool, Errno> {
    if !A::COMMANDS.contains(&command) {
        return Err(Errno::NOTTY);
    }
    let call = Call { command, argument };
    // SAFETY: *Layout*: the command takes this argument. *Addresses*: so the caller says.
    let returned = unsafe { ioctl(fd, call) }?;
    match returned {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Errno::PROTO),
    }
}

/// The address and the length of a slice that is read, as arguments have them.
///
/// # Errors
///
/// `ENAMETOOLONG`: a 32-bit length can't say it.
pub(crate) fn text(bytes: &[u8]) -> Result<(u64, u32), Errno> {
    let len = u32::try_from(bytes.len()).map_err(|_| Errno::NAMETOOLONG)?;
    Ok((bytes.as_ptr().expose_provenance() as u64, len))
}

/// The same of one that is written to. A length that can't be said is said to be less.
pub(crate) fn room(bytes: &mut [u8]) -> (u64, u32) {
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    (bytes.as_mut_ptr().expose_provenance() as u64, len)
}

const _: () = {
    /// The bytes that the number of a command says its argument has.
    const fn len_in(command: u32) -> usize {
        (command >> 16) as usize & 0x3fff
    }

    assert!(size_of::<usize>() <= size_of::<u64>());

    assert!(size_of::<Finalize>() == control::FinalizeRequest::LEN);
    assert!(size_of::<Finalize>() == len_in(control::FINALIZE));
    assert!(offset_of!(Finalize, flags) == 0 && offset_of!(Finalize, time_budget_ms) == 4);
    assert!(offset_of!(Finalize, directories) == control::FinalizeProgress::OFFSET);
    assert!(offset_of!(Finalize, copied) == 16 && offset_of!(Finalize, reserved) == 24);

    assert!(size_of::<CloneRange2>() == control::CloneRequest::LEN);
    assert!(size_of::<CloneRange2>() == len_in(control::CLONE_RANGE2));
    assert!(offset_of!(CloneRange2, src_fd) == 0 && offset_of!(CloneRange2, src_offset) == 8);
    assert!(
        offset_of!(CloneRange2, src_length) == 16 && offset_of!(CloneRange2, dest_offset) == 24
    );
    assert!(offset_of!(CloneRange2, flags) == 32 && offset_of!(CloneRange2, time_budget_ms) == 40);
    assert!(offset_of!(CloneRange2, work_done) == control::CloneRequest::WORK_DONE);
    assert!(offset_of!(CloneRange2, reserved) == 56);

    assert!(size_of::<Layer>() == control::LayerQuery::LEN);
    assert!(size_of::<Layer>() == len_in(control::LAYER));
    assert!(
        offset_of!(Layer, place) == 0 && offset_of!(Layer, flags) == control::LayerInfo::OFFSET
    );
    assert!(offset_of!(Layer, number) == 8 && offset_of!(Layer, name_len) == 12);
    assert!(offset_of!(Layer, name) == 16 && offset_of!(Layer, users) == 24);
    assert!(offset_of!(Layer, reserved) == 32);

    assert!(size_of::<LayerChange>() == control::LayerChange::LEN);
    assert!(size_of::<LayerChange>() == len_in(control::LAYER_SHUTDOWN));
    assert!(size_of::<LayerChange>() == len_in(control::LAYER_REPLACE));
    assert!(size_of::<LayerChange>() == len_in(control::LAYER_ADD));
    assert!(size_of::<LayerChange>() == len_in(control::LAYER_FILLED));
    assert!(offset_of!(LayerChange, flags) == 0 && offset_of!(LayerChange, timeout_ms) == 4);
    assert!(offset_of!(LayerChange, place) == 8 && offset_of!(LayerChange, name_len) == 12);
    assert!(offset_of!(LayerChange, name) == 16);
    assert!(offset_of!(LayerChange, users) == control::LayerChange::USERS);
    assert!(offset_of!(LayerChange, path) == 32 && offset_of!(LayerChange, path_len) == 40);
    assert!(offset_of!(LayerChange, reserved) == 44);

    assert!(size_of::<LayerUsers>() == control::UsersQuery::LEN);
    assert!(size_of::<LayerUsers>() == len_in(control::LAYER_USERS));
    assert!(offset_of!(LayerUsers, place) == 0 && offset_of!(LayerUsers, name_len) == 4);
    assert!(offset_of!(LayerUsers, name) == 8 && offset_of!(LayerUsers, buffer) == 16);
    assert!(offset_of!(LayerUsers, cursor) == control::UsersAnswer::OFFSET);
    assert!(offset_of!(LayerUsers, size) == 32 && offset_of!(LayerUsers, count) == 36);
    assert!(offset_of!(LayerUsers, users) == 40 && offset_of!(LayerUsers, reserved) == 48);
};

#[cfg(test)]
mod tests {
    use super::*;
    use format::control as module;

    /// The bytes of an argument, as the module gets them.
    fn bytes<A: Argument, const N: usize>(argument: &A) -> &[u8; N] {
        assert_eq!(size_of::<A>(), N);
        // SAFETY: *Layout*: so many bytes without padding; they are borrowed from the argument.
        unsafe { &*core::ptr::from_ref(argument).cast::<[u8; N]>() }
    }

    #[test]
    fn the_module_reads_what_is_meant() {
        let argument = Finalize {
            flags: FINALIZE_RECURSIVE,
            time_budget_ms: 7,
            ..Finalize::default()
        };
        let request = module::FinalizeRequest::decode(bytes(&argument)).unwrap();
        assert!(request.recursive && request.time_budget_ms == 7);

        let argument = CloneRange2 {
            src_fd: 3,
            src_offset: 4,
            src_length: 5,
            dest_offset: 6,
            flags: CLONE_INTERRUPTIBLE,
            time_budget_ms: 8,
            ..CloneRange2::default()
        };
        let expected = module::CloneRequest {
            src_fd: 3,
            src_offset: 4,
            src_length: 5,
            dest_offset: 6,
            interruptible: true,
            time_budget_ms: 8,
        };
        assert_eq!(
            module::CloneRequest::decode(bytes(&argument)),
            Some(expected)
        );

        let argument = Layer {
            place: 2,
            name: 0x1234,
            name_len: 9,
            ..Layer::default()
        };
        let expected = module::LayerQuery {
            place: 2,
            name_len: 9,
            name: 0x1234,
        };
        assert_eq!(module::LayerQuery::decode(bytes(&argument)), Some(expected));
    }

    #[test]
    fn the_module_reads_what_is_to_change() {
        let name = module::Text {
            address: 0x1000,
            len: 4,
        };
        let path = module::Text {
            address: 0x2000,
            len: 5,
        };
        let mut argument = LayerChange {
            flags: CHANGE_FORCE,
            timeout_ms: 6,
            place: PLACE_BY_NAME,
            name_len: 4,
            name: 0x1000,
            ..LayerChange::default()
        };
        let shut = module::LayerChange::decode(module::LAYER_SHUTDOWN, bytes(&argument)).unwrap();
        let which = module::WhichLayer::Name(name);
        assert!(shut.force && shut.timeout_ms == 6);
        assert_eq!(shut.what, module::Change::Shutdown(which));

        argument.flags = 0;
        argument.path = 0x2000;
        argument.path_len = 5;
        let new = module::LayerChange::decode(module::LAYER_REPLACE, bytes(&argument)).unwrap();
        assert_eq!(new.what, module::Change::Replace(which, path));

        argument.flags = CHANGE_BENEATH | CHANGE_DATA;
        let new = module::LayerChange::decode(module::LAYER_ADD, bytes(&argument)).unwrap();
        assert!(new.beneath && new.data && new.what == module::Change::Add(path));

        let argument = LayerUsers {
            place: 3,
            buffer: 0x3000,
            cursor: 11,
            size: module::UsersQuery::MIN_SIZE,
            ..LayerUsers::default()
        };
        let expected = module::UsersQuery {
            which: module::WhichLayer::Place(3),
            buffer: 0x3000,
            cursor: 11,
            size: module::UsersQuery::MIN_SIZE,
        };
        assert_eq!(module::UsersQuery::decode(bytes(&argument)), Some(expected));
    }

    #[test]
    fn what_is_not_on_layerfs_is_told() {
        let dir = std::fs::File::open("/proc").unwrap();
        let mut argument = Layer::default();
        // SAFETY: *Addresses*: there is none.
        let answer = unsafe { call(&dir, control::LAYER, &mut argument) };
        assert_eq!(answer, Err(Errno::NOTTY));
        // SAFETY: *Addresses*: there is none.
        let other = unsafe { call(&dir, control::FINALIZE, &mut argument) };
        assert_eq!(other, Err(Errno::NOTTY));
    }
}
