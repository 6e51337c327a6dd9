//! The kernel's virtual memory in a dump, by the page tables that the dump has.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use super::fault::{Fault, Result};
use super::image::{Image, PAGE, Page};
use super::vmcoreinfo::Vmcoreinfo;

/// Where x86_64 maps the kernel's image: its symbols are relative to that.
const IMAGE: u64 = 0xffff_ffff_8000_0000;
/// The bits of a page table's entry that are an address.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const PRESENT: u64 = 1;
const LARGE: u64 = 1 << 7;

/// The kernel's virtual memory.
pub struct Memory {
    image: Box<dyn Image>,
    /// The physical address of the topmost page table.
    root: u64,
    /// How many levels of page tables there are.
    levels: u32,
    /// The bit of an address that says that the page is encrypted.
    encrypted: u64,
    pages: RefCell<HashMap<u64, Rc<Page>>>,
}

impl Memory {
    /// The memory of an image, whose kernel has said where its page tables are.
    pub fn new(image: Box<dyn Image>, info: &Vmcoreinfo) -> Result<Self> {
        let (Some(table), Some(base)) = (info.symbol("swapper_pg_dir"), info.number("phys_base")) else {
            return Err(Fault::new(
                "its VMCOREINFO does not say where the page tables are",
                "klp reads dumps of Linux on x86_64; try `crash`",
            ));
        };
        Ok(Self {
            image,
            root: table.wrapping_sub(IMAGE).wrapping_add_signed(base),
            levels: if info.number("pgtable_l5_enabled") == Some(1) { 5 } else { 4 },
            encrypted: info.number("sme_mask").unwrap_or(0).cast_unsigned(),
            pages: RefCell::default(),
        })
    }

    /// The bytes at an address.
    pub fn read(&self, address: u64, size: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while bytes.len() < size {
            let part = self.rest_of_page(address.wrapping_add(bytes.len() as u64))?;
            let missing = size - bytes.len();
            bytes.extend(part.iter().take(missing));
        }
        Ok(bytes)
    }

    /// A text that ends with a NUL.
    pub fn text(&self, address: u64) -> Result<String> {
        // Longer than any name.
        const LIMIT: usize = PAGE;
        let mut bytes = Vec::new();
        while bytes.len() < LIMIT {
            let part = self.rest_of_page(address.wrapping_add(bytes.len() as u64))?;
            if let Some(end) = part.iter().position(|byte| *byte == 0) {
                bytes.extend(&part[..end]);
                return Ok(String::from_utf8_lossy(&bytes).into_owned());
            }
            bytes.extend(part);
        }
        Err(Fault::broken(format_args!("the text at {address:#x} has no end")))
    }

    /// What stands at an address, up to the end of its page.
    pub fn rest_of_page(&self, address: u64) -> Result<Vec<u8>> {
        let physical = self.physical(address)?;
        let page = self.page(physical / PAGE as u64)?;
        Ok(page[physical as usize % PAGE..].to_vec())
    }

    /// Where an address is in physical memory.
    fn physical(&self, address: u64) -> Result<u64> {
        let mut table = self.root;
        for level in (0..self.levels).rev() {
            let shift = 12 + 9 * level;
            let page = self.page(table / PAGE as u64)?;
            let at = (address >> shift) as usize % 512 * 8;
            let entry = u64::from_le_bytes(page[at..at + 8].try_into().expect("an entry has 8 bytes"));
            if entry & PRESENT == 0 {
                return Err(Fault::broken(format_args!("nothing is at the address {address:#x}")));
            }
            table = entry & ADDRESS & !self.encrypted;
            if level == 0 || (entry & LARGE != 0 && level <= 2) {
                let inside = (1 << shift) - 1;
                return Ok(table & !inside | address & inside);
            }
        }
        unreachable!("the last level returns")
    }

    fn page(&self, number: u64) -> Result<Rc<Page>> {
        if let Some(page) = self.pages.borrow().get(&number) {
            return Ok(Rc::clone(page));
        }
        let page = Rc::new(self.image.page(number)?);
        self.pages.borrow_mut().insert(number, Rc::clone(&page));
        Ok(page)
    }
}
