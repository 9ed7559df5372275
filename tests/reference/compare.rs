// SPDX-License-Identifier: GPL-2.0-only

//! Calls overlayfs's own functions and ours with the same inputs, and ends with an error where they differ.
//!
//! Where we differ on purpose the difference is named here, and checked to be that and no other.
//! `run` builds this with the functions of a kernel source tree; see there.

use format::handle::{BadHandle, OverlayHandle};
use format::ino::{compose, non_persistent, XinoBits};
use format::metacopy::{BadMetacopy, Metacopy};
use format::nlink::Nlink;
use format::opaque::DirMark;
use format::options::{
    split_lowerdirs, split_monolithic, unescape, Features, Finalize, Fsync, Given, LowerdirError, NameIndex,
    RedirectDir, Uuid, Verity, Xino,
};
use format::protattr::Protattr;
use format::redirect::{BadRedirect, Progress, Redirect};
use format::xattr::{Class, Namespace};
use std::ffi::{c_char, c_int, CStr, CString};

extern "C" {
    fn ref_set_value(value: *const u8, len: usize);
    fn ref_count_infos() -> u32;
    fn ref_count_errors() -> u32;
    fn ref_monolithic(data: *mut c_char) -> usize;
    fn ref_option_key(at: usize) -> *const c_char;
    fn ref_option_value(at: usize) -> *const c_char;
    fn ref_lowerdirs(value: *const c_char, layers: *mut usize, data: *mut usize) -> c_int;
    fn ref_layer(at: usize) -> *const c_char;
    fn ref_unescape(text: *mut c_char);
    fn ref_verify(settings: *mut c_int, upper: bool, data_layers: bool, capable: bool) -> c_int;
    fn ref_classify(name: *const c_char, userxattr: bool) -> c_int;
    fn ref_listxattr(list: *mut u8, size: usize, userxattr: bool, capable: bool) -> isize;
    fn ref_escape(rest: *const c_char, userxattr: bool) -> *mut c_char;
    fn ref_redirect(
        name: *const c_char,
        prelen: usize,
        post: *const c_char,
        absolute: *mut bool,
    ) -> *mut c_char;
    fn ref_metacopy(data: *mut u8) -> c_int;
    fn ref_handle(value: *const u8, len: c_int) -> c_int;
    fn ref_nlink(lower: u32, upper: u32) -> u32;
    fn ref_protattr() -> u32;
    fn ref_dir_mark() -> c_int;
    fn ref_map_ino(ino: u64, fsid: c_int, xino_mode: c_int, is_dir: bool) -> u64;
    fn ref_map_dev_ino(ino: *mut u64, fsid: c_int, xino_mode: c_int) -> bool;
    fn free(pointer: *mut c_char);
}

/// The C side is one thread's, and every call below keeps to what shim.c expects: strings end in NUL, buffers
/// are as long as they are said to be, and what is handed out is read before the next call.
macro_rules! c {
    ($call:expr) => {
        // SAFETY: as above.
        unsafe { $call }
    };
}

const ENODATA: c_int = -61;
const EINVAL: c_int = -22;
const EIO: c_int = -5;

/// A row of random numbers that is the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 33) as usize % end
    }

    fn bytes(&mut self, longest: usize) -> Vec<u8> {
        let len = self.below(longest + 1);
        (0..len).map(|_| self.next() as u8).collect()
    }

    /// A text of up to `most` pieces, and sometimes a byte that is none; never a NUL byte.
    fn text(&mut self, pieces: &[&str], most: usize) -> Vec<u8> {
        let mut text = Vec::new();
        for _ in 0..self.below(most + 1) {
            if self.below(12) == 0 {
                text.push(self.next() as u8 | 1);
            } else {
                text.extend_from_slice(pieces[self.below(pieces.len())].as_bytes());
            }
        }
        text
    }
}

fn cstring(text: &[u8]) -> CString {
    CString::new(text).expect("made without NUL bytes")
}

/// The text behind a pointer, if there is one.
fn text_of(pointer: *const c_char) -> Option<Vec<u8>> {
    (!pointer.is_null()).then(|| c!(CStr::from_ptr(pointer)).to_bytes().to_vec())
}

/// The same for what is ours to free.
fn owned_text(pointer: *mut c_char) -> Option<Vec<u8>> {
    let text = text_of(pointer);
    c!(free(pointer));
    text
}

