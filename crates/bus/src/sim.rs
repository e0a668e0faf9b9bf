//! A disk in memory that does what a bad day does: it forgets or tears what was not synced, runs full, fails
//! or skips syncs, and loses power at a chosen call. Everything follows from a seed.
//!
//! What it models of Linux: a write changes what the running process reads at once, and what a restart after
//! a power cut finds only when a sync followed. At a cut each write that was not synced survives whole, in
//! part, or not at all, by itself; names that were made, moved or removed survive up to some point of their
//! order, as in a journal. A sync that fails throws the unsynced writes away: the process goes on reading
//! them, and later syncs succeed without them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::log::{Disk, DiskFile};

/// Handle to the disk; clones are the same disk, at the directory they were opened at.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    directory: PathBuf,
}

/// What the disk does wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// The power fails at this changing call, counted from 1 since the disk was made: the call does its work
    /// in part or not at all, and every later call fails until [`SimDisk::restart`].
    pub cut_at: Option<u64>,
    /// This sync of a file, counted from 1, fails.
    pub fail_sync_at: Option<u64>,
    /// This write, counted from 1, fails after a part.
    pub fail_write_at: Option<u64>,
    /// Syncs say that they succeeded and do nothing.
    pub sync_lies: bool,
}

struct State {
    rng: StdRng,
    faults: Faults,
    calls: u64,
    syncs: u64,
    writes: u64,
    dark: bool,
    capacity: u64,
    next: u64,
    files: BTreeMap<u64, Content>,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    name_changes: Vec<NameChange>,
    directories: BTreeSet<PathBuf>,
}

#[derive(Clone, Default)]
struct Content {
    /// What the running process reads.
    cached: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Pending>,
}

#[derive(Clone)]
enum Pending {
    Length(u64),
    Write { offset: u64, bytes: Vec<u8> },
}

enum NameChange {
    Link(PathBuf, u64),
    Rename(PathBuf, PathBuf),
    Unlink(PathBuf),
}

impl SimDisk {
    /// Makes an empty disk of one gibibyte.
    pub fn new(seed: u64) -> Self {
        let state = State {
            rng: StdRng::seed_from_u64(seed),
            faults: Faults::default(),
            calls: 0,
            syncs: 0,
            writes: 0,
            dark: false,
            capacity: 1 << 30,
            next: 1,
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            name_changes: Vec::new(),
            directories: BTreeSet::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            directory: PathBuf::from("log"),
        }
    }

    /// Chooses what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// Sets how many bytes all files together may have.
    pub fn set_capacity(&self, bytes: u64) {
        self.lock().capacity = bytes;
    }

    /// Counts the changing calls so far: each is a moment at which the power can fail.
    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    /// Counts the syncs of files so far.
    pub fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    /// Counts the writes so far.
    pub fn writes(&self) -> u64 {
        self.lock().writes
    }

    /// Cuts the power: what was not synced is lost or torn, and every call fails until [`Self::restart`].
    pub fn power_cut(&self) {
        let mut guard = self.lock();
        let state = &mut *guard;
        state.dark = true;
        let survivors = pick(&mut state.rng, state.name_changes.len() + 1);
        for change in state.name_changes.drain(..).take(survivors) {
            change.apply(&mut state.durable_names);
        }
        for content in state.files.values_mut() {
            for pending in std::mem::take(&mut content.pending) {
                pending.survive(&mut content.durable, &mut state.rng);
            }
            content.cached.clone_from(&content.durable);
        }
        state.names.clone_from(&state.durable_names);
    }

    /// Turns the power on again, without faults. Without a cut before it this is a restart of the process
    /// alone, which loses nothing.
    pub fn restart(&self) {
        let mut state = self.lock();
        state.dark = false;
        state.faults = Faults::default();
    }

