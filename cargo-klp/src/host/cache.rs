//! The cache directory: kernels, rust-src, and `core` compiled for a kernel are fetched or built once and used often.
//!
//! It is `$KLP_CACHE`, or else `$XDG_CACHE_HOME/klp`, or else `~/.cache/klp`. klp can restore everything in it, so
//! deleting it is safe while no command runs.

use std::env;
use std::fmt::Display;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::host::report::Reporter;

/// The cache directory; it may not exist yet.
///
/// # Errors
///
/// There is no home directory, or a file has the name of the cache.
pub fn root() -> Result<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let root = set(klp_format::env::CACHE)
        .or_else(|| Some(set("XDG_CACHE_HOME")?.join("klp")))
        .or_else(|| Some(env::home_dir()?.join(".cache/klp")))
        .ok_or_else(|| Error::Request {
            message: "there is no home directory to keep the cache in".into(),
            help: format!("set {} to a directory", klp_format::env::CACHE),
        })?;
    if root.exists() && !root.is_dir() {
        return Err(Error::Request {
            message: format!("the cache `{}` is not a directory", root.display()),
            help: format!("set {} to a directory", klp_format::env::CACHE),
        });
    }
    std::path::absolute(&root).map_err(Error::io("find", root))
}

/// The path of the entry `key`. `make` makes it if it does not exist.
///
/// `make` fills a directory beside the entry, which is then renamed: an entry is either whole or
/// absent. If several processes want the same entry, one makes it and the others wait.
pub fn entry(key: impl AsRef<Path>, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let path = root()?.join(key);
    if path.exists() {
        return Ok(path);
    }
    let _lock = Lock::beside(&path)?;
    if path.exists() {
        return Ok(path);
    }
    // This process has the lock, so a partial entry was left behind by a process that was killed.
    let partial = hidden_sibling(&path, "partial");
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(Error::io("remove", &partial))?;
    }
    fs::create_dir(&partial).map_err(not_created(&partial))?;
    let made = make(&partial).and_then(|()| fs::rename(&partial, &path).map_err(Error::io("create", &path)));
    if let Err(error) = made {
        // The first error is the one to report.
        let _ = fs::remove_dir_all(&partial);
        return Err(error);
    }
    Ok(path)
}

/// The error for a file that is missing, damaged or of another kind; of the cache, with what to remove.
pub(crate) fn unusable(file: &Path, what: impl Display) -> Error {
    let root = root().unwrap_or_default();
    let help = match file.strip_prefix(&root) {
        Ok(inside) => {
            let entry = root.join(inside.iter().take(2).collect::<PathBuf>());
            let again = match (inside.parent().map(|kind| kind.iter().next()), entry.file_name()) {
                (Some(Some(kind)), Some(release)) if kind == "kernels" => {
                    format!("`cargo klp doctor --fix --kernel {}`", release.display())
                }
                _ => "this command".into(),
            };
            format!("remove it with `rm -r {}`, then run {again} again", entry.display())
        }
        Err(_) => "install or build it again".into(),
    };
    Error::Request { message: format!("`{}` can't be used: {what}", file.display()), help }
}

/// The error for a file or directory that can't be created; in the cache, with what to do.
fn not_created(path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| match root() {
        Ok(root) if path.starts_with(&root) => Error::Request {
            message: format!("cannot create `{}`: {source}", path.display()),
            help: format!("set {} to a directory that you can write to", klp_format::env::CACHE),
        },
        _ => Error::Io { what: "create", path: path.into(), source },
    }
}

/// A hash that differs for other files, and for other contents of the same file.
pub(crate) fn hash(file: &Path) -> String {
    let mut hasher = DefaultHasher::new();
    let metadata = fs::metadata(file).ok();
    // Programs can't set the time of the last change.
    let facts = metadata.map(|found| {
        (found.ino(), found.len(), found.mtime_nsec(), found.mtime(), found.ctime(), found.ctime_nsec())
    });
    (file, facts).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Held by the one process that works on an entry.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "closing the file gives the lock back")] File);

