//! Layouts from a kernel's BTF.

use std::path::{Path, PathBuf};

use btf_rs::{Btf, Member, Type};
use object::{Object, ObjectSection};

use super::{STRUCTS, Struct, Structs};
use crate::kernel::{KernelArgs, Need};

/// Files on this machine that may have the BTF of a kernel: its headers, its debug package, and
/// where it is running, the kernel itself.
///
/// Not the module's own section: it has only types that the kernel's BTF lacks.
pub fn of_kernel(release: &str) -> Vec<PathBuf> {
    let args = KernelArgs { kernel: Some(release.into()), kdir: None };
    let headers = args.find_quietly(Need::Headers).ok().filter(|kernel| kernel.release == release);
    let mut files: Vec<_> = headers.map(|kernel| kernel.kdir.join("vmlinux")).into_iter().collect();
    files.push(format!("/usr/lib/debug/boot/vmlinux-{release}").into());
    files.push(format!("/usr/lib/debug/lib/modules/{release}/vmlinux").into());
    if rustix::system::uname().release().to_bytes() == release.as_bytes() {
        files.push("/sys/kernel/btf/vmlinux".into());
    }
    files.retain(|file| file.exists());
    files
}

/// The livepatch structures in a file: an ELF file with BTF in it, or BTF alone.
pub fn structs(path: &Path) -> Option<Structs> {
    let data = std::fs::read(path).ok()?;
    let btf = match object::File::parse(&*data) {
        Ok(file) => Btf::from_bytes(file.section_by_name(".BTF")?.data().ok()?),
        Err(_) => Btf::from_bytes(&data),
    };
    let btf = btf.ok()?;
    let found = STRUCTS.iter().filter_map(|name| Some((name.to_string(), structure(&btf, name)?)));
    Some(found.collect())
}

fn structure(btf: &Btf, name: &str) -> Option<Struct> {
    let types = btf.resolve_types_by_name(name).ok()?;
    let structure = types.into_iter().find_map(|found| match found {
        Type::Struct(structure) => Some(structure),
        _ => None,
    })?;
    let field = |member: &Member| Some((btf.resolve_name(member).ok()?, u64::from(member.bit_offset() / 8)));
    Some(Struct {
        size: structure.size() as u64,
        fields: structure.members.iter().filter_map(field).collect(),
    })
}
