// SPDX-License-Identifier: GPL-2.0-only

//! Redirects, and walks that meet others on their way.

use super::take;
use crate::model;
use format::redirect::{BadRedirect, Progress, Redirect, Step};

/// A value is read as the model reads it, and its steps are what it is made of.
pub fn redirect(value: &[u8]) {
    let parsed = Redirect::parse(value);
    let Some(expected) = model::redirect::parse(value) else {
        assert!(parsed.is_err(), "a bad redirect was accepted: {value:?}");
        return;
    };
    let redirect = parsed.expect("a good redirect was refused");
    assert_eq!(redirect.as_bytes(), value);
    assert_eq!(redirect.is_absolute(), expected.absolute);
    assert_eq!(model::redirect::unparse(&expected), value);
    let steps = left(Progress::begin(value), value);
    assert!(steps.iter().map(|step| step.name).eq(&expected.names));
    for (at, step) in steps.iter().enumerate() {
        assert_eq!([step.prefix, step.name, step.rest].concat(), value);
        assert_eq!(step.is_last(), at + 1 == steps.len());
        // Where a step is replaced by itself, nothing changes.
        let own = Redirect::parse(step.name).expect("a component is a relative redirect");
        let mut buf = vec![0; value.len()];
        assert_eq!(own.join(step.prefix, step.rest, &mut buf), Ok(redirect));
        if let Some(room) = buf.len().checked_sub(1) {
            let joined = own.join(step.prefix, step.rest, &mut buf[..room]);
            assert_eq!(joined, Err(BadRedirect::TooLong));
        }
    }
}

/// The steps that are still to go.
fn left(mut progress: Progress, path: &[u8]) -> Vec<Step<'_>> {
    std::iter::from_fn(|| progress.next(path)).collect()
}

/// A walk goes as the model goes it, when at every step another redirect may be met.
///
/// The input is a path and then the redirects met on its steps, separated by bytes 0xff; one that is no
/// redirect stands for a step without any. What is no redirect must also not become one by joining.
pub fn walk(data: &[u8]) {
    let mut fields = data.split(|b| *b == 0xff);
    let start = fields.next().unwrap_or_default().to_vec();
    let Some(mut expected) = model::redirect::parse(&start) else {
        return;
    };
    let mut path = start;
    let mut at = 0;

    for met in fields {
        // Where we are is kept as a number here, and as a position in the path there.
        let current = Redirect::parse(&path).expect("a path that is walked is a redirect");
        let mut progress = Progress::begin(&path);
        for _ in 0..at {
            progress.next(&path);
        }
        let Some(step) = progress.next(&path) else {
            assert_eq!(at, expected.names.len());
            break;
        };
        assert_eq!(step.name, expected.names[at]);
        at += 1;

        let Some(model_met) = model::redirect::parse(met) else {
            continue;
        };
        let met = Redirect::parse(met).expect("a good redirect was refused");
        let mut buf = vec![0; path.len() + met.as_bytes().len()];
        let joined = met.join(step.prefix, step.rest, &mut buf);
        at = expected.replace(at - 1, &model_met);
        if !current.is_absolute() {
            // A relative path has one step, so nothing follows it.
            assert!(step.prefix.is_empty() && step.rest.is_empty());
        }
        let joined = joined.expect("a walk's own parts fit together");
        assert_eq!(joined.as_bytes(), model::redirect::unparse(&expected));

        // The steps still to go are the same on the new path as they were on the old one.
        let steps = left(progress, joined.as_bytes());
        let names = steps.iter().map(|step| step.name);
        assert!(names.eq(&expected.names[at..]));
        for step in steps {
            assert_eq!(
                [step.prefix, step.name, step.rest].concat(),
                joined.as_bytes()
            );
        }
        path = joined.as_bytes().to_vec();
    }
    hostile_join(data);
}

/// Whatever is joined, the result is a redirect or an error.
fn hostile_join(data: &[u8]) {
    let (split, data) = take(data);
    let (prefix, data) = data.split_at(usize::from(split & 7).min(data.len()));
    let (middle, rest) = data.split_at(usize::from(split >> 3).min(data.len()));
    if let Ok(middle) = Redirect::parse(middle) {
        let mut buf = [0; 64];
        if let Ok(joined) = middle.join(prefix, rest, &mut buf) {
            redirect(joined.as_bytes());
        }
        // A walk that goes on along an unrelated path comes to an end.
        let mut progress = Progress::begin(middle.as_bytes());
        progress.next(middle.as_bytes());
        assert!(left(progress, rest).len() <= rest.len() + 1);
    }
}
