// SPDX-License-Identifier: GPL-2.0-only

//! Archives as tar makes them, and as nobody should.

use std::io::Cursor;

use tar::{Builder, EntryType, Header};

use super::*;

struct Tar(Builder<Vec<u8>>);

impl Tar {
    fn new() -> Tar {
        Tar(Builder::new(Vec::new()))
    }

    /// An entry whose name is written as it is, however bad it is.
    fn add(mut self, kind: EntryType, name: &str, link: &str, data: &[u8]) -> Tar {
        let mut header = Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        header.set_uid(1000);
        header.set_gid(100);
        header.set_mtime(1_700_000_000);
        header.set_device_major(0).unwrap();
        header.set_device_minor(0).unwrap();
        header.set_cksum();
        self.0.append(&header, data).unwrap();
        self
    }

    fn file(self, name: &str, data: &[u8]) -> Tar {
        self.add(EntryType::Regular, name, "", data)
    }

    fn directory(self, name: &str) -> Tar {
        self.add(EntryType::Directory, name, "", b"")
    }

    /// A PAX header for the entry after it.
    fn pax(self, records: &[(&str, &[u8])]) -> Tar {
        let mut all = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length = (rest + 1..)
                .find(|n| n.to_string().len() + rest == *n)
                .unwrap();
            all.extend_from_slice(format!("{length} {key}=").as_bytes());
            all.extend_from_slice(value);
            all.push(b'\n');
        }
        self.add(EntryType::XHeader, "pax", "", &all)
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }

    fn read(self) -> Result<Image> {
        Image::read(&mut Cursor::new(self.bytes()))
    }

    fn error(self) -> String {
        format!("{:#}", self.read().unwrap_err())
    }
}

fn at<'a>(image: &'a Image, path: &str) -> Option<(Ino, &'a Node)> {
    let ino = path
        .split('/')
        .try_fold(ROOT, |ino, name| image.child(ino, OsStr::new(name)))?;
    Some((ino, image.node(ino)?))
}

fn names(image: &Image, ino: Ino) -> Vec<&str> {
    image
        .names(ino)
        .unwrap()
        .iter()
        .map(|(name, _)| name.to_str().unwrap())
        .collect()
}

#[test]
fn what_is_in_an_archive_is_in_the_image() {
    let data = b"hello";
    let tar = Tar::new()
        .directory("./")
        .directory("./d/")
        .file("./d/f", data);
    let tar = tar
        .add(EntryType::Symlink, "d/l", "../x", b"")
        .add(EntryType::Fifo, "p", "", b"")
        .file("b/deep/er", b"");
    let bytes = tar.bytes();
    let image = Image::read(&mut Cursor::new(&bytes)).unwrap();
    assert_eq!(names(&image, ROOT), ["b", "d", "p"]);
    let (_, file) = at(&image, "d/f").unwrap();
    assert_eq!(
        (file.mode, file.uid, file.gid, file.nlink),
        (0o644, 1000, 100, 1)
    );
    assert_eq!(file.mtime.seconds, 1_700_000_000);
    let What::File { offset, size } = file.what else {
        panic!()
    };
    assert_eq!(&bytes[offset as usize..][..size as usize], data);
    assert_eq!(
        at(&image, "d/l").unwrap().1.what,
        What::Symlink("../x".into())
    );
    assert_eq!(at(&image, "p").unwrap().1.what, What::Fifo);
    // No entry is about it.
    assert_eq!(at(&image, "b/deep").unwrap().1.mode, 0o755);
    assert_eq!(image.node(ROOT).unwrap().nlink, 4);
}

#[test]
fn hard_links_are_one_object() {
    let image = Tar::new()
        .file("f", b"x")
        .add(EntryType::Link, "d/g", "./f", b"")
        .read()
        .unwrap();
    let (ino, node) = at(&image, "f").unwrap();
    assert_eq!(at(&image, "d/g").unwrap().0, ino);
    assert_eq!(node.nlink, 2);
    // A name that is given anew: the other one keeps what it had.
    let image = Tar::new()
        .file("f", b"x")
        .add(EntryType::Link, "g", "f", b"")
        .file("f", b"new")
        .read()
        .unwrap();
    assert_ne!(at(&image, "f").unwrap().0, at(&image, "g").unwrap().0);
    assert_eq!(at(&image, "g").unwrap().1.nlink, 1);
}