fn set_value(value: &[u8]) {
    c!(ref_set_value(value.as_ptr(), value.len()));
}

fn option_strings(random: &mut Random) {
    let text = random.text(
        &[",", ",", "\\", "=", "a", "lowerdir=", "/x", ":", "xino=on"],
        16,
    );
    let mut copy = cstring(&text).into_bytes_with_nul();
    let count = c!(ref_monolithic(copy.as_mut_ptr().cast()));
    let theirs: Vec<_> = (0..count)
        .map(|at| {
            (
                text_of(c!(ref_option_key(at))).unwrap(),
                text_of(c!(ref_option_value(at))),
            )
        })
        .collect();
    let ours: Vec<_> = split_monolithic(&text)
        .map(|option| (option.key.to_vec(), option.value.map(<[u8]>::to_vec)))
        .collect();
    assert_eq!(
        ours,
        theirs,
        "options of {:?}",
        String::from_utf8_lossy(&text)
    );
}

fn layers(random: &mut Random) {
    let most = if random.below(400) == 0 { 2500 } else { 12 };
    let mut text = random.text(
        &[":", ":", "::", "\\", "\\:", "a", "/b", "c", "d", "e:f", "g"],
        most,
    );
    if most > 12 {
        // Near the limit, and of the right shape more often than by chance.
        text = vec![if random.below(9) == 0 { "x\\:" } else { "x" }; 499 + random.below(4)]
            .join(":")
            .into_bytes();
        text.extend_from_slice([&b""[..], b"::y", b":"][random.below(3)]);
    }
    let name = String::from_utf8_lossy(&text).into_owned();
    let (mut count, mut data) = (0, 0);
    set_value(b"");
    let result = c!(ref_lowerdirs(
        cstring(&text).as_ptr(),
        &mut count,
        &mut data
    ));
    let theirs: Vec<_> = (0..count)
        .map(|at| (text_of(c!(ref_layer(at))).unwrap(), at >= count - data))
        .collect();

    let mut ours = Vec::new();
    let mut wrong = None;
    for item in split_lowerdirs(&text) {
        match item {
            Ok(item) => ours.push((item.path.to_vec(), item.data)),
            Err(error) => wrong = Some(error),
        }
    }
    // Before 7.3 overlayfs passes over a backslash that nothing follows.
    let passed_over = wrong == Some(LowerdirError::TrailingBackslash) && !refuses_backslash();
    if !passed_over {
        assert_eq!(ours, theirs, "layers of {name:?}");
    }
    match wrong {
        Some(_) if passed_over => {}
        None => assert_eq!(result, 0, "{name:?}"),
        Some(_) => assert_eq!(result, EINVAL, "{name:?} {wrong:?}"),
    }

    let mut plain = cstring(&text).into_bytes_with_nul();
    c!(ref_unescape(plain.as_mut_ptr().cast()));
    let mut buf = vec![0; text.len()];
    let ours = unescape(&text, &mut buf).expect("no longer than it was");
    assert_eq!(
        Some(ours.to_vec()),
        text_of(plain.as_ptr().cast()),
        "{name:?}"
    );
}

/// Whether their list of layers may not end in a backslash that nothing follows.
fn refuses_backslash() -> bool {
    let (mut count, mut data) = (0, 0);
    set_value(b"");
    c!(ref_lowerdirs(c"a\\".as_ptr(), &mut count, &mut data)) == EINVAL
}

/// Every setting in every state, with every mount: all of them, not some.
fn settings() -> u64 {
    let mut count = 0;
    let modes = [RedirectDir::Follow, RedirectDir::Nofollow, RedirectDir::On];
    for flags in 0u32..1 << 12 {
        let bit = |at: u32| flags & (1 << at) != 0;
        for redirect_dir in modes {
            for uuid in Uuid::ALL {
                for verity in Verity::ALL {
                    for fsync in Fsync::ALL {
                        let features = Features {
                            default_permissions: false,
                            redirect_dir,
                            index: bit(0),
                            uuid: *uuid,
                            nfs_export: bit(1),
                            userxattr: bit(2),
                            xino: Xino::Auto,
                            metacopy: bit(3),
                            verity: *verity,
                            fsync: *fsync,
                            lazydata: false,
                            finalize: Finalize::On,
                            nameindex: NameIndex::Auto,
                            image: false,
                            given: Given {
                                redirect_dir: bit(4),
                                index: bit(5),
                                nfs_export: bit(6),
                                metacopy: bit(7),
                                workdir: bit(8),
                            },
                        };
                        one_setting(features, bit(9), bit(10), bit(11));
                        count += 1;
                    }
                }
            }
        }
    }
    count
}

