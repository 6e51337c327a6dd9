//! The inputs that fuzzing starts from: small, valid, and made here, so that no kernel's text is kept anywhere.

pub mod kallsyms;

use std::fs;
use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_klp::kernel::arch::X86_64;
use cargo_klp::kernel::debug_info::DebugInfo;
use cargo_klp::kernel::image::decompress;
use cargo_klp::kernel::symbols::{Table, kallsyms as table};
use kallsyms::{Kallsyms, MAPPED_AT};
use object::{Object, ObjectSection};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

/// The sources in C; and the flags that each is compiled with.
const SOURCES: [(&str, &[&str]); 8] = [
    ("fuzz/seeds/livepatch.c", &["-g"]),
    ("fuzz/seeds/livepatch.c", &["-gdwarf-4", "-gz=zlib"]),
    ("fuzz/seeds/livepatch.c", &["-gbtf"]),
    ("fuzz/seeds/livepatch.c", &["-DKLP"]),
    ("fuzz/seeds/livepatch.c", &["-DKLP", "-g", "-pg", "-mfentry", "-mrecord-mcount"]),
    ("cargo-klp/tests/fixtures/inlined.c", &["-g"]),
    ("cargo-klp/tests/fixtures/inlined.c", &["-gdwarf-4"]),
    ("cargo-klp/tests/fixtures/inlined.c", &["-gbtf"]),
];

/// Lines of a manifest, one of each kind.
const MANIFEST: &[u8] = b"patch\tfix\t1\t1\t3\tfixes\t2\t32\t104\t72\t40\t16\t16\0func\tvmlinux\tcmdline_proc_show\t0\t-\tlib.rs:3\t-\t1129\0\
    state\t7\t2\tLevel\t1\tpre_patch,post_unpatch\0shadow\t9\t7\tCounter\ttask_struct\t0\t-\t-\0\
    object\tnf_tables\tpre_patch\0native\t1\t3\0hook\texit\0param\ttries\t3\t0\t420\tHow often\0\
    symbol\txfs\tf\t2\tstatic_of:g\tf\tp\ta.rs:4:1\0binding\tsock\tvmlinux\t/btf\0";

/// So many of the kernel's own modules are taken, the smallest.
const MODULES: usize = 20;

/// Writes the seeds of all targets: a directory for each, in `directory`. With the directory of a kernel's modules,
/// some of those too.
///
/// # Errors
///
/// gcc or xz can't be run, or a file not be written.
pub fn write(repository: &Path, directory: &Path, modules: Option<&Path>) -> Result<()> {
    let mut seeds = Seeds { directory, number: 0 };
    for (source, flags) in SOURCES {
        let object = compiled(&repository.join(source), flags)?;
        for target in ["module", "link", "dwarf", "image"] {
            seeds.add(target, &object)?;
        }
        for packed in [xz(&object)?, compress_to_vec(&*object, CompressionLevel::Fastest)] {
            seeds.add("image", &packed)?;
            seeds.add("image", &image(&packed))?;
        }
        if let Some(types) = section(&object, ".BTF") {
            seeds.add("btf", &types)?;
        }
        if let Ok(info) = DebugInfo::read(&object) {
            seeds.add("index", format!("outer\n{}", info.index()).as_bytes())?;
        }
    }
    for (offsets_first, distances) in [(false, false), (true, false), (false, true)] {
        let image = Kallsyms { offsets_first, distances, ..Kallsyms::default() }.write();
        seeds.add("kallsyms", &image)?;
        let entries = table::read(&image, MAPPED_AT, X86_64.kernel_start, true).map_err(Error::other)?;
        seeds.add("index", format!("f1\n{}", Table::of(&entries[..50]).text()).as_bytes())?;
    }
    seeds.add("manifest", MANIFEST)?;
    for file in modules.map_or_else(|| Ok(Vec::new()), smallest)? {
        let packed = fs::read(file)?;
        let module = decompress(&packed)?;
        seeds.add("image", &packed)?;
        seeds.add("module", &module)?;
        seeds.add("link", &module)?;
    }
    Ok(())
}

