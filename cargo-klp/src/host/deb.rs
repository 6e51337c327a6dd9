//! Debian packages, made with dpkg-deb.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::host::tools::run_tool;

/// A package of programs or modules for x86-64.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version, without a hyphen: there is no other source than this one.
    pub version: String,
    /// `Name <address>`.
    pub maintainer: String,
    /// Such as `admin`.
    pub section: &'static str,
    /// The packages that it needs.
    pub depends: String,
    /// A line.
    pub summary: String,
    /// More lines; an empty one parts paragraphs.
    pub description: String,
    /// What is new in this version: a line.
    pub change: String,
    /// The license and who has the rights: the file `copyright`.
    pub copyright: String,
    /// The files that it installs.
    pub files: Vec<File>,
    /// Scripts of the maintainer, by name, such as `postinst`.
    pub scripts: Vec<(&'static str, String)>,
}

/// A file of a package.
#[derive(Clone, Debug)]
pub struct File {
    /// Its path, without a slash at its beginning.
    pub path: String,
    /// What is in it.
    pub data: Vec<u8>,
    /// Whether it can be run.
    pub is_program: bool,
}

impl Package {
    /// Makes the package; the path of the `.deb` in `directory`.
    ///
    /// # Errors
    ///
    /// A file cannot be written, or a tool fails.
    pub fn write(&self, directory: &Path) -> Result<PathBuf> {
        fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
        let deb = directory.join(format!("{}_{}_amd64.deb", self.name, self.version));
        let tree = tempfile::tempdir_in(directory).map_err(Error::io("create", directory))?;
        // dpkg-deb takes it as the mode of the root directory.
        set_mode(tree.path(), 0o755)?;
        for file in &self.files {
            put(tree.path(), &file.path, &file.data, if file.is_program { 0o755 } else { 0o644 })?;
        }
        let doc = format!("usr/share/doc/{}", self.name);
        put(tree.path(), &format!("{doc}/copyright"), self.copyright.as_bytes(), 0o644)?;
        let changelog = format!("{doc}/changelog");
        put(tree.path(), &changelog, self.changelog()?.as_bytes(), 0o644)?;
        run_tool(Command::new("gzip").arg("-9n").arg(tree.path().join(changelog)))?;

        let sums = checksums(tree.path())?;
        put(tree.path(), "DEBIAN/control", self.control(&sums).as_bytes(), 0o644)?;
        put(tree.path(), "DEBIAN/md5sums", sums.text.as_bytes(), 0o644)?;
        for (name, script) in &self.scripts {
            put(tree.path(), &format!("DEBIAN/{name}"), script.as_bytes(), 0o755)?;
        }
        let mut command = Command::new("dpkg-deb");
        run_tool(command.args(["--root-owner-group", "--build"]).arg(tree.path()).arg(&deb))?;
        Ok(deb)
    }

    fn control(&self, sums: &Checksums) -> String {
        let Self { name, version, maintainer, section, depends, summary, .. } = self;
        let size = sums.bytes.div_ceil(1024);
        let mut control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: {maintainer}\n\
             Installed-Size: {size}\n"
        );
        if !depends.is_empty() {
            control.push_str(&format!("Depends: {depends}\n"));
        }
        control.push_str(&format!("Section: {section}\nPriority: optional\nDescription: {summary}\n"));
        for line in self.description.lines() {
            control.push_str(&format!(" {}\n", if line.is_empty() { "." } else { line }));
        }
        control
    }

    fn changelog(&self) -> Result<String> {
        let date = run_tool(Command::new("date").arg("-R").env("LC_ALL", "C"))?;
        let date = String::from_utf8_lossy(&date.stdout);
        let Self { name, version, maintainer, change, .. } = self;
        Ok(format!(
            "{name} ({version}) unstable; urgency=medium\n\n  * {change}\n\n -- {maintainer}  {}\n",
            date.trim()
        ))
    }
}

/// The checksums of a package's files, and their size.
struct Checksums {
    text: String,
    bytes: u64,
}

fn checksums(tree: &Path) -> Result<Checksums> {
    let find = |arguments: &[&str]| {
        let mut command = Command::new("find");
        let output = run_tool(command.args([".", "-type", "f"]).args(arguments).current_dir(tree))?;
        Ok::<_, Error>(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let text = find(&["-exec", "md5sum", "{}", "+"])?.replace("  ./", "  ");
    let bytes = find(&["-printf", "%s\\n"])?.lines().filter_map(|size| size.parse::<u64>().ok()).sum();
    Ok(Checksums { text, bytes })
}

fn put(tree: &Path, path: &str, data: &[u8], mode: u32) -> Result<()> {
    let path = tree.join(path);
    let directories = path.ancestors().skip(1).take_while(|directory| *directory != tree);
    let directories: Vec<_> = directories.collect();
    for directory in directories.into_iter().rev().filter(|directory| !directory.exists()) {
        fs::create_dir(directory).map_err(Error::io("create", directory))?;
        set_mode(directory, 0o755)?;
    }
    fs::write(&path, data).map_err(Error::io("write", &path))?;
    set_mode(&path, mode)
}

/// Whatever the user's umask.
fn set_mode(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(Error::io("change the mode of", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dpkg_reads_what_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let package = Package {
            name: "a-b".into(),
            version: "2".into(),
            maintainer: "A <a@example.org>".into(),
            section: "kernel",
            depends: "klp-tools".into(),
            summary: "says a".into(),
            description: "One.\n\nTwo.".into(),
            change: "New.".into(),
            copyright: "free".into(),
            files: vec![
                File { path: "usr/lib/a".into(), data: vec![b'a'; 3000], is_program: false },
                File { path: "usr/sbin/b".into(), data: b"b".into(), is_program: true },
            ],
            scripts: vec![("postinst", "#!/bin/sh\n".into())],
        };
        let deb = package.write(directory.path()).unwrap();
        assert_eq!(deb.file_name().unwrap(), "a-b_2_amd64.deb");
        let dpkg = |arguments: &[&str]| {
            let output = run_tool(Command::new("dpkg-deb").args(arguments).arg(&deb)).unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let control = dpkg(&["--field"]);
        for line in ["Package: a-b", "Depends: klp-tools", "Description: says a", " One.", " .", " Two."] {
            assert!(control.lines().any(|found| found == line), "{line}: {control}");
        }
        let contents = dpkg(&["--contents"]);
        let has = |mode: &str, path: &str| {
            contents.lines().any(|line| {
                line.starts_with(mode) && line.contains("root/root") && line.ends_with(&format!(" {path}"))
            })
        };
        assert!(has("-rw-r--r--", "./usr/lib/a") && has("-rwxr-xr-x", "./usr/sbin/b"), "{contents}");
        assert!(has("drwxr-xr-x", "./") && has("drwxr-xr-x", "./usr/lib/"), "{contents}");
        assert!(has("-rw-r--r--", "./usr/share/doc/a-b/changelog.gz"), "{contents}");
        let left = fs::read_dir(directory.path()).unwrap().count();
        assert_eq!(left, 1, "the tree is left behind");
    }
}
