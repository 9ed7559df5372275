// SPDX-License-Identifier: GPL-2.0-only

//! The marks of `format` on the objects of layers, in the extended attributes that hold them: read, and in upper
//! written. All marks are in one file because they share the reading of attributes and the one type that writes them,
//! and have fewer than 400 lines together; the codecs are a file each in `fs/format`. How a mark that can't be read is
//! taken is overlayfs's rule, and said at each.

#![forbid(unsafe_code)]

use crate::state::config::Config;
use crate::state::instance::Instance;
use crate::state::layer::Layer;
use crate::state::Real;
use format::finalized::Fingerprint;
use format::metacopy::Metacopy;
use format::nlink::Nlink;
use format::opaque::DirMark;
use format::protattr::Protattr;
use format::redirect::Redirect;
use format::whiteout;
use format::xattr::Mark;
use kernel::prelude::*;
use vfs::call::xattr;
use vfs::call::xattr::SetFlags;
use vfs::guard::write::WantWrite;
use vfs::object::inode::Protection;
use vfs::object::kept_mount::KeptMount;
use vfs::sys::errno::ENODATA;
use vfs::sys::errno::EOPNOTSUPP;
use vfs::sys::mode::FileType;
use vfs::Override;
use vfs::Path;

/// Reads what the mark of a directory says. A mark that can't be read says nothing.
pub(crate) fn dir_mark(config: &Config, c: &Override<'_>, path: Path<'_>) -> DirMark {
    // One byte counts; what is longer is none, and does not fit.
    let mut value = [0u8; 1];
    match xattr::get(c, path, config.xattr(Mark::Opaque), &mut value) {
        Ok(len) => DirMark::decode(value.get(..len)),
        Err(_) => DirMark::None,
    }
}

/// Reads over which lower directories a directory was finalized. What can't be read, or is of another version, is over
/// none.
pub(crate) fn fingerprint(
    config: &Config,
    c: &Override<'_>,
    path: Path<'_>,
) -> Option<Fingerprint> {
    let mut value = [0; format::finalized::LEN];
    let len = xattr::get(c, path, config.xattr(Mark::Finalized), &mut value).ok()?;
    Fingerprint::decode(value.get(..len)?)
}

/// Returns whether whiteouts in the form of extended attributes are to be expected in a lower layer. Its root is asked
/// when that is first of interest.
pub(crate) fn expects_xattr_whiteouts(
    config: &Config,
    c: &Override<'_>,
    layer: &KeptMount<Layer>,
) -> bool {
    layer
        .owner()
        .expects_xattr_whiteouts(|| dir_mark(config, c, layer.root_path()) == DirMark::HasWhiteouts)
}

/// Returns whether an object is a whiteout: a character device 0/0, or an empty regular file with a mark.
pub(crate) fn is_whiteout(config: &Config, c: &Override<'_>, path: Path<'_>) -> bool {
    let inode = path.dentry().inode();
    let object = match inode.mode().file_type() {
        FileType::CHAR_DEVICE => whiteout::Object::CharDevice(inode.rdev().as_raw()),
        FileType::REGULAR => whiteout::Object::Regular(inode.size() as u64),
        _ => whiteout::Object::Other,
    };
    match whiteout::verdict(object) {
        whiteout::Verdict::Yes => true,
        whiteout::Verdict::No => false,
        whiteout::Verdict::IfMarked => has(config, c, path, Mark::Whiteout),
    }
}

/// Returns whether a mark is there, whatever it says.
fn has(config: &Config, c: &Override<'_>, path: Path<'_>, mark: Mark) -> bool {
    xattr::get(c, path, config.xattr(mark), &mut []).is_ok()
}

/// Returns whether an object says that it was copied from a lower layer (of which a directory may have whiteouts left).
pub(crate) fn has_origin(config: &Config, c: &Override<'_>, path: Path<'_>) -> bool {
    has(config, c, path, Mark::Origin)
}

/// Returns whether a regular file has only the metadata of one that is further down.
///
/// # Errors
///
/// `EIO`: the mark is too short to be one. The errors of the filesystem.
pub(crate) fn is_metacopy(config: &Config, c: &Override<'_>, path: Path<'_>) -> Result<bool> {
    if !path.dentry().inode().is_regular() {
        return Ok(false);
    }
    match xattr::get(c, path, config.xattr(Mark::Metacopy), &mut []) {
        Ok(len) => match Metacopy::probe(len) {
            Ok(_) => Ok(true),
            Err(why) => {
                vfs::warn_limited!("'{}': {}\n", &**path.dentry(), why.reason());
                Err(EIO)
            }
        },
        Err(e) if e == ENODATA || e == EOPNOTSUPP => Ok(false),
        // user.* can't be read without read permission on the file: then it is taken as a whole one.
        Err(e) if e == EACCES && config.features.userxattr => Ok(false),
        Err(e) => {
            vfs::warn_limited!(
                "'{}': the metacopy mark can't be read: {:?}\n",
                &**path.dentry(),
                e
            );
            Err(e)
        }
    }
}

