//! Roots as distributions' packages make them. Only files that klp looks for are there; they are empty but for the
//! configuration, the release and the Makefile.

use std::os::unix::fs::symlink;

use super::*;
use crate::kernel::arch::X86_64;
use crate::kernel::headers;

/// What the packages of a distribution put into a root. Paths are relative to it; `R` stands for the release.
struct Shape {
    distribution: &'static str,
    release: &'static str,
    kdir: &'static str,
    image: &'static str,
    files: &'static [&'static str],
    /// Links and where they lead; what leads to `/` is absolute.
    links: &'static [(&'static str, &'static str)],
}

const SHAPES: [Shape; 8] = [
    Shape {
        distribution: "Debian 12",
        release: "6.12.117+deb12-amd64",
        kdir: "usr/src/linux-headers-R",
        image: "boot/vmlinuz-R",
        files: &["boot/vmlinuz-R", "lib/modules/R/modules.dep"],
        links: &[("lib/modules/R/build", "/usr/src/linux-headers-R")],
    },
    Shape {
        distribution: "RHEL 10 and those made of it",
        release: "6.12.0-55.9.1.el10_0.x86_64",
        kdir: "usr/src/kernels/R",
        image: "boot/vmlinuz-R",
        files: &["boot/vmlinuz-R", "lib/modules/R/vmlinuz", "lib/modules/R/modules.dep"],
        links: &[("lib/modules/R/build", "/usr/src/kernels/R"), ("lib/modules/R/source", "build")],
    },
    Shape {
        distribution: "RHEL 9, whose packages were unpacked and not installed",
        release: "5.14.0-503.11.1.el9_5.x86_64",
        kdir: "usr/src/kernels/R",
        image: "lib/modules/R/vmlinuz",
        files: &["lib/modules/R/vmlinuz", "lib/modules/R/modules.dep"],
        links: &[("lib/modules/R/build", "/usr/src/kernels/R")],
    },
    Shape {
        distribution: "Fedora",
        release: "6.14.5-300.fc42.x86_64",
        kdir: "usr/src/kernels/R",
        image: "lib/modules/R/vmlinuz",
        files: &["usr/lib/modules/R/vmlinuz", "usr/lib/modules/R/modules.dep"],
        links: &[("lib", "usr/lib"), ("usr/lib/modules/R/build", "/usr/src/kernels/R")],
    },
    Shape {
        distribution: "Amazon Linux 2023",
        release: "6.1.112-122.189.amzn2023.x86_64",
        kdir: "usr/src/kernels/R",
        image: "boot/vmlinuz-R",
        files: &["boot/vmlinuz-R", "usr/lib/modules/R/modules.dep"],
        links: &[("lib", "usr/lib"), ("usr/lib/modules/R/build", "../../../src/kernels/R")],
    },
    Shape {
        distribution: "SUSE",
        release: "6.12.0-160000.5-default",
        kdir: "usr/src/linux-6.12.0-160000.5-obj/x86_64/default",
        image: "boot/vmlinuz-R",
        files: &[
            "usr/lib/modules/R/vmlinuz",
            "usr/lib/modules/R/modules.dep",
            "usr/src/linux-6.12.0-160000.5/Makefile",
            "usr/src/linux-6.12.0-160000.5/include/linux/only_here.h",
        ],
        links: &[
            ("lib", "usr/lib"),
            ("boot/vmlinuz-R", "../usr/lib/modules/R/vmlinuz"),
            ("usr/lib/modules/R/build", "/usr/src/linux-6.12.0-160000.5-obj/x86_64/default"),
            ("usr/lib/modules/R/source", "/usr/src/linux-6.12.0-160000.5"),
        ],
    },
    Shape {
        distribution: "Ubuntu",
        release: "6.8.0-31-generic",
        kdir: "usr/src/linux-headers-6.8.0-31-generic",
        image: "boot/vmlinuz-R",
        files: &[
            "boot/vmlinuz-R",
            "lib/modules/R/modules.dep",
            "usr/src/linux-headers-6.8.0-31/include/linux/only_here.h",
        ],
        links: &[
            ("lib/modules/R/build", "/usr/src/linux-headers-R"),
            ("usr/src/linux-headers-R/include/linux", "../../linux-headers-6.8.0-31/include/linux"),
        ],
    },
    Shape {
        distribution: "Ubuntu with a newer kernel",
        release: "6.14.0-24-generic",
        kdir: "usr/src/linux-headers-6.14.0-24-generic",
        image: "boot/vmlinuz-R",
        files: &[
            "boot/vmlinuz-R",
            "lib/modules/R/modules.dep",
            "usr/src/linux-hwe-6.14-headers-6.14.0-24/include/linux/only_here.h",
        ],
        links: &[
            ("lib/modules/R/build", "/usr/src/linux-headers-R"),
            ("usr/src/linux-headers-R/include/linux", "../../linux-hwe-6.14-headers-6.14.0-24/include/linux"),
        ],
    },
];

