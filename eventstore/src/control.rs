//! Opening the control page: how the writer tells readers in other processes how far they may read. What is in it is
//! the matter of `page.rs`.

use crate::error::OpenError;
use crate::format::control_page::CONTROL_PAGE_BYTES;
use crate::page::{ControlPage, ControlWriter, Published};
use crate::storage::{Access, Storage};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Where the control page of a data directory is.
pub(crate) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("control").join("log")
}

/// Maps the page for a reader; `None` when there is none yet.
pub(crate) fn open_reader(storage: &dyn Storage, data_dir: &Path) -> Result<Option<ControlPage>, OpenError> {
    let path = path(data_dir);
    let file = match storage.open(&path, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(OpenError::Io { action: "cannot open", path, source }),
    };
    match file.shared_page(CONTROL_PAGE_BYTES, false) {
        Ok(page) => Ok(ControlPage::new(page)),
        // A page that is too short is one that the writer is just making. Any other failure says nothing about the
        // page, and must not be taken for its absence.
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Ok(None),
        Err(source) => Err(OpenError::Io { action: "cannot map", path, source }),
    }
}

/// Maps the page for the writer, making it if it is not there or not a page of this version.
pub(crate) fn open_writer(
    storage: &dyn Storage,
    data_dir: &Path,
    store: Uuid,
    epoch: u32,
) -> Result<ControlWriter, OpenError> {
    let path = path(data_dir);
    let io = |action| {
        let path = path.clone();
        move |source| OpenError::Io { action, path, source }
    };
    if let Some(parent) = path.parent() {
        storage.create_dir(parent).map_err(io("cannot create the directory of"))?;
    }
    let file = storage.open(&path, Access::Open).map_err(io("cannot open"))?;
    // The same file is used over again, so that readers who have it mapped hear of the new writer. What is there is
    // written once more: a hole in the file would need room when the map is stored into, and find it missing by a
    // signal.
    let mut bytes = [0; CONTROL_PAGE_BYTES];
    file.read_full_at(&mut bytes, 0).map_err(io("cannot read"))?;
    file.write_all_at(&bytes, 0).map_err(io("cannot make"))?;
    let page = file.shared_page(CONTROL_PAGE_BYTES, true).map_err(io("cannot map"))?;
    Ok(ControlWriter::take_over(page, store, epoch))
}

/// What the page in a data directory says, once; `None` when there is no usable page.
pub(crate) fn last_published(storage: &dyn Storage, data_dir: &Path) -> Result<Option<Published>, OpenError> {
    Ok(open_reader(storage, data_dir)?.and_then(|page| page.published()))
}