/// Reads where an object is further down, if it says that it is elsewhere: the value of a valid redirect.
///
/// # Errors
///
/// `EINVAL`: it is not valid. `ENOMEM`. The errors of the filesystem.
pub(crate) fn redirect(
    config: &Config,
    c: &Override<'_>,
    path: Path<'_>,
) -> Result<Option<KVVec<u8>>> {
    let value = match xattr::get_whole(c, path, config.xattr(Mark::Redirect)) {
        Ok(None) => return Ok(None),
        Ok(Some(value)) => value,
        Err(e) => {
            vfs::warn_limited!(
                "'{}': the redirect can't be read: {:?}\n",
                &**path.dentry(),
                e
            );
            return Err(e);
        }
    };
    match Redirect::parse(&value) {
        Ok(_) => Ok(Some(value)),
        Err(why) => {
            vfs::warn_limited!(
                "'{}': {}; remove the attribute {} there, or mount with redirect_dir=nofollow\n",
                &**path.dentry(),
                why.reason(),
                config.xattr(Mark::Redirect)
            );
            Err(EINVAL)
        }
    }
}

/// The mark of a metacopy file, which says something of its data.
pub(crate) struct MetacopyValue(KVVec<u8>);

impl MetacopyValue {
    /// Decodes it.
    ///
    /// # Errors
    ///
    /// `EIO`: it is not valid.
    pub(crate) fn get(&self) -> Result<Metacopy<'_>> {
        Metacopy::decode(&self.0).map_err(|why| {
            vfs::warn_limited!("{}\n", why.reason());
            EIO
        })
    }
}

/// Reads what a metacopy file says of its data.
///
/// # Errors
///
/// `ENOMEM`; the errors of the filesystem.
pub(crate) fn metacopy_value(
    config: &Config,
    c: &Override<'_>,
    path: Path<'_>,
) -> Result<MetacopyValue> {
    let value = xattr::get_whole(c, path, config.xattr(Mark::Metacopy))?;
    Ok(MetacopyValue(value.unwrap_or_default()))
}

/// Returns whether a directory in upper may hold objects with an origin.
pub(crate) fn is_impure(config: &Config, c: &Override<'_>, path: Path<'_>) -> bool {
    let mut value = [0u8; 1];
    match xattr::get(c, path, config.xattr(Mark::Impure), &mut value) {
        Ok(len) => format::opaque::is_impure(value.get(..len)),
        Err(_) => false,
    }
}

/// Reads what an object in upper was copied up from, as it is written on it.
///
/// The result is `None` if it was not copied up, or it is not known from what, or this can't be read.
pub(crate) fn origin(config: &Config, c: &Override<'_>, path: Path<'_>) -> Option<KVVec<u8>> {
    let value = match xattr::get_whole(c, path, config.xattr(Mark::Origin)) {
        Ok(value) => value?,
        Err(e) => {
            vfs::warn_limited!(
                "'{}': the origin can't be read: {:?}\n",
                &**path.dentry(),
                e
            );
            return None;
        }
    };
    if value.is_empty() {
        return None;
    }
    match format::handle::OverlayHandle::decode(&value) {
        Ok(_) => Some(value),
        Err(why) if why.is_unknown() => None,
        Err(why) => {
            vfs::warn_limited!("'{}': invalid origin: {}\n", &**path.dentry(), why.reason());
            None
        }
    }
}

/// Reads which directory in upper an entry of the index leads to.
///
/// # Errors
///
/// `ENOMEM`; the errors of the filesystem.
pub(crate) fn upper(
    config: &Config,
    c: &Override<'_>,
    path: Path<'_>,
) -> Result<Option<KVVec<u8>>> {
    xattr::get_whole(c, path, config.xattr(Mark::Upper))
}