impl Shape {
    fn path(&self, path: &str) -> String {
        path.split('/')
            .map(|part| {
                if part == "R" {
                    self.release.to_owned()
                } else {
                    part.replace("-R", &format!("-{}", self.release))
                }
            })
            .collect::<Vec<_>>()
            .join("/")
    }

    /// Only the package with the headers, as in a container.
    fn headers(&self) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let kdir = self.path(self.kdir);
        write(root.path(), &format!("{kdir}/include/config/auto.conf"), "CONFIG_X86_64=y\n");
        write(root.path(), &format!("{kdir}/include/config/kernel.release"), &format!("{}\n", self.release));
        if self.distribution == "SUSE" {
            // From the object's directory to the source's.
            write(
                root.path(),
                &format!("{kdir}/Makefile"),
                "include ../../../linux-6.12.0-160000.5/Makefile\n",
            );
        }
        let is_of_headers = |path: &str| path.starts_with("usr/src/");
        for file in self.files.iter().filter(|file| is_of_headers(file)) {
            write(root.path(), &self.path(file), "");
        }
        for (link, target) in self.links.iter().filter(|(link, _)| is_of_headers(link)) {
            self.link(root.path(), link, target);
        }
        root
    }

    /// All packages.
    fn root(&self) -> tempfile::TempDir {
        let root = self.headers();
        for (link, target) in self.links.iter().filter(|(link, _)| !link.starts_with("usr/src/")) {
            self.link(root.path(), link, target);
        }
        for file in self.files {
            write(root.path(), &self.path(file), "");
        }
        root
    }

    fn link(&self, root: &Path, link: &str, target: &str) {
        let link = root.join(self.path(link));
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(self.path(target), link).unwrap();
    }
}

