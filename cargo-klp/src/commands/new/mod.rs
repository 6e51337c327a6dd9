//! `cargo klp new`: writes a patch crate that builds as it is.

mod diff;
pub mod func;
mod name;
mod next;
mod runtime;
mod workspace;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use func::{Body, Function, Replacement};
use name::Name;
use runtime::{Runtime, RuntimeArgs};
use workspace::Standing;

use crate::commands::args::TargetArgs;
use crate::commands::ui::{self, Terminal};
use crate::error::{Error, Result};
use crate::host::identity;
use crate::kbuild::{paths, rules};
use crate::kernel::KernelParts;
use crate::kernel::symbols::Symbols;

/// Arguments of `cargo klp new`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cargo klp new fix_x                           a patch of /proc/cmdline, to begin with
  cargo klp new fix_x --func nf_tables:nft_do_chain
                                                a function, with the kernel's prototype
  cargo klp new off --func vfs_fsync --return EIO
                                                a function that is switched off
  cargo klp new fix_x --diff FIX.patch          the functions that a fix changes, as C

In a workspace whose `members` match the directory, the patch is a member; elsewhere it is a workspace of its own.")]
#[command(mut_args(needs_func), group = clap::ArgGroup::new("start").args(["funcs", "diff"]).multiple(true))]
pub struct Args {
    /// The directory to create; its last component is the patch's name.
    path: PathBuf,

    #[command(flatten)]
    runtime: RuntimeArgs,

    /// A function to replace: SYMBOL for vmlinux, OBJECT:SYMBOL for a module; may be given several times.
    ///
    /// The patch then starts with a replacement that has the kernel's own prototype. Where the object has several
    /// functions of that name, `,N` behind it chooses one, as `cargo klp explain` lists them.
    #[arg(long = "func", value_name = "[OBJECT:]SYMBOL[,N]")]
    funcs: Vec<String>,

    /// The position of the one function among those of the same name.
    #[arg(long, value_name = "N", requires = "funcs")]
    sympos: Option<u64>,

    /// Switch the functions off: they return this error, such as EOPNOTSUPP, and do nothing.
    #[arg(long = "return", value_name = "ERRNO", allow_hyphen_values = true, value_parser = func::errno, requires = "funcs")]
    errno: Option<String>,

    /// The fix to make the patch from: a diff of the kernel's source.
    ///
    /// The patch then has the functions that the diff changes as C, with what they need of the source.
    #[arg(long, value_name = "PATCH", conflicts_with_all = ["funcs", "sympos", "errno"])]
    diff: Option<PathBuf>,

    /// The patch to make the next version of: a directory with a patch crate.
    ///
    /// The new patch is a copy that replaces the old one (`replace: true`), with the same states and shadow variables,
    /// the next revision of its series, and a test of the replacement.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["funcs", "sympos", "errno", "diff", "runtime", "git"])]
    from: Option<PathBuf>,

    /// The source that the kernel was built from.
    ///
    /// By default that of Debian's package, which `cargo klp doctor --fix --source` fetches.
    #[arg(long, value_name = "DIR", requires = "diff")]
    source: Option<PathBuf>,

    /// The kernel and modules that give the prototype, or that the fix is for.
    #[command(flatten)]
    target: TargetArgs,
}

/// Only a function or a fix needs a kernel.
fn needs_func(arg: clap::Arg) -> clap::Arg {
    let is_target = ["kernel", "kdir", "module_files", "unknown_modules"].iter().any(|id| arg.get_id() == id);
    if is_target { arg.requires("start") } else { arg }
}