    /// Returns what a file holds, as the running process reads it.
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.lock();
        let file = state.names.get(&self.directory.join(name))?;
        state.files.get(file).map(|content| content.cached.clone())
    }

    /// Replaces what a file holds, durably, behind everyone's back.
    pub fn set_contents(&self, name: &str, bytes: &[u8]) {
        let mut state = self.lock();
        let state = &mut *state;
        let path = self.directory.join(name);
        let file = *state.names.entry(path.clone()).or_insert_with(|| {
            state.next += 1;
            state.next
        });
        state.durable_names.insert(path, file);
        let content = Content {
            cached: bytes.to_vec(),
            durable: bytes.to_vec(),
            pending: Vec::new(),
        };
        state.files.insert(file, content);
    }

    /// Removes a file, durably, behind everyone's back.
    pub fn remove(&self, name: &str) {
        let mut state = self.lock();
        let path = self.directory.join(name);
        state.names.remove(&path);
        state.durable_names.remove(&path);
    }

    /// Makes an independent copy of the disk as it is now, with a seed of its own.
    #[must_use]
    pub fn fork(&self, seed: u64) -> Self {
        let state = self.lock();
        let copy = Self::new(seed);
        {
            let mut other = copy.lock();
            other.files = state.files.clone();
            other.names = state.names.clone();
            // What the running process sees counts as durable: a fork is for trying damage, not cuts.
            other.durable_names = state.names.clone();
            for content in other.files.values_mut() {
                content.durable.clone_from(&content.cached);
                content.pending.clear();
            }
            other.next = state.next;
            other.capacity = state.capacity;
            other.directories.clone_from(&state.directories);
        }
        Self {
            state: copy.state,
            directory: self.directory.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts a changing call; the answer tells whether the power fails in it.
    fn enter(&mut self) -> io::Result<bool> {
        self.check()?;
        self.calls += 1;
        if self.faults.cut_at == Some(self.calls) {
            self.dark = true;
            return Ok(true);
        }
        Ok(false)
    }

    fn check(&self) -> io::Result<()> {
        if self.dark { Err(power_failed()) } else { Ok(()) }
    }

    /// Bytes of the files that have a name.
    fn used(&self) -> u64 {
        let named: BTreeSet<u64> = self.names.values().copied().collect();
        named
            .iter()
            .filter_map(|file| self.files.get(file))
            .map(|content| content.cached.len() as u64)
            .sum()
    }

    /// Refuses growth beyond the capacity.
    fn grow(&self, file: u64, length: u64) -> io::Result<()> {
        let now = self
            .files
            .get(&file)
            .map_or(0, |content| content.cached.len() as u64);
        let more = length.saturating_sub(now);
        if more > 0 && self.used() + more > self.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn change(&mut self, file: u64, change: Pending) {
        let content = self.files.entry(file).or_default();
        change.apply(&mut content.cached);
        content.pending.push(change);
    }
}

impl NameChange {
    fn apply(self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Link(path, file) => {
                names.insert(path, file);
            }
            Self::Rename(from, to) => {
                if let Some(file) = names.remove(&from) {
                    names.insert(to, file);
                }
            }
            Self::Unlink(path) => {
                names.remove(&path);
            }
        }
    }
}

impl Pending {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Length(length) => content.resize(usize::try_from(*length).unwrap_or_default(), 0),
            Self::Write { offset, bytes } => overlay(content, *offset, bytes),
        }
    }

    /// Applies what survives a cut.
    fn survive(self, content: &mut Vec<u8>, rng: &mut StdRng) {
        match (self, pick(rng, 4)) {
            (_, 0) => {}
            (whole, 1) | (whole @ Self::Length(_), _) => whole.apply(content),
            (Self::Write { offset, bytes }, 2) => {
                // The first bytes only.
                let length = pick(rng, bytes.len() + 1);
                overlay(content, offset, bytes.get(..length).unwrap_or_default());
            }
            (Self::Write { offset, bytes }, _) => {
                // Some sectors, in no order.
                for (index, sector) in bytes.chunks(512).enumerate() {
                    if pick(rng, 2) == 0 {
                        overlay(content, offset + (index * 512) as u64, sector);
                    }
                }
            }
        }
    }
}

fn pick(rng: &mut StdRng, below: usize) -> usize {
    rng.random_range(0..below)
}

fn overlay(content: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let offset = usize::try_from(offset).unwrap_or(usize::MAX);
    let end = offset.saturating_add(bytes.len());
    if content.len() < end {
        content.resize(end, 0);
    }
    if let Some(place) = content.get_mut(offset..end) {
        place.copy_from_slice(bytes);
    }
}

fn power_failed() -> io::Error {
    io::Error::other("the power failed")
}

