//! Whether reading what is mapped had to wait for the disk.
#![expect(unsafe_code, reason = "a call of the operating system")]

/// How often the calling thread has had to wait for the disk, because a page that it wanted was not in memory (its *major
/// faults*). Nothing where the operating system does not tell.
#[must_use]
pub fn disk_waits() -> Option<u64> {
    #[cfg(target_os = "linux")]
    {
        let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
        // SAFETY: the call writes one `rusage` and nothing else; of that, all zeros are a value, too.
        let usage = unsafe {
            (libc::getrusage(libc::RUSAGE_THREAD, usage.as_mut_ptr()) == 0).then(|| usage.assume_init())
        };
        usage.and_then(|usage| u64::try_from(usage.ru_majflt).ok())
    }
    #[cfg(not(target_os = "linux"))]
    None
}