/// Makes the crate and says what to do next.
pub fn main(args: &Args) -> Result<ExitCode> {
    let crate_dir = std::path::absolute(&args.path).map_err(Error::io("find", &args.path))?;
    let name = Name::of_dir(&crate_dir)?;
    paths::check(&crate_dir, "change")?;
    if let Some(from) = &args.from {
        return next_version(args, from, &crate_dir, &name);
    }
    let replacement = match &args.diff {
        Some(diff) => Some(diff::replacement(args, diff)?),
        None if args.funcs.is_empty() => None,
        None => Some(replacement(args)?),
    };
    let runtime = Runtime::choose(&args.runtime, &crate_dir)?;
    let patch = Patch { name, author: author(), runtime, replacement };
    create(&crate_dir, patch.all_files())?;
    settle(&crate_dir)?;
    let does = match &patch.replacement {
        Some(replacement) => format!("replaces {}", replacement.symbol),
        None => "changes /proc/cmdline".into(),
    };
    ui::status("Created", format!("livepatch `{}`: it {does}", patch.name.package()));
    let (dir, module, command) = (args.path.display(), patch.name.module(), patch.try_it());
    let target = args.target.words()?;
    let mut next = vec![
        (format!("cargo klp build{target}"), format!("{module}.ko")),
        (format!("cargo klp run{target} -- {command}"), "on a real kernel, in QEMU".into()),
    ];
    if !args.funcs.is_empty() && args.errno.is_none() {
        next.insert(0, ("edit src/lib.rs".into(), "its body".into()));
    }
    ui::note(format!("next:\n  cd {dir}{}", next_lines(&next)));
    if patch.runtime.is_of_this_machine() {
        ui::note(
            "the crate builds on this machine only: its Cargo.toml names a directory; `--git URL --rev COMMIT` makes \
             one that builds on any",
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// Commands, each with what it does, in columns.
fn next_lines(commands: &[(String, String)]) -> String {
    let width = commands.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
    commands.iter().map(|(command, does)| format!("\n  {command:width$}  # {does}")).collect()
}

/// Makes the next version of a patch and says what to do next.
fn next_version(args: &Args, from: &Path, crate_dir: &Path, name: &Name) -> Result<ExitCode> {
    let next = next::next(from, crate_dir, name)?;
    create(crate_dir, next.files)?;
    if settle(crate_dir)? != Standing::Member && next.inherits {
        fs::remove_dir_all(crate_dir).map_err(Error::io("remove", crate_dir))?;
        return Err(Error::Request {
            message: format!(
                "`{}` takes values from its workspace, and `{}` is not a member of it",
                from.display(),
                crate_dir.display()
            ),
            help: "list the new directory among the `members` of the workspace's Cargo.toml, then try again"
                .into(),
        });
    }
    let revision = next.revision.as_ref().map(|revision| format!(", revision {revision} of its series"));
    let (old, module) = (&next.old, name.module());
    ui::status(
        "Created",
        format!("livepatch `{}`: it replaces {old}{}", name.package(), revision.unwrap_or_default()),
    );
    if next.revision.is_none() {
        ui::note(format!(
            "`{old}` is in no series, so nothing keeps it from replacing {module} in turn: give `livepatch!` a \
             `series: \"…\"` and `revision: 2`"
        ));
    }
    ui::note(format!(
        "next:\n  cd {}{}",
        args.path.display(),
        next_lines(&[
            ("edit src/lib.rs".into(), "what is new; its `description` too".into()),
            ("cargo test".into(), format!("{old} and {module} in the model of the kernel")),
            ("cargo klp build".into(), format!("{module}.ko")),
        ]),
    ));
    Ok(ExitCode::SUCCESS)
}

/// Makes a new crate work where it stands, be that in a workspace.
fn settle(crate_dir: &Path) -> Result<Standing> {
    let crate_dir = fs::canonicalize(crate_dir).map_err(Error::io("find", crate_dir))?;
    let standing = workspace::join(&crate_dir)?;
    let checkout = fs::canonicalize(Path::new(runtime::BESIDE).join("..")).ok();
    // Nobody means to add a patch to klp's own workspace.
    let is_in_checkout = checkout.is_some_and(|checkout| crate_dir.starts_with(checkout));
    if matches!(standing, Standing::Stranger) && !is_in_checkout {
        ui::note(
            "the patch is a workspace of its own; to add it to the one around it, list it among that one's `members` \
             and remove `[workspace]` from its Cargo.toml",
        );
    }
    Ok(standing)
}

/// The replacements of the functions in the arguments.
fn replacement(args: &Args) -> Result<Replacement> {
    let body = args.errno.as_deref().map_or(Body::Original, Body::Returns);
    let functions = args.funcs.iter().map(|func| Function::parse(func, body)).collect::<Result<Vec<_>>>()?;
    let functions = match (args.sympos, &*functions) {
        (None, _) => functions,
        (Some(sympos), [function]) if function.sympos == 0 => vec![Function { sympos, ..*function }],
        (Some(sympos), _) => {
            return Err(Error::Request {
                message: "`--sympos` is for one function without a position of its own".into(),
                help: format!("write the position behind the function: `--func {},{sympos}`", args.funcs[0]),
            });
        }
    };
    for (number, function) in functions.iter().enumerate() {
        if functions[..number].contains(function) {
            return Err(Error::Request {
                message: format!("`--func {}` is there twice", args.funcs[number]),
                help: "a patch redirects a function once: leave one of them out".into(),
            });
        }
    }
    let target = args.target.find(KernelParts::Image)?;
    let text = func::items(&Symbols::of(&target, &Terminal)?, &functions)?;
    Ok(Replacement { symbol: func::names(&functions), text, ..Replacement::default() })
}

/// The parts in which new crates differ.
#[derive(Debug)]
struct Patch {
    name: Name,
    author: String,
    runtime: Runtime,
    replacement: Option<Replacement>,
}

/// Writes the crate into a directory that is absent or empty.
fn create(crate_dir: &Path, files: BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
    let taken = match fs::read_dir(crate_dir) {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => crate_dir.symlink_metadata().is_ok(),
    };
    if taken {
        return Err(Error::Request {
            message: format!("`{}` exists and is not an empty directory", crate_dir.display()),
            help: "choose another name, or an empty directory".into(),
        });
    }
    for (path, content) in files {
        let path = crate_dir.join(path);
        let directory = path.parent().expect("a file is in a directory");
        fs::create_dir_all(directory).and_then(|()| fs::write(&path, content)).map_err(|error| {
            Error::Request {
                message: format!("cannot create `{}`: {error}", path.display()),
                help: "choose a directory that you can write to: `cargo klp new DIRECTORY/NAME`".into(),
            }
        })?;
    }
    Ok(())
}

impl Patch {
    /// All files of the crate.
    fn all_files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let more = self.replacement.iter().flat_map(|replacement| &replacement.files);
        let more = more.map(|(path, text)| (Path::new("src").join(path), text.clone()));
        let files = self.files().into_iter().map(|(path, text)| (path.into(), text)).chain(more);
        files.map(|(path, text)| (path, text.into_bytes())).collect()
    }

    fn files(&self) -> [(&'static str, String); 5] {
        [
            ("Cargo.toml", self.fill(include_str!("template/Cargo.toml.in"))),
            ("Kbuild", rules::for_crate(self.name.module())),
            ("README.md", self.fill(include_str!("template/README.md.in"))),
            (".gitignore", self.fill(include_str!("template/gitignore.in"))),
            ("src/lib.rs", self.lib()),
        ]
    }

    fn lib(&self) -> String {
        let Some(Replacement { symbol, text, declared, .. }) = &self.replacement else {
            return self.fill(include_str!("template/lib.rs.in"));
        };
        self.fill(include_str!("template/func.rs.in"))
            .replace("{{symbol}}", symbol)
            .replace("{{declared}}", declared)
            .replace("{{items}}", text)
    }

    /// A command that shows the patch's effect.
    fn try_it(&self) -> &'static str {
        if self.replacement.is_some() { "dmesg" } else { "cat /proc/cmdline" }
    }

    fn fill(&self, template: &str) -> String {
        template
            .replace("{{package}}", self.name.package())
            .replace("{{module}}", self.name.module())
            .replace("{{try}}", self.try_it())
            .replace("{{run}}", &format!("{:<40}", format!("cargo klp run -- {}", self.try_it())))
            .replace("{{author}}", &format!("{:?}", self.author))
            .replace("{{runtime}}", &self.runtime.toml())
    }
}

/// The user's name and address in git's configuration, or else the login name.
fn author() -> String {
    let login = || std::env::var("USER").ok().filter(|user| !user.is_empty());
    match identity::of_git() {
        (Some(name), Some(email)) => format!("{name} <{email}>"),
        (Some(name), None) => name,
        _ => login().unwrap_or_else(|| "unknown".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch() -> Patch {
        Patch {
            name: Name::of_dir("fix-x".as_ref()).unwrap(),
            author: "A \"B\" <a@example.org>".into(),
            runtime: Runtime::Directory("/klp/klp-runtime".into()),
            replacement: None,
        }
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        let replacement =
            Replacement { symbol: "f".into(), text: "fn f() {}\n".into(), ..Replacement::default() };
        let func = Patch { replacement: Some(replacement), ..patch() };
        for (path, text) in patch().files().into_iter().chain(func.files()) {
            assert!(!text.contains("{{"), "{path}: {text}");
            assert!(text.ends_with('\n'), "{path}");
        }
    }

    #[test]
    fn names_stand_where_they_belong() {
        let files = patch().files();
        let text = |name: &str| &files.iter().find(|(path, _)| *path == name).unwrap().1;
        assert!(text("Cargo.toml").contains("name = \"fix-x\""));
        assert!(text("Cargo.toml").contains("klp-runtime = { path = \"/klp/klp-runtime\" }"));
        assert!(text("Kbuild").contains("obj-m := fix_x.o"));
        assert!(text("src/lib.rs").contains(r#"authors: ["A \"B\" <a@example.org>"]"#));
    }

    #[test]
    fn a_directory_in_use_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("mine"), "mine").unwrap();
        let error = create(directory.path(), patch().all_files()).unwrap_err();
        assert!(error.to_string().contains("not an empty directory"), "{error}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);

        let file = directory.path().join("mine");
        create(&file, patch().all_files()).unwrap_err();
        assert_eq!(fs::read_to_string(file).unwrap(), "mine");
    }

    #[test]
    fn an_empty_directory_is_used() {
        let directory = tempfile::tempdir().unwrap();
        create(directory.path(), patch().all_files()).unwrap();
        assert!(directory.path().join("src/lib.rs").exists());
    }
}
