//! `files`: files in the folders of a route. Capability: the folders of the instance, and whether
//! it may read and write there. Bounds: open files and listings per instance, bytes per read and
//! write, names per call, operations under way in the process.
//!
//! Invariant: what may wait for a disk runs on a thread that may wait.

use crate::{
    Capability,
    fiber::{
        bindings::lotmq::guest::files::{
            self, FileError, FolderEntry, Host, HostFile, HostListing, Metadata, OpenMode,
        },
        file_places::at_disk,
        files::{Closing, GuestFile, GuestListing},
        folder::{OpenFile, RouteFolder, next_names},
        handles::TableHandle,
        state::FiberState,
    },
    limits::{FILE_NAMES_PER_CALL_MAX, FILE_TRANSFER_BYTES_MAX, OPEN_FILES_MAX},
};
use parking_lot::Mutex;
use std::sync::Arc;
use wasmtime::component::{Resource, ResourceTableError};

impl TableHandle for files::File {
    type Value = GuestFile;
}

impl TableHandle for files::Listing {
    type Value = GuestListing;
}

impl HostFile for FiberState {
    async fn open(
        &mut self,
        folder: String,
        path: String,
        mode: OpenMode,
    ) -> Result<Resource<files::File>, FileError> {
        let capability = if mode == OpenMode::Read { Capability::ReadFile } else { Capability::WriteFile };
        let folder = granted_folder(self, &folder, capability)?;
        check_open_files(self)?;
        let file = on_disk(self, move || folder.open(&path, mode).map(Closing::new)).await?;
        keep(self, GuestFile(file))
    }

    async fn read(
        &mut self,
        file: Resource<files::File>,
        offset: u64,
        max: u32,
    ) -> Result<Vec<u8>, FileError> {
        let max = usize::try_from(max).unwrap_or(usize::MAX).min(FILE_TRANSFER_BYTES_MAX);
        let file = open_file(self, &file)?;
        on_disk(self, move || file.read(offset, max)).await
    }

    async fn write(
        &mut self,
        file: Resource<files::File>,
        offset: u64,
        bytes: Vec<u8>,
    ) -> Result<(), FileError> {
        if bytes.len() > FILE_TRANSFER_BYTES_MAX {
            let length = bytes.len();
            return Err(FileError::Denied(format!(
                "{length} bytes in one write, limit {FILE_TRANSFER_BYTES_MAX}"
            )));
        }
        let file = open_file(self, &file)?;
        on_disk(self, move || file.write(offset, &bytes)).await
    }

    async fn set_length(&mut self, file: Resource<files::File>, length: u64) -> Result<(), FileError> {
        let file = open_file(self, &file)?;
        on_disk(self, move || file.set_length(length)).await
    }

    async fn sync(&mut self, file: Resource<files::File>) -> Result<(), FileError> {
        let file = open_file(self, &file)?;
        on_disk(self, move || file.sync()).await
    }

    async fn stat(&mut self, file: Resource<files::File>) -> Result<Metadata, FileError> {
        let file = open_file(self, &file)?;
        on_disk(self, move || file.stat()).await
    }

    fn drop(&mut self, file: Resource<files::File>) -> wasmtime::Result<()> {
        self.table.delete(file)?;
        self.files -= 1;
        Ok(())
    }
}

impl HostListing for FiberState {
    async fn open(&mut self, folder: String, path: String) -> Result<Resource<files::Listing>, FileError> {
        let folder = granted_folder(self, &folder, Capability::ReadFile)?;
        check_open_files(self)?;
        let listing = on_disk(self, move || folder.list(&path).map(Mutex::new).map(Closing::new)).await?;
        keep(self, GuestListing(listing))
    }

    async fn next(
        &mut self,
        listing: Resource<files::Listing>,
        max: u32,
    ) -> Result<Vec<FolderEntry>, FileError> {
        let max = usize::try_from(max).unwrap_or(usize::MAX).min(FILE_NAMES_PER_CALL_MAX);
        let listing = self.table.get(&listing).map_err(no_handle)?.0.shared();
        on_disk(self, move || next_names(&mut listing.lock(), max)).await
    }

    fn drop(&mut self, listing: Resource<files::Listing>) -> wasmtime::Result<()> {
        self.table.delete(listing)?;
        self.files -= 1;
        Ok(())
    }
}

impl Host for FiberState {
    async fn stat(&mut self, folder: String, path: String) -> Result<Metadata, FileError> {
        let folder = granted_folder(self, &folder, Capability::ReadFile)?;
        on_disk(self, move || folder.stat(&path)).await
    }

    async fn rename(&mut self, folder: String, path: String, to: String) -> Result<(), FileError> {
        let folder = granted_folder(self, &folder, Capability::WriteFile)?;
        on_disk(self, move || folder.rename(&path, &to)).await
    }

    async fn remove(&mut self, folder: String, path: String) -> Result<(), FileError> {
        let folder = granted_folder(self, &folder, Capability::WriteFile)?;
        on_disk(self, move || folder.remove(&path)).await
    }

    async fn make_folder(&mut self, folder: String, path: String) -> Result<(), FileError> {
        let folder = granted_folder(self, &folder, Capability::WriteFile)?;
        on_disk(self, move || folder.make_folder(&path)).await
    }

    async fn sync_folder(&mut self, folder: String, path: String) -> Result<(), FileError> {
        let folder = granted_folder(self, &folder, Capability::WriteFile)?;
        on_disk(self, move || folder.sync(&path)).await
    }
}

/// Returns a folder of the definition, if it is granted for this use. The server is notified of
/// missing grants.
fn granted_folder(state: &FiberState, name: &str, capability: Capability) -> Result<RouteFolder, FileError> {
    let unknown = || FileError::Denied(format!("there is no folder '{name}'"));
    let folder = state.folders.get(name).ok_or_else(unknown)?;
    if folder.account != state.grants.acting.now().account {
        return Err(FileError::Other("the folder was that of a user who is removed".to_owned()));
    }
    let (may, what) = if capability == Capability::WriteFile {
        (folder.may_write, "writing")
    } else {
        (folder.may_read, "reading")
    };
    if may {
        return Ok(folder.clone());
    }
    state.services.not_granted(&state.run, (capability, &folder.named), None);
    Err(FileError::Denied(format!("{what} in folder '{name}' was not granted")))
}

fn check_open_files(state: &FiberState) -> Result<(), FileError> {
    if state.files < OPEN_FILES_MAX { Ok(()) } else { Err(FileError::LimitReached) }
}

fn keep<H: TableHandle>(state: &mut FiberState, open: H::Value) -> Result<Resource<H>, FileError> {
    let resource = state.table.push(open).map_err(no_handle)?;
    state.files += 1;
    Ok(resource)
}

fn open_file(state: &FiberState, file: &Resource<files::File>) -> Result<Arc<OpenFile>, FileError> {
    state.table.get(file).map(|file| file.0.shared()).map_err(no_handle)
}

/// Does something that may wait for a disk, and waits for it.
async fn on_disk<T: Send + 'static>(
    state: &mut FiberState,
    work: impl FnOnce() -> Result<T, FileError> + Send + 'static,
) -> Result<T, FileError> {
    let account = state.memory.account();
    state
        .waits(async |_| {
            let given_up = || Err(FileError::Other("it was given up".to_owned()));
            at_disk(account, work).await.unwrap_or_else(given_up)
        })
        .await
}

fn no_handle(error: ResourceTableError) -> FileError {
    FileError::Other(error.to_string())
}