/// Reads how many names an object has in the stack of which there is a copy in the index. A value that can't be understood is
/// none.
pub(crate) fn nlink(config: &Config, c: &Override<'_>, path: Path<'_>) -> Option<Nlink> {
    let mut value = [0; format::nlink::MAX_LEN];
    let len = xattr::get(c, path, config.xattr(Mark::Nlink), &mut value).ok()?;
    match Nlink::decode(value.get(..len)?) {
        Ok(nlink) => Some(nlink),
        Err(why) => {
            vfs::warn_limited!("'{}': {}\n", &**path.dentry(), why.reason());
            None
        }
    }
}

/// Reads the protection that is kept beside the flags of an object in upper.
pub(crate) fn protection(config: &Config, c: &Override<'_>, path: Path<'_>) -> Protection {
    match xattr::get_whole(c, path, config.xattr(Mark::Protattr)) {
        Ok(Some(value)) => match Protattr::decode(&value) {
            Ok(p) => Protection {
                append: p.append,
                immutable: p.immutable,
            },
            Err(why) => {
                vfs::warn_limited!("'{}': {}\n", &**path.dentry(), why.reason());
                Protection::default()
            }
        },
        _ => Protection::default(),
    }
}

/// An object in upper whose marks are written, with these credentials and this right to write.
#[derive(Clone, Copy)]
pub(crate) struct Marked<'a> {
    pub(crate) instance: &'a Instance,
    pub(crate) c: &'a Override<'a>,
    pub(crate) writing: &'a WantWrite<'a>,
    pub(crate) dentry: &'a Real,
}

impl Marked<'_> {
    /// Writes a mark without which what is done would be wrong. Where upper can't keep marks the error is
    /// `missing`.
    ///
    /// # Errors
    ///
    /// `missing`; `ENOSPC`, `EDQUOT`, `EPERM`, …
    pub(crate) fn write(self, mark: Mark, value: &[u8], missing: Error) -> Result {
        if self.instance.upper()?.no_xattrs {
            return Err(missing);
        }
        match self.set(mark, value) {
            Err(e) if e == EOPNOTSUPP => {
                self.warn_not_kept(mark);
                Err(missing)
            }
            result => result,
        }
    }

    /// Writes a mark that only improves something: a number that stays, a listing that is right after the next mount.
    /// Nothing fails for want of it, so the result is no error, but whether it is there now.
    pub(crate) fn note(self, mark: Mark, value: &[u8]) -> bool {
        let Some(upper) = &self.instance.upper else {
            return false;
        };
        if upper.keeps_no_notes() {
            return false;
        }
        let dentry = self.dentry;
        match self.set(mark, value) {
            Ok(()) => true,
            // The object is immutable, append-only, of somebody who is unknown here, or of a type that user.*
            // is not for: nobody can do anything about it.
            Err(e) if e == EPERM || e == EACCES => false,
            Err(e) if e == EOPNOTSUPP => {
                // If these can't keep marks, nothing there can.
                if (dentry.is_dir() || dentry.is_regular()) && upper.forget_notes() {
                    self.warn_not_kept(mark);
                }
                false
            }
            Err(e) => {
                vfs::warn_limited!(
                    "'{}': the attribute {} can't be kept ({:?}); inode numbers may change with the next mount\n",
                    &**dentry,
                    self.instance.config.xattr(mark),
                    e
                );
                false
            }
        }
    }

    /// Takes a mark off, if it is there.
    ///
    /// # Errors
    ///
    /// `EPERM`, `EIO`, …
    pub(crate) fn erase(self, mark: Mark) -> Result {
        let name = self.instance.config.xattr(mark);
        match xattr::remove(self.c, self.writing, self.dentry, name) {
            Err(e) if e == ENODATA || e == EOPNOTSUPP => Ok(()),
            result => result,
        }
    }

    /// Keeps the protection of an object beside its flags.
    ///
    /// # Errors
    ///
    /// `EPERM`: upper has no attributes to keep it in. `ENOSPC`, …
    pub(crate) fn write_protection(self, protection: Protection) -> Result {
        let value = Protattr {
            append: protection.append,
            immutable: protection.immutable,
        };
        match value.encode() {
            Some(value) => self.write(Mark::Protattr, value, EPERM),
            None => self.erase(Mark::Protattr),
        }
    }

    fn set(self, mark: Mark, value: &[u8]) -> Result {
        let name = self.instance.config.xattr(mark);
        xattr::set(
            self.c,
            self.writing,
            self.dentry,
            name,
            value,
            SetFlags::ANY,
        )
    }

    fn warn_not_kept(self, mark: Mark) {
        let name = self.instance.config.xattr(mark);
        vfs::warn_limited!(
            "'{}': upper can't keep the attribute {}\n",
            &**self.dentry,
            name
        );
    }
}