struct Seeds<'a> {
    directory: &'a Path,
    number: u32,
}

impl Seeds<'_> {
    fn add(&mut self, target: &str, data: &[u8]) -> Result<()> {
        let directory = self.directory.join(target);
        fs::create_dir_all(&directory)?;
        self.number += 1;
        fs::write(directory.join(format!("seed-{}", self.number)), data)
    }
}

/// A relocatable object, as gcc makes it for a kernel.
fn compiled(source: &Path, flags: &[&str]) -> Result<Vec<u8>> {
    let output = tempfile::NamedTempFile::new()?;
    let mut gcc = Command::new("gcc");
    gcc.args([
        "-c",
        "-O2",
        "-w",
        "-fno-pic",
        "-fno-toplevel-reorder",
        "-fno-asynchronous-unwind-tables",
        "-mcmodel=kernel",
    ]);
    run(gcc.args(flags).arg("-o").arg(output.path()).arg(source))?;
    fs::read(output.path())
}

/// The data, packed by xz.
fn xz(data: &[u8]) -> Result<Vec<u8>> {
    let input = tempfile::NamedTempFile::new()?;
    fs::write(input.path(), data)?;
    run(Command::new("xz").args(["--quiet", "--stdout"]).arg(input.path()))
}

/// Runs a program to its end, and returns what it has printed.
fn run(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output()?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(Error::other(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr)))),
    }
}

/// A kernel image with a payload, as `Documentation/arch/x86/boot.rst` describes it.
fn image(payload: &[u8]) -> Vec<u8> {
    let mut image = vec![0; 1024];
    image[0x1f1] = 1;
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x24c..0x250].copy_from_slice(&(payload.len() as u32).to_le_bytes());
    image.extend(payload);
    image
}

/// What a section of an object holds.
fn section(object: &[u8], name: &str) -> Option<Vec<u8>> {
    let file = object::File::parse(object).ok()?;
    file.section_by_name(name)?.data().ok().map(<[u8]>::to_vec)
}

/// The smallest modules of a kernel.
fn smallest(modules: &Path) -> Result<Vec<PathBuf>> {
    let list = fs::read_to_string(modules.join("modules.dep"))?;
    let files = list.lines().filter_map(|line| line.split(':').next()).map(|file| modules.join(file));
    let mut files: Vec<_> = files.filter_map(|file| Some((file.metadata().ok()?.len(), file))).collect();
    files.sort();
    Ok(files.into_iter().take(MODULES).map(|(_, file)| file).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TARGETS;

    /// What fuzzing starts from must reach the readers; and each target must take all of it, and half of it.
    #[test]
    fn each_target_takes_its_seeds_and_parts_of_them() {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let directory = tempfile::tempdir().unwrap();
        write(repository, directory.path(), None).unwrap();
        for (target, run) in TARGETS {
            let seeds: Vec<_> = fs::read_dir(directory.path().join(target)).unwrap().collect();
            assert!(!seeds.is_empty(), "{target}");
            for seed in seeds {
                let data = fs::read(seed.unwrap().path()).unwrap();
                run(&data);
                run(&data[..data.len() / 2]);
            }
        }
    }

    #[test]
    fn the_seeds_are_what_they_seem() {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for (source, flags) in SOURCES {
            let object = compiled(&repository.join(source), flags).unwrap();
            if source.ends_with("livepatch.c") && !flags.contains(&"-gbtf") {
                let report = cargo_klp::patch::inspect::report(Path::new("seed.ko"), &object).unwrap();
                let patch = report.patch.unwrap_or_else(|| panic!("{flags:?}: {:?}", report.unknown));
                assert!(!patch.redirects.is_empty(), "{flags:?}");
            }
        }
        cargo_klp::patch::manifest::Manifest::default().add(MANIFEST).unwrap();
        let object = compiled(&repository.join("fuzz/seeds/livepatch.c"), &["-gbtf"]).unwrap();
        assert!(section(&object, ".BTF").is_some());
        assert_eq!(
            table::read(&Kallsyms::default().write(), MAPPED_AT, X86_64.kernel_start, true).unwrap().len(),
            1000
        );
    }
}
