//! C interface over the `tokenizers` and `minijinja` crates; the header is
//! include/assay_text.h. This file owns the boundary: pointers, ownership,
//! panics. The work is in the modules and knows nothing of C.

mod bounded;
mod byte_pairs;
mod chat;
mod methods;
mod python_json;
mod tokenizer;

use std::mem::ManuallyDrop;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::Once;
use std::{ptr, slice, str};

use tokenizer::Tokenizer;

#[global_allocator]
static ALLOCATOR: bounded::Allocator = bounded::Allocator;

/// A vector whose ownership is with the caller.
#[repr(C)]
pub struct Owned<T> {
    data: *mut T,
    size: usize,
    capacity: usize,
}

impl<T> Owned<T> {
    fn from_vec(vec: Vec<T>) -> Self {
        let mut vec = ManuallyDrop::new(vec);
        Owned {
            data: vec.as_mut_ptr(),
            size: vec.len(),
            capacity: vec.capacity(),
        }
    }

    /// # Safety
    /// `self` must come from `from_vec`, once.
    unsafe fn free(self) {
        if !self.data.is_null() {
            drop(unsafe {
                Vec::from_raw_parts(self.data, self.size, self.capacity)
            });
        }
    }
}

type Bytes = Owned<u8>;
type Ids = Owned<u32>;

/// A null pointer is an empty slice: C++ gives one for an empty string.
unsafe fn slice_of<'a, T>(data: *const T, size: usize) -> &'a [T] {
    if size == 0 || data.is_null() {
        &[]
    } else {
        unsafe { slice::from_raw_parts(data, size) }
    }
}

unsafe fn text_of<'a>(data: *const u8, size: usize) -> Result<&'a str, String> {
    str::from_utf8(unsafe { slice_of(data, size) })
        .map_err(|e| format!("not UTF-8: {e}"))
}

unsafe fn give<T>(out: *mut Owned<T>, vec: Vec<T>) {
    if !out.is_null() {
        unsafe { ptr::write(out, Owned::from_vec(vec)) }
    }
}

/// The library reports a caught panic as an error; the default hook would
/// print it to standard error as well.
fn silence_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| std::panic::set_hook(Box::new(|_| {})));
}

fn panic_message(payload: Box<dyn std::any::Any + Send>) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|s| s.to_string())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    format!("internal error: {}", text.unwrap_or_default())
}

/// Runs `work`; its error or panic becomes the message in `error`.
unsafe fn guard<T>(
    error: *mut Bytes,
    work: impl FnOnce() -> Result<T, String>,
) -> Option<T> {
    silence_panics();
    let result = catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|payload| Err(panic_message(payload)));
    match result {
        Ok(value) => Some(value),
        Err(message) => {
            unsafe { give(error, message.into_bytes()) };
            None
        }
    }
}

#[no_mangle]
pub unsafe extern "C" fn assay_text_bytes_free(bytes: Bytes) {
    unsafe { bytes.free() }
}

#[no_mangle]
pub unsafe extern "C" fn assay_text_ids_free(ids: Ids) {
    unsafe { ids.free() }
}

#[no_mangle]
pub unsafe extern "C" fn assay_text_tokenizer_from_json(
    json: *const u8,
    size: usize,
    error: *mut Bytes,
) -> *mut Tokenizer {
    let made =
        unsafe { guard(error, || Tokenizer::from_json(slice_of(json, size))) };
    made.map_or(ptr::null_mut(), |t| Box::into_raw(Box::new(t)))
}

#[no_mangle]
pub unsafe extern "C" fn assay_text_tokenizer_free(tokenizer: *mut Tokenizer) {
    if !tokenizer.is_null() {
        drop(unsafe { Box::from_raw(tokenizer) });
    }
}

#[no_mangle]
pub unsafe extern "C" fn assay_text_tokenizer_encode(
    tokenizer: *const Tokenizer,
    text: *const u8,
    size: usize,
    add_special: bool,
    out: *mut Ids,
    error: *mut Bytes,
) -> bool {
    let ids = unsafe {
        guard(error, || {
            (*tokenizer).encode(text_of(text, size)?, add_special)
        })
    };
    ids.map(|ids| unsafe { give(out, ids) }).is_some()
}

#[no_mangle]
pub unsafe extern "C" fn assay_text_tokenizer_decode(
    tokenizer: *const Tokenizer,
    ids: *const u32,
    size: usize,
    skip_special: bool,
    out: *mut Bytes,
    error: *mut Bytes,
) -> bool {
    let text = unsafe {
        guard(error, || {
            (*tokenizer).decode(slice_of(ids, size), skip_special)
        })
    };
    text.map(|text| unsafe { give(out, text.into_bytes()) })
        .is_some()
}

#[no_mangle]
pub unsafe extern "C" fn assay_text_tokenizer_vocab_size(
    tokenizer: *const Tokenizer,
) -> usize {
    unsafe { (*tokenizer).vocab_size() }
}

#[no_mangle]
pub unsafe extern "C" fn assay_text_tokenizer_token_to_id(
    tokenizer: *const Tokenizer,
    token: *const u8,
    size: usize,
    id: *mut u32,
) -> bool {
    let found = unsafe {
        guard(ptr::null_mut(), || {
            Ok((*tokenizer).token_to_id(text_of(token, size)?))
        })
    };
    match found.flatten() {
        Some(value) => {
            unsafe { ptr::write(id, value) };
            true
        }
        None => false,
    }
}

#[no_mangle]
pub unsafe extern "C" fn assay_text_tokenizer_id_to_token(
    tokenizer: *const Tokenizer,
    id: u32,
    out: *mut Bytes,
) -> bool {
    let found =
        unsafe { guard(ptr::null_mut(), || Ok((*tokenizer).id_to_token(id))) };
    found
        .flatten()
        .map(|token| unsafe { give(out, token.into_bytes()) })
        .is_some()
}

#[no_mangle]
pub unsafe extern "C" fn assay_text_tokenizer_describe(
    tokenizer: *const Tokenizer,
    out: *mut Bytes,
    error: *mut Bytes,
) -> bool {
    let json = unsafe { guard(error, || Ok((*tokenizer).describe())) };
    json.map(|json| unsafe { give(out, json.into_bytes()) })
        .is_some()
}

#[no_mangle]
pub unsafe extern "C" fn assay_text_chat_render(
    source: *const u8,
    source_size: usize,
    context: *const u8,
    context_size: usize,
    out: *mut Bytes,
    error: *mut Bytes,
) -> bool {
    let text = unsafe {
        guard(error, || {
            chat::render(
                text_of(source, source_size)?,
                text_of(context, context_size)?,
            )
        })
    };
    text.map(|text| unsafe { give(out, text.into_bytes()) })
        .is_some()
}
