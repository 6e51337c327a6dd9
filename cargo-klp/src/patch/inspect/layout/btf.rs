//! Layouts from a kernel's BTF.

use std::path::PathBuf;

use btf_rs::{Btf, Member, Type};
use object::{Object, ObjectSection};

use super::{STRUCTS, Struct, Structs};
use crate::kernel::image::boot_image;
use crate::kernel::{KernelParts, KernelQuery};

/// The livepatch structures of a kernel, from what this machine has of it: the headers, the debug
/// package, the kernel itself where it is running, else the image.
///
/// The module's own section is of no use: it has only types that the kernel's BTF lacks.
pub fn structs(release: &str) -> Option<Structs> {
    let find = |parts| {
        let found = KernelQuery::Release(release.into()).find(parts).ok();
        found.filter(|kernel| kernel.release == release)
    };
    let mut files = vec![
        format!("/usr/lib/debug/boot/vmlinux-{release}").into(),
        format!("/usr/lib/debug/lib/modules/{release}/vmlinux").into(),
    ];
    files.extend(find(KernelParts::Headers).map(|kernel| kernel.kdir.join("vmlinux")));
    if rustix::system::uname().release().to_bytes() == release.as_bytes() {
        files.push("/sys/kernel/btf/vmlinux".into());
    }
    let unpacked = || {
        let kernel = find(KernelParts::Image)?;
        boot_image(&kernel, kernel.image.as_ref()?).ok()
    };
    files.iter().find_map(read).or_else(|| read(&unpacked()?))
}

/// The livepatch structures in a file: an ELF file with BTF in it, or BTF alone.
fn read(path: &PathBuf) -> Option<Structs> {
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