impl Lock {
    /// Waits until no other process holds the lock of this entry.
    pub fn beside(entry: &Path) -> Result<Self> {
        let (file, path) = Self::open(entry)?;
        file.lock().map_err(Error::io("lock", &path))?;
        Ok(Self(file))
    }

    /// As [`Lock::beside`], and reports if it has to wait.
    pub fn told(entry: &Path, reporter: &dyn Reporter) -> Result<Self> {
        let (file, path) = Self::open(entry)?;
        if file.try_lock().is_err() {
            let what = format!("for another process that is working on `{}`", entry.display());
            let _progress = reporter.progress("Waiting", &what);
            file.lock().map_err(Error::io("lock", &path))?;
        }
        Ok(Self(file))
    }

    fn open(entry: &Path) -> Result<(File, PathBuf)> {
        let path = hidden_sibling(entry, "lock");
        let directory = path.parent().expect("an entry is in a directory");
        fs::create_dir_all(directory).map_err(not_created(directory))?;
        Ok((File::create(&path).map_err(not_created(&path))?, path))
    }
}

fn hidden_sibling(path: &Path, suffix: &str) -> PathBuf {
    let name = path.file_name().expect("an entry has a name").to_string_lossy();
    path.with_file_name(format!(".{name}.{suffix}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An absolute key takes the place of the cache directory, so that tests need not set variables.
    fn key(directory: &tempfile::TempDir) -> PathBuf {
        directory.path().join("kind/name")
    }

    #[test]
    fn damage_is_told_with_what_to_remove() {
        let help = |key: &str| unusable(&root().unwrap().join(key), "it is empty").help().unwrap();
        let root = root().unwrap();
        let entry = root.join("symbols/6.12-1");
        assert!(help("symbols/6.12-1/names").contains(&format!("`rm -r {}`", entry.display())));
        assert!(help("kernels/6.12/root/boot/x").contains("doctor --fix --kernel 6.12"));
        let other = unusable("/lib/modules/x.ko".as_ref(), "it is empty");
        assert_eq!(other.to_string(), "`/lib/modules/x.ko` can't be used: it is empty");
        assert!(!other.help().unwrap().contains("rm "));
    }

    #[test]
    fn an_entry_is_made_once() {
        let directory = tempfile::tempdir().unwrap();
        let first = entry(key(&directory), |dir| {
            fs::write(dir.join("file"), "made").map_err(Error::io("write", dir))
        });
        let second = entry(key(&directory), |_| panic!("made twice"));
        assert_eq!(first.unwrap(), second.unwrap());
        assert_eq!(fs::read_to_string(key(&directory).join("file")).unwrap(), "made");
    }

    #[test]
    fn a_failure_leaves_no_entry() {
        let directory = tempfile::tempdir().unwrap();
        let fail = |dir: &Path| {
            fs::write(dir.join("file"), "half").unwrap();
            Err(Error::Request { message: "no".into(), help: "no".into() })
        };
        entry(key(&directory), fail).unwrap_err();
        assert!(!key(&directory).exists());
        assert!(!hidden_sibling(&key(&directory), "partial").exists());
    }

    #[test]
    fn what_a_killed_process_left_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let partial = hidden_sibling(&key(&directory), "partial");
        fs::create_dir_all(&partial).unwrap();
        fs::write(partial.join("half"), "").unwrap();
        let made = entry(key(&directory), |_| Ok(())).unwrap();
        assert!(!made.join("half").exists());
    }

    #[test]
    fn one_of_many_makes_it() {
        let directory = tempfile::tempdir().unwrap();
        let made = std::sync::atomic::AtomicU8::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    entry(key(&directory), |_| {
                        made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        Ok(())
                    })
                    .unwrap()
                });
            }
        });
        assert_eq!(made.into_inner(), 1);
    }
}
