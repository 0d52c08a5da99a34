//! One file: what everybody sees, what the platter has, and what lies between.

use crate::dice::Dice;
use rustix::fs::{MemfdFlags, memfd_create};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// What a disk writes whole or not at all, bytes.
pub const SECTOR: usize = 512;

type Sector = Box<[u8; SECTOR]>;
type Versions = BTreeMap<u64, Vec<Sector>>;

/// A file without its name. Its page cache is a memfd, so that it can be mapped like any other.
#[derive(Debug)]
pub struct Inode {
    cache: Arc<File>,
    len: u64,
    durable: Vec<u8>,
    /// Every content that a sector has had since the last sync: the disk may have got any of them, or none.
    dirty: Versions,
    /// The same, of sectors whose sync has failed: no later sync writes them, unless they are written again.
    lost: Versions,
    /// Lengths since the last sync.
    lens: Vec<u64>,
    /// Set when it is mapped as a shared page: what was seen of it last. Stores into it pass nobody.
    page: Option<Vec<u8>>,
}

/// What may become of a sector that was not synced, in per cent.
#[derive(Debug, Clone, Copy)]
pub struct Survival {
    pub sectors: u64,
    pub lens: u64,
    pub names: u64,
}

impl Inode {
    pub fn new(durable: Vec<u8>) -> Self {
        let cache = File::from(memfd_create("simulated", MemfdFlags::CLOEXEC).expect("a memfd"));
        cache.write_all_at(&durable, 0).expect("writing to a memfd");
        let len = durable.len() as u64;
        Self {
            cache: Arc::new(cache),
            len,
            durable,
            dirty: Versions::new(),
            lost: Versions::new(),
            lens: Vec::new(),
            page: None,
        }
    }

    pub fn cache(&self) -> &Arc<File> {
        &self.cache
    }

    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn content(&self) -> Vec<u8> {
        self.read(0, self.len as usize)
    }

    fn read(&self, from: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let mut filled = 0;
        while filled < len {
            match self.cache.read_at(&mut bytes[filled..], from + filled as u64).expect("reading a memfd") {
                0 => break,
                read => filled += read,
            }
        }
        bytes
    }

    pub fn write(&mut self, bytes: &[u8], offset: u64) {
        self.cache.write_all_at(bytes, offset).expect("writing to a memfd");
        self.touched(offset, bytes.len());
        if offset + bytes.len() as u64 > self.len {
            self.len = offset + bytes.len() as u64;
            self.lens.push(self.len);
        }
    }

    pub fn set_len(&mut self, len: u64) {
        self.cache.set_len(len).expect("sizing a memfd");
        if len < self.len {
            // What is cut off reads as zeros should the file grow again.
            self.touched(len, (self.len - len) as usize);
        }
        self.len = len;
        self.lens.push(len);
    }

    /// The sectors of a range have new content.
    fn touched(&mut self, offset: u64, len: usize) {
        if len == 0 {
            return;
        }
        let (first, last) = (offset / SECTOR as u64, (offset + len as u64 - 1) / SECTOR as u64);
        let bytes = self.read(first * SECTOR as u64, (last - first + 1) as usize * SECTOR);
        for (sector, content) in (first..).zip(bytes.as_chunks::<SECTOR>().0) {
            let lost = self.lost.remove(&sector).unwrap_or_default();
            let versions = self.dirty.entry(sector).or_insert(lost);
            if versions.last().is_none_or(|last| **last != *content) {
                versions.push(Box::new(*content));
            }
        }
    }

    pub fn share(&mut self) {
        if self.page.is_none() {
            self.page = Some(self.content());
        }
    }

    /// Notices what has been stored into a shared page since it was last looked at.
    pub fn look(&mut self, dice: &mut Dice) {
        let Some(before) = self.page.take() else { return };
        let now = self.content();
        for (sector, (old, new)) in (0..).zip(before.chunks(SECTOR).zip(now.chunks(SECTOR))) {
            if old == new {
                continue;
            }
            // The disk may have taken the page between two stores: any of the words may still be the old ones.
            let mut between = [0; SECTOR];
            for ((to, old), new) in between.chunks_mut(8).zip(old.chunks(8)).zip(new.chunks(8)) {
                to.copy_from_slice(if dice.percent(50) { old } else { new });
            }
            self.dirty.entry(sector).or_default().push(Box::new(between));
            self.touched(sector * SECTOR as u64, 1);
        }
        self.page = Some(now);
    }

    /// Whether a sync would have anything to do.
    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty() || !self.lens.is_empty()
    }

    pub fn sync(&mut self) {
        if let Some(shortest) = self.lens.iter().min() {
            self.durable.truncate(*shortest as usize);
        }
        self.durable.resize(self.len as usize, 0);
        for (sector, versions) in std::mem::take(&mut self.dirty) {
            if let Some(last) = versions.last() {
                place(&mut self.durable, sector, last);
            }
        }
        self.lens.clear();
    }

    /// A sync that fails: what it was to write is taken for written from now on, and is not.
    pub fn fail_sync(&mut self) {
        for (sector, mut versions) in std::mem::take(&mut self.dirty) {
            self.lost.entry(sector).or_default().append(&mut versions);
        }
    }

    /// The page cache has dropped clean pages and read them again: what a failed sync lost shows now. Whether there
    /// was any.
    pub fn forget_lost(&mut self) -> bool {
        let had_lost = !self.lost.is_empty();
        for sector in std::mem::take(&mut self.lost).into_keys() {
            let from = (sector * SECTOR as u64).min(self.len);
            let to = (from + SECTOR as u64).min(self.len);
            let mut bytes = vec![0; (to - from) as usize];
            if let Some(durable) = self.durable.get(from as usize..) {
                let known = durable.len().min(bytes.len());
                bytes[..known].copy_from_slice(&durable[..known]);
            }
            self.cache.write_all_at(&bytes, from).expect("writing to a memfd");
        }
        had_lost
    }

    /// What a shared page held when its process died; what the dead process still stores into the old one is lost.
    pub fn bury(&mut self) {
        let Some(page) = self.page.take() else { return };
        let cache = File::from(memfd_create("simulated", MemfdFlags::CLOEXEC).expect("a memfd"));
        cache.write_all_at(&page, 0).expect("writing to a memfd");
        self.cache = Arc::new(cache);
    }

    /// What a power cut leaves of it.
    pub fn after_power_cut(&self, dice: &mut Dice, survival: Survival) -> Vec<u8> {
        let mut image = self.durable.clone();
        if !self.lens.is_empty() && dice.percent(survival.lens) {
            let len = *dice.pick(&self.lens);
            image.resize(len as usize, 0);
        }
        for (sector, versions) in self.lost.iter().chain(&self.dirty) {
            if dice.percent(survival.sectors) {
                // The last content is by far the likeliest; the older ones must be possible.
                let newest = versions.len() - 1;
                let version = if dice.one_in(4) { dice.index(versions.len()) } else { newest };
                place(&mut image, *sector, &versions[version]);
            }
        }
        image
    }

    /// Turns one bit of what is durable.
    pub fn rot(&mut self, bit: u64) {
        let at = (bit / 8) as usize;
        self.durable[at] ^= 1 << (bit % 8);
        self.cache.write_all_at(&self.durable[at..=at], at as u64).expect("writing to a memfd");
    }
}

/// Puts a sector into an image, as far as the image goes.
fn place(image: &mut [u8], sector: u64, content: &[u8; SECTOR]) {
    let from = sector as usize * SECTOR;
    if from < image.len() {
        let len = SECTOR.min(image.len() - from);
        image[from..from + len].copy_from_slice(&content[..len]);
    }
}
