// SPDX-License-Identifier: GPL-2.0-only

//! The fs-verity digest of a file, computed from its data: with blocks of 4096 bytes and no salt, as image tools have it.
//!
//! See "Merkle tree" and "fs-verity descriptor" in `Documentation/filesystems/fsverity.rst` of the kernel.

use anyhow::{bail, Result};
use sha2::{Digest, Sha256, Sha512};
use std::io::Read;

/// The size of a block in bytes, and its logarithm.
const BLOCK: usize = 4096;
const LOG_BLOCK: u8 = 12;
/// The size of the descriptor that is hashed at last, and where its parts are.
const DESCRIPTOR: usize = 256;

/// The digest of what a reader gives, by an `FS_VERITY_HASH_ALG_*` number.
pub fn digest(algorithm: u8, data: impl Read) -> Result<Vec<u8>> {
    match algorithm {
        1 => tree::<Sha256>(algorithm, data),
        2 => tree::<Sha512>(algorithm, data),
        other => bail!("the digest algorithm {other} is not known here"),
    }
}

/// One level of the tree: the hashes that don't fill a block yet, and how many there were.
#[derive(Default)]
struct Level {
    block: Vec<u8>,
    hashes: u64,
}

fn tree<H: Digest>(algorithm: u8, mut data: impl Read) -> Result<Vec<u8>> {
    let mut levels: Vec<Level> = Vec::new();
    let mut size = 0u64;
    loop {
        let mut block = Vec::new();
        let read = data.by_ref().take(BLOCK as u64).read_to_end(&mut block)?;
        if read == 0 {
            break;
        }
        size = size.saturating_add(read as u64);
        push::<H>(&mut levels, 0, &hash::<H>(block));
    }
    let root = root::<H>(&mut levels);
    let mut descriptor = vec![1, algorithm, LOG_BLOCK, 0, 0, 0, 0, 0];
    descriptor.extend_from_slice(&size.to_le_bytes());
    descriptor.extend_from_slice(&root);
    descriptor.resize(DESCRIPTOR, 0);
    Ok(H::digest(descriptor).to_vec())
}

/// The hash of a block, which zeros fill.
fn hash<H: Digest>(mut block: Vec<u8>) -> Vec<u8> {
    block.resize(BLOCK, 0);
    H::digest(block).to_vec()
}

fn push<H: Digest>(levels: &mut Vec<Level>, at: usize, with: &[u8]) {
    if levels.len() <= at {
        levels.push(Level::default());
    }
    let Some(level) = levels.get_mut(at) else {
        return;
    };
    level.block.extend_from_slice(with);
    level.hashes = level.hashes.saturating_add(1);
    if level.block.len() >= BLOCK {
        let full = hash::<H>(std::mem::take(&mut level.block));
        push::<H>(levels, at.saturating_add(1), &full);
    }
}

/// The only hash of the highest level; of no data, none.
fn root<H: Digest>(levels: &mut Vec<Level>) -> Vec<u8> {
    let mut at = 0;
    while let Some(level) = levels.get_mut(at) {
        let block = std::mem::take(&mut level.block);
        if level.hashes == 1 {
            return block;
        }
        at = at.saturating_add(1);
        if !block.is_empty() {
            push::<H>(levels, at, &hash::<H>(block));
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::hex;

    #[test]
    fn known_digests() {
        let of = |algorithm, data: &[u8]| hex(&digest(algorithm, data).unwrap());
        // As `fsverity digest` prints them.
        assert_eq!(
            of(1, b"hello\n"),
            "9c76eecc7b76fcb46199cb27b90cf59a660e10575bb0412128905129d5b1c2aa"
        );
        assert_eq!(
            of(1, b""),
            "3d248ca542a24fc62d1c43b916eae5016878e2533c88238480b26128a1f1af95"
        );
        assert!(digest(3, b"".as_slice()).is_err());
    }
}
