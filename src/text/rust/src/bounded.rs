//! Runs untrusted work with a bound on memory and time.
//!
//! The fuel of the template engine does not see everything: adding a list to
//! itself or comparing nested lists costs one unit and may take forever. So
//! the work gets a thread of its own, and this library's allocator looks at
//! that thread's live memory and at whether its time is up. Rust offers no
//! way to end a thread and no safe way to unwind out of an allocation; a
//! thread that went too far is put to sleep for good, with what it holds.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Values nested by a template are dropped recursively, so the stack must
/// hold what its fuel can nest. It is reserved, not used.
const STACK_BYTES: usize = 1 << 30;

#[derive(Clone, Copy)]
pub struct Limits {
    pub bytes: usize,
    pub time: Duration,
}

type Outcome = Result<String, String>;

/// How the working thread ended: with its work done, or asleep for good.
enum End {
    Returned(Outcome),
    Stopped(String),
}

/// What the waiting and the working thread share.
struct Job {
    limits: Limits,
    expired: AtomicBool,
    end: Mutex<Option<End>>,
    done: Condvar,
}

impl Job {
    fn finish(&self, end: End) {
        let mut slot = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = Some(end);
        self.done.notify_all();
    }

    fn wait(&self) -> End {
        let deadline = Instant::now() + self.limits.time;
        let mut slot = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(end) = slot.take() {
                return end;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.expired.store(true, Ordering::Relaxed);
                return End::Stopped(format!(
                    "it takes longer than {:?}",
                    self.limits.time
                ));
            }
            slot = self
                .done
                .wait_timeout(slot, left)
                .map_or_else(|e| e.into_inner().0, |(slot, _)| slot);
        }
    }
}

// Neither of them is lazily made or dropped, so an allocator may use them.
thread_local! {
    static JOB: Cell<*const Job> = const { Cell::new(ptr::null()) };
    static LIVE: Cell<usize> = const { Cell::new(0) };
}

pub struct Allocator;

impl Allocator {
    #[inline]
    fn charge(size: usize) {
        let job = JOB.get();
        if !job.is_null() {
            Self::charge_job(job, size);
        }
    }

    #[inline]
    fn refund(size: usize) {
        if !JOB.get().is_null() {
            LIVE.set(LIVE.get().saturating_sub(size));
        }
    }

    #[cold]
    #[inline(never)]
    fn charge_job(job: *const Job, size: usize) {
        // SAFETY: the pointer is set and cleared by the thread that holds the
        // job's Arc meanwhile.
        let job = unsafe { &*job };
        let live = LIVE.get().saturating_add(size);
        LIVE.set(live);
        let too_much = live > job.limits.bytes;
        if !too_much && !job.expired.load(Ordering::Relaxed) {
            return;
        }
        JOB.set(ptr::null());
        if too_much {
            job.finish(End::Stopped(format!(
                "it needs more than {} bytes of memory",
                job.limits.bytes
            )));
        }
        loop {
            std::thread::park();
        }
    }
}

// SAFETY: every request goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::charge(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::charge(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, data: *mut u8, layout: Layout) {
        Self::refund(layout.size());
        unsafe { System.dealloc(data, layout) }
    }

    unsafe fn realloc(
        &self,
        data: *mut u8,
        layout: Layout,
        size: usize,
    ) -> *mut u8 {
        Self::charge(size);
        Self::refund(layout.size());
        unsafe { System.realloc(data, layout, size) }
    }
}

/// Runs `work` on a thread of its own, within `limits`.
pub fn run(
    limits: Limits,
    work: impl FnOnce() -> Outcome + Send + 'static,
) -> Outcome {
    let job = Arc::new(Job {
        limits,
        expired: AtomicBool::new(false),
        end: Mutex::new(None),
        done: Condvar::new(),
    });
    let theirs = Arc::clone(&job);
    let body = move || {
        JOB.set(Arc::as_ptr(&theirs));
        let outcome = catch_unwind(AssertUnwindSafe(work))
            .unwrap_or_else(|payload| Err(crate::panic_message(payload)));
        JOB.set(ptr::null());
        theirs.finish(End::Returned(outcome));
    };
    let thread = std::thread::Builder::new()
        .name("template".into())
        .stack_size(STACK_BYTES)
        .spawn(body)
        .map_err(|e| format!("no thread for it: {e}"))?;
    match job.wait() {
        End::Returned(outcome) => {
            // Its own memory is given back before the caller goes on.
            let _ = thread.join();
            outcome
        }
        End::Stopped(why) => Err(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        bytes: 1 << 20,
        time: Duration::from_millis(200),
    };

    #[test]
    fn results_and_panics_come_back() {
        // A hook that prints would need more than the limit for a backtrace.
        crate::silence_panics();
        assert_eq!(run(LIMITS, || Ok("a".into())), Ok("a".into()));
        assert_eq!(
            run(LIMITS, || panic!("b")),
            Err("internal error: b".into())
        );
    }

    #[test]
    fn memory_is_bounded() {
        let message = run(LIMITS, || {
            let mut all = Vec::new();
            loop {
                all.push(vec![1u8; 1000]);
            }
        });
        assert_eq!(
            message,
            Err("it needs more than 1048576 bytes of memory".into())
        );
    }

    #[test]
    fn freed_memory_counts_no_more() {
        let result = run(LIMITS, || {
            let total: usize =
                (0..100_000).map(|_| vec![1u8; 1000].len()).sum();
            Ok(total.to_string())
        });
        assert_eq!(result, Ok("100000000".into()));
    }

    #[test]
    fn time_is_bounded() {
        let message = run(LIMITS, || loop {
            drop(std::hint::black_box(vec![1u8; 1000]));
        });
        assert_eq!(message, Err("it takes longer than 200ms".into()));
    }
}