impl Disk for SimDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        let state = self.lock();
        state.check()?;
        let here = state
            .names
            .keys()
            .filter(|path| path.parent() == Some(&self.directory));
        Ok(here
            .filter_map(|path| Some(path.file_name()?.to_str()?.to_owned()))
            .collect())
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let path = self.directory.join(name);
        let mut state = self.lock();
        if state.names.contains_key(&path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let cut = state.enter()?;
        state.next += 1;
        let file = state.next;
        state.files.insert(file, Content::default());
        state.names.insert(path.clone(), file);
        state.name_changes.push(NameChange::Link(path, file));
        if cut {
            return Err(power_failed());
        }
        Ok(Arc::new(SimFile {
            state: Arc::clone(&self.state),
            file,
        }))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.lock();
        state.check()?;
        let file = *state
            .names
            .get(&self.directory.join(name))
            .ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(SimFile {
            state: Arc::clone(&self.state),
            file,
        }))
    }

    fn unlink(&self, name: &str) -> io::Result<()> {
        let path = self.directory.join(name);
        let mut state = self.lock();
        if !state.names.contains_key(&path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let cut = state.enter()?;
        state.names.remove(&path);
        state.name_changes.push(NameChange::Unlink(path));
        if cut { Err(power_failed()) } else { Ok(()) }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (from, to) = (self.directory.join(from), self.directory.join(to));
        let mut state = self.lock();
        let cut = state.enter()?;
        let file = state.names.remove(&from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.clone(), file);
        state.name_changes.push(NameChange::Rename(from, to));
        if cut { Err(power_failed()) } else { Ok(()) }
    }

    fn hard_link(&self, name: &str, directory: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let cut = state.enter()?;
        let file = *state
            .names
            .get(&self.directory.join(name))
            .ok_or(io::ErrorKind::NotFound)?;
        let path = directory.join(name);
        state.names.insert(path.clone(), file);
        state.name_changes.push(NameChange::Link(path, file));
        if cut { Err(power_failed()) } else { Ok(()) }
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut guard = self.lock();
        let state = &mut *guard;
        if state.enter()? {
            return Err(power_failed());
        }
        if state.faults.sync_lies {
            return Ok(());
        }
        for change in state.name_changes.drain(..) {
            change.apply(&mut state.durable_names);
        }
        Ok(())
    }

    fn free_space(&self) -> io::Result<u64> {
        let state = self.lock();
        state.check()?;
        Ok(state.capacity.saturating_sub(state.used()))
    }

    fn directory(&self, path: &Path) -> io::Result<Arc<dyn Disk>> {
        self.lock().directories.insert(path.to_owned());
        Ok(Arc::new(Self {
            state: Arc::clone(&self.state),
            directory: path.to_owned(),
        }))
    }
}

struct SimFile {
    state: Arc<Mutex<State>>,
    file: u64,
}

impl SimFile {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DiskFile for SimFile {
    fn size(&self) -> io::Result<u64> {
        let state = self.lock();
        state.check()?;
        Ok(state
            .files
            .get(&self.file)
            .map_or(0, |content| content.cached.len() as u64))
    }

    fn preallocate(&self, length: u64) -> io::Result<()> {
        let mut state = self.lock();
        let cut = state.enter()?;
        state.grow(self.file, length)?;
        let longer = state
            .files
            .get(&self.file)
            .is_some_and(|content| (content.cached.len() as u64) < length);
        if longer {
            state.change(self.file, Pending::Length(length));
        }
        if cut { Err(power_failed()) } else { Ok(()) }
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = self.lock();
        let cut = state.enter()?;
        state.grow(self.file, offset + bytes.len() as u64)?;
        state.writes += 1;
        let fails = state.faults.fail_write_at == Some(state.writes);
        let length = if fails {
            pick(&mut state.rng, bytes.len() + 1)
        } else {
            bytes.len()
        };
        let bytes = bytes.get(..length).unwrap_or_default().to_vec();
        state.change(self.file, Pending::Write { offset, bytes });
        if cut {
            return Err(power_failed());
        }
        if fails {
            Err(io::Error::other("the write failed"))
        } else {
            Ok(())
        }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.lock();
        state.check()?;
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let rest = state
            .files
            .get(&self.file)
            .and_then(|content| content.cached.get(offset..));
        let rest = rest.unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut guard = self.lock();
        let state = &mut *guard;
        if state.enter()? {
            return Err(power_failed());
        }
        state.syncs += 1;
        if state.faults.sync_lies {
            return Ok(());
        }
        let fails = state.faults.fail_sync_at == Some(state.syncs);
        let Some(content) = state.files.get_mut(&self.file) else {
            return Ok(());
        };
        let pending = std::mem::take(&mut content.pending);
        if fails {
            return Err(io::Error::other("the sync failed"));
        }
        for change in pending {
            change.apply(&mut content.durable);
        }
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let mut state = self.lock();
        let cut = state.enter()?;
        state.change(self.file, Pending::Length(length));
        if cut { Err(power_failed()) } else { Ok(()) }
    }
}