/// The numbers are overlayfs's: the words of each setting are in its order.
fn numbers(features: &Features) -> [c_int; 14] {
    fn at<T: PartialEq>(all: &[T], value: &T) -> c_int {
        all.iter()
            .position(|other| other == value)
            .expect("a word of the setting") as c_int
    }
    [
        at(RedirectDir::ALL, &features.redirect_dir),
        features.index.into(),
        at(Uuid::ALL, &features.uuid),
        features.nfs_export.into(),
        features.userxattr.into(),
        at(Xino::ALL, &features.xino),
        features.metacopy.into(),
        at(Verity::ALL, &features.verity),
        at(Fsync::ALL, &features.fsync),
        features.given.redirect_dir.into(),
        features.given.index.into(),
        features.given.nfs_export.into(),
        features.given.metacopy.into(),
        features.given.workdir.into(),
    ]
}

fn one_setting(before: Features, upper: bool, data_layers: bool, capable: bool) {
    let mut theirs = numbers(&before);
    let result = c!(ref_verify(theirs.as_mut_ptr(), upper, data_layers, capable));
    let mut ours = before;
    let mut notes = 0;
    let outcome = ours.resolve(upper, data_layers, capable, &mut |_| notes += 1);
    match outcome {
        // Theirs refuses it. Ours looks at the layers then: who may write marks there?
        Ok(()) if ours.trusts_user_marks() => {
            assert!(before.given.metacopy && before.metacopy);
            assert_eq!(result, EINVAL, "{before:?}");
            return;
        }
        Ok(()) => {
            assert_eq!(result, 0, "{before:?}");
            assert_eq!(numbers(&ours)[..9], theirs[..9], "{before:?}");
            assert_eq!(c!(ref_count_errors()), 0);
        }
        Err(conflict) => {
            assert_eq!(-conflict.errno(), result, "{before:?} {conflict:?}");
            assert_eq!(c!(ref_count_errors()), 1);
        }
    }
    // Each of our notes is one of their messages.
    assert_eq!(notes, c!(ref_count_infos()), "{before:?}");
}

fn xattrs(random: &mut Random) {
    let pieces = [
        "trusted.",
        "user.",
        "overlay.",
        "trusted.overlay.",
        "user.overlay.",
        "x",
        "overlay",
    ];
    for (namespace, userxattr) in [(Namespace::Trusted, false), (Namespace::User, true)] {
        let mut list = Vec::new();
        for _ in 0..random.below(6) {
            let name = random.text(&pieces, 5);
            let class = match c!(ref_classify(cstring(&name).as_ptr(), userxattr)) {
                1 => Class::Private,
                2 => Class::Escaped,
                _ => Class::Foreign,
            };
            assert_eq!(namespace.classify(&name), class, "{name:?}");

            let mut buf = [0; 256];
            if let Some(rest) = name.strip_prefix(namespace.prefix()) {
                let theirs = owned_text(c!(ref_escape(cstring(rest).as_ptr(), userxattr)));
                let ours = namespace
                    .escape(&name, &mut buf)
                    .map(|name| name.to_bytes().to_vec());
                assert_eq!(ours.ok(), theirs, "{name:?}");
                // At the longest that can be stored, and one more.
                for len in [231, 232, 233, 247, 248] {
                    let long = vec![b'n'; len - namespace.prefix().len()];
                    let theirs = owned_text(c!(ref_escape(cstring(&long).as_ptr(), userxattr)));
                    let long = [namespace.prefix(), &long].concat();
                    let ours = namespace.escape(&long, &mut buf);
                    assert_eq!(
                        ours.map(|name| name.to_bytes().to_vec()).ok(),
                        theirs,
                        "{len}"
                    );
                }
            }
            list.extend_from_slice(&name);
            list.push(0);
        }
        if random.below(8) == 0 {
            list.pop();
        }
        for see_trusted in [false, true] {
            set_value(&list);
            let mut theirs = vec![0; list.len()];
            let len = c!(ref_listxattr(
                theirs.as_mut_ptr(),
                theirs.len(),
                userxattr,
                see_trusted
            ));
            let mut ours = list.clone();
            match namespace.filter_list(&mut ours, see_trusted) {
                Err(_) => assert_eq!(len, EIO as isize, "{list:?}"),
                Ok(kept) => {
                    assert_eq!(kept as isize, len, "{list:?}");
                    assert_eq!(ours[..kept], theirs[..kept], "{list:?}");
                }
            }
        }
    }
}

