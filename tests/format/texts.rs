// SPDX-License-Identifier: GPL-2.0-only

//! What is said of what is wrong: each thing in words of its own, so that who reads the log knows which it was.

use format::handle::BadHandle;
use format::metacopy::BadMetacopy;
use format::nlink::BadNlink;
use format::options::{BadOption, BadPath, Conflict, LowerdirError, Note, RedirectDir, Verity};
use format::protattr::BadProtattr;
use format::redirect::BadRedirect;
use format::uuid::BadUuid;
use format::xattr::{MalformedList, NameTooLong};
use std::collections::HashSet;

/// Every text names what it is about, and no two are the same.
fn check(about: &[&str], texts: &[&str]) {
    let different: HashSet<_> = texts.iter().collect();
    assert_eq!(different.len(), texts.len(), "one text for two: {texts:?}");
    for text in texts {
        assert!(about.iter().any(|word| text.contains(word)), "'{text}'");
    }
}

#[test]
fn bad_marks_are_told_apart() {
    use BadHandle as H;
    check(
        &["handle", "origin"],
        &[
            H::Empty.reason(),
            H::NewerVersion.reason(),
            H::UnknownFlag.reason(),
            H::OtherEndian.reason(),
            H::TooShort.reason(),
            H::BadMagic.reason(),
            H::BadLength.reason(),
            H::TooLong.reason(),
            H::NotHex.reason(),
        ],
    );
    use BadMetacopy as M;
    let metacopy = [M::TooShort, M::TooLong, M::Version, M::Length].map(M::reason);
    check(&["metacopy"], &metacopy);
    use BadNlink as N;
    let nlink = [N::TooLong, N::Base, N::Sign, N::Number, N::Sum].map(N::reason);
    check(&["nlink"], &nlink);
    use BadProtattr as P;
    let protattr = [P::Empty, P::TooLong, P::UnknownFlag].map(P::reason);
    check(&["protattr"], &protattr);
    check(&["uuid"], &[BadUuid::Length.reason()]);
    use BadRedirect as R;
    check(
        &["redirect"],
        &[
            R::Empty.reason(),
            R::NulByte.reason(),
            R::EmptyComponent.reason(),
            R::TrailingSlash.reason(),
            R::RelativePath.reason(),
            R::DotComponent.reason(),
            R::TooLong.reason(),
        ],
    );
    let xattr = [NameTooLong.reason(), MalformedList.reason()];
    check(&["xattr name"], &xattr);
}

#[test]
fn bad_options_are_told_apart() {
    use BadOption as O;
    let option = [O::UnexpectedValue, O::MissingValue, O::UnknownWord].map(O::reason);
    check(&["option"], &option);
    use LowerdirError as L;
    check(
        &["lowerdir"],
        &[
            L::LeadingColon.reason(),
            L::TrailingColon.reason(),
            L::ThreeColons.reason(),
            L::TooMany.reason(),
            L::RegularAfterData.reason(),
            L::TrailingBackslash.reason(),
        ],
    );
    check(
        &["path"],
        &[BadPath::TooLong, BadPath::NulByte].map(BadPath::reason),
    );
}

#[test]
fn what_is_changed_or_refused_is_told_apart() {
    use Note as N;
    check(
        &["upperdir", "turned off"],
        &[
            N::WorkdirWithoutUpper.text(),
            N::IndexWithoutUpper.text(),
            N::VolatileWithoutUpper.text(),
            N::UuidWithoutUpper.text(),
            N::MetacopyOffByRedirect(RedirectDir::Follow).text(),
            N::MetacopyOffByRedirect(RedirectDir::Nofollow).text(),
            N::NfsExportOffByRedirect.text(),
            N::NfsExportOffByIndex.text(),
            N::NfsExportOffByMetacopy.text(),
            N::NfsExportOffByVerity(Verity::Require).text(),
            N::NfsExportOffByVerity(Verity::On).text(),
            N::MetacopyOffByNfsExport.text(),
        ],
    );
    use Conflict as C;
    check(
        &["needs", "exclude", "need"],
        &[
            C::MetacopyRedirect(RedirectDir::Follow).text(),
            C::MetacopyRedirect(RedirectDir::Nofollow).text(),
            C::NfsExportIndex.text(),
            C::NfsExportMetacopy.text(),
            C::UserxattrRedirect(RedirectDir::Follow).text(),
            C::UserxattrRedirect(RedirectDir::On).text(),
            C::RedirectPermission.text(),
            C::MetacopyPermission.text(),
            C::VerityPermission.text(),
            C::DataLayersPermission.reason(),
        ],
    );
}
