//! `files`: files in the folders of a route. Capability: the folders of the instance, and whether
//! it may read and write there. Bounds: open files and listings per instance, bytes per read and
//! write, names per call, operations under way in the process.
//!
//! Invariant: what may wait for a disk runs on a thread that may wait, also closing, also when the
//! instance is gone meanwhile.

use super::{
    bindings::lotmq::guest::files::{
        FileError, FolderEntry, Host, HostFile, HostListing, Metadata, OpenMode,
    },
    file_places::FilePlaces,
    folder::{OpenFile, RouteFolder, next_names},
    state::FiberState,
};
use crate::{
    Capability,
    limits::{FILE_NAMES_PER_CALL_MAX, FILE_TRANSFER_BYTES_MAX, OPEN_FILES_MAX},
};
use parking_lot::Mutex;
use rustix::fs::Dir;
use std::sync::{Arc, LazyLock};
use tokio::{runtime::Handle, task::spawn_blocking};
use wasmtime::component::Resource;

/// Account for operations on certificates and keys, whatever guest connects with them. They are few
/// and short.
pub(super) const OF_TLS: u64 = u64::MAX - 2;

/// Places for operations of all guests.
static UNDER_WAY: LazyLock<Arc<FilePlaces>> = LazyLock::new(FilePlaces::new);

/// An open file: the resource `file`.
#[allow(unreachable_pub, reason = "the generated bindings name it in public types")]
pub struct GuestFile(Closing<OpenFile>);

/// Names that are being listed: the resource `listing`.
#[allow(unreachable_pub, reason = "the generated bindings name it in public types")]
pub struct GuestListing(Closing<Mutex<Dir>>);

/// Something whose closing may wait for a disk.
struct Closing<T: Send + Sync + 'static>(Option<Arc<T>>);

impl<T: Send + Sync + 'static> Closing<T> {
    fn new(open: T) -> Self {
        Closing(Some(Arc::new(open)))
    }

    fn shared(&self) -> Arc<T> {
        Arc::clone(self.0.as_ref().expect("it is there until it is dropped"))
    }
}

impl<T: Send + Sync + 'static> Drop for Closing<T> {
    fn drop(&mut self) {
        if let (Some(open), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn_blocking(move || drop(open));
        }
    }
}

impl HostFile for FiberState {
    async fn open(
        &mut self,
        folder: String,
        path: String,
        mode: OpenMode,
    ) -> Result<Resource<GuestFile>, FileError> {
        let capability = if mode == OpenMode::Read { Capability::ReadFile } else { Capability::WriteFile };
        let folder = granted_folder(self, &folder, capability)?;
        check_open_files(self)?;
        let file = on_disk(self, move || folder.open(&path, mode).map(Closing::new)).await?;
        keep(self, GuestFile(file))
    }

    async fn read(&mut self, file: Resource<GuestFile>, offset: u64, max: u32) -> Result<Vec<u8>, FileError> {
        let max = usize::try_from(max).unwrap_or(usize::MAX).min(FILE_TRANSFER_BYTES_MAX);
        let file = open_file(self, &file)?;
        on_disk(self, move || file.read(offset, max)).await
    }

    async fn write(
        &mut self,
        file: Resource<GuestFile>,
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

    async fn set_length(&mut self, file: Resource<GuestFile>, length: u64) -> Result<(), FileError> {
        let file = open_file(self, &file)?;
        on_disk(self, move || file.set_length(length)).await
    }

    async fn sync(&mut self, file: Resource<GuestFile>) -> Result<(), FileError> {
        let file = open_file(self, &file)?;
        on_disk(self, move || file.sync()).await
    }

    async fn stat(&mut self, file: Resource<GuestFile>) -> Result<Metadata, FileError> {
        let file = open_file(self, &file)?;
        on_disk(self, move || file.stat()).await
    }

    fn drop(&mut self, file: Resource<GuestFile>) -> wasmtime::Result<()> {
        self.table.delete(file)?;
        self.files -= 1;
        Ok(())
    }
}

impl HostListing for FiberState {
    async fn open(&mut self, folder: String, path: String) -> Result<Resource<GuestListing>, FileError> {
        let folder = granted_folder(self, &folder, Capability::ReadFile)?;
        check_open_files(self)?;
        let listing = on_disk(self, move || folder.list(&path).map(Mutex::new).map(Closing::new)).await?;
        keep(self, GuestListing(listing))
    }

    async fn next(
        &mut self,
        listing: Resource<GuestListing>,
        max: u32,
    ) -> Result<Vec<FolderEntry>, FileError> {
        let max = usize::try_from(max).unwrap_or(usize::MAX).min(FILE_NAMES_PER_CALL_MAX);
        let listing = self.table.get(&listing).map_err(no_handle)?.0.shared();
        on_disk(self, move || next_names(&mut listing.lock(), max)).await
    }

    fn drop(&mut self, listing: Resource<GuestListing>) -> wasmtime::Result<()> {
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

fn keep<T: Send + 'static>(state: &mut FiberState, open: T) -> Result<Resource<T>, FileError> {
    let resource = state.table.push(open).map_err(no_handle)?;
    state.files += 1;
    Ok(resource)
}

fn open_file(state: &FiberState, file: &Resource<GuestFile>) -> Result<Arc<OpenFile>, FileError> {
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

/// Does something for this account on a thread that may wait for the disk; `None` when it was given
/// up.
pub(super) async fn at_disk<T: Send + 'static>(
    account: u64,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let place = UNDER_WAY.take(account).await;
    let done = spawn_blocking(move || {
        // Held until the disk has answered, also when nobody waits any more.
        let _place = place;
        work()
    });
    done.await.ok()
}

fn no_handle(error: wasmtime::component::ResourceTableError) -> FileError {
    FileError::Other(error.to_string())
}
