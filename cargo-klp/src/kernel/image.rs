//! The kernel image in the form that boots fastest.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use object::elf::ELFMAG;

use super::Kernel;
use super::arch;
use crate::error::{Error, Result};
use crate::host::cache;
use crate::host::digest::Digest;

/// The file that QEMU boots: the kernel as the ELF file inside its image, through PVH, or else the image.
///
/// An image unpacks itself at every boot, which takes seconds on an emulated processor. klp unpacks it
/// once.
pub fn boot_image(kernel: &Kernel, image: &Path) -> Result<PathBuf> {
    if kernel.config("CONFIG_PVH").is_none() {
        return Ok(image.into());
    }
    Ok(unpacked_image(kernel, image)?.unwrap_or_else(|| image.into()))
}

/// The kernel as the ELF file inside its image, in its own entry of the cache; `None` if the image has another form.
/// An image that is an ELF file itself, as a kernel's build leaves it, is taken whole.
pub fn unpacked_image(kernel: &Kernel, image: &Path) -> Result<Option<PathBuf>> {
    let data = fs::read(image).map_err(|error| not_read(image, error))?;
    let Some(payload) = payload(&data).map_err(|what| cache::unusable(image, what))? else { return Ok(None) };
    // Two packages may have kernels of the same release, and an image may be damaged: each has its own entry.
    let key = format!("boot/{}-{}", kernel.release, Digest::of(payload));
    let entry = cache::entry(key, |dir| {
        let file = dir.join("vmlinux");
        let vmlinux = decompress(payload).map_err(|error| cache::unusable(image, error))?;
        fs::write(&file, vmlinux).map_err(Error::io("write", &file))
    })?;
    Ok(Some(entry.join("vmlinux")))
}

/// The error for an image that can't be read.
fn not_read(image: &Path, error: io::Error) -> Error {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return Error::io("read", image)(error);
    }
    Error::Request {
        message: format!("only root can read the kernel's image `{}`", image.display()),
        help: format!("let all read it, as most distributions do: `sudo chmod a+r {}`", image.display()),
    }
}

/// The kernel in an image: the image itself if it is an ELF file, or else the payload that the header of the x86 boot
/// protocol points to; `None` if it has no format that [`decompress`] knows.
///
/// # Errors
///
/// What is wrong with the image.
pub fn payload(image: &[u8]) -> Result<Option<&[u8]>, String> {
    const SETUP_SECTORS: usize = 0x1f1;
    const MAGIC: usize = 0x202;
    const OFFSET: usize = 0x248;
    const LENGTH: usize = 0x24c;
    const ELF_MACHINE: usize = 18;
    let other = || Err("it is not the image of a kernel that klp knows".to_owned());
    if image.is_empty() {
        return Err("it is empty".into());
    }
    if image.starts_with(&ELFMAG) {
        let machine = image.get(ELF_MACHINE..ELF_MACHINE + 2);
        let is_ours = arch::ALL.iter().any(|arch| machine == Some(&arch.elf.0.to_le_bytes()));
        return if is_ours { Ok(Some(image)) } else { other() };
    }
    let field = |at: usize| Some(u32::from_le_bytes(*image.get(at..)?.first_chunk()?));
    let (Some(b"HdrS"), Some(offset), Some(length)) =
        (image.get(MAGIC..MAGIC + 4), field(OFFSET), field(LENGTH))
    else {
        return other();
    };
    let start = (usize::from(image[SETUP_SECTORS]) + 1) * 512 + offset as usize;
    let end = start + length as usize;
    // The size of the unpacked kernel may follow within the length; both decoders stop before it.
    let Some(payload) = image.get(start..end) else {
        return Err(format!("it is cut off: it has {} bytes, and its header tells of {end}", image.len()));
    };
    Ok(is_known(payload).then_some(payload))
}

const GZIP: &[u8] = b"\x1f\x8b\x08";
const XZ: &[u8] = b"\xfd7zXZ\0";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";

fn is_known(data: &[u8]) -> bool {
    [GZIP, XZ, ZSTD].iter().any(|magic| data.starts_with(magic))
}

/// What a kernel or a module takes at most, unpacked. With debug information some have half of it.
const LARGEST: usize = 1 << 30;

/// What the decoder of xz may take, in KiB: more than for any level of xz, and for the kernel's own choice of 128 MiB.
const XZ_MEMORY: u32 = 256 << 10;

/// Unpacks data that is compressed with gzip, xz or zstd, as distributions do; returns other data unchanged.
///
/// # Errors
///
/// The data is damaged, or larger unpacked than any kernel.
pub fn decompress(data: &[u8]) -> io::Result<Vec<u8>> {
    decompress_at_most(data, LARGEST)
}

