// SPDX-License-Identifier: GPL-2.0-only

//! Archives that are compressed: by gzip or zstd, as the layers of OCI images are.
//!
//! What is written depends on the data and the level alone: a gzip header has neither a time nor a name here. What is read
//! is told by its first bytes, may be of several members or frames, and may be made to harm: memory is limited, and data that is
//! cut short or damaged is an error, never an end.

use anyhow::{Context, Result};
use flate2::bufread::MultiGzDecoder;
use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, BufWriter, Cursor, Error, Read, Write};
use std::path::Path;
use std::str::FromStr;

/// The largest window that a zstd frame may ask for, as a power of two: 128 MiB, the limit of zstd(1) and the most that
/// the levels up to 22 use.
const WINDOW_LOG_MAX: u32 = 27;

/// The most that may follow the end of an archive, in bytes: whoever pads archives to blocks needs less.
const PADDING_MAX: u64 = 1 << 30;

/// How an archive is compressed, and how much time is spent on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Plain,
    Gzip(u32),
    Zstd(i32),
}

const GZIP: Method = Method::Gzip(6);
const ZSTD: Method = Method::Zstd(3);

impl Method {
    /// The method that a file's name asks for by its end.
    pub fn of_name(path: &Path) -> Method {
        let end = path
            .extension()
            .and_then(OsStr::to_str)
            .unwrap_or_default()
            .to_ascii_lowercase();
        match end.as_str() {
            "gz" | "tgz" => GZIP,
            "zst" | "tzst" => ZSTD,
            _ => Method::Plain,
        }
    }
}

impl FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Method, String> {
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level)),
            None => (text, None),
        };
        let level = |default: i32, most: i32| match level {
            None => Ok(default),
            Some(level) => level
                .parse()
                .ok()
                .filter(|level| (1..=most).contains(level))
                .ok_or(format!("the levels of {name} are 1 to {most}")),
        };
        match name {
            "none" if !text.contains(':') => Ok(Method::Plain),
            "gzip" => Ok(Method::Gzip(level(6, 9)?.unsigned_abs())),
            "zstd" => Ok(Method::Zstd(level(3, 22)?)),
            _ => Err("it is none, gzip[:LEVEL] or zstd[:LEVEL]".into()),
        }
    }
}

/// Writes data as a method has it.
pub enum Encoder<W: Write> {
    Plain(BufWriter<W>),
    Gzip(GzEncoder<BufWriter<W>>),
    Zstd(zstd::stream::write::Encoder<'static, BufWriter<W>>),
}

impl<W: Write> Encoder<W> {
    pub fn new(to: W, method: Method) -> std::io::Result<Encoder<W>> {
        let to = BufWriter::new(to);
        Ok(match method {
            Method::Plain => Encoder::Plain(to),
            Method::Gzip(level) => {
                Encoder::Gzip(GzBuilder::new().write(to, Compression::new(level)))
            }
            Method::Zstd(level) => {
                let mut encoder = zstd::stream::write::Encoder::new(to, level)?;
                encoder.include_checksum(true)?;
                Encoder::Zstd(encoder)
            }
        })
    }