fn redirects(random: &mut Random) {
    // A path being walked, and a step of it.
    let names = ["/a", "/bb", "/c.", "/...", "/n\\"];
    let path = match random.below(4) {
        0 => b"name".to_vec(),
        _ => (0..=random.below(4))
            .map(|_| names[random.below(5)])
            .collect::<String>()
            .into_bytes(),
    };
    let walked = Redirect::parse(&path).expect("made to be one");
    let mut progress = Progress::begin(walked.as_bytes());
    let steps: Vec<_> = std::iter::from_fn(|| progress.next(walked.as_bytes())).collect();
    let step = steps[random.below(steps.len())];

    let value = match random.below(8) {
        0 => random.bytes(6),
        _ => random.text(&["/", "/", "/a", "b", "cc", ".", "..", "/d/e"], 6),
    };
    set_value(&value);
    let mut absolute = false;
    let theirs = owned_text(c!(ref_redirect(
        cstring(&path).as_ptr(),
        step.prefix.len(),
        cstring(step.rest).as_ptr(),
        &mut absolute,
    )));
    match Redirect::parse(&value) {
        Ok(redirect) => {
            let mut buf = vec![0; path.len() + value.len()];
            let joined = redirect
                .join(step.prefix, step.rest, &mut buf)
                .expect("parts of paths");
            assert_eq!(
                theirs.as_deref(),
                Some(joined.as_bytes()),
                "{value:?} in {path:?}"
            );
            assert_eq!(absolute, redirect.is_absolute());
        }
        // What overlayfs lets through to a lookup that fails, and what it cuts at the NUL byte.
        Err(BadRedirect::DotComponent) => {
            assert!(
                theirs.is_some() || value.windows(2).any(|w| w == b"//"),
                "{value:?}"
            );
        }
        Err(BadRedirect::NulByte) => assert!(value.contains(&0)),
        Err(error) => assert_eq!(theirs, None, "{value:?} {error:?}"),
    }
}

fn small_values(random: &mut Random) {
    let pieces = [
        "U",
        "L",
        "+",
        "-",
        "1",
        "0",
        "9",
        "2147483647",
        "2147483648",
        "\n",
        "a",
        "i",
        "y",
        "x",
    ];
    let mut value = match random.below(3) {
        0 => random.bytes(5),
        1 => random.text(&pieces, 4),
        _ => [
            &b"U+L-"[random.below(2) * 2..][..2],
            &random.text(&pieces, 3),
        ]
        .concat(),
    };
    if random.below(50) == 0 {
        value = vec![b"ai"[random.below(2)]; 31 + random.below(3)];
    }

    set_value(&value);
    let (lower, upper) = (2 + random.below(9) as u32, 1 + random.below(9) as u32);
    let theirs = c!(ref_nlink(lower, upper));
    let ours = Nlink::decode(&value).and_then(|nlink| nlink.resolve(upper, lower));
    // Overlayfs takes what is before a NUL byte for the value.
    if !value.contains(&0) {
        assert_eq!(
            ours.unwrap_or(0),
            theirs,
            "{value:?} of {lower} and {upper}"
        );
    }

    set_value(&value);
    let theirs = c!(ref_protattr());
    match Protattr::decode(&value) {
        Ok(flags) => {
            assert_eq!(
                theirs,
                u32::from(flags.append) | (u32::from(flags.immutable) << 1)
            );
        }
        Err(_) => assert_eq!(theirs & 3, 0, "{value:?}"),
    }

    set_value(&value);
    let theirs = c!(ref_dir_mark());
    let expected = match DirMark::decode(Some(&value)) {
        DirMark::Opaque => 'y',
        DirMark::HasWhiteouts => 'x',
        DirMark::Finalized => 'z',
        DirMark::None => {
            assert!(
                !(theirs == 'x' as c_int || theirs == 'y' as c_int),
                "{value:?}"
            );
            return;
        }
    };
    assert_eq!(theirs, expected as c_int, "{value:?}");
}