fn write(root: &Path, path: &str, text: &str) {
    let file = root.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

#[test]
fn each_distributions_kernel_is_found_with_all_its_parts() {
    for shape in &SHAPES {
        let root = shape.root();
        let found = in_root(root.path());
        let [kernel] = &*found else { panic!("{}: {found:?}", shape.distribution) };
        let path = |path: &str| root.path().join(shape.path(path));
        assert_eq!(kernel.release, shape.release, "{}", shape.distribution);
        assert_eq!(
            fs::canonicalize(&kernel.kdir).unwrap(),
            fs::canonicalize(path(shape.kdir)).unwrap(),
            "{}",
            shape.distribution
        );
        assert_eq!(kernel.image, Some(path(shape.image)), "{}", shape.distribution);
        assert_eq!(kernel.modules, Some(path("lib/modules/R")), "{}", shape.distribution);
    }
}

#[test]
fn a_build_directory_leads_to_its_image_and_modules() {
    for shape in &SHAPES {
        let root = shape.root();
        let path = |path: &str| fs::canonicalize(root.path()).unwrap().join(shape.path(path));
        let kernel = of_build_dir(&root.path().join(shape.path(shape.kdir))).unwrap();
        assert_eq!(kernel.release, shape.release, "{}", shape.distribution);
        assert_eq!(kernel.image, Some(path(shape.image)), "{}", shape.distribution);
        assert_eq!(kernel.modules, Some(path("lib/modules/R")), "{}", shape.distribution);
    }
}

#[test]
fn headers_are_found_where_nothing_else_is_installed() {
    for shape in &SHAPES {
        let root = shape.headers();
        let found = in_root(root.path());
        let [kernel] = &*found else { panic!("{}: {found:?}", shape.distribution) };
        assert_eq!(kernel.release, shape.release, "{}", shape.distribution);
        assert_eq!(kernel.kdir, root.path().join(shape.path(shape.kdir)), "{}", shape.distribution);
        assert_eq!((&kernel.image, &kernel.modules), (&None, &None), "{}", shape.distribution);
    }
}

/// A package with the image has the link of the headers, which may not be installed.
#[test]
fn a_kernel_without_headers_is_not_built_for() {
    for shape in &SHAPES {
        let root = shape.root();
        fs::remove_dir_all(root.path().join("usr/src")).unwrap();
        let found = in_root(root.path());
        let [kernel] = &*found else { panic!("{}: {found:?}", shape.distribution) };
        assert!(!build_dir::is_one(&kernel.kdir), "{}", shape.distribution);
        assert!(kernel.image.is_some(), "{}", shape.distribution);
    }
}

/// Distributions have the headers that all flavours share in a directory beside the build directory.
#[test]
fn headers_that_flavours_share_are_found() {
    for shape in SHAPES.iter().filter(|shape| shape.files.iter().any(|file| file.ends_with("only_here.h"))) {
        let root = shape.root();
        let shared = shape.files.iter().find(|file| file.ends_with("only_here.h")).unwrap();
        write(root.path(), shared, "#define klp_only_here 1\n");
        let kdir = root.path().join(shape.path(shape.kdir));
        let found = headers::definition(&kdir, &X86_64, "klp_only_here");
        let found = found.unwrap_or_else(|| panic!("{}", shape.distribution));
        assert_eq!(found.header, "linux/only_here.h", "{}", shape.distribution);
    }
}

const OWN: &str = "6.12.9-klp-own-kernel";

/// A tree in which a kernel was built.
fn built_tree() -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    write(tree.path(), "include/config/auto.conf", "CONFIG_X86_64=y\n");
    write(tree.path(), "include/config/kernel.release", &format!("{OWN}\n"));
    write(tree.path(), "arch/x86/boot/bzImage", "");
    tree
}

#[test]
fn a_kernel_of_ones_own_has_its_image_in_its_tree() {
    let tree = built_tree();
    let kernel = of_build_dir(tree.path()).unwrap();
    assert_eq!(kernel.release, OWN);
    let image = fs::canonicalize(tree.path()).unwrap().join("arch/x86/boot/bzImage");
    assert_eq!((kernel.image, kernel.modules), (Some(image), None));
}

/// `make modules_install` makes the link; `make install` may have put an older image into `boot`.
#[test]
fn an_installed_kernel_of_ones_own_is_found_by_its_link() {
    let (tree, root) = (built_tree(), tempfile::tempdir().unwrap());
    write(root.path(), &format!("lib/modules/{OWN}/modules.dep"), "");
    write(root.path(), &format!("boot/vmlinuz-{OWN}"), "");
    symlink(tree.path(), root.path().join(format!("lib/modules/{OWN}/build"))).unwrap();
    let found = in_root(root.path());
    let [kernel] = &*found else { panic!("{found:?}") };
    assert_eq!(kernel.kdir, root.path().join(format!("lib/modules/{OWN}/build")));
    assert_eq!(kernel.image, Some(kernel.kdir.join("arch/x86/boot/bzImage")));
    assert!(kernel.modules.is_some());
}

/// Two trees may give their kernels the same release: the parts of one don't belong to the other.
#[test]
fn parts_of_another_build_are_not_taken() {
    let (tree, other, root) = (built_tree(), built_tree(), tempfile::tempdir().unwrap());
    fs::remove_file(other.path().join("arch/x86/boot/bzImage")).unwrap();
    let inside = root.path().join("home/tree");
    fs::create_dir_all(root.path().join("home")).unwrap();
    fs::rename(other.path(), &inside).unwrap();
    write(root.path(), &format!("lib/modules/{OWN}/modules.dep"), "");
    write(root.path(), &format!("boot/vmlinuz-{OWN}"), "");
    symlink(tree.path(), root.path().join(format!("lib/modules/{OWN}/build"))).unwrap();
    let kernel = of_build_dir(&inside).unwrap();
    assert_eq!((kernel.image, kernel.modules), (None, None));
}