    /// Writes what is left, and the end.
    pub fn finish(self) -> std::io::Result<()> {
        let mut to = match self {
            Encoder::Plain(to) => to,
            Encoder::Gzip(encoder) => encoder.finish()?,
            Encoder::Zstd(encoder) => encoder.finish()?,
        };
        to.flush()
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        match self {
            Encoder::Plain(to) => to.write(data),
            Encoder::Gzip(to) => to.write(data),
            Encoder::Zstd(to) => to.write(data),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Encoder::Plain(to) => to.flush(),
            Encoder::Gzip(to) => to.flush(),
            Encoder::Zstd(to) => to.flush(),
        }
    }
}

/// Reads data that may be compressed.
pub enum Decoder<R: BufRead> {
    Plain(Begun<R>),
    Gzip(Box<MultiGzDecoder<Begun<R>>>),
    Zstd(zstd::stream::read::Decoder<'static, Begun<R>>),
}

/// Data whose first bytes were looked at.
pub type Begun<R> = std::io::Chain<Cursor<Vec<u8>>, R>;

impl<R: Read> Decoder<BufReader<R>> {
    /// Finds out what the data is by its first bytes.
    pub fn new(data: R) -> Result<Decoder<BufReader<R>>> {
        let unread = "the archive can't be read";
        let mut data = BufReader::new(data);
        let mut start = Vec::new();
        data.by_ref()
            .take(4)
            .read_to_end(&mut start)
            .context(unread)?;
        let (is_gzip, is_zstd) = (is_gzip(&start), is_zstd(&start));
        let data = Cursor::new(start).chain(data);
        Ok(if is_gzip {
            Decoder::Gzip(Box::new(MultiGzDecoder::new(data)))
        } else if is_zstd {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(data).context(unread)?;
            decoder.window_log_max(WINDOW_LOG_MAX).context(unread)?;
            Decoder::Zstd(decoder)
        } else {
            Decoder::Plain(data)
        })
    }
}

impl<R: BufRead> Decoder<R> {
    /// Reads to the end of what is compressed, behind the end of the archive: only there is its checksum.
    pub fn finish(self) -> Result<()> {
        if matches!(self, Decoder::Plain(_)) {
            return Ok(());
        }
        let mut rest = self.take(PADDING_MAX.saturating_add(1));
        let read = std::io::copy(&mut rest, &mut std::io::sink())
            .context("the archive is damaged behind its end")?;
        anyhow::ensure!(
            read <= PADDING_MAX,
            "more than {PADDING_MAX} bytes follow the end of the archive: do not trust it"
        );
        Ok(())
    }
}

fn is_gzip(start: &[u8]) -> bool {
    start.starts_with(b"\x1f\x8b")
}

/// Whether a zstd frame begins, or one that is to be skipped: programs that compress in parallel begin with such.
fn is_zstd(start: &[u8]) -> bool {
    match start {
        [0x28, 0xb5, 0x2f, 0xfd] => true,
        [first, 0x2a, 0x4d, 0x18] => first & 0xf0 == 0x50,
        _ => false,
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let (name, read) = match self {
            Decoder::Plain(data) => return data.read(buffer),
            Decoder::Gzip(data) => ("gzip", data.read(buffer)),
            Decoder::Zstd(data) => ("zstd", data.read(buffer)),
        };
        read.map_err(|error| told(name, error))
    }
}

/// An error of the data, with what it means; others as they are.
fn told(name: &str, error: Error) -> Error {
    use std::io::ErrorKind::{Interrupted, InvalidData, InvalidInput, Other, UnexpectedEof};
    let kind = error.kind();
    if error.raw_os_error().is_some() || kind == Interrupted {
        return error;
    }
    let what = match kind {
        UnexpectedEof => format!("the {name} data is cut short: get the archive again"),
        Other if error.to_string().contains("too much memory") => format!(
            "it asks for a window of more than {} MiB: if you trust it, give it to zstd -dc --long=31, and - to layerctl",
            1_u64 << WINDOW_LOG_MAX.saturating_sub(20)
        ),
        InvalidData | InvalidInput | Other => {
            format!("the {name} data is damaged ({error}): get the archive again")
        }
        _ => return error,
    };
    Error::new(kind, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(data: &[u8], method: Method) -> Vec<u8> {
        let mut packed = Vec::new();
        let mut encoder = Encoder::new(&mut packed, method).unwrap();
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap();
        packed
    }

    fn unpacked(data: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        let mut decoder = Decoder::new(data).unwrap();
        decoder.read_to_end(&mut plain)?;
        Ok(plain)
    }

    const METHODS: [Method; 6] = [
        Method::Plain,
        Method::Gzip(1),
        GZIP,
        Method::Gzip(9),
        ZSTD,
        Method::Zstd(19),
    ];

    #[test]
    fn methods_are_named() {
        let read = |text: &str| text.parse::<Method>().ok();
        assert_eq!(read("none"), Some(Method::Plain));
        assert_eq!(read("gzip"), Some(GZIP));
        assert_eq!(read("gzip:9"), Some(Method::Gzip(9)));
        assert_eq!(read("zstd"), Some(ZSTD));
        assert_eq!(read("zstd:22"), Some(Method::Zstd(22)));
        for wrong in [
            "", "none:1", "gzip:", "gzip:0", "gzip:10", "zstd:23", "zstd:-1", "xz",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        let by_name = |name: &str| Method::of_name(Path::new(name));
        assert_eq!(by_name("a.tar.gz"), GZIP);
        assert_eq!(by_name("a.TGZ"), GZIP);
        assert_eq!(by_name("/x/a.tar.zst"), ZSTD);
        assert_eq!(by_name("a.tar"), Method::Plain);
        assert_eq!(by_name("gz"), Method::Plain);
    }

    #[test]
    fn what_is_packed_is_read_and_the_same_each_time() {
        let data: Vec<u8> = (0..300_000_u32)
            .flat_map(|n| (n / 7).to_le_bytes())
            .collect();
        for method in METHODS {
            let once = packed(&data, method);
            assert_eq!(once, packed(&data, method), "{method:?}");
            assert!(unpacked(&once).unwrap() == data, "{method:?}");
        }
        // Neither time nor name: RFC 1952 has flags at 3 and the time at 4.
        assert_eq!(packed(b"x", GZIP).get(3..8), Some(&[0; 5][..]));
    }

    #[test]
    fn several_members_are_one_archive() {
        for method in [GZIP, ZSTD] {
            let mut both = packed(b"first ", method);
            both.extend(packed(b"", method));
            if method == ZSTD {
                // What zstd:chunked puts between and behind: to be skipped.
                both.extend(b"\x5e\x2a\x4d\x18\x03\0\0\0toc");
            }
            both.extend(packed(b"second", method));
            assert_eq!(unpacked(&both).unwrap(), b"first second", "{method:?}");
        }
        let mut skipped = b"\x50\x2a\x4d\x18\0\0\0\0".to_vec();
        skipped.extend(packed(b"data", ZSTD));
        assert_eq!(unpacked(&skipped).unwrap(), b"data");
    }

    #[test]
    fn what_is_cut_or_changed_is_an_error() {
        let data: Vec<u8> = (0..700_u32).flat_map(u32::to_le_bytes).collect();
        for method in [GZIP, ZSTD] {
            let whole = packed(&data, method);
            for cut in 4..whole.len() {
                let error = unpacked(&whole[..cut]).expect_err("it is cut short");
                assert!(error.to_string().contains("cut short"), "{cut}: {error}");
            }
            for at in 0..whole.len() {
                let mut changed = whole.clone();
                changed[at] ^= 0x10;
                // Some bytes of a header mean nothing to who reads it, or make it no archive of the kind.
                let read = unpacked(&changed);
                let means_nothing = read.as_ref().is_ok_and(|read| *read == data);
                let is_plain = read.as_ref().is_ok_and(|read| *read == changed);
                assert!(
                    read.is_err() || means_nothing || is_plain,
                    "{method:?} {at}"
                );
            }
            let mut followed = whole.clone();
            followed.extend(b"something else");
            assert!(unpacked(&followed).is_err());
        }
    }

    #[test]
    fn large_windows_are_refused() {
        // A frame that says it needs a window of 2 GiB: magic, descriptor, window of 10 + 21 bits, an empty last block.
        let frame = [0x28, 0xb5, 0x2f, 0xfd, 0, 21 << 3, 1, 0, 0];
        let error = unpacked(&frame).expect_err("the window is too large");
        assert!(error.to_string().contains("128 MiB"), "{error}");
        let allowed = [0x28, 0xb5, 0x2f, 0xfd, 0, 17 << 3, 1, 0, 0];
        assert_eq!(unpacked(&allowed).unwrap(), b"");
    }
}
