// SPDX-License-Identifier: GPL-2.0-only

//! What must hold of settings once they are resolved, whatever they were before.

use format::options::{
    Applied, Conflict, Defaults, Features, Fsync, Key, Note, RedirectDir, Uuid, Verity,
};

/// Resolves settings and checks the outcome: what holds together, what was kept, what was told.
pub fn check(
    before: Features,
    has_upper: bool,
    has_data_layers: bool,
    may_use_trusted: bool,
    defaults: &Defaults,
) -> Result<Features, Conflict> {
    let resolve = |mut features: Features| {
        let mut notes = Vec::new();
        let outcome = features.resolve(has_upper, has_data_layers, may_use_trusted, &mut |n| {
            notes.push(n)
        });
        (outcome, features, notes)
    };
    let (outcome, after, notes) = resolve(before);
    let given = before.given;

    // Nothing is told twice, and every text is there.
    for (at, note) in notes.iter().enumerate() {
        assert!(!note.text().is_empty() && !notes[..at].contains(note));
    }
    if let Err(conflict) = outcome {
        check_conflict(conflict, before, has_data_layers, may_use_trusted);
        return Err(conflict);
    }

    // What holds together.
    assert_ne!(after.redirect_dir, RedirectDir::Off);
    if after.metacopy {
        assert_eq!(after.redirect_dir, RedirectDir::On);
        assert!(!after.nfs_export);
        // Marks that others may write are followed when that was said, and in so many words.
        assert!(!after.userxattr || given.metacopy && before.metacopy);
        assert_eq!(after.trusts_user_marks(), after.userxattr);
    }
    if after.nfs_export {
        assert!(after.index);
    }
    if after.userxattr {
        assert_eq!(
            after.redirect_dir,
            if after.metacopy {
                RedirectDir::On
            } else {
                RedirectDir::Nofollow
            }
        );
    } else if !may_use_trusted {
        assert!(after.verity == Verity::Off && !has_data_layers);
        assert!(!given.redirect_dir || after.redirect_dir == RedirectDir::Nofollow);
        assert!(!given.metacopy || !after.metacopy);
    }
    if !has_upper {
        assert_ne!(after.fsync, Fsync::Volatile);
        assert_ne!(after.uuid, Uuid::On);
        assert_ne!(after.redirect_dir, RedirectDir::Follow);
        // An index without upper is only a word for "export is on".
        assert!(!after.index || after.nfs_export);
    }

    // What has nothing to do with all this is as it was.
    assert_eq!(after.given, given);
    assert_eq!(after.default_permissions, before.default_permissions);
    assert_eq!(after.userxattr, before.userxattr);
    assert_eq!(after.xino, before.xino);
    assert_eq!(after.verity, before.verity);

    // Nothing that was asked for is taken away without a word.
    let told = |note: Note| notes.contains(&note);
    if before.fsync != after.fsync {
        assert!(told(Note::VolatileWithoutUpper));
    }
    if before.uuid != after.uuid {
        assert!(told(Note::UuidWithoutUpper));
    }
    if given.index && before.index && !after.index {
        assert!(told(Note::IndexWithoutUpper));
    }
    if before.metacopy && !after.metacopy && !after.userxattr {
        assert!(
            told(Note::MetacopyOffByRedirect(after.redirect_dir))
                || told(Note::MetacopyOffByNfsExport)
        );
        assert!(!given.metacopy);
    }
    if before.nfs_export && !after.nfs_export {
        assert!(
            told(Note::NfsExportOffByRedirect)
                || told(Note::NfsExportOffByIndex)
                || told(Note::NfsExportOffByMetacopy)
                || told(Note::NfsExportOffByVerity(after.verity))
        );
    }
    if given.redirect_dir && before.redirect_dir != after.redirect_dir {
        assert!(!has_upper && before.redirect_dir == RedirectDir::Follow);
        assert_eq!(after.redirect_dir, RedirectDir::On);
    }

    // What was settled stays as it is, also when every setting is said in so many words.
    let (again, settled, _) = resolve(after);
    assert_eq!((again, settled), (Ok(()), after));
    check_shown(after, defaults);
    Ok(after)
}

/// A conflict is one between things that were asked for.
fn check_conflict(conflict: Conflict, before: Features, data_layers: bool, may_use_trusted: bool) {
    let given = before.given;
    assert!(!conflict.text().is_empty());
    let asked_for = match conflict {
        Conflict::MetacopyRedirect(mode) => {
            assert_ne!(mode, RedirectDir::On);
            given.metacopy && before.metacopy && given.redirect_dir
        }
        Conflict::NfsExportIndex => given.nfs_export && before.nfs_export && given.index,
        Conflict::NfsExportMetacopy => {
            given.nfs_export && before.nfs_export && given.metacopy && before.metacopy
        }
        Conflict::UserxattrRedirect(mode) => {
            assert_ne!(mode, RedirectDir::Nofollow);
            before.userxattr && given.redirect_dir && !(given.metacopy && before.metacopy)
        }
        Conflict::RedirectPermission => given.redirect_dir,
        Conflict::MetacopyPermission => given.metacopy && before.metacopy,
        Conflict::VerityPermission => before.verity != Verity::Off,
        Conflict::DataLayersPermission => data_layers,
    };
    assert!(asked_for, "{conflict:?} from {before:?}");
    match conflict.errno() {
        1 => assert!(!may_use_trusted && !before.userxattr),
        22 => {}
        other => panic!("{conflict:?} answers {other}"),
    }
}

/// The options shown give the same settings when they are applied to the defaults.
fn check_shown(features: Features, defaults: &Defaults) {
    let mut again = Features::new(defaults);
    let mut shown = Vec::new();
    for (key, value) in features.shown(defaults, false) {
        assert!(!shown.contains(&key), "{key:?} is shown twice");
        shown.push(key);
        let applied = again.apply(key, value.map(str::as_bytes), defaults);
        assert_eq!(applied, Ok(Applied::Set), "{key:?}={value:?}");
    }
    again.given = features.given;
    assert_eq!(again, features);
    let same_fs: Vec<Key> = features.shown(defaults, true).map(|(key, _)| key).collect();
    shown.retain(|key| *key != Key::Xino);
    assert_eq!(same_fs, shown);
}
