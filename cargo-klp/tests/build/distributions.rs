//! A kernel in the layouts of other distributions serves every command by its build directory. The files are those of
//! Debian's 6.12, each by a link; what differs between distributions is where they stand.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use cargo_klp::kernel::Kernel;
use object::{Object, ObjectSection};

use super::support::{kernel, klp, succeed, target_directory};
use super::{LIVEPATCH, Probe, build};

/// Uses what klp reads in the image, in the headers that flavours share, in the types of the kernel and of a module.
const ITEMS: &str = "
kernel_types! {
    use \"linux/fs.h\";
    struct kiocb { ki_pos }
    const SEEK_END;
}
kernel_types! {
    object = \"nf_tables\";
    struct nft_chain { name }
}
#[klp_symbols]
unsafe extern \"C\" { fn fifo_open(inode: *mut inode, file: *mut file) -> c_int; }
#[klp_func(symbol = \"nft_chain_del\", object = \"nf_tables\")]
unsafe extern \"C\" fn replacement(_chain: *mut nft_chain) {
    core::hint::black_box((SEEK_END, fifo_open as unsafe extern \"C\" fn(_, _) -> _));
}
#[klp_func(symbol = \"cmdline_proc_show\", original = original_show)]
unsafe extern \"C\" fn show(m: *mut seq_file, v: *mut c_void) -> c_int {
    // SAFETY: As the kernel called.
    unsafe { original_show(m, v) }
}
";

/// What of the packages stands where, below a root.
struct Layout {
    distribution: &'static str,
    kdir: PathBuf,
    root: tempfile::TempDir,
}

/// Debian's parts of a kernel.
struct Parts {
    kernel: Kernel,
    /// The headers that all flavours share.
    shared: PathBuf,
    /// The version, which names what flavours share.
    version: String,
}

impl Parts {
    fn find() -> Self {
        let kernel = kernel("6.12");
        let version = kernel.release.strip_suffix("-amd64").unwrap().to_owned();
        let shared = kernel.kdir.with_file_name(format!("linux-headers-{version}-common"));
        Self { kernel, shared, version }
    }

    /// A root with image and modules, whose `build` leads to a build directory.
    fn root(&self, kdir: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let release = &self.kernel.release;
        for directory in ["boot", "lib/modules"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        link(self.kernel.image.as_ref().unwrap(), &root.path().join(format!("boot/vmlinuz-{release}")));
        let modules = root.path().join("lib/modules").join(release);
        let of_packages = self.kernel.modules.as_ref().unwrap();
        link_all(&[of_packages], &modules, &["build", "source"]);
        symlink(Path::new("/").join(kdir), modules.join("build")).unwrap();
        root
    }

    /// Headers in one directory, without what Debian adds.
    fn whole(&self, kdir: &Path) {
        link_all(&[&self.kernel.kdir, &self.shared], kdir, &[".kernelvariables", "vmlinux", "Makefile"]);
        link(&self.shared.join("Makefile"), &kdir.join("Makefile"));
    }

    /// One directory with everything.
    fn of_red_hat(&self) -> Layout {
        let kdir = format!("usr/src/kernels/{}", self.kernel.release);
        let root = self.root(&kdir);
        let kdir = root.path().join(kdir);
        self.whole(&kdir);
        Layout { distribution: "RHEL", kdir, root }
    }

    /// A directory of sources, and one of what a flavour's build made of them.
    fn of_suse(&self) -> Layout {
        let kdir = format!("usr/src/linux-{}-obj/x86_64/amd64", self.version);
        let root = self.root(&kdir);
        let (sources, kdir) = (format!("linux-{}", self.version), root.path().join(kdir));
        link_all(&[&self.shared], &root.path().join("usr/src").join(&sources), &[]);
        link_all(&[&self.kernel.kdir], &kdir, &["Makefile", ".kernelvariables", "vmlinux"]);
        fs::write(kdir.join("Makefile"), format!("include ../../../{sources}/Makefile\n")).unwrap();
        Layout { distribution: "SUSE", kdir, root }
    }

    /// A tree in which someone has built a kernel, beside nothing.
    fn of_ones_own(&self) -> Layout {
        let root = tempfile::tempdir().unwrap();
        let kdir = root.path().join("linux");
        self.whole(&kdir);
        fs::create_dir(kdir.join("arch/x86/boot")).unwrap();
        link(self.kernel.image.as_ref().unwrap(), &kdir.join("arch/x86/boot/bzImage"));
        Layout { distribution: "one's own", kdir, root }
    }
}

fn link(target: &Path, link: &Path) {
    symlink(fs::canonicalize(target).unwrap(), link).unwrap();
}

/// Links to all that directories have, one directory for those of the same name.
fn link_all(from: &[&Path], to: &Path, but: &[&str]) {
    fs::create_dir_all(to).unwrap();
    let entries =
        |directory: &&Path| fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    let names: BTreeSet<_> = from.iter().flat_map(entries).collect();
    for name in names.iter().filter(|name| but.iter().all(|but| *name != but)) {
        let found: Vec<PathBuf> =
            from.iter().map(|from| from.join(name)).filter(|path| path.exists()).collect();
        let both: Vec<&Path> = found.iter().map(PathBuf::as_path).collect();
        match &*both {
            [] => {}
            [_, _] if both.iter().all(|path| path.is_dir()) => link_all(&both, &to.join(name), &[]),
            [first, ..] => link(first, &to.join(name)),
        }
    }
}

/// Code and data of a module. The module's own BTF is left out: it is made only where the build directory has the
/// kernel's types.
fn code(module: &[u8]) -> Vec<(String, Vec<u8>)> {
    let file = object::File::parse(module).unwrap();
    let sections =
        file.sections().map(|section| (section.name().unwrap().to_owned(), section.data().unwrap().to_vec()));
    let is_code =
        |name: &str| [".text", ".rodata", ".data", ".klp"].iter().any(|start| name.starts_with(start));
    sections.filter(|(name, _)| is_code(name)).collect()
}

#[test]
fn every_layout_serves_every_command() {
    let parts = Parts::find();
    let patch = Probe::new(&format!("{LIVEPATCH}{ITEMS}"));
    let of = |arguments: &[&str]| {
        let output = succeed(&mut build(patch.0.path(), arguments));
        code(&fs::read(String::from_utf8(output.stdout).unwrap().trim()).unwrap())
    };
    let expected = of(&["--kernel", "6.12"]);
    for layout in [parts.of_red_hat(), parts.of_suse(), parts.of_ones_own()] {
        let kdir = layout.kdir.to_str().unwrap();
        assert!(of(&["--kdir", kdir]) == expected, "other code for {}", layout.distribution);
        for (name, text) in [("nft_chain_del", "can be redirected"), ("SEEK_END", "a macro of `")] {
            let said = succeed(klp().args(["klp", "explain", name, "--kdir", kdir])).stdout;
            let said = String::from_utf8(said).unwrap();
            assert!(said.contains(text), "{}: {said}", layout.distribution);
        }
        let said = succeed(klp().args(["klp", "doctor", "--kdir", kdir])).stdout;
        let said = String::from_utf8(said).unwrap();
        assert!(said.contains(&parts.kernel.release), "{}: {said}", layout.distribution);
        let mut check = klp();
        check.args(["klp", "check", "--kdir", kdir]).current_dir(patch.0.path());
        succeed(check.env("CARGO_TARGET_DIR", target_directory()));
        drop(layout.root);
    }
}