#[test]
fn pax_headers_are_for_one_entry() {
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(200));
    let capability = b"\x01\n\x00\n=\x02";
    let records: [(&str, &[u8]); 5] = [
        ("path", long.as_bytes()),
        ("mtime", b"1700000000.25"),
        ("uid", b"3000000000"),
        ("SCHILY.xattr.security.capability", capability),
        ("SCHILY.xattr.user.empty", b""),
    ];
    let image = Tar::new()
        .pax(&records)
        .file("short", b"x")
        .file("next", b"y")
        .read()
        .unwrap();
    let (_, node) = at(&image, &long).unwrap();
    assert_eq!(
        (node.mtime, node.uid),
        (
            Time {
                seconds: 1_700_000_000,
                nanoseconds: 250_000_000
            },
            3_000_000_000
        )
    );
    assert_eq!(
        node.xattr(OsStr::new("security.capability")),
        Some(&capability[..])
    );
    assert_eq!(node.xattr(OsStr::new("user.empty")), Some(&b""[..]));
    let (_, next) = at(&image, "next").unwrap();
    assert_eq!((next.uid, next.xattrs.len()), (1000, 0));
    let image = Tar::new()
        .pax(&[("mtime", b"-1.25")])
        .file("f", b"")
        .read()
        .unwrap();
    assert_eq!(
        at(&image, "f").unwrap().1.mtime,
        Time {
            seconds: -2,
            nanoseconds: 750_000_000
        }
    );
}

#[test]
fn global_headers_hold_until_they_are_taken_back() {
    let records = |value: &str| format!("{} uid={value}\n", 7 + value.len()).into_bytes();
    let tar = Tar::new()
        .add(EntryType::XGlobalHeader, "g", "", &records("77"))
        .file("a", b"")
        .file("b", b"");
    let image = tar
        .add(EntryType::XGlobalHeader, "g", "", &records(""))
        .file("c", b"")
        .read()
        .unwrap();
    let uid = |name| at(&image, name).unwrap().1.uid;
    assert_eq!((uid("a"), uid("b"), uid("c")), (77, 77, 1000));
}

#[test]
fn gnu_long_names() {
    let (name, link) = ("n".repeat(180), "l".repeat(180));
    let tar = Tar::new().add(
        EntryType::GNULongName,
        "././@LongLink",
        "",
        format!("{name}\0").as_bytes(),
    );
    let tar = tar.add(
        EntryType::GNULongLink,
        "././@LongLink",
        "",
        format!("{link}\0").as_bytes(),
    );
    let image = tar
        .add(EntryType::Symlink, "n", "l", b"")
        .file("after", b"")
        .read()
        .unwrap();
    assert_eq!(
        at(&image, &name).unwrap().1.what,
        What::Symlink(link.into())
    );
    assert!(at(&image, "after").is_some());
}

#[test]
fn whiteouts_of_both_kinds() {
    let tar = Tar::new()
        .file("d/.wh.gone", b"")
        .file("o/.wh..wh..opq", b"")
        .directory("o")
        .file(".wh..wh.aufs", b"");
    let image = tar.add(EntryType::Char, "w", "", b"").read().unwrap();
    assert_eq!(at(&image, "d/gone").unwrap().1.what, What::Whiteout);
    assert_eq!(at(&image, "w").unwrap().1.what, What::Whiteout);
    assert!(at(&image, "o").unwrap().1.is_opaque());
    assert_eq!(names(&image, ROOT), ["d", "o", "w"]);
    assert_eq!(image.notes.len(), 1);
}

#[test]
fn a_whiteout_is_about_the_layers_below_in_any_order() {
    let image = Tar::new()
        .file(".wh.f", b"")
        .file("f", b"x")
        .file("g", b"x")
        .file(".wh.g", b"")
        .read()
        .unwrap();
    assert!(matches!(at(&image, "f").unwrap().1.what, What::File { .. }));
    assert!(matches!(at(&image, "g").unwrap().1.what, What::File { .. }));
    let image = Tar::new()
        .file(".wh.d", b"")
        .directory("d")
        .directory("e")
        .file(".wh.e", b"")
        .read()
        .unwrap();
    assert!(at(&image, "d").unwrap().1.is_opaque() && at(&image, "e").unwrap().1.is_opaque());
}

#[test]
fn marks_of_a_layer() {
    let image = Tar::new()
        .pax(&[("SCHILY.xattr.trusted.overlay.opaque", b"y")])
        .directory("d")
        .read()
        .unwrap();
    assert!(at(&image, "d").unwrap().1.is_opaque());
    let redirect = Tar::new()
        .pax(&[("SCHILY.xattr.trusted.overlay.redirect", b"/etc")])
        .directory("d");
    assert!(redirect.error().contains("trusted.overlay.redirect"));
}