/// As [`decompress`], with so many bytes at most from what is compressed.
///
/// # Errors
///
/// The data is damaged, or larger.
pub fn decompress_at_most(data: &[u8], largest: usize) -> io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    let limit = largest as u64 + 1;
    if data.starts_with(GZIP) {
        flate2::read::GzDecoder::new(data).take(limit).read_to_end(&mut unpacked)?;
    } else if data.starts_with(XZ) {
        let decoder = lzma_rust2::XzReader::new_mem_limit(data, false, XZ_MEMORY);
        decoder.take(limit).read_to_end(&mut unpacked)?;
    } else if data.starts_with(ZSTD) {
        let decoder = ruzstd::decoding::StreamingDecoder::new(data).map_err(io::Error::other)?;
        decoder.take(limit).read_to_end(&mut unpacked)?;
    } else {
        return Ok(data.to_vec());
    }
    if unpacked.len() > largest {
        return Err(io::Error::other(format!("it has more than {largest} bytes unpacked")));
    }
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `echo livepatch | xz`, and the same with zstd and gzip.
    const PACKED: [&str; 3] = [
        "fd377a585a000004e6d6b4460200210116000000742fe5a30100096c69766570617463680a000000fc4787f6a092f98c0001220a151ae1671fb6f37d010000000004595a",
        "28b52ffd04585100006c69766570617463680a1b640c58",
        "1f8b0800000000000003cbc92c4b2d482c49cee002001d596d270a000000",
    ];

    fn bytes(hex: &str) -> Vec<u8> {
        hex.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    #[test]
    fn known_formats_are_unpacked() {
        for packed in PACKED {
            assert!(is_known(&bytes(packed)));
            assert_eq!(decompress(&bytes(packed)).unwrap(), b"livepatch\n");
        }
        assert_eq!(decompress(b"plain").unwrap(), b"plain");
    }

    /// Ubuntu lets only root read it.
    #[test]
    fn an_image_that_only_root_can_read() {
        let error = |kind| not_read("/boot/vmlinuz-1".as_ref(), io::Error::from(kind));
        let denied = error(io::ErrorKind::PermissionDenied);
        assert_eq!(denied.to_string(), "only root can read the kernel's image `/boot/vmlinuz-1`");
        assert!(denied.help().unwrap().contains("`sudo chmod a+r /boot/vmlinuz-1`"));
        assert!(error(io::ErrorKind::NotFound).to_string().starts_with("cannot read `/boot/vmlinuz-1`"));
    }

    /// A file of a few bytes may ask for any memory.
    #[test]
    fn what_is_unpacked_has_a_limit() {
        for packed in PACKED {
            assert_eq!(decompress_at_most(&bytes(packed), 10).unwrap(), b"livepatch\n");
            let error = decompress_at_most(&bytes(packed), 9).unwrap_err();
            assert!(error.to_string().contains("more than 9 bytes"), "{error}");
        }
    }

    #[test]
    fn an_elf_image_is_its_own_payload() {
        let image = b"\x7fELF and the types\x3e\0 and the rest";
        assert_eq!(payload(image), Ok(Some(&image[..])));
        assert_eq!(decompress(image).unwrap(), image);
        assert!(
            payload(b"\x7fELF and the types\xf3\0 and the rest")
                .is_err_and(|what| what.contains("klp knows"))
        );
    }

    #[test]
    fn the_payload_is_found_by_the_header() {
        let mut image = vec![0; 0x600];
        image[0x1f1] = 1;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x248..0x24c].copy_from_slice(&16u32.to_le_bytes());
        image[0x24c..0x250].copy_from_slice(&8u32.to_le_bytes());
        assert_eq!(payload(&image), Ok(None));
        image[0x410..0x414].copy_from_slice(ZSTD);
        assert_eq!(payload(&image), Ok(Some(&b"\x28\xb5\x2f\xfd\0\0\0\0"[..])));
    }

    #[test]
    fn an_image_that_can_not_be_used_says_why() {
        let mut image = vec![0; 0x412];
        image[0x1f1] = 1;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x24c..0x250].copy_from_slice(&24u32.to_le_bytes());
        let cut = "it is cut off: it has 1042 bytes, and its header tells of 1048";
        for (image, what) in [
            (&image[..], cut),
            (&[], "it is empty"),
            (&[0; 100], "it is not the image of a kernel that klp knows"),
            (&[0; 5000], "it is not the image of a kernel that klp knows"),
        ] {
            assert_eq!(payload(image), Err(what.into()));
        }
    }
}
