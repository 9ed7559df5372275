// SPDX-License-Identifier: GPL-2.0-only

//! Redirects as lists of names, and a walk as an index into such a list.

/// A path: where it begins, and its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Whether it begins at the root of the layers.
    pub absolute: bool,
    /// Its names, from the top.
    pub names: Vec<Vec<u8>>,
}

/// What a value says; `None` where it is no redirect.
pub fn parse(value: &[u8]) -> Option<Path> {
    let mut names: Vec<Vec<u8>> = value.split(|b| *b == b'/').map(<[u8]>::to_vec).collect();
    let absolute = names.len() > 1;
    // An absolute path has nothing before its first slash, and a relative one no slash at all.
    if absolute && !names.remove(0).is_empty() {
        return None;
    }
    let is_name = |name: &Vec<u8>| {
        !name.is_empty() && name != b"." && name != b".." && name.iter().all(|b| *b != 0)
    };
    (value.len() <= 65536 && names.iter().all(is_name)).then_some(Path { absolute, names })
}

/// The value that says it.
pub fn unparse(path: &Path) -> Vec<u8> {
    let mut value = path.names.join(&b'/');
    if path.absolute {
        value.insert(0, b'/');
    }
    value
}

impl Path {
    /// The redirect `to` was met on the name number `at`: it takes the place of that name, and an
    /// absolute one of all before it. Gives the number that the name after it has now.
    pub fn replace(&mut self, at: usize, to: &Path) -> usize {
        let rest = self.names.split_off(at + 1);
        self.names.truncate(if to.absolute { 0 } else { at });
        self.absolute |= to.absolute;
        self.names.extend(to.names.iter().cloned());
        let next = self.names.len();
        self.names.extend(rest);
        next
    }
}