#[test]
fn names_that_lead_out_are_refused() {
    for name in ["../x", "a/../../x", "a/.."] {
        assert!(
            Tar::new()
                .file(name, b"")
                .error()
                .contains("lead out of the image"),
            "{name}"
        );
    }
    assert!(Tar::new()
        .file("/etc/passwd", b"")
        .error()
        .contains("root of the machine"));
    assert!(Tar::new().file(&"a".repeat(90), b"").read().is_ok());
    assert!(Tar::new()
        .pax(&[("path", b"a\0b")])
        .file("f", b"")
        .error()
        .contains("NUL"));
    assert!(Tar::new()
        .pax(&[("path", "a".repeat(256).as_bytes())])
        .file("f", b"")
        .error()
        .contains("256 bytes"));
    assert!(Tar::new()
        .pax(&[("path", "a/".repeat(2048).as_bytes())])
        .file("f", b"")
        .error()
        .contains("4096 bytes"));
    assert!(Tar::new()
        .file(".", b"")
        .error()
        .contains("root of an image"));
}

#[test]
fn nothing_is_below_what_is_no_directory() {
    let tar = Tar::new()
        .add(EntryType::Symlink, "a", "/etc", b"")
        .file("a/passwd", b"");
    assert!(tar
        .error()
        .contains("\"a\" on the way to it is no directory"));
    assert!(Tar::new()
        .file("d/f", b"")
        .file("d", b"")
        .error()
        .contains("place of a directory"));
    let out = Tar::new().add(EntryType::Link, "a", "../../etc/passwd", b"");
    assert!(out.error().contains("lead out of the image"));
    assert!(Tar::new()
        .add(EntryType::Link, "a", "b", b"")
        .error()
        .contains("not before it"));
    assert!(Tar::new()
        .directory("b")
        .add(EntryType::Link, "a", "b", b"")
        .error()
        .contains("no file"));
    assert!(Tar::new()
        .file(".wh.b", b"")
        .add(EntryType::Link, "a", "b", b"")
        .error()
        .contains("no file"));
}

#[test]
fn an_archive_that_was_cut_off_is_told() {
    let bytes = Tar::new()
        .file("a", &[1; 1000])
        .file("b", &[2; 1000])
        .bytes();
    for length in 0..bytes.len() {
        let result = Image::read(&mut Cursor::new(&bytes[..length]));
        // The end mark is two blocks, of which one is enough.
        match length {
            0 => assert!(format!("{:#}", result.unwrap_err()).contains("empty")),
            1..3584 => assert!(
                format!("{:#}", result.unwrap_err()).contains("cut off"),
                "{length}"
            ),
            _ => assert!(result.is_ok(), "{length}"),
        }
    }
}

#[test]
fn a_damaged_header_is_told() {
    let good = Tar::new().file("a", b"x").bytes();
    for at in 0..512 {
        let mut bytes = good.clone();
        bytes[at] ^= 0x11;
        let error = Image::read(&mut Cursor::new(&bytes))
            .map(|_| ())
            .unwrap_err();
        assert!(format!("{error:#}").contains("byte 0"), "{at}: {error:#}");
    }
    let error = Image::read(&mut Cursor::new(vec![7; 2048])).unwrap_err();
    assert!(format!("{error:#}").contains("no tar archive"));
    let error = Image::read(&mut Cursor::new(
        [b"\x1f\x8b".as_slice(), &[0; 1024]].concat(),
    ))
    .unwrap_err();
    assert!(format!("{error:#}").contains("gzip"));
}

#[test]
fn numbers_that_cannot_be() {
    let huge = |value: &'static [u8], key| Tar::new().pax(&[(key, value)]).file("f", b"").error();
    assert!(huge(b"18446744073709551615", "size").contains("cut off"));
    assert!(huge(b"99999999999999999999", "size").contains("no number"));
    assert!(huge(b"-1", "uid").contains("no number"));
    assert!(huge(b"4294967296", "uid").contains("uid is 4294967296"));
    assert!(huge(b"1e9", "mtime").contains("no time"));
    assert!(huge(b"1", "GNU.sparse.major").contains("--sparse"));
    assert!(Tar::new()
        .add(EntryType::GNUSparse, "f", "", b"")
        .error()
        .contains("--sparse"));
    assert!(Tar::new()
        .add(EntryType::new(b'Z'), "f", "", b"")
        .error()
        .contains("unknown type 'Z'"));
}

#[test]
fn damaged_pax_headers() {
    for records in [
        "5 a=b\n", "99 a=b\n", "a=b\n", "6 a=b", "6 aab\n", "0 \n", " a=b\n", "+6 a=b\n",
    ] {
        let error = Tar::new()
            .add(EntryType::XHeader, "x", "", records.as_bytes())
            .file("f", b"")
            .error();
        assert!(
            error.contains("damaged") || error.contains("no number"),
            "{records:?}: {error}"
        );
    }
}
