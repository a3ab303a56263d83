//! Processors that there are packages for, by the names that compilers and package managers have
//! for them.

use anyhow::{Result, bail};

/// A processor. The C library is musl, linked statically: a binary that asks the system for names
/// needs no library of the same version there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Processor {
    X86_64,
    Aarch64,
}

impl Processor {
    /// The one of this name, as `uname -m` has it.
    pub(crate) fn of(processor: &str) -> Result<Self> {
        match processor {
            "x86_64" => Ok(Self::X86_64),
            "aarch64" => Ok(Self::Aarch64),
            "i686" | "i586" | "armv7l" | "armv6l" | "arm" => {
                bail!("{processor} has 32 bits; lotmq needs a processor with 64")
            }
            other => bail!("there are packages for x86_64 and aarch64, not for `{other}`"),
        }
    }

    /// As `uname -m` and `.rpm` have it.
    pub(crate) fn processor(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// As `.deb` has it.
    pub(crate) fn debian(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }

    /// As rustc has it.
    pub(crate) fn triple(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64-unknown-linux-musl",
            Self::Aarch64 => "aarch64-unknown-linux-musl",
        }
    }

    /// C compiler, and the Debian package that brings it.
    pub(crate) fn compiler(self) -> (&'static str, &'static str) {
        match self {
            Self::X86_64 => ("musl-gcc", "musl-tools"),
            Self::Aarch64 => ("aarch64-linux-gnu-gcc", "gcc-aarch64-linux-gnu"),
        }
    }

    /// Linker, where the machine's own does not do it. `musl-gcc` is none: it knows no static
    /// binaries that may lie anywhere in memory, and makes some that end at once.
    pub(crate) fn linker(self) -> Option<&'static str> {
        match self {
            Self::X86_64 => None,
            Self::Aarch64 => Some("aarch64-linux-gnu-gcc"),
        }
    }
}
