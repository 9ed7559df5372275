// SPDX-License-Identifier: GPL-2.0-only

//! mount.layerfs as a program, as far as that goes without mounting. (Mounts are made by fstests 927 and 928.)

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Calls the program by this name. Its exit status, and what it printed to both outputs.
fn call(name: &str, args: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_layerctl"))
        .arg0(name)
        .args(args)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn the_name_decides() {
    let (status, out, _) = call("/sbin/mount.layerfs", &["--help"]);
    assert_eq!(status, Some(0));
    assert!(out.contains("Usage: mount.layerfs SPEC DIR"), "{out}");
    let (status, out, _) = call("layerctl", &["--help"]);
    assert_eq!(status, Some(0));
    assert!(out.contains("layerctl <COMMAND>"), "{out}");
    let (status, _, _) = call("mount.ext4", &["a", "/none", "-f"]);
    assert_eq!(status, Some(2));
}

#[test]
fn fake_reads_everything() {
    let long = "x".repeat(300);
    let options = format!("rw,nosuid,lowerdir=/a\\:b:/{long}::/data,metacopy=on,x-a,nofail");
    let (status, out, err) = call(
        "mount.layerfs",
        &[
            "none",
            "/none",
            "-sfnv",
            "-o",
            &options,
            "-t",
            "layerfs.any",
        ],
    );
    assert_eq!((status, err.as_str()), (Some(0), ""));
    let expected = format!(
        "mount.layerfs: /none: lowerdir+=/a:b\n\
         mount.layerfs: /none: lowerdir+=/{long} (opened, as it is long)\n\
         mount.layerfs: /none: datadir+=/data\n\
         mount.layerfs: /none: metacopy=on\n\
         mount.layerfs: /none: rw\n\
         mount.layerfs: /none: nothing was mounted, as -f says\n"
    );
    assert_eq!(out, expected);
    let (status, out, err) = call("mount.overlay", &["none", "/none", "-f", "-o", "ro"]);
    assert_eq!((status, out.as_str(), err.as_str()), (Some(0), "", ""));
}

#[test]
fn what_is_wrong_with_the_call() {
    let wrong: [(&[&str], &str); 7] = [
        (&[], "required arguments"),
        (&["none", "/none", "-z"], "unexpected argument '-z'"),
        (
            &["none", "/none", "-f", "-o", "context=\"a,b"],
            "mount.layerfs: /none: a quotation mark in the options has no second one",
        ),
        (
            &["none", "/none", "-f", "-t", "ext4"],
            "-t ext4: this program mounts layerfs and overlay",
        ),
        (&["none", "/none", "-f", "-o", "bind"], "let mount(8) do it"),
        (&[&"x".repeat(256), "/none", "-f"], "SPEC is longer"),
        (
            &["none", "/none", "-f", "-N", "/dev/null"],
            "-N /dev/null: the mount namespace can't be entered",
        ),
    ];
    for (args, text) in wrong {
        let (status, out, err) = call("mount.layerfs", args);
        assert_eq!((status, out.as_str()), (Some(1), ""), "{args:?}: {err}");
        assert!(err.contains(text), "{args:?}: {err}");
    }
    for (dir, text) in [
        ("/none/at/all", "make it ('mkdir')"),
        ("/dev/null", "is no directory"),
    ] {
        let (status, _, err) = call("mount.layerfs", &["none", dir, "-o", "lowerdir=/a"]);
        assert_eq!(status, Some(32), "{err}");
        assert!(err.contains(dir) && err.contains(text), "{err}");
    }
}