fn metacopies(random: &mut Random) {
    let mut value = random.bytes(80);
    if value.len() > 3 && random.below(4) > 0 {
        value[0] = (random.below(8) == 0).into();
        value[1] = value.len() as u8 + u8::from(random.below(8) == 0);
    }
    let mut read = [0u8; 68];
    set_value(&value);
    let opened = c!(ref_metacopy(read.as_mut_ptr()));
    let looked_up = c!(ref_metacopy(std::ptr::null_mut()));

    match Metacopy::probe(value.len()) {
        Ok(size) => assert_eq!(looked_up, size as c_int, "{value:?}"),
        Err(_) => assert_eq!(looked_up, EIO, "{value:?}"),
    }
    match Metacopy::decode(&value) {
        Ok(mark) => {
            assert_eq!(opened, 4 + mark.digest.len() as c_int, "{value:?}");
            assert_eq!(read[2..4], [mark.flags, mark.digest_algo]);
            assert_eq!(read[4..4 + mark.digest.len()], *mark.digest);
        }
        // Overlayfs doesn't get to read a value of more than it has room for.
        Err(BadMetacopy::TooLong) => assert_eq!(opened, -34, "{value:?}"),
        Err(_) => assert_eq!(opened, EIO, "{value:?}"),
    }
}

fn handles(random: &mut Random) {
    let mut value = random.bytes(60);
    if value.len() > 4 && random.below(8) > 0 {
        value[0] = (random.below(8) == 0).into();
        value[1] = 0xfb;
        value[2] = (value.len() as u8)
            .wrapping_add(2)
            .wrapping_sub(random.below(5) as u8);
        value[3] = random.below(10) as u8;
    }
    let theirs = c!(ref_handle(value.as_ptr(), value.len() as c_int));
    match OverlayHandle::decode(&value) {
        Ok(_) => assert_eq!(theirs, 0, "{value:?}"),
        // Overlayfs goes on with a handle whose length has no room for its header.
        Err(BadHandle::BadLength) => assert_eq!((theirs, value[2] < 21), (0, true), "{value:?}"),
        // It asks whether there is anything before it looks at it.
        Err(BadHandle::Empty) => assert!(value.is_empty()),
        Err(error) if error.is_unknown() => assert_eq!(theirs, ENODATA, "{value:?}"),
        Err(_) => assert_eq!(theirs, EINVAL, "{value:?}"),
    }
}

fn inode_numbers(random: &mut Random) {
    /// What the stand-in for the counter gives.
    const NEXT: u64 = 0x0123_4567_89ab_cdef;
    let high = 2 + random.below(31) as u32;
    let (bits, mode) = match random.below(6) {
        0 => (XinoBits::SameFs, 0),
        1 => (XinoBits::Off, -1),
        _ => (XinoBits::High(high), high as c_int),
    };
    // The highest index that the bits were chosen for, and no more than there are layers.
    let fsid = random.below(501.min(1 << (high - 1)));
    let ino = random.next() >> random.below(64);

    set_value(b"");
    for is_dir in [false, true] {
        let theirs = c!(ref_map_ino(ino, fsid as c_int, mode, is_dir));
        let ours = match compose(ino, fsid as u32, bits) {
            Some(number) => number,
            None if is_dir => non_persistent(NEXT, bits),
            None => ino,
        };
        assert_eq!(ours, theirs, "{ino} of {fsid} with {bits:?}");
    }
    let mut stat_ino = ino;
    let own_dev = c!(ref_map_dev_ino(&mut stat_ino, fsid as c_int, mode));
    match compose(ino, fsid as u32, bits) {
        Some(number) => assert_eq!((number, true), (stat_ino, own_dev)),
        None => assert_eq!((ino, false), (stat_ino, own_dev)),
    }
}

fn main() {
    let rounds: u64 = std::env::args()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(200_000);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let count = settings();
    println!("reference/settings: {count} combinations, as overlayfs settles them");
    let parts: [(&str, fn(&mut Random)); 8] = [
        ("options", option_strings),
        ("layers", layers),
        ("xattrs", xattrs),
        ("redirects", redirects),
        ("metacopy", metacopies),
        ("handles", handles),
        ("small", small_values),
        ("inode-numbers", inode_numbers),
    ];
    for (name, part) in parts {
        for _ in 0..rounds {
            part(&mut random);
        }
        println!("reference/{name}: {rounds} inputs, as overlayfs takes them");
    }
}
